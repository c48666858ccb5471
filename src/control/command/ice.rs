//! The URLs by which clients find a server (RFC 7064, RFC 7065): one for each transport it has.
//!
//! A browser tries all of them at once, so that clients whose network lets no UDP out come over
//! TCP or TLS.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::control::config::{Config, Machine};
use crate::turn::RelayAddress;

/// Where STUN is, when nothing else is said (RFC 8489 §8.6).
pub(in crate::control) const STUN_PORT: u16 = 3478;

/// URLs of a server at this host, which may have a port, else at the address that clients most
/// likely reach. A server whose configuration is not known has UDP and TCP, as one without options.
pub(in crate::control) fn urls(config: Option<&Config>, host: Option<&str>) -> Vec<String> {
    let own_port = config.and_then(|config| config.listen.first()).map(SocketAddr::port);
    let (host, port) = match host {
        Some(host) => split(host),
        None => (reached(config), None),
    };
    let plain = format!("{host}:{}", port.or(own_port).unwrap_or(STUN_PORT));
    let mut urls = vec![format!("stun:{plain}"), format!("turn:{plain}")];
    if config.is_none_or(|config| config.values.tcp.0) {
        urls.push(format!("turn:{plain}?transport=tcp"));
    }
    let tls = config.map(|config| &config.listen_tls[..]).unwrap_or_default();
    let mut ports: Vec<u16> = tls.iter().map(SocketAddr::port).collect();
    ports.sort_unstable();
    ports.dedup();
    urls.extend(ports.iter().map(|port| format!("turns:{host}:{port}?transport=tcp")));
    urls
}

/// Takes a host of a command line, with its port if it has one: what clients can look up.
///
/// # Errors
/// It is a URL, or no name and no address.
pub(super) fn host(text: &str) -> Result<String, String> {
    let (host, port) = split(text);
    let is_name = |name: &str| {
        let fits = |letter: u8| letter.is_ascii_alphanumeric() || b"-._".contains(&letter);
        (1..=253).contains(&name.len()) && name.bytes().all(fits)
    };
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_ip = inner.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok());
    if port == Some(0) || !(is_ip || is_name(&host)) {
        return Err("write a name or an address, such as turn.example.org, 192.0.2.1:3478 or \
                    [2001:db8::1]:3478"
            .to_owned());
    }
    Ok(text.to_owned())
}

/// A host as a URL has it, and its port if it names one; an IPv6 address gets brackets.
pub(super) fn split(host: &str) -> (String, Option<u16>) {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return (bracketed(ip), None);
    }
    if let Some((name, port)) = host.rsplit_once(':')
        && let Ok(port) = port.parse()
    {
        return (name.to_owned(), Some(port));
    }
    (host.to_owned(), None)
}

/// The address a client is most likely to reach: the public one behind NAT, else one listened on.
fn reached(config: Option<&Config>) -> String {
    let Some(config) = config else {
        let routed = Machine::this().routed;
        return routed.first().map_or_else(|| "localhost".to_owned(), |ip| bracketed(*ip));
    };
    let heard = |relay: &&RelayAddress| {
        relay.local != relay.advertised
            || config.listen.iter().any(|address| address.ip() == relay.local)
    };
    let relay = config.relays.iter().find(heard).map(|relay| relay.advertised);
    relay.or(config.listen.first().map(SocketAddr::ip)).map_or_else(String::new, bracketed)
}

fn bracketed(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => ip.to_string(),
        IpAddr::V6(ip) => format!("[{ip}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::{host, split, urls};

    #[test]
    fn hosts_are_split_from_their_ports() {
        for (text, host, port) in [
            ("turn.example.org", "turn.example.org", None),
            ("turn.example.org:5000", "turn.example.org", Some(5000)),
            ("192.0.2.1", "192.0.2.1", None),
            ("2001:db8::1", "[2001:db8::1]", None),
            ("[2001:db8::1]", "[2001:db8::1]", None),
            ("[2001:db8::1]:5000", "[2001:db8::1]", Some(5000)),
        ] {
            assert_eq!(split(text), (host.to_owned(), port), "{text}");
        }
    }

    #[test]
    fn what_no_client_could_look_up_is_refused() {
        for text in ["turn.example.org", "a_b:1", "192.0.2.1:3478", "::1", "[::1]", "[::1]:3478"] {
            assert_eq!(host(text).as_deref(), Ok(text));
        }
        for text in
            ["", ":3478", "http://x/", "turn:x", "a b", "x:0", "x:99999", "[::1", "[x]:1", "é"]
        {
            assert!(host(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_that_is_not_known_has_udp_and_tcp() {
        assert_eq!(
            urls(None, Some("h:5000")),
            ["stun:h:5000", "turn:h:5000", "turn:h:5000?transport=tcp"]
        );
    }
}
