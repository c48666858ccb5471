//! Room for packets that wait.

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::io::BufferSizes;

/// Packets that may wait for a core.
pub(super) const BACKLOG: u64 = 8192;
/// The file that sets both.
pub(super) const SYSCTLS: &str = "tuning/99-uturn.conf";

/// Whether sockets get the buffers that are asked for.
pub(in crate::control::command::doctor) fn socket_buffers(
    machine: &MachineFacts,
    _: &Need,
) -> Vec<Finding> {
    let wanted = BufferSizes::LISTENING;
    let [receive, send] = machine.socket_buffers_max;
    let cut = [
        ("net.core.rmem_max", receive, wanted.receive_bytes),
        ("net.core.wmem_max", send, wanted.send_bytes),
    ];
    let finding = |(sysctl, max, wanted): (&str, Option<u64>, usize)| {
        let max = max.filter(|max| *max < wanted as u64)?;
        Some(Finding {
            check: "socket-buffers",
            severity: Severity::Warning,
            what: format!("{sysctl} is {max}: a STUN socket asks for {wanted} bytes"),
            why: "all clients of a worker share its STUN socket; what does not fit is lost",
            change: format!("{sysctl} = 16777216"),
            with: SYSCTLS.to_owned(),
        })
    };
    cut.into_iter().filter_map(finding).collect()
}

/// Whether bursts fit between the interface and the socket.
pub(in crate::control::command::doctor) fn backlog(
    machine: &MachineFacts,
    _: &Need,
) -> Vec<Finding> {
    let Some(backlog) = machine.backlog.filter(|backlog| *backlog < BACKLOG) else {
        return Vec::new();
    };
    let dropped = machine.backlog_dropped;
    vec![Finding {
        check: "backlog",
        severity: if dropped > 0 { Severity::Warning } else { Severity::Hint },
        what: format!(
            "net.core.netdev_max_backlog is {backlog}; {dropped} packets found it full so far"
        ),
        why: "receive steering and virtual interfaces queue packets here; what does not fit is lost",
        change: format!("net.core.netdev_max_backlog = {BACKLOG}"),
        with: SYSCTLS.to_owned(),
    }]
}
