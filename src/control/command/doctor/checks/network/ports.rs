//! Ports that something else has, or could get.

use std::net::{IpAddr, SocketAddr};

use super::buffers::SYSCTLS;
use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::facts::sockets::Takes;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;

/// Whether the kernel may hand relay ports to other programs.
pub(in crate::control::command::doctor) fn reserved(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let Some((first, last)) = machine.local_ports else { return Vec::new() };
    let (low, high) = (need.ports.0.max(first), need.ports.1.min(last));
    let is_reserved =
        |port: u16| machine.reserved_ports.iter().any(|(low, high)| (*low..=*high).contains(&port));
    if (low..=high).all(is_reserved) {
        return Vec::new();
    }
    vec![Finding {
        check: "reserved-ports",
        severity: Severity::Warning,
        what: format!("the kernel gives ports {low}-{high} to other programs' outgoing sockets"),
        why: "a relay port that another program has got is lost to clients",
        change: format!("net.ipv4.ip_local_reserved_ports = {}", need.ports_text()),
        with: SYSCTLS.to_owned(),
    }]
}

/// Whether a listening port is one of those that are handed out.
pub(in crate::control::command::doctor) fn own_listener(
    _: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let relays = |ip: IpAddr| need.relays.iter().any(|relay| relay.local == ip);
    let inside = need.listen.iter().filter(|at| need.is_relay_port(at.port()) && relays(at.ip()));
    inside
        .map(|at| Finding {
            check: "listener-among-relay-ports",
            severity: Severity::Warning,
            what: format!("{at} is listened on, and its port is one of {}", need.ports_text()),
            why: "the port cannot be handed out, and its worker has one relayed address less",
            change: "relay-ports that leave the port out".to_owned(),
            with: "relay-ports".to_owned(),
        })
        .collect()
}

/// Whether other programs have ports that the server wants.
pub(in crate::control::command::doctor) fn taken(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let others = |takes: Takes| -> Vec<SocketAddr> {
        let others = machine.sockets.iter().filter(|it| !it.is_ours && it.takes == takes);
        others.map(|socket| socket.address).collect()
    };
    let (packets, connections) = (others(Takes::Packets), others(Takes::Connections));
    let listening = listeners(&need.listen, &packets, "UDP", "-ulnp").into_iter().chain(listeners(
        &need.listen_tcp,
        &connections,
        "TCP",
        "-tlnp",
    ));
    let is_relay = |other: &&SocketAddr| {
        let relays = |relay: &crate::turn::RelayAddress| {
            clash(**other, SocketAddr::new(relay.local, other.port()))
        };
        need.is_relay_port(other.port()) && need.relays.iter().any(relays)
    };
    let count = packets.iter().filter(is_relay).count();
    let relaying = (count > 0).then(|| Finding {
        check: "ports-taken",
        severity: Severity::Warning,
        what: format!("other programs have {count} of the relay ports {}", need.ports_text()),
        why: "these ports cannot be handed out",
        change: "other ports for the programs, or other relay-ports".to_owned(),
        with: format!("ss -uanp 'sport >= :{} and sport <= :{}'", need.ports.0, need.ports.1),
    });
    listening.chain(relaying).collect()
}

/// Listening addresses that another program has.
fn listeners(wanted: &[SocketAddr], taken: &[SocketAddr], over: &str, ss: &str) -> Vec<Finding> {
    let clashing = wanted.iter().filter(|at| taken.iter().any(|other| clash(*other, **at)));
    let finding = |at: &SocketAddr| Finding {
        check: "ports-taken",
        severity: Severity::Error,
        what: format!("another program has {over} {at}"),
        why: "the server cannot listen there, or shares the clients with a stranger",
        change: "stop the program, or listen elsewhere".to_owned(),
        with: format!("ss {ss} 'sport = :{}'", at.port()),
    };
    clashing.map(finding).collect()
}

/// Whether two sockets want the same port: on the same address, or one of them on every address.
fn clash(one: SocketAddr, other: SocketAddr) -> bool {
    let same_family = one.is_ipv4() == other.is_ipv4();
    let any = one.ip().is_unspecified();
    one.port() == other.port()
        && (one.ip() == other.ip() || (any && (same_family || one.is_ipv6())))
}
