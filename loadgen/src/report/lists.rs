//! Sweeps, comparisons and plans as text.

use super::{
    number::{NOTHING, bytes, count, known, latency_cells, short, time_us},
    table::{FLOOR_ROW, Table, waiting},
};
use crate::{
    count::{latency::FIGURES, stats::Quartiles},
    result::{
        comparison::{Comparison, Contender, LatencyFigure, Ratio},
        plan::{Plan, Resource},
        sweep::{Step, Sweep},
    },
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
    let heads = ["relayed/s", "Gbit/s", "loss"].into_iter().chain(FIGURES);
    let heads = heads.chain(["floor p50", "p99", "CPU/packet", "cores", ""]);
    let mut table = Table::headed("offered/s", heads.map(str::to_owned));
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

fn cells(step: &Step) -> Vec<String> {
    let verdict = match (step.held, step.generator_limited) {
        (true, _) => "held",
        (false, true) => "generator was the limit",
        (false, false) => "failed",
    };
    let traffic = [
        short(step.relayed_pps),
        format!("{:.3}", step.gbps),
        format!("{:.3} %", step.loss_percent),
    ];
    let [floor_p50, _, floor_p99, ..] = latency_cells(step.floor.as_ref());
    let rest = [
        floor_p50,
        floor_p99,
        known(step.cpu_ns_per_packet, |ns| format!("{ns:.0} ns")),
        known(step.cores_busy, |cores| format!("{cores:.2}")),
        verdict.to_owned(),
    ];
    traffic.into_iter().chain(latency_cells(step.latency.as_ref())).chain(rest).collect()
}

/// The servers of a comparison, and what a packet costs each.
pub(super) fn comparison_rows(comparison: &Comparison) -> Table {
    let unit = &comparison.unit;
    let heads = [format!("CPU/{unit}"), "CPU ratio".to_owned(), format!("{unit}s per CPU s")];
    let rest = words([&format!("{unit}s/s"), "lost"]);
    let mut table = Table::headed("", heads.into_iter().chain(rest));
    for server in &comparison.servers {
        let median = |quartiles: Option<Quartiles>| quartiles.map(|quartiles| quartiles.median);
        let cpu = server
            .cpu_ns
            .map(|Quartiles { q1, median, q3 }| format!("{median:.0} ns [{q1:.0}, {q3:.0}]"));
        let cells = [
            cpu.unwrap_or_else(|| NOTHING.to_owned()),
            times(server.cpu),
            times(server.packets),
            known(median(server.relayed_pps), short),
            known(median(server.loss_percent), |percent| format!("{percent:.3} %")),
        ];
        table.row(&server.name, cells);
    }
    table
}

/// How long packets took through each, and how many times as long as through the first.
pub(super) fn comparison_latencies(comparison: &Comparison) -> Table {
    let mut table = Table::headed("latency", words(FIGURES));
    for (at, server) in comparison.servers.iter().enumerate() {
        let figures = |cell: fn(&LatencyFigure) -> String| {
            let of = move |name| server.latency.iter().find(|figure| figure.name == name);
            FIGURES.map(|name| of(name).map_or_else(|| NOTHING.to_owned(), cell))
        };
        table.row(&server.name, figures(|figure| time_us(figure.us.median)));
        if at > 0 {
            table.row("  ratio", figures(|figure| times(figure.ratio)));
        }
    }
    if let Some(floor) = &comparison.floor {
        table.row(FLOOR_ROW, latency_cells(Some(floor)));
    }
    table
}

fn times(ratio: Option<Ratio>) -> String {
    let written = ratio.map(|Ratio { quartiles: Quartiles { q1, median, q3 }, .. }| {
        format!("{median:.2}x [{q1:.2}, {q3:.2}]")
    });
    written.unwrap_or_else(|| NOTHING.to_owned())
}

/// A comparison: medians, the quartiles beside those that matter, and what it comes to.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let first = comparison.servers.first().map_or("", |server| server.name.as_str());
    let mut text = format!("{}\n\n{}", comparison.title, comparison_rows(comparison).render());
    text += &format!("\n{}", comparison_latencies(comparison).render());
    text += &format!(
        "\nmedian of {} rounds [first quartile, third quartile]; ratios to {first} in the same \
         round; the generator {} while nothing is due\n",
        comparison.rounds,
        waiting(comparison.spins)
    );
    warn(&mut text, &comparison.warnings);
    for verdict in comparison_verdicts(comparison) {
        text += &format!("\n{verdict}\n");
    }
    text
}

/// What a comparison comes to, a line for each server but the first.
pub(super) fn comparison_verdicts(comparison: &Comparison) -> Vec<String> {
    let Some((first, others)) = comparison.servers.split_first() else { return Vec::new() };
    let line = |other: &Contender| {
        let latencies = other.latency.iter().filter(|figure| figure.name != "max");
        let latencies: Vec<String> = latencies
            .filter_map(|figure| {
                let ratio = figure.ratio?;
                let same = if ratio.differs { "" } else { " (no difference shows)" };
                Some(format!("{} {}{same}", figure.name, times(Some(ratio))))
            })
            .collect();
        let cost = cost_verdict(&other.name, other.packets, &first.name, &comparison.unit);
        match latencies.is_empty() {
            true => cost,
            false => format!("{cost}\n  latency {}", latencies.join(", ")),
        }
    };
    others.iter().map(line).collect()
}

fn cost_verdict(name: &str, packets: Option<Ratio>, first: &str, unit: &str) -> String {
    match packets {
        None => format!("{name} and {first} cannot be compared: nothing was delivered"),
        Some(ratio) if ratio.differs => {
            let ratio = times(Some(ratio));
            format!("{name} relays {ratio} as many {unit}s per CPU second as {first}")
        }
        Some(ratio) => {
            let ratio = times(Some(ratio));
            format!("{name} and {first}: no difference shows in {unit}s per CPU second ({ratio})")
        }
    }
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
