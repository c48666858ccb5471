//! A server as people type it: `relay.example.org`, `192.0.2.1:3478`, `[2001:db8::1]:3478`.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, ToSocketAddrs};

use crate::stream::Transport;

/// A server as it was named, and where that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerAddress {
    pub(crate) name: String,
    /// Without port and brackets.
    host: String,
    ip: IpAddr,
    /// `None`: the usual one of the transport.
    port: Option<u16>,
}

impl ServerAddress {
    /// Reads `HOST`, `HOST:PORT`, `[IPV6]:PORT` or a bare address; a name is looked up.
    pub(crate) fn read(text: &str) -> Result<ServerAddress, String> {
        let (host, port) = split(text)?;
        let ip = match host.parse() {
            Ok(ip) => ip,
            Err(_) => look_up(host)?,
        };
        Ok(ServerAddress { name: text.to_owned(), host: host.to_owned(), ip, port })
    }

    /// What has no other name than its address.
    pub(crate) fn of(address: SocketAddr) -> ServerAddress {
        let (ip, port) = (address.ip(), Some(address.port()));
        ServerAddress { name: address.to_string(), host: ip.to_string(), ip, port }
    }

    /// The name without the port, as a certificate has it.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }

    /// Where it is reached over a transport.
    pub(crate) fn over(&self, transport: Transport) -> SocketAddr {
        SocketAddr::new(self.ip, self.port.unwrap_or(transport.usual_port()))
    }
}

/// Host and port.
fn split(text: &str) -> Result<(&str, Option<u16>), String> {
    if ["turn:", "turns:", "stun:", "stuns:"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err("write HOST[:PORT] instead of a URL, and --transport beside it".to_owned());
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok((text, None));
    }
    if let Some((ip, port)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        ip.parse::<Ipv6Addr>().map_err(|_| format!("{ip} is no IPv6 address"))?;
        let port = match port.strip_prefix(':') {
            Some(port) => Some(number(port)?),
            None if port.is_empty() => None,
            None => return Err(format!("{port} after the bracket: expected [IPV6]:PORT")),
        };
        return Ok((ip, port));
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(number(port)?)),
        None => (text, None),
    };
    let is_name =
        !host.is_empty() && !host.contains(|c: char| c.is_whitespace() || "[]:".contains(c));
    let expected = "expected a name or an address, as turn.example.org, 192.0.2.1:3478 or \
                    [2001:db8::1]:3478";
    is_name.then_some((host, port)).ok_or_else(|| expected.to_owned())
}

fn number(port: &str) -> Result<u16, String> {
    let port_number = port.parse().ok().filter(|port| *port > 0);
    port_number.ok_or_else(|| format!("{port:?} is no port: expected 1 to 65535"))
}

fn look_up(host: &str) -> Result<IpAddr, String> {
    let found = (host, 0).to_socket_addrs().map_err(|error| format!("no such host: {error}"))?;
    let found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
    chosen(&found).ok_or_else(|| "that name has no address".to_owned())
}

/// The first of IPv4, or else the first: `localhost` is ::1 on most machines, where few servers
/// listen, and an address of IPv6 can be written instead of a name.
fn chosen(found: &[IpAddr]) -> Option<IpAddr> {
    found.iter().find(|ip| ip.is_ipv4()).or(found.first()).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn over_udp(text: &str) -> SocketAddr {
        ServerAddress::read(text).unwrap().over(Transport::Udp)
    }

    #[test]
    fn a_server_needs_no_port() {
        for (text, expected) in [
            ("192.0.2.1", "192.0.2.1:3478"),
            ("192.0.2.1:99", "192.0.2.1:99"),
            ("::1", "[::1]:3478"),
            ("[::1]", "[::1]:3478"),
            ("[::1]:99", "[::1]:99"),
        ] {
            assert_eq!(over_udp(text), expected.parse().unwrap(), "{text}");
        }
        let named = ServerAddress::read("localhost").unwrap();
        assert_eq!(
            (named.over(Transport::Tcp).port(), named.over(Transport::Tls).port()),
            (3478, 5349)
        );
        assert_eq!(ServerAddress::read("localhost:99").unwrap().over(Transport::Tls).port(), 99);
    }

    #[test]
    fn a_name_of_both_families_is_reached_by_ipv4() {
        let chosen = |found: &[&str]| {
            chosen(&found.iter().map(|ip| ip.parse().unwrap()).collect::<Vec<_>>())
        };
        assert_eq!(chosen(&["::1", "127.0.0.1", "127.0.0.2"]), Some([127, 0, 0, 1].into()));
        assert_eq!(chosen(&["2001:db8::1", "2001:db8::2"]), "2001:db8::1".parse().ok());
        assert_eq!(chosen(&[]), None);
    }

    #[test]
    fn a_host_is_what_a_certificate_names() {
        for (text, host) in [
            ("localhost:99", "localhost"),
            ("localhost", "localhost"),
            ("[::1]:99", "::1"),
            ("::1", "::1"),
            ("127.0.0.1:1", "127.0.0.1"),
        ] {
            assert_eq!(ServerAddress::read(text).unwrap().host(), host);
        }
        assert_eq!(ServerAddress::of("[::1]:99".parse().unwrap()).host(), "::1");
    }

    #[test]
    fn what_is_no_server_is_refused_and_told_why() {
        for (text, why) in [
            ("", "expected a name"),
            ("a b", "expected a name"),
            (":3478", "expected a name"),
            ("::1]", "no port"),
            ("a:b:1", "expected a name"),
            ("localhost:", "no port"),
            ("localhost:x", "no port"),
            ("127.0.0.1:0", "no port"),
            ("[::1]:99999", "no port"),
            ("[::1]x", "after the bracket"),
            ("[::1", "expected a name"),
            ("[fe80::1%lo]:3478", "no IPv6 address"),
            ("[127.0.0.1]:1", "no IPv6 address"),
            ("turns:localhost:5349", "instead of a URL"),
            ("turn:localhost?transport=tcp", "instead of a URL"),
            ("no.such.host.invalid", "no such host"),
        ] {
            let said = ServerAddress::read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
