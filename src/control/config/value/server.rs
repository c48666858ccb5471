//! Another server, as clients reach it: by address, or by a name that is looked up.

use std::net::{SocketAddr, ToSocketAddrs};

use super::Value;
use super::external::host_and_port;

/// What the standard library puts in front of the resolver's own words.
const RESOLVER: &str = "failed to lookup address information: ";

/// Another server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ServerAddress {
    At(SocketAddr),
    /// Looked up when the configuration is read, and once a minute from then on.
    Named {
        host: String,
        port: u16,
    },
}

impl ServerAddress {
    /// Reads the address of a server from the command line; of a name the first address.
    pub(crate) fn read_flag(text: &str) -> Result<SocketAddr, String> {
        match Self::read(text)? {
            Self::At(server) => Ok(server),
            Self::Named { host, port } => {
                let found = look_up(&host, port)?;
                found.first().copied().ok_or_else(|| format!("{host} has no address"))
            }
        }
    }
}

impl Value for ServerAddress {
    fn read(text: &str) -> Result<Self, String> {
        let looks_like_a_name = text.bytes().any(|byte| byte.is_ascii_alphabetic())
            && text.matches(':').count() < 2
            && !text.starts_with('[');
        if looks_like_a_name {
            let wrong = || format!("'{text}' is not a server: write HOST, HOST:PORT or IP:PORT");
            let (host, port) = host_and_port(text).ok_or_else(wrong)?;
            return Ok(Self::Named { host, port });
        }
        let address = SocketAddr::read(text)?;
        if address.ip().is_unspecified() {
            return Err(format!("'{text}' stands for no single address: write the address itself"));
        }
        Ok(Self::At(address))
    }

    fn written(&self) -> toml::Value {
        match self {
            Self::At(server) => server.to_string().into(),
            Self::Named { host, port } => format!("{host}:{port}").into(),
        }
    }
}

/// Every address of a name. May take seconds.
///
/// # Errors
/// One line: the name has none, or nobody can be asked.
pub(in crate::control) fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = (host, port).to_socket_addrs();
    found.map(Iterator::collect).map_err(|error| {
        let problem = error.to_string();
        let problem = problem.trim_start_matches(RESOLVER);
        format!("{host} cannot be resolved: {problem}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_an_address_or_a_name() {
        for (text, written) in [
            ("192.0.2.1", "192.0.2.1:3478"),
            ("[2001:db8::1]:7", "[2001:db8::1]:7"),
            ("2001:db8::1", "[2001:db8::1]:3478"),
            ("relay-2.example.org", "relay-2.example.org:3478"),
            ("relay-2.example.org:7", "relay-2.example.org:7"),
        ] {
            let read = ServerAddress::read(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.written(), toml::Value::from(written));
        }
        for text in ["0.0.0.0", "a:0", "a b", "https://a", "192.0.2.1:0", "", "a:b"] {
            assert!(ServerAddress::read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_name_on_the_command_line_is_looked_up() {
        let local = ServerAddress::read_flag("localhost:7").unwrap();
        assert!(local.ip().is_loopback() && local.port() == 7);
        let unknown = ServerAddress::read_flag("no-such-name.invalid").unwrap_err();
        assert!(unknown.starts_with("no-such-name.invalid cannot be resolved: "), "{unknown}");
    }
}
