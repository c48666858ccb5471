//! The public address behind which clients find a relay address: told, looked up, or asked for.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::Value;
use super::address::{ExternalIp, STUN_PORT};

/// Longest name of a host (RFC 1035 §2.3.4).
const HOST_BYTES: usize = 253;
/// What others call asking for it.
const AUTO: &str = "auto";

/// A STUN server, by name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StunServer {
    pub(in crate::control) host: String,
    pub(in crate::control) port: u16,
}

/// Where a public address comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum ExternalAddress {
    /// From whoever wrote it down.
    Told(ExternalIp),
    /// From a STUN server, which sees it.
    Asked(StunServer),
    /// From this host's name, which others keep.
    Named(String),
}

impl fmt::Display for StunServer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.parse() {
            Ok(ip) => write!(out, "stun:{}", SocketAddr::new(ip, self.port)),
            Err(_) => write!(out, "stun:{}:{}", self.host, self.port),
        }
    }
}

impl Value for ExternalAddress {
    fn read(text: &str) -> Result<Self, String> {
        if let Some(server) = text.strip_prefix("stun:") {
            return stun_server(server).map(Self::Asked);
        }
        if is_host_name(text) {
            return Ok(Self::Named(text.to_owned()));
        }
        if text == AUTO {
            return Err("write stun:HOST: that STUN server says which address it sees".to_owned());
        }
        ExternalIp::read(text).map(Self::Told)
    }

    fn written(&self) -> toml::Value {
        match self {
            Self::Told(external) => external.written(),
            Self::Asked(server) => server.to_string().into(),
            Self::Named(host) => host.as_str().into(),
        }
    }
}

impl fmt::Display for ExternalAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.written().as_str().unwrap_or_default())
    }
}

/// Tells a host's name from a misspelt address: a name has a dot, and letters behind the last one.
fn is_host_name(text: &str) -> bool {
    let begins_with_a_letter = |label: &str| label.starts_with(|it: char| it.is_ascii_alphabetic());
    let top = text.trim_end_matches('.').rsplit_once('.').map(|(_, top)| top);
    top.is_some_and(begins_with_a_letter) && !text.contains(':') && host_and_port(text).is_some()
}

fn stun_server(text: &str) -> Result<StunServer, String> {
    let wrong = || format!("'stun:{text}' is not a server: write stun:HOST or stun:HOST:PORT");
    if let Ok(at) = text.parse::<SocketAddr>() {
        let port = Some(at.port()).filter(|port| *port != 0).ok_or_else(wrong)?;
        return Ok(StunServer { host: at.ip().to_string(), port });
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Ok(StunServer { host: ip.to_string(), port: STUN_PORT });
    }
    let (host, port) = host_and_port(text).ok_or_else(wrong)?;
    Ok(StunServer { host, port })
}

/// Reads `HOST[:PORT]`, the host by name.
pub(super) fn host_and_port(text: &str) -> Option<(String, u16)> {
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (text, STUN_PORT),
    };
    let is_of_a_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_name = (1..=HOST_BYTES).contains(&host.len()) && host.bytes().all(is_of_a_name);
    (is_name && port != 0).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_address_is_told_or_looked_up_or_asked_for() {
        for (text, written) in [
            ("stun:stun.example.org", "stun:stun.example.org:3478"),
            ("stun:stun.example.org:19302", "stun:stun.example.org:19302"),
            ("stun:192.0.2.1", "stun:192.0.2.1:3478"),
            ("stun:[2001:db8::1]:7", "stun:[2001:db8::1]:7"),
            ("stun:2001:db8::1", "stun:[2001:db8::1]:3478"),
            ("198.51.100.7/10.0.0.5", "198.51.100.7/10.0.0.5"),
            ("turn.example.org", "turn.example.org"),
        ] {
            let read = ExternalAddress::read(text).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(read.written(), toml::Value::from(written));
            let again = ExternalAddress::read(written).unwrap();
            assert_eq!(again, read);
        }
        let long = format!("stun:{}", "x".repeat(254));
        let wrong = [
            "stun:",
            "stun:a:0",
            "stun:a:b",
            "stun://a",
            "stun:a b",
            "stun:192.0.2.1:0",
            &long,
            "stun:a:70000",
        ];
        for text in wrong {
            let error = ExternalAddress::read(text).unwrap_err();
            assert!(error.contains("write stun:HOST"), "{text}: {error}");
        }
        assert!(ExternalAddress::read("auto").unwrap_err().starts_with("write stun:HOST"));
        for text in ["1.2.3", "turn", "turn.example.org:3478", "a b.example", "192.0.2.1.", "."] {
            let error = ExternalAddress::read(text).unwrap_err();
            assert!(error.contains("is not an IP address"), "{text}: {error}");
        }
    }
}
