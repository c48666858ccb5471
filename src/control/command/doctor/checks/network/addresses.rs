//! What clients and peers can reach.

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::config::is_private;

/// Whether clients would be told an address that leads nowhere.
pub(in crate::control::command::doctor) fn private(_: &MachineFacts, need: &Need) -> Vec<Finding> {
    let told = need.relays.iter().map(|relay| relay.advertised).filter(|ip| is_private(*ip));
    told.map(|ip| Finding {
        check: "private-address",
        severity: Severity::Warning,
        what: format!("clients are told {ip} as their relayed address, which is private"),
        why: "peers outside of this network cannot send to it: calls have no sound",
        change: format!("external-ip = [\"PUBLIC/{ip}\"], or relay-ip with a public address"),
        with: "external-ip".to_owned(),
    })
    .collect()
}

/// Whether peers can be reached at all.
pub(in crate::control::command::doctor) fn route(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let [v4, v6] = machine.routed;
    let lacks = |is_v4: bool| {
        need.relays
            .iter()
            .find(|relay| relay.local.is_ipv4() == is_v4 && !relay.local.is_loopback())
    };
    let families = [(v4, true, "IPv4"), (v6, false, "IPv6")].into_iter();
    let missing = families.filter(|(routed, ..)| !routed);
    missing
        .filter_map(|(_, is_v4, family)| Some((lacks(is_v4)?.local, family)))
        .map(|(ip, family)| Finding {
            check: "no-route",
            severity: Severity::Warning,
            what: format!("there is a relay address of {family}, {ip}, and no default route"),
            why: "clients get an address from which no peer outside of its network is reached",
            change: format!("add a default route, or relay-ip without {ip}"),
            with: "ip route add default via GATEWAY".to_owned(),
        })
        .collect()
}
