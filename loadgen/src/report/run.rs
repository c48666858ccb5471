//! A run for people: text and page.

use super::{
    number::{bits, bytes, count, known, latency_cells, short, tick_time, time_us},
    page::{
        html::{self, Page},
        plot::{Plot, Point, Series},
        scale::Kind,
    },
    table::{Table, floor_row, generator},
    text,
};
use crate::{
    count::latency::FIGURES,
    offer::shape::Shape,
    result::{
        offered::Offered,
        outcome::{HandshakesOutcome, Outcome, RateSample, SetUpOutcome},
        server::ServerOutcome,
        verdict::Verdict,
        way::WayOutcome,
    },
};

/// Everything as text.
pub(crate) fn text(outcome: &Outcome) -> String {
    let (_, lines) = verdict(outcome);
    text::whole(&outcome.title, &outcome.about, &sections(outcome), &outcome.warnings, &lines)
}

/// Everything as a page.
pub(crate) fn page(outcome: &Outcome) -> String {
    let mut page = Page::new(&outcome.title, &outcome.about);
    let (held, lines) = verdict(outcome);
    page.notes(&lines, if held { "held" } else { "bad" });
    page.cards(&figures(outcome));
    page.notes(&outcome.warnings, "warn");
    let (share, rate) =
        (format!("share of {}s that took no longer", outcome.unit), format!("{}s/s", outcome.unit));
    page.figure("Latency, from due to received", &latency_plot(&outcome.ways, &share));
    page.figure("Throughput over time", &series_plot(&outcome.series, &rate));
    page.figure("Latency over time", &latency_over_time(&outcome.series));
    sections(outcome).iter().for_each(|section| page.table(section));
    page.html()
}

/// Whether the limits held, in a line or more.
fn verdict(outcome: &Outcome) -> (bool, Vec<String>) {
    let Verdict { limits, broken } = &outcome.verdict;
    if !broken.is_empty() {
        return (false, broken.iter().map(|broken| format!("not held: {broken}")).collect());
    }
    let worst = outcome.ways.iter().map(|way| way.loss_percent).fold(0.0, f64::max);
    let loss = limits.loss_percent.map(|most| format!("loss of {worst:.3} % is within {most} %"));
    let p99 = limits.p99_ms.zip(outcome.worst_latency()).map(|(most, latency)| {
        format!("p99 of {} is within {}", time_us(latency.p99_us), time_us(most * 1e3))
    });
    let held: Vec<String> = loss.into_iter().chain(p99).collect();
    let how = match (outcome.was_stopped, outcome.generator_limited) {
        (true, _) => "held until it was stopped",
        (false, true) => "held for what the generator could offer",
        (false, false) => "held",
    };
    (true, vec![format!("{how}: {}", held.join(", "))])
}

fn figures(outcome: &Outcome) -> html::Figures {
    let mut figures = html::Figures::new();
    for way in &outcome.ways {
        let name = |what: &str| format!("{}: {what}", way.direction);
        figures.push((name("delivered/s"), short(way.pps)));
        figures.push((name("loss"), format!("{:.4} %", way.loss_percent)));
        let [p50, _, p99, ..] = latency_cells(way.latency.as_ref());
        figures.push((name("p50"), p50));
        figures.push((name("p99"), p99));
    }
    if let Some(server) = &outcome.server {
        let cpu = known(server.cpu_ns_per_packet, |ns| format!("{ns:.0} ns"));
        figures.push((format!("server CPU per {}", outcome.unit), cpu));
    }
    figures
}

/// Everything a run has to say, in tables: both ways, set-up, server, generator.
fn sections(outcome: &Outcome) -> Vec<Table> {
    let set_up = outcome.set_up.iter().map(set_up);
    let shaken = outcome.handshakes.iter().map(handshakes);
    let server = outcome.server.iter().map(|used| server(used, outcome));
    let ends = [generator(&outcome.generator)];
    [ways(outcome), latencies(outcome)]
        .into_iter()
        .chain(shaken)
        .chain(set_up)
        .chain(server)
        .chain(ends)
        .collect()
}

fn handshakes(shaken: &HandshakesOutcome) -> Table {
    let mut table = Table::default();
    table.row("full handshakes", [count(shaken.full)]);
    table.row("resumed handshakes", [count(shaken.resumed)]);
    for (reason, failed) in &shaken.failures {
        table.row(&format!("  failed: {reason}"), [count(*failed)]);
    }
    table
}

fn set_up(set_up: &SetUpOutcome) -> Table {
    let mut table = Table::headed("requests", FIGURES.map(str::to_owned));
    for (name, latency) in &set_up.requests {
        table.row(&format!("  {name}"), latency_cells(latency.as_ref()));
    }
    table
}

