//! The cores and their clock.

use crate::control::command::doctor::checks::network::interfaces;
use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;

/// Clocks that are read without entering the kernel.
const FAST: [&str; 4] = ["tsc", "kvm-clock", "hyperv_clocksource_tsc_page", "arch_sys_counter"];

/// Whether the clock is cheap to read.
pub(in crate::control::command::doctor) fn clocksource(
    machine: &MachineFacts,
    _: &Need,
) -> Vec<Finding> {
    let Some(clock) = machine.clocksource.as_ref().filter(|clock| !FAST.contains(&clock.as_str()))
    else {
        return Vec::new();
    };
    vec![Finding {
        check: "clocksource",
        severity: Severity::Warning,
        what: format!("the clock is {clock}"),
        why: "each reading of it is a system call, and each turn of a worker reads it",
        change: "clocksource=tsc on the kernel's command line, if the machine has a stable one"
            .to_owned(),
        with: "/etc/default/grub".to_owned(),
    }]
}

/// Whether the workers' cores slow down when they are idle for a moment.
pub(in crate::control::command::doctor) fn governor(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let cores = need.worker_cores();
    let slow = machine
        .governors
        .iter()
        .filter(|(core, governor)| cores.contains(core) && governor != "performance");
    let slow: Vec<&(usize, String)> = slow.collect();
    let Some((core, governor)) = slow.first() else { return Vec::new() };
    vec![Finding {
        check: "governor",
        severity: Severity::Warning,
        what: format!(
            "{} of the workers' cores, core {core} first, have the governor {governor}",
            slow.len()
        ),
        why: "a core that has slowed down is late for the first packets of a burst",
        change: "the governor performance".to_owned(),
        with: interfaces::script(machine, need),
    }]
}
