//! A sweep for people: text, page, and a picture of all its servers.

use super::{
    number::{bits, bytes, known, latency_cells, short, tick_short, tick_time, time_us},
    page::{
        html::{Figures, Page},
        plot::{self, Mark, Plot, Point, Series},
        scale::Kind,
    },
    table::Table,
    text,
};
use crate::{
    count::latency::{FIGURES, Latency},
    result::sweep::{Answer, Limit, Step, Sweep, Swept},
};

const FOOT: &str = "● held   ○ did not hold   × the generator was the limit";

/// Everything as text.
pub(crate) fn text(sweep: &Sweep) -> String {
    let mut text = text::head(&sweep.title, &sweep.about);
    for server in &sweep.servers {
        text += &format!("\n{}", rows(server).text());
    }
    let lines: Vec<String> = sweep.servers.iter().map(answer).collect();
    text + &text::foot(&warnings(sweep), &lines)
}

/// Everything as a page.
pub(crate) fn page(sweep: &Sweep) -> String {
    let mut page = Page::new(&sweep.title, &sweep.about);
    for server in &sweep.servers {
        page.notes(&[answer(server)], if server.has_answer() { "held" } else { "bad" });
    }
    page.notes(&warnings(sweep), "warn");
    sweep.servers.iter().for_each(|server| page.cards(&figures(server)));
    for (title, plot) in titles().into_iter().zip(plots(sweep)) {
        page.figure(title, &plot);
    }
    page.figure("Server CPU time per packet against offered load", &cpu_plot(sweep));
    page.aside(FOOT);
    sweep.servers.iter().for_each(|server| page.table(&rows(server)));
    page.html()
}

/// p50, p99, p99.9 and loss of all servers against offered load.
pub(crate) fn picture(sweep: &Sweep) -> String {
    plot::picture(&plots(sweep), FOOT)
}

/// One step, on a line of its own while a sweep runs.
pub(crate) fn line(name: &str, step: &Step) -> String {
    let [p50, _, p99, ..] = latency_cells(step.latency.as_ref());
    let (offered, verdict) = (short(step.offered_pps), verdict(step));
    format!(
        "{name}: {offered:>7}/s  loss {:.3} %  p50 {p50}  p99 {p99}  {verdict}\n",
        step.loss_percent
    )
}

fn warnings(sweep: &Sweep) -> Vec<String> {
    let own = sweep.servers.iter().flat_map(|server| {
        server.warnings.iter().map(move |warning| format!("{}: {warning}", server.name))
    });
    own.chain(sweep.warnings.iter().cloned()).collect()
}

/// What a server's search came to.
fn answer(server: &Swept) -> String {
    let (name, runs) = (&server.name, server.runs.len());
    let gbps = server
        .best
        .as_ref()
        .map_or(String::new(), |best| format!(" ({} of payload)", bits(best.gbps)));
    match server.answer {
        _ if server.died => format!("{name}: not held: its process ended meanwhile"),
        Answer::Found { pps } => {
            format!(
                "{name}: the highest load that held is {} packets/s{gbps}, {}",
                short(pps),
                spread(&server.runs)
            )
        }
        Answer::AtLeast { pps } => format!(
            "{name}: carries at least {} packets/s{gbps}, {}: the sweep could offer no more",
            short(pps),
            spread(&server.runs)
        ),
        Answer::Unsteady { least_pps, most_pps } => format!(
            "{name}: no answer: {runs} runs came to between {} and {} packets/s, further apart \
             than 10 %",
            short(least_pps),
            short(most_pps)
        ),
        Answer::Nothing if server.steps.is_empty() => format!("{name}: no step was finished"),
        Answer::Nothing => format!("{name}: no step held"),
    }
}

fn spread(runs: &[Limit]) -> String {
    let or_more = |run: &Limit| if run.is_at_least { " or more" } else { "" };
    let each = |run: &Limit| format!("{}{}", short(run.pps), or_more(run));
    let each: Vec<String> = runs.iter().map(each).collect();
    match &each[..] {
        [_] => "in one run".to_owned(),
        _ => format!("the median of {} runs ({})", runs.len(), each.join(", ")),
    }
}

