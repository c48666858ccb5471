//! Every check there is.

mod files;
mod host;
mod network;

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::Finding;
use crate::control::command::doctor::need::Need;
use files::{certificates, secrets};
use host::{clock, cpu, kernel, limits};
use network::{addresses, buffers, conntrack, firewall, interfaces, offloads, ports};

/// A question to the machine.
pub(super) struct Check {
    /// Its group in the report.
    pub(super) group: &'static str,
    /// Its name; findings carry it.
    pub(super) name: &'static str,
    /// Asks it.
    pub(super) ask: fn(&MachineFacts, &Need) -> Vec<Finding>,
}

const fn check(
    group: &'static str,
    name: &'static str,
    ask: fn(&MachineFacts, &Need) -> Vec<Finding>,
) -> Check {
    Check { group, name, ask }
}

/// The checks, in the order of the report.
pub(super) const CHECKS: &[Check] = &[
    check("kernel", "io_uring", kernel::io_uring),
    check("kernel", "features", kernel::features),
    check("kernel", "clocksource", cpu::clocksource),
    check("sockets", "socket-buffers", buffers::socket_buffers),
    check("sockets", "backlog", buffers::backlog),
    check("ports", "reserved-ports", ports::reserved),
    check("ports", "listener-among-relay-ports", ports::own_listener),
    check("ports", "ports-taken", ports::taken),
    check("addresses", "private-address", addresses::private),
    check("addresses", "no-route", addresses::route),
    check("firewall", "firewall", firewall::drops),
    check("limits", "open-files", limits::open_files),
    check("limits", "locked-memory", limits::locked_memory),
    check("limits", "memory", limits::memory),
    check("connection tracking", "conntrack", conntrack::tracked),
    check("connection tracking", "conntrack-table", conntrack::table),
    check("cores and queues", "governor", cpu::governor),
    check("cores and queues", "receive-queues", interfaces::receive_queues),
    check("cores and queues", "interrupts", interfaces::interrupts),
    check("cores and queues", "send-queues", interfaces::send_queues),
    check("card", "offloads", offloads::trains),
    check("card", "forwarded-trains", offloads::forwarded),
    check("card", "rings", offloads::rings),
    check("card", "ethtool", offloads::looked_at),
    check("files", "file-modes", secrets::file_modes),
    check("files", "service-user", secrets::closed_to_the_service),
    check("clock", "clock", clock::synchronized),
    check("certificates", "certificate", certificates::usable),
    check("certificates", "certificate-expiry", certificates::expiry),
    check("certificates", "certificate-rsa", certificates::rsa),
];
