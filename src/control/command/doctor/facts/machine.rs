//! The machine as the doctor sees it: plain facts, each `None` or empty where it cannot be known.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use nix::ifaddrs::getifaddrs;

use super::ethtool::{self, NicRing, Offloads};
use super::firewall::Firewall;
use super::programs::clock_is_synchronized;
use super::service::ServiceUser;
use super::sockets::{self, BoundSocket};
use super::tree::{Tree, core_list, core_mask};
use crate::control::config::Machine;
use crate::io::Facts;

/// Facts of the machine.
#[derive(Clone, Debug)]
pub(in crate::control) struct MachineFacts {
    /// What the kernel can do, found by trying.
    pub(in crate::control) kernel: Facts,
    /// `net.core.rmem_max` and `net.core.wmem_max`, in bytes.
    pub(in crate::control) socket_buffers_max: [Option<u64>; 2],
    /// `net.core.netdev_max_backlog`, in packets.
    pub(in crate::control) backlog: Option<u64>,
    /// Packets that found the backlog full since the machine started.
    pub(in crate::control) backlog_dropped: u64,
    /// `net.ipv4.ip_local_port_range`.
    pub(in crate::control) local_ports: Option<(u16, u16)>,
    /// `net.ipv4.ip_local_reserved_ports`.
    pub(in crate::control) reserved_ports: Vec<(u16, u16)>,
    /// UDP sockets of this network namespace, and TCP sockets that listen.
    pub(in crate::control) sockets: Vec<BoundSocket>,
    /// Whether packets of others are passed on: `net.ipv4.ip_forward`.
    pub(in crate::control) forwards: bool,
    /// Families that have a default route: IPv4, IPv6.
    pub(in crate::control) routed: [bool; 2],
    /// Connection tracking, where it is loaded.
    pub(in crate::control) conntrack: Option<Conntrack>,
    /// The limits that hold.
    pub(in crate::control) limits: ProcessLimits,
    /// Memory that programs could still take, in bytes.
    pub(in crate::control) memory_available: Option<u64>,
    /// The clock that the kernel reads.
    pub(in crate::control) clocksource: Option<String>,
    /// Frequency governors, with the core of each.
    pub(in crate::control) governors: Vec<(usize, String)>,
    /// The firewall, where it can be read.
    pub(in crate::control) firewall: Option<Firewall>,
    /// Whether something keeps the clock, where that can be known.
    pub(in crate::control) clock_is_synchronized: Option<bool>,
    /// The user of the service, where there is one and this process is root.
    pub(in crate::control) service: Option<ServiceUser>,
    /// Network interfaces.
    pub(in crate::control) interfaces: Vec<Interface>,
}

/// Connection tracking of this network namespace.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Conntrack {
    /// Connections it knows.
    pub(in crate::control) count: u64,
    /// The most it can know.
    pub(in crate::control) max: u64,
    /// Ports of the UDP connections it knows: each of the first direction's two.
    pub(in crate::control) udp_ports: Vec<[u16; 2]>,
}

/// Limits of a process.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct ProcessLimits {
    /// The running server they are those of; this process's own where none runs.
    pub(in crate::control) server: Option<u32>,
    /// Open files, the hard limit.
    pub(in crate::control) open_files: Option<u64>,
    /// Locked memory, the hard limit, in bytes.
    pub(in crate::control) locked_bytes: Option<u64>,
}

/// A network interface.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Interface {
    /// Its name.
    pub(in crate::control) name: String,
    /// Its addresses.
    pub(in crate::control) addresses: Vec<IpAddr>,
    /// Cores that receive steering spreads packets over, for each receive queue.
    pub(in crate::control) receive: Vec<Vec<usize>>,
    /// Cores that send through each send queue; empty where nothing is set.
    pub(in crate::control) send: Vec<Vec<usize>>,
    /// Cores that each of its interrupts may go to, those for packets only.
    pub(in crate::control) interrupts: Vec<Vec<usize>>,
    /// Whether there is a device behind it.
    pub(in crate::control) is_hardware: bool,
    /// Whether ethtool had anything to say of it.
    pub(in crate::control) is_asked: bool,
    /// What can be switched on and off.
    pub(in crate::control) offloads: Offloads,
    /// The receive ring, where it has one of a known length.
    pub(in crate::control) receive_ring: Option<NicRing>,
}