fn figures(server: &Swept) -> Figures {
    let Some(best) = &server.best else { return Figures::new() };
    let name = |what: &str| format!("{}: {what}", server.name);
    let least = if matches!(server.answer, Answer::AtLeast { .. }) { "at least " } else { "" };
    let highest = |pps| format!("{least}{}", short(pps));
    let mut figures = vec![
        (name("highest load that held, packets/s"), known(server.answer.pps(), highest)),
        (name("p99 there"), known(best.latency.map(|latency| latency.p99_us), time_us)),
    ];
    if let Some(cpu_ns) = best.cpu_ns_per_packet {
        figures.push((name("CPU per packet there"), format!("{cpu_ns:.0} ns")));
    }
    if let Some(each) = server.bytes_per_allocation {
        figures.push((name("memory per allocation"), bytes(each)));
    }
    figures
}

/// The steps of one server.
fn rows(server: &Swept) -> Table {
    let heads = ["relayed/s", "loss"].into_iter().chain(FIGURES);
    let heads = heads.chain(["floor p50", "p99", "CPU/packet", "cores", "tries", ""]);
    let name = format!("{}: offered/s", server.name);
    let mut table = Table::headed(&name, heads.map(str::to_owned));
    for step in &server.steps {
        table.row(&short(step.offered_pps), cells(step));
    }
    if let Some(each) = server.bytes_per_allocation {
        table.row("memory per allocation", [bytes(each)]);
    }
    table
}

fn cells(step: &Step) -> Vec<String> {
    let traffic = [short(step.relayed_pps), format!("{:.3} %", step.loss_percent)];
    let [floor_p50, _, floor_p99, ..] = latency_cells(step.floor.as_ref());
    let rest = [
        floor_p50,
        floor_p99,
        known(step.cpu_ns_per_packet, |ns| format!("{ns:.0} ns")),
        known(step.cores_busy, |cores| format!("{cores:.2}")),
        step.tries.to_string(),
        verdict(step).to_owned(),
    ];
    traffic.into_iter().chain(latency_cells(step.latency.as_ref())).chain(rest).collect()
}

fn verdict(step: &Step) -> &'static str {
    match (step.held, step.generator_limited) {
        (true, _) => "held",
        (false, true) => "generator was the limit",
        (false, false) => "failed",
    }
}

fn titles() -> [&'static str; 4] {
    [
        "Latency p50 against offered load",
        "Latency p99 against offered load",
        "Latency p99.9 against offered load",
        "Loss against offered load",
    ]
}

/// Three latencies and the loss.
fn plots(sweep: &Sweep) -> [Plot<'static>; 4] {
    let latency = |y_title, value: fn(&Latency) -> f64| {
        let mut plot = against_load(sweep, y_title, |step| step.latency.as_ref().map(value));
        plot.series.extend(floor(sweep, value));
        Plot { y_kind: Kind::Log, y_label: tick_time, ..plot }
    };
    let loss = against_load(sweep, "loss", |step| Some(step.loss_percent));
    [
        latency("p50", |latency| latency.p50_us),
        latency("p99", |latency| latency.p99_us),
        latency("p99.9", |latency| latency.p999_us),
        Plot { y_label: |percent| format!("{percent} %"), ..loss },
    ]
}

fn cpu_plot(sweep: &Sweep) -> Plot<'static> {
    let plot = against_load(sweep, "CPU per packet", |step| step.cpu_ns_per_packet);
    Plot { y_label: |ns| tick_time(ns / 1e3), ..plot }
}

/// A line for each server, with a mark for each step.
fn against_load(
    sweep: &Sweep,
    y_title: &'static str,
    value: impl Fn(&Step) -> Option<f64>,
) -> Plot<'static> {
    let point = |step: &Step| {
        let mark = match (step.held, step.generator_limited) {
            (true, _) => Mark::Dot,
            (false, true) => Mark::Cross,
            (false, false) => Mark::Ring,
        };
        Some(Point { x: step.offered_pps, y: value(step)?, mark })
    };
    let line = |(colour, server): (usize, &Swept)| {
        Series::new(&server.name, colour, server.steps.iter().filter_map(point).collect())
    };
    Plot {
        x_title: "offered packets/s",
        y_title,
        x_label: tick_short,
        y_label: tick_short,
        x_kind: Kind::FromZero,
        y_kind: Kind::FromZero,
        series: sweep.servers.iter().enumerate().map(line).collect(),
    }
}

