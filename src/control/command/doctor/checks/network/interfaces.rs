//! Whether packets reach the cores of the workers.

use crate::control::command::doctor::facts::machine::{Interface, MachineFacts};
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::numbers::counted;

/// Whether receiving is spread over as many cores as there are workers: by queues of the
/// interface, or by receive steering.
pub(in crate::control::command::doctor) fn receive_queues(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let cores = need.worker_cores();
    let narrow = |interface: &&Interface| {
        let mut steered: Vec<usize> = interface.receive.iter().flatten().copied().collect();
        steered.sort_unstable();
        steered.dedup();
        interface.receive.len() < cores.len() && steered.len() < cores.len()
    };
    let finding = |interface: &Interface| Finding {
        check: "receive-queues",
        severity: Severity::Warning,
        what: format!(
            "{} has {} for {}, and no receive steering over their cores",
            interface.name,
            counted(interface.receive.len(), "receive queue"),
            counted(cores.len(), "worker")
        ),
        why: "one core takes all packets in while the others wait for it",
        change: "as many queues as workers, or receive steering (RPS)".to_owned(),
        with: command(&interface.name, &cores),
    };
    machine.carrying(&need.own_ips()).filter(narrow).map(finding).collect()
}

/// Whether the queues' interrupts are spread over the workers' cores.
pub(in crate::control::command::doctor) fn interrupts(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let cores = need.worker_cores();
    let gathered = |interface: &&Interface| {
        let queues = interface.receive.len().min(cores.len());
        let reached = cores.iter().filter(|core| {
            interface
                .interrupts
                .iter()
                .any(|irq| irq.len() < cores.len().max(2) && irq.contains(core))
        });
        queues > 1 && interface.interrupts.len() >= queues && reached.count() < queues
    };
    let finding = |interface: &Interface| Finding {
        check: "interrupts",
        severity: Severity::Warning,
        what: format!("the interrupts of {} are not bound to the workers' cores", interface.name),
        why: "a packet changes cores on its way, and some cores have two queues' work",
        change: "one queue's interrupt for each worker's core; no irqbalance".to_owned(),
        with: command(&interface.name, &cores),
    };
    machine.carrying(&need.own_ips()).filter(gathered).map(finding).collect()
}

/// Whether each core sends through a queue of its own, where there are several.
pub(in crate::control::command::doctor) fn send_queues(
    machine: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
    let cores = need.worker_cores();
    let unset = |interface: &&Interface| {
        interface.send.len() > 1 && cores.len() > 1 && interface.send.iter().all(Vec::is_empty)
    };
    let finding = |interface: &Interface| Finding {
        check: "send-queues",
        severity: Severity::Hint,
        what: format!("{} has {} send queues and no XPS", interface.name, interface.send.len()),
        why: "cores share a send queue, and its lock",
        change: "one send queue for each core (XPS)".to_owned(),
        with: command(&interface.name, &cores),
    };
    machine.carrying(&need.own_ips()).filter(unset).map(finding).collect()
}

/// The command that sets up the first interface that carries the server's addresses.
pub(in crate::control::command::doctor) fn script(machine: &MachineFacts, need: &Need) -> String {
    let first = machine.carrying(&need.own_ips()).next();
    let name = first.map_or("INTERFACE", |interface| &interface.name);
    command(name, &need.worker_cores())
}

/// The command of `tuning/` that sets an interface up for these cores.
pub(super) fn command(interface: &str, cores: &[usize]) -> String {
    let cores: Vec<String> = cores.iter().map(usize::to_string).collect();
    format!("tuning/nic {interface} --cores {} --apply", cores.join(","))
}
