//! Whether packets of clients and peers come in at all.

use std::net::{IpAddr, SocketAddr};

use crate::control::command::doctor::facts::firewall::{Firewall, Newcomer};
use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;

/// Whether the firewall drops what clients and peers send.
pub(in crate::control::command::doctor) fn drops(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let Some(firewall) = &machine.firewall else { return Vec::new() };
    let relays: Vec<IpAddr> = need.relays.iter().map(|relay| relay.local).collect();
    let udp = [closed(firewall, "udp", &need.listen), closed_relays(firewall, &relays, need)];
    let tcp = [closed(firewall, "tcp", &need.listen_tcp)];
    let findings = [("udp", udp.concat()), ("tcp", tcp.concat())].into_iter();
    findings.filter_map(|(protocol, closed)| finding(protocol, &closed)).collect()
}

/// Ports that are closed, as they are written, with the chain that closes them.
type Closed = Vec<(String, String)>;

fn closed(firewall: &Firewall, protocol: &'static str, listen: &[SocketAddr]) -> Closed {
    let outside = listen.iter().filter(|at| !at.ip().is_loopback());
    let mut closed: Closed = outside
        .filter_map(|at| {
            let packet = Newcomer { protocol, is_v4: at.is_ipv4(), port: at.port() };
            Some((at.port().to_string(), firewall.dropping(packet)?))
        })
        .collect();
    closed.sort();
    closed.dedup();
    closed
}

/// The ends and the middle stand for all.
fn closed_relays(firewall: &Firewall, relays: &[IpAddr], need: &Need) -> Closed {
    let (low, high) = need.ports;
    let sample = [low, low.midpoint(high), high];
    let outside = relays.iter().filter(|ip| !ip.is_loopback());
    let mut packets = outside
        .flat_map(|ip| sample.map(|port| Newcomer { protocol: "udp", is_v4: ip.is_ipv4(), port }));
    let chain = packets.find_map(|packet| firewall.dropping(packet));
    chain.map(|chain| (need.ports_text(), chain)).into_iter().collect()
}

fn finding(protocol: &str, closed: &[(String, String)]) -> Option<Finding> {
    let (_, chain) = closed.first()?;
    let mut ports: Vec<&str> = closed.iter().map(|(port, _)| port.as_str()).collect();
    ports.dedup();
    let is_one = ports.len() == 1 && !ports[0].contains('-');
    let noun = if is_one { "port" } else { "ports" };
    let ports = ports.join(", ");
    Some(Finding {
        check: "firewall",
        severity: Severity::Warning,
        what: format!(
            "the firewall ({chain}) drops {} to {noun} {ports}",
            protocol.to_ascii_uppercase()
        ),
        why: "clients get no answer, or peers do not reach them",
        change: "accept what comes to these ports, here and in the firewall of the cloud"
            .to_owned(),
        with: format!("nft insert rule {chain} {protocol} dport '{{ {ports} }}' accept"),
    })
}