/// What the generator shows without a relay.
fn floor(sweep: &Sweep, value: fn(&Latency) -> f64) -> Option<Series> {
    let steps = &sweep.servers.first()?.steps;
    let points = steps
        .iter()
        .filter_map(|step| Some(Point::plain(step.offered_pps, value(step.floor.as_ref()?))));
    Some(Series::new("without a relay", sweep.servers.len(), points.collect()).dashed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::{about::About, offered::Offered, verdict::Limits};

    fn step(pps: f64, held: bool, generator_limited: bool) -> Step {
        let latency =
            Latency { p50_us: 20.0, p99_us: 300.0, p999_us: 2_000.0, ..Latency::default() };
        Step {
            offered_pps: pps,
            relayed_pps: pps,
            gbps: 0.1,
            loss_percent: if held { 0.0 } else { 3.0 },
            latency: Some(latency),
            floor: Some(Latency { p50_us: 2.0, p99_us: 4.0, p999_us: 9.0, ..Latency::default() }),
            cpu_ns_per_packet: None,
            cores_busy: None,
            others_busy: None,
            generator_limited,
            held,
            tries: 1,
        }
    }

    fn sweep(servers: Vec<Swept>) -> Sweep {
        let offered = r#"{"shape":"voice","allocations":1,"direction":"","pps":null,
            "payload_bytes":160,"trains":false,"gro":true,"duration_s":1.0}"#;
        let offered: Offered = serde_json::from_str(offered).unwrap();
        let (limits, title) = (Limits::default(), "a sweep".to_owned());
        Sweep { about: About::now(), title, offered, limits, servers, warnings: Vec::new() }
    }

    #[test]
    fn all_servers_and_the_floor_are_in_one_picture() {
        let steps =
            || vec![step(1e4, true, false), step(2e4, true, false), step(4e4, false, false)];
        let limit = Limit { pps: 2e4, is_at_least: false };
        let servers = ["old", "new"].map(|name| Swept::new(name, steps(), vec![limit])).to_vec();
        let picture = picture(&sweep(servers));
        for name in ["old", "new", "without a relay"] {
            assert_eq!(picture.matches(&format!(">{name}</text>")).count(), 1, "{name}");
        }
        for title in ["p50", "p99", "p99.9", "loss"] {
            assert!(picture.contains(&format!(">{title}</text>")), "{title}: {picture}");
        }
        assert_eq!(picture.matches("<circle class=\"r s").count(), 2 * 4);
    }

    #[test]
    fn what_the_generator_could_not_offer_is_crossed_out_and_no_answer() {
        let steps = vec![step(1e4, true, false), step(2e4, false, true)];
        let limit = Limit { pps: 1e4, is_at_least: true };
        let sweep = sweep(vec![Swept::new("a", steps, vec![limit])]);
        assert!(picture(&sweep).contains("l9 9m0 -9l-9 9"));
        assert!(text(&sweep).contains("a: carries at least 10.0 k packets/s"), "{}", text(&sweep));
    }

    #[test]
    fn a_sweep_that_was_stopped_at_once_has_not_failed() {
        let said = |steps| answer(&Swept::new("a", steps, Vec::new()));
        assert_eq!(said(Vec::new()), "a: no step was finished");
        assert_eq!(said(vec![step(1e4, false, false)]), "a: no step held");
    }

    #[test]
    fn runs_that_do_not_agree_are_said_to_be_no_answer() {
        let runs = [1e4, 2e4].map(|pps| Limit { pps, is_at_least: false }).to_vec();
        let sweep = sweep(vec![Swept::new("a", vec![step(1e4, true, false)], runs)]);
        let text = text(&sweep);
        assert!(text.contains("a: no answer: 2 runs came to between 10.0 k and 20.0 k"), "{text}");
    }
}
