//! An overload for people: a table, a page, a picture.

use super::{
    number::{bytes, count, known, latency_cells, short, time_us},
    page::{
        html::{Figures, Page},
        plot::{self, Plot, Point, Series},
    },
    table::{self, Table},
    text,
};
use crate::{
    count::latency::FIGURES,
    result::overload::{Overload, Phase, Slice},
};

/// Points of a line, about.
const POINTS: usize = 75;

/// Everything as text.
pub(crate) fn text(overload: &Overload) -> String {
    let sections = sections(overload);
    text::whole(&overload.title, &overload.about, &sections, &overload.warnings, &verdict(overload))
}

/// Everything as a page.
pub(crate) fn page(overload: &Overload) -> String {
    let mut page = Page::new(&overload.title, &overload.about);
    page.notes(&verdict(overload), if overload.broken.is_empty() { "held" } else { "bad" });
    page.cards(&figures(overload));
    page.notes(&overload.warnings, "warn");
    page.figure("Packets over time, by when they were due", &plot(overload));
    sections(overload).iter().for_each(|section| page.table(section));
    page.html()
}

/// Offered, delivered and lost packets over time.
pub(crate) fn picture(overload: &Overload) -> String {
    plot::picture(&[plot(overload)], "")
}

fn verdict(overload: &Overload) -> Vec<String> {
    if !overload.broken.is_empty() {
        return overload.broken.iter().map(|broken| format!("not held: {broken}")).collect();
    }
    let kept = overload.over.delivered_pps / overload.capacity.pps;
    vec![format!(
        "held: {kept:.2} times what the server carries came through, every request was answered, \
         loss was 0 again after {}",
        recovery(overload)
    )]
}

fn plot(overload: &Overload) -> Plot<'static> {
    let line = |name: &str, colour, value: fn(&Slice) -> f64| {
        Series::new(name, colour, smooth(&overload.series, value))
    };
    let series = vec![
        line("offered", 0, |slice| slice.sent_pps),
        // Dashed: where all is delivered both lines are seen.
        line("delivered", 1, |slice| slice.delivered_pps).dashed(),
        line("lost", 2, |slice| slice.lost_pps),
    ];
    Plot::rate_over_time(("seconds since the overload began", "packets/s"), series)
}

/// Means of so many slices that a line has about [`POINTS`] points: single slices of a long course
/// are a tangle.
fn smooth(slices: &[Slice], value: fn(&Slice) -> f64) -> Vec<Point> {
    let each = slices.len().div_ceil(POINTS).max(1);
    let mean = |slices: &[Slice]| {
        let sum: f64 = slices.iter().map(value).sum();
        Point::plain(slices[0].at_s, sum / slices.len() as f64)
    };
    slices.chunks(each).map(mean).collect()
}

fn figures(overload: &Overload) -> Figures {
    let kept = overload.over.delivered_pps / overload.capacity.pps;
    let took = overload.over.answers.iter().filter_map(|(_, took)| *took);
    let slowest = took.map(|took| took.max_us).reduce(f64::max);
    vec![
        ("carried packets/s".to_owned(), short(overload.capacity.pps)),
        ("of that delivered in overload".to_owned(), format!("{kept:.2}x")),
        ("until loss was 0 again".to_owned(), recovery(overload)),
        ("slowest answer in overload".to_owned(), known(slowest, time_us)),
    ]
}

fn recovery(overload: &Overload) -> String {
    overload.recovery_s.map_or("never".to_owned(), |seconds| format!("{seconds:.1} s"))
}

fn sections(overload: &Overload) -> Vec<Table> {
    let mut sections = vec![loads(overload), answers(&overload.over, "in overload")];
    sections.push(answers(&overload.then, "afterwards"));
    sections.push(server(overload));
    sections.push(table::generator(&overload.generator));
    sections
}

fn loads(overload: &Overload) -> Table {
    let phases = [&overload.over, &overload.then];
    let mut table = Table::headed("packets/s", ["overload", "afterwards"].map(str::to_owned));
    let carried = overload.capacity.pps;
    let how = if overload.capacity.is_given { "as told" } else { "found" };
    table.row(&format!("server carries ({how})"), [short(carried)]);
    table.row("asked for", phases.map(|phase| short(phase.offered_pps)));
    table.row("sent", phases.map(|phase| short(phase.sent_pps)));
    table.row("delivered", phases.map(|phase| short(phase.delivered_pps)));
    table.row(
        "  times what it carries",
        phases.map(|phase| format!("{:.2}", phase.delivered_pps / carried)),
    );
    table.row("loss", phases.map(|phase| format!("{:.3} %", phase.loss_percent)));
    table.row("until loss was 0 again", ["".to_owned(), recovery(overload)]);
    table
}

fn answers(phase: &Phase, when: &str) -> Table {
    let heads = std::iter::once("answers").chain(FIGURES).map(str::to_owned);
    let mut table = Table::headed(&format!("requests {when}"), heads);
    for (name, took) in &phase.answers {
        let samples = count(took.map_or(0, |took| took.samples));
        let times = latency_cells(took.as_ref());
        table.row(&format!("  {name}"), std::iter::once(samples).chain(times));
    }
    table.row("  never answered", [count(phase.failed_cycles)]);
    table
}

fn server(overload: &Overload) -> Table {
    let mut table = Table::default();
    if let Some(memory) = overload.memory {
        let sizes = [memory.before_bytes, memory.most_bytes, memory.after_bytes];
        let sizes = sizes.map(|size| bytes(size as f64)).join(", ");
        table.row("server memory before, at most, after", [sizes]);
    }
    if let Some(server) = &overload.server {
        table.row("server cores busy", [format!("{:.2}", server.cores_busy)]);
        table.row("server socket drops", [count(server.socket_drops)]);
    }
    table
}
