//! Sweeps, comparisons and plans as text.

use super::{
    number::{bytes, count, short, time_us},
    table::Table,
};
use crate::{
    compare::{Comparison, Contender},
    plan::{Plan, Resource},
    stats::Quartiles,
    sweep::{Step, Sweep},
};

fn words<const N: usize>(words: [&str; N]) -> [String; N] {
    words.map(str::to_owned)
}

fn warn(text: &mut String, warnings: &[String]) {
    for warning in warnings {
        *text += &format!("\n!! {warning}\n");
    }
}

/// The steps of a sweep.
pub(super) fn sweep_rows(sweep: &Sweep) -> Table {
    let heads = ["relayed/s", "Gbit/s", "loss", "p50", "p99", "CPU/packet", "cores", ""];
    let mut table = Table::headed("offered/s", words(heads));
    for step in &sweep.steps {
        table.row(&short(step.offered_pps), cells(step));
    }
    table
}

/// A sweep: every step, and what it comes to.
pub(crate) fn sweep(sweep: &Sweep) -> String {
    let mut text = format!("{}\n\n{}\n", sweep.title, sweep_rows(sweep).render());
    text += &match &sweep.best {
        Some(best) => format!(
            "highest load that held: {} packets/s, {:.2} Gbit/s of payload\n",
            short(best.relayed_pps),
            best.gbps
        ),
        None => "no step held\n".to_owned(),
    };
    if let Some(each) = sweep.bytes_per_allocation {
        text += &format!("server memory per allocation: {}\n", bytes(each));
    }
    warn(&mut text, &sweep.warnings);
    text
}

/// One step, on a line of its own while a sweep runs.
pub(crate) fn step_line(step: &Step) -> String {
    format!("{:>9}/s  {}\n", short(step.offered_pps), cells(step).join("  "))
}

fn cells(step: &Step) -> [String; 8] {
    let unknown = || "-".to_owned();
    let verdict = match (step.held, step.generator_limited) {
        (true, _) => "held",
        (false, true) => "generator was the limit",
        (false, false) => "failed",
    };
    [
        short(step.relayed_pps),
        format!("{:.3}", step.gbps),
        format!("{:.3} %", step.loss_percent),
        time_us(step.p50_us),
        time_us(step.p99_us),
        step.cpu_ns_per_packet.map_or_else(unknown, |ns| format!("{ns:.0} ns")),
        step.cores_busy.map_or_else(unknown, |cores| format!("{cores:.2}")),
        verdict.to_owned(),
    ]
}

/// The servers of a comparison.
pub(super) fn comparison_rows(comparison: &Comparison) -> Table {
    let unit = &comparison.unit;
    let heads = [format!("CPU/{unit}"), "CPU ratio".to_owned(), format!("{unit}s per CPU s")];
    let rest = words([&format!("{unit}s/s"), "lost", "p50", "p99"]);
    let mut table = Table::headed("", heads.into_iter().chain(rest));
    for server in &comparison.servers {
        table.row(&server.name, contender(server));
    }
    table
}

/// A comparison: medians, and the quartiles beside those that matter.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let first = comparison.servers.first().map_or("", |server| server.name.as_str());
    let mut text = format!("{}\n\n{}", comparison.title, comparison_rows(comparison).render());
    text += &format!(
        "\nmedian of {} rounds [first quartile, third quartile]; ratios to {first} in the same \
         round\n",
        comparison.rounds
    );
    warn(&mut text, &comparison.warnings);
    text
}

fn contender(server: &Contender) -> [String; 7] {
    let ratio = |Quartiles { q1, median, q3 }| format!("{median:.2}x [{q1:.2}, {q3:.2}]");
    let Quartiles { q1, median, q3 } = server.cpu_ns;
    [
        format!("{median:.0} ns [{q1:.0}, {q3:.0}]"),
        ratio(server.cpu_ratio),
        ratio(server.packets_ratio),
        short(server.relayed_pps.median),
        format!("{:.3} %", server.loss_percent.median),
        time_us(server.p50_us.median),
        time_us(server.p99_us.median),
    ]
}

/// A plan: what a node carries and why, and what was asked for.
pub(crate) fn plan(plan: &Plan) -> String {
    let (measured, demand, node) = (&plan.measurement, &plan.demand, &plan.node);
    let percent = 100.0 * node.headroom;
    let mut text = format!(
        "measured: {} packets/s per core at {:.0} B, {} per allocation (kernel socket included)\n\
         stream:   {} kbit/s, {} packets/s, {} allocations\n\
         headroom: {percent:.0} % of every resource stays free\n\n",
        short(measured.pps_per_core),
        measured.payload_bytes,
        bytes(measured.bytes_per_allocation),
        demand.kbps,
        demand.pps,
        demand.allocations,
    );
    text += &resources(plan).render();
    let capacity = &plan.capacity;
    text += &format!(
        "\none node carries {} streams; {} runs out first\n",
        count(capacity.streams),
        capacity.first
    );
    if let Some(fleet) = &plan.fleet {
        text += &format!(
            "\n{} streams need {} such node{}: {:.1} cores busy, {:.2} Gbit/s each way, {:.2} GiB, {} \
             relay ports, all nodes together\n",
            count(fleet.streams),
            fleet.nodes,
            if fleet.nodes == 1 { "" } else { "s" },
            fleet.cores,
            fleet.nic_gbps,
            fleet.memory_gib,
            count(fleet.ports)
        );
    }
    warn(&mut text, &plan.warnings);
    text
}

fn resources(plan: &Plan) -> Table {
    let heads = ["per node", "per 1,000 streams", "streams a node carries"];
    let mut table = Table::headed("", words(heads));
    for Resource { name, unit, per_stream, per_node, streams } in &plan.capacity.resources {
        let cells = [
            format!("{per_node:.1} {unit}"),
            format!("{:.3} {unit}", per_stream * 1e3),
            count(*streams as u64),
        ];
        table.row(name, cells);
    }
    table
}
