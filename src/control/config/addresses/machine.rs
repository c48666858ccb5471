//! What the configuration needs to know of the machine it is settled on.
//!
//! Asked once, before anything is resolved, and a plain value from then on: settling is a pure
//! function of what was written and of this.

use std::cmp::Reverse;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;

use crate::control::config::value::external::StunServer;
use crate::control::config::value::server::look_up;
use crate::control::network::{self, kernel::InterfaceAddress};

/// Public addresses that a route is asked for; nothing is ever sent to them.
const FAR_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(1, 1, 1, 1));
const FAR_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2606, 0x4700, 0x4700, 0, 0, 0, 0, 0x1111));

pub(in crate::control) type Asks = fn(&StunServer, IpAddr) -> Result<Option<IpAddr>, String>;

pub(in crate::control) type LooksUp = fn(&str, u16) -> Result<Vec<SocketAddr>, String>;

/// Addresses and cores of a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Addresses that can be listened on and that stay, without link-local IPv6; sorted, each once.
    pub addresses: Vec<IpAddr>,
    /// Addresses that can be used, for however long: what has begun on one of them goes on.
    pub present: Vec<IpAddr>,
    /// Those of them that nothing new should begin on.
    pub deprecated: Vec<IpAddr>,
    /// Every address of every interface, in whatever state, and the networks that are routed to
    /// this machine; sorted, each once, and empty only if the kernel could not be asked.
    pub local: Vec<IpNet>,
    /// Of each family with a default route the route's source address, if it stays, and then the
    /// other addresses of the route's interface that do.
    pub routed: Vec<IpAddr>,
    /// Cores that this process may run on; never empty.
    pub cores: Vec<usize>,
    /// How many of them it may keep busy: all, or fewer where the CPU quota of a container says so.
    pub cpus: usize,
    /// Says whether a socket can be bound to an address here.
    pub binds: fn(SocketAddr) -> bool,
    /// Has a STUN server say what an address here is called on the other side of a NAT; `None`
    /// where it has no address of that family, and an error of one line where it does not say.
    pub(in crate::control) asks: Asks,
    /// Looks up every address of a name; an error is one line.
    pub(in crate::control) looks_up: LooksUp,
    /// The same for the name that external addresses come from.
    pub(in crate::control) looks_up_own: LooksUp,
}

impl Machine {
    /// Looks at the machine this runs on.
    ///
    /// What cannot be found out is left empty: a default that depends on it is then an error that
    /// names the key to give.
    pub fn this() -> Self {
        Self::look().unwrap_or_else(|_| Self::unseen())
    }

    /// A machine of which nothing is known but what this process may use.
    fn unseen() -> Self {
        let cores = cores();
        Self {
            addresses: Vec::new(),
            present: Vec::new(),
            deprecated: Vec::new(),
            local: Vec::new(),
            routed: Vec::new(),
            cpus: cpus(&cores),
            cores,
            binds,
            asks,
            looks_up: look_up,
            looks_up_own: look_up,
        }
    }

    /// Looks at the machine this runs on, all of it.
    ///
    /// # Errors
    /// The kernel cannot be asked.
    pub(in crate::control) fn look() -> io::Result<Self> {
        let all = network::addresses()?;
        let listed = |are: fn(&InterfaceAddress) -> bool| -> Vec<IpAddr> {
            all.iter().filter(|address| are(address)).map(|address| address.ip).collect()
        };
        let mut local = network::local_networks()?;
        local.extend(all.iter().map(|address| IpNet::from(address.ip)));
        local.sort();
        local.dedup();
        Ok(Self {
            addresses: lasting(&all),
            present: listed(|address| !address.is_tentative()),
            deprecated: listed(InterfaceAddress::is_deprecated),
            local,
            routed: routed(&all),
            ..Self::unseen()
        })
    }

    /// The same, but nobody beside the kernel is asked anything: what was known goes on.
    pub(in crate::control) fn that_asks_nobody(self) -> Self {
        fn not_yet<T>() -> Result<T, String> {
            Err("it is still to be asked".to_owned())
        }
        let looks_up: LooksUp = |_, _| not_yet();
        Self { asks: |_, _| not_yet(), looks_up, looks_up_own: looks_up, ..self }
    }

    /// A machine with these addresses and one core, on which everything can be bound.
    #[cfg(test)]
    pub(in crate::control) fn with(addresses: &[&str]) -> Self {
        let addresses: Vec<IpAddr> = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
        Self {
            local: addresses.iter().copied().map(IpNet::from).collect(),
            present: addresses.clone(),
            deprecated: Vec::new(),
            routed: addresses.clone(),
            addresses,
            cores: vec![0],
            cpus: 1,
            binds: |_| true,
            asks: |_, _| Ok(None),
            looks_up: |_, _| Ok(Vec::new()),
            looks_up_own: |_, _| Ok(Vec::new()),
        }
    }
}

/// Those that can be listened on for as long as this process may run.
fn lasting(all: &[InterfaceAddress]) -> Vec<IpAddr> {
    let lasting = all.iter().filter(|address| {
        let goes = address.is_temporary() || (address.is_deprecated() && address.expires());
        !address.is_tentative() && !goes && !is_link_local_v6(address.ip)
    });
    let mut found: Vec<IpAddr> = lasting.map(|address| address.ip).collect();
    found.retain(|ip| binds(SocketAddr::new(*ip, 0)));
    found.sort();
    found.dedup();
    found
}

/// True for an address that relay ports may be opened on without having been named.
fn may_relay(address: &InterfaceAddress) -> bool {
    let goes = address.is_temporary() || address.is_deprecated() || address.is_tentative();
    !goes && !is_link_local_v6(address.ip)
}

