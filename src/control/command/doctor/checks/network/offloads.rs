//! Whether the interface keeps trains whole, and has room for a burst.

use super::interfaces::command;
use crate::control::command::doctor::facts::machine::{Interface, MachineFacts};
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;

/// A ring that takes this many packets is long enough whatever the interface could do.
const LONG_RING: u64 = 4096;

/// Offloads without which trains come or leave one packet at a time, and what that means.
const TRAINS: [(&str, &str); 2] = [
    ("generic-receive-offload", "packets of one stream are not joined on their way in"),
    ("tx-udp-segmentation", "trains are taken apart before they reach the card"),
];

/// Whether trains stay whole on their way in and out.
pub(in crate::control::command::doctor) fn trains(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let off = |interface: &'_ Interface| {
        let found = TRAINS.iter().filter(|(name, _)| interface.offloads.is_switched_off(name));
        found
            .map(|(name, effect)| Finding {
                check: "offloads",
                severity: Severity::Warning,
                what: format!("{name} of {} is off: {effect}", interface.name),
                why: "a packet alone costs three to five times the CPU of one in a train",
                change: format!("{name} on"),
                with: command(&interface.name, &need.worker_cores()),
            })
            .collect::<Vec<_>>()
    };
    machine.carrying(&need.own_ips()).flat_map(off).collect()
}

/// Whether trains stay whole on their way to a relay in a namespace or container of this machine:
/// the server's addresses are on no card, and packets are passed on.
pub(in crate::control::command::doctor) fn forwarded(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let own = need.own_ips();
    let is_outside = own.iter().any(|ip| !ip.is_loopback() && !ip.is_unspecified())
        && machine.carrying(&own).all(|interface| !interface.is_hardware);
    let split = |interface: &&Interface| {
        let is_off = interface.offloads.is_switched_off("rx-udp-gro-forwarding");
        machine.forwards && is_outside && interface.is_hardware && is_off
    };
    let finding = |interface: &Interface| Finding {
        check: "forwarded-trains",
        severity: Severity::Hint,
        what: format!(
            "rx-udp-gro-forwarding of {} is off, and this machine passes packets on to the relay",
            interface.name
        ),
        why: "a relay behind this machine's own network gets every packet alone",
        change: "rx-udp-gro-forwarding on".to_owned(),
        with: format!("ethtool -K {} rx-udp-gro-forwarding on", interface.name),
    };
    machine.interfaces.iter().filter(split).map(finding).collect()
}

/// Whether the receive ring takes a burst: it holds what arrives while the core is busy elsewhere.
pub(in crate::control::command::doctor) fn rings(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let finding = |interface: &Interface| {
        let ring = interface.receive_ring?;
        let wanted = ring.longest.min(LONG_RING);
        (ring.packets * 2 < wanted).then(|| Finding {
            check: "rings",
            severity: Severity::Warning,
            what: format!(
                "the receive ring of {} holds {} packets of at most {}",
                interface.name, ring.packets, ring.longest
            ),
            why: "at a million packets a second it is full after a quarter of a millisecond",
            change: format!("{wanted} packets"),
            with: command(&interface.name, &need.worker_cores()),
        })
    };
    machine.carrying(&need.own_ips()).filter_map(finding).collect()
}

/// Whether the two above could be looked at.
pub(in crate::control::command::doctor) fn looked_at(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let finding = |interface: &Interface| Finding {
        check: "ethtool",
        severity: Severity::Hint,
        what: format!(
            "there is no ethtool to ask for the offloads and rings of {}",
            interface.name
        ),
        why: "what the card does not do costs CPU, and nothing else tells of it",
        change: "install ethtool".to_owned(),
        with: "apt install ethtool".to_owned(),
    };
    let unseen = |interface: &&Interface| interface.is_hardware && !interface.is_asked;
    machine.carrying(&need.own_ips()).filter(unseen).map(finding).collect()
}