fn ways(outcome: &Outcome) -> Table {
    type Cell = fn(&WayOutcome) -> String;
    let rows: [(&str, Cell); 10] = [
        ("sent", |way| count(way.sent)),
        (BLOCKED_ROW, |way| count(way.blocked)),
        ("delivered", |way| count(way.relayed)),
        ("lost", |way| count(way.lost)),
        ("loss", |way| format!("{:.4} %", way.loss_percent)),
        ("reordered", |way| count(way.reordered)),
        ("duplicated", |way| count(way.duplicates)),
        ("corrupt or misrouted", |way| count(way.corrupt + way.misrouted)),
        ("delivered/s", |way| short(way.pps)),
        ("payload", |way| bits(way.gbps)),
    ];
    let ways = || outcome.ways.iter().chain(&outcome.slow);
    let mut table = Table::headed("", ways().map(|way| way.direction.clone()));
    let Offered { shape, transport, .. } = &outcome.offered;
    let is_said = |name: &str| match name {
        BLOCKED_ROW => transport.is_stream() && shape.has_packets(),
        "reordered" | "duplicated" | "corrupt or misrouted" => shape.has_packets(),
        // A Binding request carries none.
        "payload" => shape.has_packets() && *shape != Shape::Binding,
        _ => true,
    };
    for (name, cell) in rows.into_iter().filter(|(name, _)| is_said(name)) {
        table.row(name, ways().map(cell));
    }
    table
}

/// What found no room in its connection.
const BLOCKED_ROW: &str = "blocked (no room)";

/// All ways, and the generator alone.
fn latencies(outcome: &Outcome) -> Table {
    let mut table = Table::headed("latency", FIGURES.map(str::to_owned));
    for way in outcome.ways.iter().chain(&outcome.slow) {
        table.row(&format!("  {}", way.direction), latency_cells(way.latency.as_ref()));
    }
    if let Some(floor) = &outcome.floor {
        table.row(floor_row(outcome.offered.transport), latency_cells(Some(floor)));
    }
    table
}

fn server(server: &ServerOutcome, outcome: &Outcome) -> Table {
    let mut table = Table::default();
    let unit = &outcome.unit;
    let memory_row = match outcome.offered.transport.is_stream() {
        false => "  memory per allocation",
        true => "  memory per allocation and connection",
    };
    let part = |ns: Option<f64>| known(ns, |ns| format!("{ns:.0}"));
    let cpu = known(server.cpu_ns_per_packet, |ns| format!("{ns:.0} ns"));
    table.row(&format!("server CPU per {unit}"), [cpu]);
    let parts = (part(server.user_ns_per_packet), part(server.system_ns_per_packet));
    table.row("  user, system", [format!("{}, {} ns", parts.0, parts.1)]);
    table.row("  cores busy", [format!("{:.2}", server.cores_busy)]);
    table.row("  resident memory", [bytes(server.resident_bytes as f64)]);
    if let Some(each) = server.bytes_per_allocation {
        table.row(memory_row, [bytes(each)]);
    }
    if let Some(each) = server.bytes_per_connection {
        table.row("  memory per idle connection", [bytes(each)]);
    }
    table.row(
        &format!("  context switches per {unit}"),
        [known(server.switches_per_packet, |switches| format!("{switches:.3}"))],
    );
    table.row("  socket drops", [count(server.socket_drops)]);
    table
}

/// Quantiles at equal distances by their nines.
fn latency_plot<'a>(ways: &[WayOutcome], x_title: &'a str) -> Plot<'a> {
    let nines = |share: f64| -(1.0 - share).log10();
    let line = |(colour, way): (usize, &WayOutcome)| {
        let curve = way.curve.iter();
        let points = curve.map(|(share, us)| Point::plain(nines(*share), us.max(0.1)));
        Series::new(&way.direction, colour, points.collect())
    };
    Plot {
        x_title,
        y_title: "latency",
        x_label: percentile,
        y_label: tick_time,
        x_kind: Kind::FromZero,
        y_kind: Kind::Log,
        series: ways.iter().enumerate().map(line).collect(),
    }
}

/// 1 is 90 %, 2 is 99 %, and what lies between is not named.
fn percentile(nines: f64) -> String {
    let whole = nines.round();
    if (nines - whole).abs() > 0.01 {
        return String::new();
    }
    let share = 100.0 * (1.0 - 10_f64.powf(-whole));
    format!("{share:.*} %", (whole as usize).saturating_sub(2))
}

const SECONDS: &str = "seconds since the first packet";

fn series_plot<'a>(samples: &[RateSample], y_title: &'a str) -> Plot<'a> {
    let line = |name: &str, colour, value: fn(&RateSample) -> f64| {
        let points = samples.iter().map(|sample| Point::plain(sample.at_s, value(sample)));
        Series::new(name, colour, points.collect())
    };
    let series = vec![
        line("sent", 0, |sample| sample.sent_pps),
        // Dashed: where all is delivered both lines are seen.
        line("delivered", 1, |sample| sample.relayed_pps).dashed(),
    ];
    Plot::rate_over_time((SECONDS, y_title), series)
}

fn latency_over_time(samples: &[RateSample]) -> Plot<'static> {
    let line = |name: &str, colour, value: fn(&RateSample) -> Option<f64>| {
        let points =
            samples.iter().filter_map(|sample| Some(Point::plain(sample.at_s, value(sample)?)));
        Series::new(name, colour, points.collect())
    };
    let series =
        vec![line("p50", 0, |sample| sample.p50_us), line("p99", 1, |sample| sample.p99_us)];
    let plot = Plot::rate_over_time((SECONDS, "latency"), series);
    Plot { y_label: tick_time, y_kind: Kind::Log, ..plot }
}