/// What no file says of an interface.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Device {
    /// Its name.
    pub(in crate::control) name: String,
    /// Its addresses.
    pub(in crate::control) addresses: Vec<IpAddr>,
    /// What `ethtool -k` and `ethtool -g` print.
    pub(in crate::control) features: Option<String>,
    pub(in crate::control) rings: Option<String>,
}

impl MachineFacts {
    /// Reads the machine: files under `root`, addresses and routes from the kernel, and what the
    /// service may read of `files`.
    pub(in crate::control) fn read(root: &Path, kernel: Facts, files: &[PathBuf]) -> Self {
        let machine = Machine::this();
        let has_route = |is_v4: bool| machine.routed.iter().any(|ip| ip.is_ipv4() == is_v4);
        let routed = [has_route(true), has_route(false)];
        let interfaces = || {
            let named = interface_addresses().into_iter();
            let asked = named.map(|(name, addresses)| {
                let [features, rings] = ["-k", "-g"].map(|option| ethtool::ask(option, &name));
                Device { name, addresses, features, rings }
            });
            asked.collect::<Vec<_>>()
        };
        Self {
            routed,
            firewall: Firewall::of_this_machine(),
            clock_is_synchronized: clock_is_synchronized(),
            service: ServiceUser::trying(files),
            ..Self::of_files(&Tree::at(root), kernel, &interfaces())
        }
    }

    /// Reads what stands in files.
    pub(in crate::control) fn of_files(tree: &Tree, kernel: Facts, devices: &[Device]) -> Self {
        let servers = sockets::servers(tree);
        let net = |name: &str| tree.number(&format!("proc/sys/net/{name}"));
        Self {
            kernel,
            socket_buffers_max: [net("core/rmem_max"), net("core/wmem_max")],
            backlog: net("core/netdev_max_backlog"),
            backlog_dropped: backlog_dropped(tree),
            local_ports: local_ports(tree),
            reserved_ports: reserved_ports(tree),
            sockets: sockets::bound(tree, &servers),
            forwards: net("ipv4/ip_forward").is_some_and(|value| value > 0),
            routed: [true; 2],
            conntrack: conntrack(tree),
            limits: limits(tree, servers.first().copied()),
            memory_available: memory_available(tree),
            clocksource: tree
                .text("sys/devices/system/clocksource/clocksource0/current_clocksource"),
            governors: governors(tree),
            firewall: None,
            clock_is_synchronized: None,
            service: None,
            interfaces: devices.iter().map(|device| interface(tree, device)).collect(),
        }
    }

    /// Names the interfaces that have one of these addresses, those of hardware or like it.
    pub(in crate::control) fn carrying(&self, ips: &[IpAddr]) -> impl Iterator<Item = &Interface> {
        let carries = move |interface: &&Interface| {
            interface.addresses.iter().any(|ip| !ip.is_loopback() && ips.contains(ip))
        };
        self.interfaces.iter().filter(carries).collect::<Vec<_>>().into_iter()
    }
}

