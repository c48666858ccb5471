//! Which transports are tried, and where: what `--server` and `--transport` say.

use std::net::{IpAddr, SocketAddr};

use clap::ValueEnum;

use crate::control::command::ice::{self, STUN_PORT};
use crate::control::config::{Config, look_up};

/// Where TLS is, when nothing else is said (RFC 8656 §4).
const TLS_PORT: u16 = 5349;

/// How a client comes to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CheckTransport {
    Udp,
    Tcp,
    Tls,
}

/// One of them, or all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Choice {
    Udp,
    Tcp,
    Tls,
    All,
}

/// A host, and what was said of how to come to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    host: String,
    port: Option<u16>,
    transport: Option<CheckTransport>,
}

impl CheckTransport {
    pub(super) fn word(self) -> &'static str {
        match self {
            CheckTransport::Udp => "udp",
            CheckTransport::Tcp => "tcp",
            CheckTransport::Tls => "tls",
        }
    }

    /// Where a server of this configuration is heard on it.
    pub(super) fn listener(self, config: &Config) -> Option<SocketAddr> {
        match self {
            CheckTransport::Udp | CheckTransport::Tcp => config.listen.first().copied(),
            CheckTransport::Tls => config.listen_tls.first().copied(),
        }
    }

    pub(super) fn port(self) -> u16 {
        match self {
            CheckTransport::Udp | CheckTransport::Tcp => STUN_PORT,
            CheckTransport::Tls => TLS_PORT,
        }
    }
}

/// What to try: what was asked for, else what the URL says, else what the configuration has, else
/// UDP.
pub(super) fn transports(
    choice: Option<Choice>,
    place: Option<&Place>,
    config: Option<&Config>,
) -> Vec<CheckTransport> {
    use CheckTransport::{Tcp, Tls, Udp};
    match (choice, place.and_then(|place| place.transport), config) {
        (Some(Choice::Udp), ..) => vec![Udp],
        (Some(Choice::Tcp), ..) => vec![Tcp],
        (Some(Choice::Tls), ..) => vec![Tls],
        (Some(Choice::All), ..) => vec![Udp, Tcp, Tls],
        (None, Some(transport), _) => vec![transport],
        (None, None, None) => vec![Udp],
        (None, None, Some(config)) => {
            let tcp = config.values.tcp.0.then_some(Tcp);
            let tls = (!config.listen_tls.is_empty()).then_some(Tls);
            [Some(Udp), tcp, tls].into_iter().flatten().collect()
        }
    }
}

impl Place {
    /// Reads a host, a host with a port, or a URL (RFC 7064, RFC 7065).
    pub(super) fn read(text: &str) -> Result<Place, String> {
        let (rest, over) = match text.split_once("?transport=") {
            Some((rest, over)) => (rest, Some(over)),
            None => (text, None),
        };
        let scheme = |names: [&str; 2]| names.iter().find_map(|name| rest.strip_prefix(name));
        let (rest, secure) = match (scheme(["turn:", "stun:"]), scheme(["turns:", "stuns:"])) {
            (Some(rest), _) => (rest, Some(false)),
            (None, Some(rest)) => (rest, Some(true)),
            (None, None) => (rest, None),
        };
        let transport = match (secure, over) {
            (None, None) => None,
            (Some(true), None | Some("tcp")) => Some(CheckTransport::Tls),
            (Some(true), Some("udp")) => return Err("DTLS is not supported".to_owned()),
            (_, Some("tcp")) => Some(CheckTransport::Tcp),
            (_, None | Some("udp")) => Some(CheckTransport::Udp),
            (_, Some(_)) => return Err("write transport=udp or transport=tcp".to_owned()),
        };
        let (host, port) = ice::split(&ice::host(rest)?);
        Ok(Place { host, port, transport })
    }

    /// The host without brackets, as a certificate names it.
    pub(super) fn name(&self) -> &str {
        self.host.trim_start_matches('[').trim_end_matches(']')
    }

    /// Its own port, or else this one.
    pub(super) fn port_or(&self, port: u16) -> u16 {
        self.port.unwrap_or(port)
    }

    /// The host with the port that is its own or else this one.
    pub(super) fn endpoint(&self, port: u16) -> String {
        format!("{}:{}", self.host, self.port_or(port))
    }

    /// Its first address; or one line that says why there is none. May take seconds.
    pub(super) fn address(&self) -> Result<IpAddr, String> {
        let found = look_up(self.name(), 0)?;
        let first = found.first().map(SocketAddr::ip);
        first.ok_or_else(|| format!("{} has no address", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_say_host_port_and_transport() {
        use CheckTransport::{Tcp, Tls, Udp};
        for (text, host, port, transport) in [
            ("turn.example.org", "turn.example.org", None, None),
            ("[2001:db8::1]:5000", "[2001:db8::1]", Some(5000), None),
            ("turns:turn.example.org:443", "turn.example.org", Some(443), Some(Tls)),
            ("turns:turn.example.org?transport=tcp", "turn.example.org", None, Some(Tls)),
            ("turn:192.0.2.1?transport=tcp", "192.0.2.1", None, Some(Tcp)),
            ("stun:192.0.2.1:3478", "192.0.2.1", Some(3478), Some(Udp)),
        ] {
            let expected = Place { host: host.to_owned(), port, transport };
            assert_eq!(Place::read(text), Ok(expected), "{text}");
        }
        for text in ["turns:h?transport=udp", "turn:h?transport=sctp", "turn:"] {
            assert!(Place::read(text).is_err(), "{text}");
        }
    }
}
