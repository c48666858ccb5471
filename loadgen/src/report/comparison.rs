//! A comparison for people: text and page.

use super::{
    number::{NOTHING, known, latency_cells, short, tick_time, time_us},
    page::{
        html::{Figures, Page},
        plot::{Mark, Plot, Point, Series},
        scale::Kind,
    },
    table::{Table, floor_row, waiting},
    text,
};
use crate::{
    count::{latency::FIGURES, stats::Quartiles},
    result::comparison::{Comparison, Contender, LatencyFigure, Ratio},
};

/// Fewer rounds could all lie on one side by chance.
const FEWEST_TO_TELL: usize = 5;

/// Medians, the quartiles beside those that matter, and what it comes to.
pub(crate) fn text(comparison: &Comparison) -> String {
    let lines = verdicts(comparison);
    let mut text = text::head(&comparison.title, &comparison.about);
    text += &format!("\n{}\n{}", rows(comparison).text(), latencies(comparison).text());
    text += &format!("\n{}\n", explanation(comparison));
    text + &text::foot(&comparison.warnings, &lines)
}

/// The same as a page.
pub(crate) fn page(comparison: &Comparison) -> String {
    let mut page = Page::new(&comparison.title, &comparison.about);
    let class = if comparison.broken.is_empty() { "held" } else { "bad" };
    page.notes(&verdicts(comparison), class);
    page.notes(&comparison.warnings, "warn");
    page.cards(&figures(comparison));
    let title = format!("Server CPU time per {}, round by round", comparison.unit);
    page.figure(&title, &rounds_plot(comparison));
    page.table(&rows(comparison));
    page.table(&latencies(comparison));
    page.aside(&explanation(comparison));
    page.html()
}

fn explanation(comparison: &Comparison) -> String {
    let first = comparison.servers.first().map_or("", |server| server.name.as_str());
    format!(
        "median of {} rounds [first quartile, third quartile]; ratios to {first} in the same \
         round; the generator {} while nothing is due",
        comparison.rounds,
        waiting(comparison.spins)
    )
}

fn figures(comparison: &Comparison) -> Figures {
    let figure = |server: &Contender| {
        let label = format!("{}: {}s per CPU second, ratio", server.name, comparison.unit);
        let median = server.packets.map(|ratio| ratio.quartiles.median);
        (label, known(median, |median| format!("{median:.2}x")))
    };
    comparison.servers.iter().map(figure).collect()
}

fn rounds_plot(comparison: &Comparison) -> Plot<'static> {
    let line = |(colour, server): (usize, &Contender)| {
        let rounds = (1..).zip(&server.runs);
        let points = rounds.filter_map(|(round, run)| {
            Some(Point { x: f64::from(round), y: run.cpu_ns?, mark: Mark::Dot })
        });
        Series::new(&server.name, colour, points.collect())
    };
    Plot {
        x_title: "round",
        y_title: "CPU time",
        x_label: |round| if round.fract() == 0.0 { format!("{round}") } else { String::new() },
        y_label: |ns| tick_time(ns / 1e3),
        x_kind: Kind::FromZero,
        y_kind: Kind::FromZero,
        series: comparison.servers.iter().enumerate().map(line).collect(),
    }
}

/// The servers of a comparison, and what a packet costs each.
fn rows(comparison: &Comparison) -> Table {
    let unit = &comparison.unit;
    let heads = [format!("CPU/{unit}"), format!("{unit}s per CPU s, ratio")];
    let rest = [format!("{unit}s/s"), "cores".to_owned(), "lost".to_owned()];
    let mut table = Table::headed("", heads.into_iter().chain(rest));
    for server in &comparison.servers {
        let median = |quartiles: Option<Quartiles>| quartiles.map(|quartiles| quartiles.median);
        let cpu = server
            .cpu_ns
            .map(|Quartiles { q1, median, q3 }| format!("{median:.0} ns [{q1:.0}, {q3:.0}]"));
        let cells = [
            cpu.unwrap_or_else(|| NOTHING.to_owned()),
            times(server.packets),
            known(median(server.relayed_pps), short),
            known(median(server.cores_busy), |cores| format!("{cores:.2}")),
            known(median(server.loss_percent), |percent| format!("{percent:.3} %")),
        ];
        table.row(&server.name, cells);
    }
    table
}

/// How long packets took through each, and how many times as long as through the first.
fn latencies(comparison: &Comparison) -> Table {
    let mut table = Table::headed("latency", FIGURES.map(str::to_owned));
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
        table.row(floor_row(comparison.transport), latency_cells(Some(floor)));
    }
    table
}

fn times(ratio: Option<Ratio>) -> String {
    let written = ratio.map(|Ratio { quartiles: Quartiles { q1, median, q3 }, .. }| {
        format!("{median:.2}x [{q1:.2}, {q3:.2}]")
    });
    written.unwrap_or_else(|| NOTHING.to_owned())
}

/// What a comparison comes to, a line for each server but the first.
fn verdicts(comparison: &Comparison) -> Vec<String> {
    let Some((first, others)) = comparison.servers.split_first() else { return Vec::new() };
    let broken = comparison.broken.iter().map(|broken| format!("not held: {broken}"));
    let line = |other: &Contender| {
        let latencies = other.latency.iter().filter(|figure| figure.name != "max");
        let latencies: Vec<String> = latencies
            .filter_map(|figure| {
                let ratio = figure.ratio?;
                let tells = ratio.differs || comparison.rounds < FEWEST_TO_TELL;
                let same = if tells { "" } else { " (no difference shows)" };
                Some(format!("{} {}{same}", figure.name, times(Some(ratio))))
            })
            .collect();
        let cost = cost_verdict(comparison, other, &first.name);
        match latencies.is_empty() {
            true => cost,
            false => format!("{cost}\n  latency {}", latencies.join(", ")),
        }
    };
    broken.chain(others.iter().map(line)).collect()
}

fn cost_verdict(comparison: &Comparison, other: &Contender, first: &str) -> String {
    let (name, unit) = (&other.name, &comparison.unit);
    match other.packets {
        None => format!("{name} and {first} cannot be compared: nothing was delivered"),
        Some(ratio) if ratio.differs => {
            let ratio = times(Some(ratio));
            let does = if unit == "packet" { "relays" } else { "does" };
            format!("{name} {does} {ratio} as many {unit}s per CPU second as {first}")
        }
        Some(ratio) => {
            let (ratio, rounds) = (times(Some(ratio)), comparison.rounds);
            let why = match rounds < FEWEST_TO_TELL {
                true => format!("{rounds} rounds are too few to tell a difference"),
                false => "no difference shows".to_owned(),
            };
            format!("{name} and {first}: {why} in {unit}s per CPU second ({ratio})")
        }
    }
}