/// An answer from such an address needs a scope, and no client outside the link can ask it.
fn is_link_local_v6(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Where the default routes leave from. The kernel may prefer a temporary address, or one that is
/// about to go: then the interface's others come first.
fn routed(all: &[InterfaceAddress]) -> Vec<IpAddr> {
    let sources = [FAR_V4, FAR_V6].into_iter().filter_map(source_towards);
    sources.filter(|ip| !ip.is_loopback()).flat_map(|ip| lasting_like(ip, all)).collect()
}

/// Addresses that relays may be on and that share an interface with this one, the most like it
/// first: itself, if they may be on it.
fn lasting_like(source: IpAddr, all: &[InterfaceAddress]) -> Vec<IpAddr> {
    // One that no interface has is routed here as a whole network is, and lasts.
    let Some(address) = all.iter().find(|address| address.ip == source) else {
        return vec![source];
    };
    let beside = all.iter().filter(|other| other.interface == address.interface);
    let fit = beside.filter(|it| it.ip.is_ipv4() == source.is_ipv4() && may_relay(it));
    let mut fit: Vec<IpAddr> = fit.map(|it| it.ip).filter(|ip| !ip.is_loopback()).collect();
    fit.sort_by_key(|ip| Reverse(bits_in_common(*ip, source)));
    fit
}

/// Length of the longest prefix that holds both.
fn bits_in_common(one: IpAddr, other: IpAddr) -> u32 {
    match (one, other) {
        (IpAddr::V4(one), IpAddr::V4(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V6(one), IpAddr::V6(other)) => (one.to_bits() ^ other.to_bits()).leading_zeros(),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => 0,
    }
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

/// What the standard library makes of the process's cores and of the quotas of its control groups
/// (`cpu.max`, `cpu.cfs_quota_us`): whole CPUs, rounded down, at least one.
fn cpus(cores: &[usize]) -> usize {
    std::thread::available_parallelism().map_or(cores.len(), |cpus| cpus.get().min(cores.len()))
}

/// Binding decides, since more can be bound than the interfaces list: all of 127.0.0.0/8, and
/// floating addresses under `ip_nonlocal_bind`.
///
/// The port is left to the kernel: whether it is free is found out when the server starts.
fn binds(mut address: SocketAddr) -> bool {
    address.set_port(0);
    let refusal = UdpSocket::bind(address).err().map(|error| error.kind());
    // Whatever else is lacking, descriptors for example, says nothing about the address.
    refusal != Some(io::ErrorKind::AddrNotAvailable)
}

fn asks(server: &StunServer, local: IpAddr) -> Result<Option<IpAddr>, String> {
    network::stun::public_address(&server.host, server.port, local)
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use netlink_packet_route::address::AddressFlags;

    use super::{InterfaceAddress, Machine, lasting_like};

    #[test]
    fn this_machine_has_a_loopback_address_and_a_core() {
        let machine = Machine::this();
        assert!(machine.addresses.contains(&IpAddr::V4(Ipv4Addr::LOCALHOST)));
        assert!((1..=machine.cores.len()).contains(&machine.cpus));
        assert!(machine.routed.iter().all(|ip| machine.addresses.contains(ip)));
        for address in &machine.addresses {
            assert!(machine.local.iter().any(|net| net.contains(address)), "{address}");
        }
    }

    // RFC 8981 addresses are made anew every day, and Linux prefers them as a source.
    #[test]
    fn relays_are_on_the_address_that_stays_where_the_kernel_prefers_one_that_goes() {
        let stays = InterfaceAddress::fixed("2001:db8:1::1", 2, AddressFlags::Permanent);
        let deprecated = AddressFlags::Permanent | AddressFlags::Deprecated;
        let others = [
            InterfaceAddress::fixed("2001:db8:1::8:7", 2, deprecated),
            InterfaceAddress::fixed("2001:db8:1::9:9", 2, AddressFlags::Tentative),
            InterfaceAddress::fixed("fe80::1", 2, AddressFlags::Permanent),
            InterfaceAddress::fixed("2001:db8:2::2", 2, AddressFlags::Permanent),
            InterfaceAddress::fixed("2001:db8:1::2", 3, AddressFlags::Permanent),
            InterfaceAddress::fixed("192.0.2.1", 2, AddressFlags::Permanent),
            stays,
        ];
        let temporary = InterfaceAddress::fixed("2001:db8:1::8:8", 2, AddressFlags::Secondary);
        let all = [&others[..], &[temporary]].concat();
        let fit = |source: &str, all: &[InterfaceAddress]| -> Vec<String> {
            lasting_like(source.parse().unwrap(), all).iter().map(IpAddr::to_string).collect()
        };
        let both = ["2001:db8:1::1", "2001:db8:2::2"];
        assert_eq!(fit("2001:db8:1::8:8", &all), both, "the most like it first");
        assert_eq!(fit("2001:db8:1::1", &all), both);
        assert_eq!(fit("192.0.2.1", &all), ["192.0.2.1"]);
        assert!(fit("2001:db8:1::8:8", &[temporary]).is_empty());
        assert_eq!(fit("192.0.2.200", &all), ["192.0.2.200"], "routed here, on no interface");
        let second = InterfaceAddress::fixed("192.0.2.9", 2, AddressFlags::Permanent);
        let all = [&[second], &all[..]].concat();
        assert_eq!(fit("192.0.2.1", &all), ["192.0.2.1", "192.0.2.9"]);
    }

    #[test]
    fn only_an_own_address_binds() {
        let binds = Machine::this().binds;
        assert!(binds((Ipv4Addr::new(127, 0, 0, 9), 3478).into()));
        assert!(!binds((Ipv4Addr::new(203, 0, 113, 9), 3478).into()));
    }
}
