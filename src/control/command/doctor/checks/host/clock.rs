//! Whether this machine and the one that makes logins agree on the time.

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;

/// Whether the clock is kept, where time-limited names or certificates depend on it.
pub(in crate::control::command::doctor) fn synchronized(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let matters = need.has_secret || !need.certificates.is_empty();
    if machine.clock_is_synchronized != Some(false) || !matters {
        return Vec::new();
    }
    vec![Finding {
        check: "clock",
        severity: Severity::Warning,
        what: "the clock of this machine is not synchronized".to_owned(),
        why: "a time-limited login is good until a time of day: a clock that is ahead refuses it too \
              soon (401), one that is behind takes it for too long",
        change: "a service that keeps the clock".to_owned(),
        with: "timedatectl set-ntp true".to_owned(),
    }]
}
