//! Connection tracking, which a relay has no use for.

use crate::control::command::doctor::facts::machine::{Conntrack, MachineFacts};
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::numbers::counted;

/// The file that leaves the relay out of it.
const RULES: &str = "tuning/uturn.nft";
/// Connections of one allocation: the client's and those of a few peers.
const CONNECTIONS_EACH: u64 = 4;

/// Whether packets of clients or peers are tracked.
pub(in crate::control::command::doctor) fn tracked(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let Some(conntrack) = &machine.conntrack else { return Vec::new() };
    let count = ours(conntrack, need);
    if count == 0 {
        return Vec::new();
    }
    vec![Finding {
        check: "conntrack",
        severity: Severity::Warning,
        what: format!(
            "connection tracking follows {} of the STUN or relay ports",
            counted(count, "flow")
        ),
        why: "every packet costs a lookup, and a full table drops packets",
        change: "notrack for the STUN port and the relay ports".to_owned(),
        with: format!("nft -f {RULES}"),
    }]
}

/// Whether the table could run full, where something else has it at work.
pub(in crate::control::command::doctor) fn table(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let Some(conntrack) = &machine.conntrack else { return Vec::new() };
    let Conntrack { count, max, .. } = *conntrack;
    let wanted = u64::from(need.allocations) * CONNECTIONS_EACH;
    if count == 0 || max >= wanted {
        return Vec::new();
    }
    let is_ours = ours(conntrack, need) > 0;
    vec![Finding {
        check: "conntrack-table",
        severity: if is_ours { Severity::Warning } else { Severity::Hint },
        what: format!("connection tracking is at work and has room for {max} connections"),
        why: "a full server has more flows than that, and a full table drops packets",
        change: format!("notrack, or net.netfilter.nf_conntrack_max = {wanted}"),
        with: format!("nft -f {RULES}"),
    }]
}

fn ours(conntrack: &Conntrack, need: &Need) -> usize {
    let is_ours =
        |port: &u16| need.is_relay_port(*port) || need.listen.iter().any(|at| at.port() == *port);
    conntrack.udp_ports.iter().filter(|ports| ports.iter().any(is_ours)).count()
}
