//! What the configuration needs to know of the machine it is settled on.
//!
//! Asked once, before anything is resolved, and a plain value from then on: settling is a pure
//! function of what was written and of this.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;

/// Public addresses that a route is asked for; nothing is ever sent to them.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111));

/// Addresses and cores of a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Addresses of every interface that is up, without link-local IPv6; sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Source address of the default route of each family that has one; two at most.
    pub routed: Vec<IpAddr>,
    /// Cores that this process may run on; never empty.
    pub cores: Vec<usize>,
    /// Says whether a socket can be bound to an address here.
    pub binds: fn(SocketAddr) -> bool,
}

impl Machine {
    /// Looks at the machine this runs on.
    ///
    /// What cannot be found out is left empty: a default that depends on it is then an error that
    /// names the key to give.
    pub fn this() -> Self {
        Self { addresses: addresses(), routed: routed(), cores: cores(), binds }
    }
}

fn addresses() -> Vec<IpAddr> {
    let interfaces = getifaddrs().into_iter().flatten();
    let mut found: Vec<IpAddr> = interfaces.filter_map(|entry| usable(&entry)).collect();
    found.sort();
    found.dedup();
    found
}

fn usable(entry: &InterfaceAddress) -> Option<IpAddr> {
    if !entry.flags.contains(InterfaceFlags::IFF_UP) {
        return None;
    }
    let storage = entry.address.as_ref()?;
    let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    let v6 = || storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
    v4.or_else(v6).filter(|ip| !is_link_local_v6(*ip))
}

/// An answer from such an address needs a scope, and no client outside the link can ask it.
fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

fn routed() -> Vec<IpAddr> {
    let sources = [FAR_V4, FAR_V6].into_iter().filter_map(source_towards);
    sources.filter(|ip| !ip.is_loopback() && !is_link_local_v6(*ip)).collect()
}

/// Connecting a UDP socket picks the source address and sends nothing.
fn source_towards(far: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind(SocketAddr::new(unspecified_like(far), 0)).ok()?;
    socket.connect(SocketAddr::new(far, 9)).ok()?;
    socket.local_addr().ok().map(|local| local.ip())
}

fn unspecified_like(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}

fn cores() -> Vec<usize> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    if allowed.is_empty() {
        return vec![0];
    }
    allowed.into_iter().map(|core| core.id).collect()
}

/// Binding decides, since more can be bound than the interfaces list: all of 127.0.0.0/8, and
/// floating addresses under `ip_nonlocal_bind`.
///
/// The port is left to the kernel: whether it is free is found out when the server starts.
fn binds(mut address: SocketAddr) -> bool {
    address.set_port(0);
    UdpSocket::bind(address).is_ok()
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::Machine;

    #[test]
    fn this_machine_has_a_loopback_address_and_a_core() {
        let machine = Machine::this();
        assert!(machine.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!(!machine.cores.is_empty());
        assert!(machine.routed.iter().all(|ip| machine.addresses.contains(ip)));
    }

    #[test]
    fn only_an_own_address_binds() {
        let binds = Machine::this().binds;
        assert!(binds((Ipv4Addr::new(127, 0, 0, 9), 3478).into()));
        assert!(!binds((Ipv4Addr::new(203, 0, 113, 9), 3478).into()));
    }
}
