//! Addresses, networks and ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::IpNet;

use super::Value;

/// Port of STUN and TURN over UDP (RFC 8489 §18.6).
pub(in crate::control::config) const STUN_PORT: u16 = 3478;
/// Port of STUN and TURN over TLS (RFC 8489 §18.6).
pub(in crate::control::config) const TLS_PORT: u16 = 5349;
/// Ports below are for well-known services and need a capability to bind.
const LOWEST_RELAY_PORT: u16 = 1024;

/// The ports that relay sockets are bound to, both ends included; `low < high`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// First port.
    pub low: u16,
    /// Last port.
    pub high: u16,
}

impl PortRange {
    /// Says how many ports the range has, 2 at least.
    pub fn count(self) -> u32 {
        u32::from(self.high) - u32::from(self.low) + 1
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}-{}", self.low, self.high)
    }
}

/// `PUBLIC[/PRIVATE]`; both of one family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ExternalIp {
    pub(crate) public: IpAddr,
    pub(crate) private: Option<IpAddr>,
}

impl Value for SocketAddr {
    fn read(text: &str) -> Result<Self, String> {
        listening(text, STUN_PORT)
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Where TLS clients are heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TlsAddress(pub(crate) SocketAddr);

impl Value for TlsAddress {
    fn read(text: &str) -> Result<Self, String> {
        listening(text, TLS_PORT).map(Self)
    }

    fn written(&self) -> toml::Value {
        self.0.to_string().into()
    }
}

/// Reads an address that clients talk to; one without a port has this one.
fn listening(text: &str, port: u16) -> Result<SocketAddr, String> {
    let bare = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, port));
    let wrong = || format!("'{text}' is not an address: write 192.0.2.1:{port} or [::1]:{port}");
    let address = text.parse::<SocketAddr>().or_else(|_| bare()).map_err(|_| wrong())?;
    if address.port() == 0 {
        return Err(format!("'{text}' has port 0: clients need a port between 1 and 65535"));
    }
    plain_unicast_or_any(address.ip(), text)?;
    Ok(address)
}

/// Where numbers are shown; a port alone is on loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MetricsAddress(pub(crate) SocketAddr);

impl Value for MetricsAddress {
    fn read(text: &str) -> Result<Self, String> {
        let on_loopback = || text.parse().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
        let wrong = || format!("'{text}' is not an address: write 9641 or 192.0.2.1:9641");
        let address: SocketAddr = text.parse().or_else(|_| on_loopback()).map_err(|_| wrong())?;
        if address.port() == 0 {
            return Err(format!("'{text}' has port 0: write a port between 1 and 65535"));
        }
        plain_unicast_or_any(address.ip(), text)?;
        Ok(Self(address))
    }

    fn written(&self) -> toml::Value {
        self.0.to_string().into()
    }
}

impl Value for IpAddr {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = |_| format!("'{text}' is not an IP address: write 192.0.2.1 or 2001:db8::1");
        let ip: Self = text.parse().map_err(wrong)?;
        if ip.is_unspecified() {
            return Err(format!("'{text}' stands for no single address: write the address itself"));
        }
        plain_unicast_or_any(ip, text)?;
        Ok(ip)
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Refuses what no datagram can be sent from, and IPv4 in the clothes of IPv6.
fn plain_unicast_or_any(ip: IpAddr, text: &str) -> Result<(), String> {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    if ip.is_multicast() || broadcast {
        return Err(format!("'{text}' is a group address: write the address of one interface"));
    }
    if ip.to_canonical() != ip {
        return Err(format!("'{text}' is an IPv4 address: write it as {}", ip.to_canonical()));
    }
    Ok(())
}

impl Value for ExternalIp {
    fn read(text: &str) -> Result<Self, String> {
        let (public, private) = match text.split_once('/') {
            Some((public, private)) => (public, Some(IpAddr::read(private)?)),
            None => (text, None),
        };
        let public = IpAddr::read(public)?;
        if private.is_some_and(|private| private.is_ipv4() != public.is_ipv4()) {
            return Err(format!(
                "'{text}' mixes IPv4 with IPv6: write two addresses of one family"
            ));
        }
        Ok(Self { public, private })
    }

    fn written(&self) -> toml::Value {
        let Self { public, private } = self;
        let text = match private {
            Some(private) => format!("{public}/{private}"),
            None => public.to_string(),
        };
        text.into()
    }
}

impl Value for PortRange {
    fn read(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a port range: write LOW-HIGH, such as 49152-65535");
        let (low, high) = text.split_once('-').ok_or_else(wrong)?;
        let port = |digits: &str| digits.trim().parse::<u16>().map_err(|_| wrong());
        let (low, high) = (port(low)?, port(high)?);
        if low > high {
            return Err(format!("{low}-{high} is reversed: write {high}-{low}"));
        }
        if low < LOWEST_RELAY_PORT {
            return Err(format!(
                "{low}-{high} begins below {LOWEST_RELAY_PORT}: ports there belong to other services"
            ));
        }
        Ok(Self { low, high })
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

impl Value for IpNet {
    fn read(text: &str) -> Result<Self, String> {
        let bare = || text.parse::<IpAddr>().map(Self::from);
        let wrong = || format!("'{text}' is not a network: write 192.0.2.0/24 or 2001:db8::/32");
        text.parse::<Self>().or_else(|_| bare()).map(|net| net.trunc()).map_err(|_| wrong())
    }

    fn written(&self) -> toml::Value {
        self.to_string().into()
    }
}

/// Says whether an address means something on its own network only.
pub(in crate::control) fn is_private(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            let is_shared = first == 100 && second & 0xC0 == 64;
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || is_shared
        }
        IpAddr::V6(v6) => v6.is_unique_local() || v6.is_loopback() || v6.is_unicast_link_local(),
    }
}
