//! One self-contained page: no script, no font, no picture from elsewhere.

use super::{
    escape::escape,
    number::{bytes, known, latency_cells, short, time_us},
    plot::{Plot, Series},
};
use crate::{
    fault::Fault,
    result::{
        comparison::{Comparison, Contender},
        outcome::{Outcome, Sample},
        sweep::{Step, Sweep},
        way::WayOutcome,
    },
};

const STYLE: &str = include_str!("page.css");

/// Writes a page.
pub(crate) fn write(path: &str, page: &str) -> Result<(), Fault> {
    std::fs::write(path, page).map_err(|error| Fault::file(path, error))
}

/// The page of a run.
pub(crate) fn run(outcome: &Outcome) -> String {
    let mut body = cards(&run_figures(outcome));
    let broken = outcome.verdict.broken.iter().map(|text| format!("limit broken: {text}"));
    body += &notes(&broken.collect::<Vec<_>>(), "bad");
    body += &notes(&outcome.warnings, "warn");
    body += &figure("Latency, from due to received", &latency_plot(&outcome.ways));
    body += &figure("Throughput over time", &series_plot(&outcome.series));
    let sections = super::table::sections(outcome);
    body += &sections.iter().map(table).collect::<String>();
    page(&outcome.title, &outcome.machine, &body)
}

/// The page of a sweep.
pub(crate) fn sweep(sweep: &Sweep) -> String {
    let mut body = cards(&sweep_figures(sweep));
    body += &notes(&sweep.warnings, "warn");
    body += &figure("Loss against offered load", &loss_plot(&sweep.steps));
    body += &figure("Latency against offered load", &load_latency_plot(&sweep.steps));
    let cpu = cpu_plot(&sweep.steps);
    if !cpu.series.is_empty() {
        body += &figure("Server CPU time per packet against offered load", &cpu);
    }
    body += &table(&super::lists::sweep_rows(sweep));
    page(&sweep.title, &sweep.machine, &body)
}

/// The 99th percentile of several servers against offered load, as a picture of its own.
pub(crate) fn sweeps_picture(sweeps: &[(String, Sweep)]) -> String {
    let line = |(name, sweep): &(String, Sweep)| {
        let steps = sweep.steps.iter().filter(|step| !step.generator_limited);
        let points = steps.filter_map(|step| Some((step.offered_pps, step.latency?.p99_us)));
        let points = points.map(|(pps, p99_us)| (pps, p99_us.max(0.1))).collect();
        Series { name: name.clone(), points }
    };
    let latency = load_latency_plot(&[]);
    let plot =
        Plot { y_title: "p99 latency", series: sweeps.iter().map(line).collect(), ..latency };
    plot.picture()
}

/// The page of a comparison.
pub(crate) fn comparison(comparison: &Comparison) -> String {
    let figure_of = |server: &Contender| {
        let label = format!("{}: packets per CPU second", server.name);
        (label, known(server.packets.map(|ratio| ratio.quartiles.median), |r| format!("{r:.2}x")))
    };
    let figures: Figures = comparison.servers.iter().map(figure_of).collect();
    let mut body = cards(&figures);
    body += &notes(&comparison.warnings, "warn");
    body += &figure("Server CPU time per packet, round by round", &rounds_plot(comparison));
    body += &table(&super::lists::comparison_rows(comparison));
    body += &table(&super::lists::comparison_latencies(comparison));
    body += &format!(
        "<p class=\"note\">Medians of {} rounds with first and third quartile. Ratios are taken \
         inside each round, to the first server.</p>",
        comparison.rounds
    );
    page(&comparison.title, &comparison.machine, &body)
}

type Figures = Vec<(String, String)>;

