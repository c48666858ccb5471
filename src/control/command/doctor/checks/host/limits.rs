//! What a process may take.

use crate::control::command::doctor::facts::machine::{MachineFacts, ProcessLimits};
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::config::IoChoice;
use crate::io::Settings;

/// Bytes of a receive buffer, with what is beside it in the pool.
const BUFFER_BYTES: u64 = 66_560;
/// Bytes of an allocation: its state, and the kernel's for its socket.
const ALLOCATION_BYTES: u64 = 5 << 10;
/// Bytes that the kernel counts as locked for a worker's ring: 16 of them start with 4 MiB and not
/// with 3; twice that, since what an earlier ring had is given back late.
const RING_BYTES: u64 = 512 << 10;
const MIB: u64 = 1 << 20;

/// Whether every relay port can have its socket.
pub(in crate::control::command::doctor) fn open_files(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let limits = &machine.limits;
    let Some(limit) = limits.open_files.filter(|limit| *limit < need.descriptors) else {
        return Vec::new();
    };
    let (whose, with) = whose(limits);
    vec![Finding {
        check: "open-files",
        severity: Severity::Warning,
        what: format!("the limit {whose} is {limit} open files: {} are needed", need.descriptors),
        why: "every relayed address and every connection is an open file; beyond the limit, \
              allocations fail with 508 and connections are refused",
        change: format!(
            "a hard limit of {} open files or more, or fewer relay-ports or streams",
            need.descriptors
        ),
        with: with.to_owned(),
    }]
}

fn whose(limits: &ProcessLimits) -> (String, &'static str) {
    match limits.server {
        Some(pid) => (format!("of the server, process {pid},"), "tuning/uturn.service"),
        None => ("of this shell".to_owned(), "tuning/uturn-limits.conf"),
    }
}

/// Whether every worker can have its ring.
pub(in crate::control::command::doctor) fn locked_memory(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let limits = &machine.limits;
    let needed = RING_BYTES * (need.cores.len() as u64 + 1);
    let is_wanted = need.io != IoChoice::Portable;
    let Some(limit) = limits.locked_bytes.filter(|limit| is_wanted && *limit < needed) else {
        return Vec::new();
    };
    let (whose, with) = whose(limits);
    vec![Finding {
        check: "locked-memory",
        severity: Severity::Warning,
        what: format!("the limit {whose} is {} KiB of locked memory", limit >> 10),
        why: "rings count as locked memory; where they do not fit, epoll takes their place",
        change: format!("a hard limit of {} KiB or more", needed >> 10),
        with: with.to_owned(),
    }]
}

/// Whether a full server fits into memory.
pub(in crate::control::command::doctor) fn memory(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let workers = need.cores.len() as u64;
    let buffers = u64::from(Settings::default().buffers) * BUFFER_BYTES * workers;
    let needed = buffers + u64::from(need.allocations) * ALLOCATION_BYTES;
    let Some(available) = machine.memory_available.filter(|available| *available < needed) else {
        return Vec::new();
    };
    vec![Finding {
        check: "memory",
        severity: Severity::Warning,
        what: format!(
            "{} MiB of memory are available: a full server takes {}",
            available / MIB,
            needed / MIB
        ),
        why: "a relay that is killed for want of memory ends every call",
        change: "fewer workers, a lower total-quota, or more memory".to_owned(),
        with: "total-quota".to_owned(),
    }]
}