fn interface_addresses() -> Vec<(String, Vec<IpAddr>)> {
    let mut found: Vec<(String, Vec<IpAddr>)> = Vec::new();
    for entry in getifaddrs().into_iter().flatten() {
        let Some(storage) = entry.address else { continue };
        let v4 = storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let Some(ip) = v4.or_else(|| storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        else {
            continue;
        };
        match found.iter_mut().find(|(name, _)| *name == entry.interface_name) {
            Some((_, ips)) => ips.push(ip),
            None => found.push((entry.interface_name, vec![ip])),
        }
    }
    found
}

/// The second column of each core's line, in hexadecimal.
fn backlog_dropped(tree: &Tree) -> u64 {
    let table = tree.text("proc/net/softnet_stat").unwrap_or_default();
    let dropped = table.lines().filter_map(|line| line.split_whitespace().nth(1));
    dropped.filter_map(|count| u64::from_str_radix(count, 16).ok()).sum()
}

fn local_ports(tree: &Tree) -> Option<(u16, u16)> {
    let text = tree.text("proc/sys/net/ipv4/ip_local_port_range")?;
    let mut ends = text.split_whitespace().filter_map(|end| end.parse().ok());
    Some((ends.next()?, ends.next()?))
}

fn reserved_ports(tree: &Tree) -> Vec<(u16, u16)> {
    let text = tree.text("proc/sys/net/ipv4/ip_local_reserved_ports").unwrap_or_default();
    let ranges = text.split(',').filter_map(|range| {
        let (low, high) = range.split_once('-').unwrap_or((range, range));
        Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
    });
    ranges.collect()
}

fn conntrack(tree: &Tree) -> Option<Conntrack> {
    let max = tree.number("proc/sys/net/netfilter/nf_conntrack_max")?;
    let count = tree.number("proc/sys/net/netfilter/nf_conntrack_count").unwrap_or(0);
    let table = tree.text("proc/net/nf_conntrack").unwrap_or_default();
    let udp_ports = table.lines().filter(|line| line.contains(" udp ")).filter_map(first_ports);
    Some(Conntrack { count, max, udp_ports: udp_ports.collect() })
}

/// A line has `sport=` and `dport=` twice, those of the first direction first.
fn first_ports(line: &str) -> Option<[u16; 2]> {
    let port = |name: &str| {
        let mut words = line.split_whitespace();
        words.find_map(|word| word.strip_prefix(name)).and_then(|port| port.parse().ok())
    };
    Some([port("sport=")?, port("dport=")?])
}

fn limits(tree: &Tree, server: Option<u32>) -> ProcessLimits {
    let process = server.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    let table = tree.text(&format!("proc/{process}/limits")).unwrap_or_default();
    let hard = |name: &str| {
        let line = table.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let (open_files, locked_bytes) = (hard("Max open files"), hard("Max locked memory"));
    ProcessLimits { server, open_files, locked_bytes }
}

fn memory_available(tree: &Tree) -> Option<u64> {
    let table = tree.text("proc/meminfo")?;
    let line = table.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

fn governors(tree: &Tree) -> Vec<(usize, String)> {
    let folder = "sys/devices/system/cpu";
    let cores = tree.names(folder).into_iter();
    let cores = cores.filter_map(|name| name.strip_prefix("cpu")?.parse::<usize>().ok());
    let governor = |core: usize| {
        let text = tree.text(&format!("{folder}/cpu{core}/cpufreq/scaling_governor"))?;
        Some((core, text))
    };
    cores.filter_map(governor).collect()
}

fn interface(tree: &Tree, device: &Device) -> Interface {
    let Device { name, addresses, features, rings } = device;
    let folder = format!("sys/class/net/{name}/queues");
    let queues = |kind: &str, file: &str| -> Vec<Vec<usize>> {
        let names = tree.names(&folder).into_iter().filter(|queue| queue.starts_with(kind));
        let mask = |queue| tree.text(&format!("{folder}/{queue}/{file}")).unwrap_or_default();
        names.map(|queue| core_mask(&mask(queue))).collect()
    };
    Interface {
        name: name.clone(),
        addresses: addresses.clone(),
        receive: queues("rx-", "rps_cpus"),
        send: queues("tx-", "xps_cpus"),
        interrupts: interrupts(tree, name),
        is_hardware: !tree.names(&format!("sys/class/net/{name}/device")).is_empty(),
        is_asked: features.is_some(),
        offloads: Offloads::read(features.as_deref().unwrap_or_default()),
        receive_ring: NicRing::read(rings.as_deref().unwrap_or_default()),
    }
}

/// Interrupts of the device, or of the one behind a virtio device; a virtio device names the ones
/// that are for something else than packets.
fn interrupts(tree: &Tree, name: &str) -> Vec<Vec<usize>> {
    let device = format!("sys/class/net/{name}/device");
    let own = tree.names(&format!("{device}/msi_irqs"));
    let behind = || tree.names(&format!("{device}/../msi_irqs"));
    let numbers = if own.is_empty() { behind() } else { own };
    let table = tree.text("proc/interrupts").unwrap_or_default();
    let label = |number: &str| {
        let line =
            table.lines().find_map(|line| line.trim().strip_prefix(number)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
    };
    let packets = numbers.iter().filter(|number| {
        let label = label(number);
        !["config", "async", "misc", "ctrl", "event"].iter().any(|word| label.contains(word))
    });
    packets
        .filter_map(|number| tree.text(&format!("proc/irq/{number}/smp_affinity_list")))
        .map(|text| core_list(&text))
        .collect()
}