fn run_figures(outcome: &Outcome) -> Figures {
    let mut figures = Figures::new();
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

fn sweep_figures(sweep: &Sweep) -> Figures {
    let mut figures = Figures::new();
    let Some(best) = &sweep.best else { return figures };
    figures.push(("highest load that held, packets/s".to_owned(), short(best.relayed_pps)));
    figures.push(("payload Gbit/s".to_owned(), format!("{:.2}", best.gbps)));
    figures.push(("p99 there".to_owned(), known(best.latency.map(|l| l.p99_us), time_us)));
    if let Some(cpu_ns) = best.cpu_ns_per_packet {
        figures.push(("server CPU per packet".to_owned(), format!("{cpu_ns:.0} ns")));
    }
    if let Some(each) = sweep.bytes_per_allocation {
        figures.push(("memory per allocation".to_owned(), bytes(each)));
    }
    figures
}

/// Quantiles at equal distances by their nines.
fn latency_plot(ways: &[WayOutcome]) -> Plot<'static> {
    let nines = |share: f64| -(1.0 - share).log10();
    let line = |way: &WayOutcome| Series {
        name: way.direction.clone(),
        points: way.curve.iter().map(|(share, us)| (nines(*share), us.max(0.1))).collect(),
    };
    Plot {
        x_title: "share of packets that took no longer",
        y_title: "latency",
        x_label: percentile,
        y_label: time_us,
        y_log: true,
        dots: false,
        series: ways.iter().map(line).collect(),
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

fn series_plot(samples: &[Sample]) -> Plot<'static> {
    let line = |name: &str, value: fn(&Sample) -> f64| Series {
        name: name.to_owned(),
        points: samples.iter().map(|sample| (sample.at_s, value(sample))).collect(),
    };
    Plot {
        x_title: "seconds since the first packet",
        y_title: "packets/s",
        x_label: |seconds| format!("{seconds:.1}"),
        y_label: short,
        y_log: false,
        dots: false,
        series: vec![
            line("sent", |sample| sample.sent_pps),
            line("relayed", |sample| sample.relayed_pps),
        ],
    }
}

/// A name, and what of a step it shows.
type Line = (&'static str, fn(&Step) -> Option<f64>);

fn against_load(
    steps: &[Step],
    y_title: &'static str,
    y_label: fn(f64) -> String,
    lines: &[Line],
) -> Plot<'static> {
    let line = |(name, value): &Line| Series {
        name: (*name).to_owned(),
        points: steps.iter().filter_map(|step| Some((step.offered_pps, value(step)?))).collect(),
    };
    let series = lines.iter().map(line).filter(|series| !series.points.is_empty());
    Plot {
        x_title: "offered packets/s",
        y_title,
        x_label: short,
        y_label,
        y_log: false,
        dots: true,
        series: series.collect(),
    }
}

fn loss_plot(steps: &[Step]) -> Plot<'static> {
    let percent = |percent| format!("{percent:.1} %");
    against_load(steps, "lost", percent, &[("loss", |step| Some(step.loss_percent))])
}

fn load_latency_plot(steps: &[Step]) -> Plot<'static> {
    let lines: [Line; 4] = [
        ("p50", |step| step.latency.map(|latency| latency.p50_us.max(0.1))),
        ("p99", |step| step.latency.map(|latency| latency.p99_us.max(0.1))),
        ("p99.9", |step| step.latency.map(|latency| latency.p999_us.max(0.1))),
        ("p99 without a relay", |step| step.floor.map(|floor| floor.p99_us.max(0.1))),
    ];
    Plot { y_log: true, ..against_load(steps, "latency", time_us, &lines) }
}

fn cpu_plot(steps: &[Step]) -> Plot<'static> {
    let ns = |ns: f64| time_us(ns / 1e3);
    against_load(steps, "CPU per packet", ns, &[("server CPU", |step| step.cpu_ns_per_packet)])
}

fn rounds_plot(comparison: &Comparison) -> Plot<'static> {
    let line = |server: &Contender| Series {
        name: server.name.clone(),
        points: (1..)
            .zip(&server.runs)
            .filter_map(|(round, run)| Some((f64::from(round), run.cpu_ns?)))
            .collect(),
    };
    Plot {
        x_title: "round",
        y_title: "CPU per packet",
        x_label: |round| if round.fract() == 0.0 { format!("{round}") } else { String::new() },
        y_label: |ns| time_us(ns / 1e3),
        y_log: false,
        dots: true,
        series: comparison.servers.iter().map(line).collect(),
    }
}

pub(super) fn figure(title: &str, plot: &Plot<'_>) -> String {
    let (title, legend, svg) = (escape(title), plot.legend(), plot.svg());
    if svg.is_empty() {
        return String::new();
    }
    format!("<figure><figcaption><b>{title}</b>{legend}</figcaption>{svg}</figure>\n")
}

pub(super) fn cards(figures: &[(String, String)]) -> String {
    let card = |(label, value): &(String, String)| {
        format!("<div><b>{}</b><span>{}</span></div>", escape(value), escape(label))
    };
    format!("<section class=\"cards\">{}</section>\n", figures.iter().map(card).collect::<String>())
}

pub(super) fn notes(lines: &[String], class: &str) -> String {
    let note = |line: &String| format!("<p class=\"{class}\">{}</p>\n", escape(line));
    lines.iter().map(note).collect()
}

pub(super) fn table(table: &super::table::Table) -> String {
    let row = |row: &Vec<String>| {
        let cells = row.iter().map(|cell| format!("<td>{}</td>", escape(cell)));
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    };
    let rows: String = table.rows().iter().map(row).collect();
    let class = if table.is_headed() { " class=\"headed\"" } else { "" };
    format!("<div class=\"scroll\"><table{class}>\n{rows}</table></div>\n")
}

pub(super) fn page(title: &str, machine: &str, body: &str) -> String {
    let (title, machine) = (escape(title), escape(machine));
    let version = env!("CARGO_PKG_VERSION");
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title}</title>\n<style>\n{STYLE}</style>\n<main>\n<h1>{title}</h1>\n{body}\
         <footer>loadgen {version}. Open loop: latency counts from when a packet was due; loss, order \
         and content are checked for every packet. Generator on {machine}.</footer>\n</main>\n</html>\n"
    )
}
