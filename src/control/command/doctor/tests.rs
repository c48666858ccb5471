//! Each check on machines that are made up: what it finds, and that what it says to do silences it.

mod outside;

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::facts::machine::{Device, MachineFacts};
use super::facts::tree::Tree;
use super::finding::{Finding, Severity};
use super::need::Need;
use super::{findings, report};
use crate::control::config::IoChoice;
use crate::io::{Facts, Obstacle};
use crate::turn::RelayAddress;

const SYSCTL_FILE: &str = include_str!("../../../../tuning/99-uturn.conf");
const KERNEL: Facts = Facts::ALL;

/// A machine in a folder, with nothing to find; gone when dropped.
struct Machine {
    root: PathBuf,
    need: Need,
    kernel: Facts,
}

impl Machine {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("uturn-doctor-{}-{number}", std::process::id());
        let machine = Self { root: std::env::temp_dir().join(name), need: need(), kernel: KERNEL };
        machine.apply_sysctls();
        machine
            .write("proc/net/softnet_stat", "02d5fe1c 00000000\n0273264f 0000000a\n")
            .write("proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n")
            .write("proc/self/limits", "Max open files            1024  262144  files\n")
            .write("proc/meminfo", "MemTotal: 16000000 kB\nMemAvailable:   8000000 kB\n")
            .write("sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc\n")
            .write("sys/class/net/eth0/queues/rx-0/rps_cpus", "0\n")
            .write("sys/class/net/eth0/queues/rx-1/rps_cpus", "0\n")
            .write("sys/class/net/eth0/queues/tx-0/xps_cpus", "1\n")
            .write("sys/class/net/eth0/queues/tx-1/xps_cpus", "2\n")
            .write("ethtool/features", &features(""))
            .write("ethtool/rings", &rings(2048))
    }

    /// Does what `sysctl --system` does with the file of `tuning/`.
    fn apply_sysctls(&self) {
        for line in SYSCTL_FILE.lines().filter(|line| !line.starts_with('#')) {
            if let Some((name, value)) = line.split_once(" = ") {
                self.put(&format!("proc/sys/{}", name.replace('.', "/")), value);
            }
        }
    }

    fn put(&self, path: &str, text: &str) {
        let path = self.root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn write(self, path: &str, text: &str) -> Self {
        self.put(path, text);
        self
    }

    fn without(self, path: &str) -> Self {
        std::fs::remove_dir_all(self.root.join(path)).unwrap();
        self
    }

    fn needing(mut self, change: impl FnOnce(&mut Need)) -> Self {
        change(&mut self.need);
        self
    }

    fn on(mut self, change: impl FnOnce(&mut Facts)) -> Self {
        change(&mut self.kernel);
        self
    }

    fn findings(&self) -> Vec<Finding> {
        let tree = Tree::at(Path::new(&self.root));
        let eth0 = Device {
            name: "eth0".to_owned(),
            addresses: vec![ip("198.51.100.1"), ip("2001:db8::1")],
            features: tree.text("ethtool/features"),
            rings: tree.text("ethtool/rings"),
        };
        findings(&MachineFacts::of_files(&tree, self.kernel, &[eth0]), &self.need)
    }

    /// What was found, by name and gravity.
    fn found(&self) -> Vec<(&'static str, Severity)> {
        self.findings().iter().map(|finding| (finding.check, finding.severity)).collect()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).unwrap();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn need() -> Need {
    let relay = |text: &str| RelayAddress { local: ip(text), advertised: ip(text) };
    Need {
        io: IoChoice::Auto,
        listen: vec!["198.51.100.1:3478".parse().unwrap()],
        listen_tcp: vec!["198.51.100.1:3478".parse().unwrap()],
        relays: vec![relay("198.51.100.1")],
        ports: (49152, 65535),
        cores: vec![0, 1],
        descriptors: 20_000,
        allocations: 16_384,
        exposed: Vec::new(),
        files: Vec::new(),
        has_secret: true,
        certificates: Vec::new(),
        unfit_certificate: None,
        now: SystemTime::UNIX_EPOCH,
    }
}

/// What `ethtool -k` prints where everything is on but one.
fn features(off: &str) -> String {
    let names = ["generic-receive-offload", "tx-udp-segmentation", "rx-udp-gro-forwarding"];
    let state = |name| if name == off { "off" } else { "on" };
    let lines = names.map(|name| format!("{name}: {}\n", state(name)));
    format!("Features for eth0:\n{}tx-gso-list: off [fixed]\n", lines.concat())
}

/// What `ethtool -g` prints of a card with rings of at most 4096 packets.
fn rings(packets: u32) -> String {
    let part = |packets: u32| format!("RX:\t\t{packets}\nRX Mini:\tn/a\nTX:\t\t{packets}\n");
    let (most, now) = (part(4096), part(packets));
    format!("Ring parameters for eth0:\nPre-set maximums:\n{most}Current hardware settings:\n{now}")
}

fn warning(check: &'static str) -> Vec<(&'static str, Severity)> {
    vec![(check, Severity::Warning)]
}

#[test]
fn a_tuned_machine_has_no_findings() {
    assert_eq!(Machine::new().findings(), []);
}

#[test]
fn small_sysctls_are_found_and_the_file_of_tuning_silences_them() {
    let machine = Machine::new()
        .write("proc/sys/net/core/rmem_max", "212992")
        .write("proc/sys/net/core/wmem_max", "212992")
        .write("proc/sys/net/core/netdev_max_backlog", "1000")
        .write("proc/sys/net/ipv4/ip_local_reserved_ports", "");
    let names: Vec<&str> = machine.found().into_iter().map(|(check, _)| check).collect();
    assert_eq!(names, ["socket-buffers", "socket-buffers", "backlog", "reserved-ports"]);
    assert!(machine.findings().iter().all(|finding| finding.with == "tuning/99-uturn.conf"));
    machine.apply_sysctls();
    assert_eq!(machine.findings(), []);
}

#[test]
fn a_backlog_that_never_ran_full_is_a_hint() {
    let machine = Machine::new()
        .write("proc/sys/net/core/netdev_max_backlog", "1000")
        .write("proc/net/softnet_stat", "02d5fe1c 00000000\n");
    assert_eq!(machine.found(), [("backlog", Severity::Hint)]);
}

#[test]
fn ports_are_free_when_they_are_reserved_or_out_of_the_kernels_range() {
    let path = "proc/sys/net/ipv4/ip_local_reserved_ports";
    assert_eq!(Machine::new().write(path, "49152-60000").found(), warning("reserved-ports"));
    assert_eq!(Machine::new().write(path, "49152-60998,60999").found(), []);
    let range = "proc/sys/net/ipv4/ip_local_port_range";
    assert_eq!(Machine::new().write(path, "").write(range, "32768\t49151").found(), []);
}

#[test]
fn io_uring_is_missed_where_it_is_wanted() {
    let missing = |io| {
        let machine = Machine::new().on(|kernel| kernel.uring = Err(Obstacle::Disabled));
        machine.needing(|need| need.io = io)
    };
    assert_eq!(missing(IoChoice::Auto).found(), warning("io_uring"));
    assert_eq!(missing(IoChoice::Uring).found(), [("io_uring", Severity::Error)]);
    assert_eq!(missing(IoChoice::Portable).found(), []);
    let fix = &missing(IoChoice::Auto).findings()[0].with;
    assert_eq!(fix, "sysctl kernel.io_uring_disabled=0");
}

#[test]
fn features_that_an_older_kernel_lacks_are_named() {
    let old = Machine::new().on(|kernel| {
        kernel.registered_files = false;
        kernel.gro = false;
    });
    let expected = [("features", Severity::Warning), ("features", Severity::Hint)];
    assert_eq!(old.found(), expected);
}

#[test]
fn a_listener_among_the_relay_ports_is_found() {
    let listen = |at: &str| {
        let at = at.parse().unwrap();
        Machine::new().needing(|need| need.listen = vec![at])
    };
    assert_eq!(listen("198.51.100.1:50000").found(), warning("listener-among-relay-ports"));
    assert_eq!(listen("127.0.0.1:50000").found(), []);
}

/// `/proc/net/udp` with one socket on 198.51.100.1:49152, whose inode is 77.
#[cfg(target_endian = "little")]
const TAKEN: &str = "sl local_address rem_address st tx rx tr tm retr uid timeout inode\n\
    1: 016433C6:C000 00000000:0000 07 0:0 00:0 0 0 0 77 2 0 0\n";
#[cfg(target_endian = "little")]
const STUN: &str = "sl local_address rem_address st tx rx tr tm retr uid timeout inode\n\
    1: 00000000:0D96 00000000:0000 07 0:0 00:0 0 0 0 77 2 0 0\n";

#[test]
#[cfg(target_endian = "little")]
fn ports_of_other_programs_are_found_and_those_of_a_running_server_are_not() {
    let taken = Machine::new().write("proc/net/udp", TAKEN);
    assert_eq!(taken.found(), warning("ports-taken"));
    assert!(taken.findings()[0].what.contains("have 1 of the relay ports"));
    let stun = Machine::new().write("proc/net/udp", STUN);
    assert_eq!(stun.found(), [("ports-taken", Severity::Error)]);
    for machine in [taken, stun] {
        let machine = machine
            .write("proc/4242/comm", "uturn\n")
            .write("proc/4242/limits", "Max open files            1024  262144  files\n")
            .write("proc/4242/fd/keep", "");
        std::os::unix::fs::symlink("socket:[77]", machine.root.join("proc/4242/fd/5")).unwrap();
        assert_eq!(machine.found(), []);
    }
}

#[test]
fn private_addresses_are_found_and_an_external_one_silences_it() {
    let relay = |advertised: &str| {
        let relay = RelayAddress { local: ip("198.51.100.1"), advertised: ip(advertised) };
        Machine::new().needing(|need| need.relays = vec![relay]).found()
    };
    assert_eq!(relay("10.0.0.5"), warning("private-address"));
    assert_eq!(relay("100.64.0.1"), warning("private-address"));
    assert_eq!(relay("203.0.113.7"), []);
}

#[test]
fn a_family_without_a_route_is_found() {
    let machine = Machine::new();
    let facts = MachineFacts::of_files(&Tree::at(&machine.root), KERNEL, &[]);
    let stranded = MachineFacts { routed: [false, true], ..facts };
    let found = findings(&stranded, &machine.need);
    assert_eq!(found.iter().map(|finding| finding.check).collect::<Vec<_>>(), ["no-route"]);
}

#[test]
fn limits_are_those_of_the_running_server_or_of_the_shell() {
    let small = "Max open files            1024  4096  files\n";
    let shell = Machine::new().write("proc/self/limits", small);
    assert_eq!(shell.found(), warning("open-files"));
    assert_eq!(shell.findings()[0].with, "tuning/uturn-limits.conf");
    let server = Machine::new().write("proc/4242/comm", "uturn").write("proc/4242/limits", small);
    assert!(server.findings()[0].what.contains("process 4242"));
    assert_eq!(server.findings()[0].with, "tuning/uturn.service");
    let unlimited = "Max open files            1024  unlimited  files\n";
    assert_eq!(Machine::new().write("proc/self/limits", unlimited).found(), []);
}

#[test]
fn rings_need_locked_memory_and_the_portable_driver_needs_none() {
    let limited = |bytes: &str| {
        let line = format!("Max locked memory         {bytes}  {bytes}  bytes\n");
        Machine::new().write("proc/self/limits", &line)
    };
    assert_eq!(limited("65536").found(), warning("locked-memory"));
    assert_eq!(limited("8388608").found(), []);
    assert_eq!(limited("65536").needing(|need| need.io = IoChoice::Portable).found(), []);
    assert_eq!(limited("8388608").needing(|need| need.cores = vec![0; 64]).found().len(), 1);
}

#[test]
fn a_server_that_does_not_fit_into_memory_is_found() {
    let machine = Machine::new().write("proc/meminfo", "MemAvailable: 100000 kB\n");
    assert_eq!(machine.found(), warning("memory"));
}

#[test]
fn connection_tracking_is_found_where_it_follows_the_relay() {
    let tracking = |max: &str, table: &str| {
        Machine::new()
            .write("proc/sys/net/netfilter/nf_conntrack_max", max)
            .write("proc/sys/net/netfilter/nf_conntrack_count", "1")
            .write("proc/net/nf_conntrack", table)
            .found()
    };
    let ssh =
        "ipv4 2 tcp 6 431999 ESTABLISHED src=1.1.1.1 dst=2.2.2.2 sport=50000 dport=22 src=…\n";
    let relay = "ipv4     2 udp      17 28 src=1.1.1.1 dst=198.51.100.1 sport=7000 dport=50001 \
                 src=198.51.100.1 dst=1.1.1.1 sport=50001 dport=7000 mark=0 use=1\n";
    assert_eq!(tracking("262144", ssh), []);
    assert_eq!(tracking("262144", relay), warning("conntrack"));
    assert_eq!(tracking("1024", ssh), [("conntrack-table", Severity::Hint)]);
    assert_eq!(
        tracking("1024", relay),
        [warning("conntrack"), warning("conntrack-table")].concat()
    );
    let idle = Machine::new()
        .write("proc/sys/net/netfilter/nf_conntrack_max", "1024")
        .write("proc/sys/net/netfilter/nf_conntrack_count", "0");
    assert_eq!(idle.found(), [], "what is loaded and has nothing to do costs nothing");
}

#[test]
fn one_queue_is_enough_when_it_is_steered_over_the_workers_cores() {
    let machine = Machine::new().without("sys/class/net/eth0/queues/rx-1");
    assert_eq!(machine.found(), warning("receive-queues"));
    assert_eq!(machine.findings()[0].with, "tuning/nic eth0 --cores 0,1 --apply");
    let steered = machine.write("sys/class/net/eth0/queues/rx-0/rps_cpus", "3");
    assert_eq!(steered.found(), []);
}

#[test]
fn interrupts_of_queues_belong_to_one_core_each() {
    let with = |first: &str, second: &str| {
        Machine::new()
            .write("proc/interrupts", " 40: 1 2 PCI-MSI eth0-0\n 41: 1 2 PCI-MSI eth0-1\n")
            .write("sys/class/net/eth0/device/msi_irqs/40", "")
            .write("sys/class/net/eth0/device/msi_irqs/41", "")
            .write("proc/irq/40/smp_affinity_list", first)
            .write("proc/irq/41/smp_affinity_list", second)
            .found()
    };
    assert_eq!(with("0-1", "0-1"), warning("interrupts"));
    assert_eq!(with("0", "0"), warning("interrupts"));
    assert_eq!(with("0", "1"), []);
}

#[test]
fn several_send_queues_without_cores_are_a_hint() {
    let machine = Machine::new()
        .write("sys/class/net/eth0/queues/tx-0/xps_cpus", "0")
        .write("sys/class/net/eth0/queues/tx-1/xps_cpus", "0");
    assert_eq!(machine.found(), [("send-queues", Severity::Hint)]);
}

#[test]
fn trains_that_are_taken_apart_are_found_and_the_script_of_tuning_mends_it() {
    let machine = |off: &str| Machine::new().write("ethtool/features", &features(off));
    for off in ["generic-receive-offload", "tx-udp-segmentation"] {
        assert_eq!(machine(off).found(), warning("offloads"));
        let finding = &machine(off).findings()[0];
        assert!(finding.what.starts_with(off), "{}", finding.what);
        assert_eq!(finding.with, "tuning/nic eth0 --cores 0,1 --apply");
    }
    assert_eq!(machine("rx-udp-gro-forwarding").found(), [], "the relay is on the card itself");
    let fixed = features("tx-udp-segmentation").replace(": off\n", ": off [fixed]\n");
    assert_eq!(Machine::new().write("ethtool/features", &fixed).found(), []);
}

#[test]
fn trains_for_a_relay_behind_this_machine_are_kept_whole() {
    let machine = |address: &str, forward: &str| {
        let listen = address.parse().unwrap();
        let machine = Machine::new()
            .write("ethtool/features", &features("rx-udp-gro-forwarding"))
            .write("sys/class/net/eth0/device/vendor", "0x8086")
            .write("proc/sys/net/ipv4/ip_forward", forward);
        let relays = vec![RelayAddress { local: ip("203.0.113.9"), advertised: ip("203.0.113.9") }];
        let machine = machine.needing(|need| need.listen = vec![listen]);
        machine.needing(|need| need.relays = relays)
    };
    let behind = machine("203.0.113.9:3478", "1");
    assert_eq!(behind.found(), [("forwarded-trains", Severity::Hint)]);
    assert_eq!(behind.findings()[0].with, "ethtool -K eth0 rx-udp-gro-forwarding on");
    assert_eq!(machine("203.0.113.9:3478", "0").found(), []);
    assert_eq!(machine("198.51.100.1:3478", "1").found(), []);
}

#[test]
fn short_rings_are_found_where_they_could_be_longer() {
    let machine = |packets| Machine::new().write("ethtool/rings", &rings(packets));
    assert_eq!(machine(512).found(), warning("rings"));
    assert_eq!(machine(512).findings()[0].with, "tuning/nic eth0 --cores 0,1 --apply");
    assert_eq!(machine(4096).found(), []);
    let longest = rings(256).replace("4096", "256");
    assert_eq!(Machine::new().write("ethtool/rings", &longest).found(), []);
}

#[test]
fn a_card_without_ethtool_is_a_hint_and_an_interface_without_settings_is_none() {
    let silent = || Machine::new().without("ethtool");
    assert_eq!(silent().found(), [], "virtual: nothing to set");
    let card = silent().write("sys/class/net/eth0/device/vendor", "0x8086");
    assert_eq!(card.found(), [("ethtool", Severity::Hint)]);
}

#[test]
fn slow_clocks_and_slow_cores_are_found() {
    let clock = "sys/devices/system/clocksource/clocksource0/current_clocksource";
    assert_eq!(Machine::new().write(clock, "hpet").found(), warning("clocksource"));
    let governor = |core: u32, governor: &str| {
        let path = format!("sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor");
        Machine::new().write(&path, governor).found()
    };
    assert_eq!(governor(1, "powersave"), warning("governor"));
    assert_eq!(governor(1, "performance"), []);
    assert_eq!(governor(5, "powersave"), [], "no worker is there");
}

#[test]
fn the_report_has_every_finding_and_counts_them() {
    let machine = Machine::new().write("proc/sys/net/core/rmem_max", "212992");
    let text = report::text(&machine.findings(), false);
    for part in
        ["rmem_max is 212992", "change  net.core.rmem_max = 16777216", "0 errors, 1 warning,"]
    {
        assert!(text.contains(part), "{part} is missing in:\n{text}");
    }
    let json: serde_json::Value = serde_json::from_str(&report::json(&machine.findings())).unwrap();
    assert_eq!(json["findings"][0]["check"], "socket-buffers");
    assert_eq!(json["findings"][0]["severity"], "warning");
}

#[test]
fn the_files_that_findings_name_are_there() {
    for file in [
        "99-uturn.conf",
        "uturn-limits.conf",
        "uturn.service",
        "uturn.nft",
        "nic",
        "docker/seccomp.json",
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tuning").join(file);
        assert!(path.exists(), "tuning/{file}");
    }
}
