//! An overload for people: a table, a page, a picture.

use super::{
    html,
    number::{bytes, count, known, latency_cells, short, time_us},
    plot::{Plot, Series},
    table::{self, Table},
};
use crate::{
    count::latency::FIGURES,
    result::overload::{Overload, Phase, Slice},
};

/// Everything as text.
pub(crate) fn text(overload: &Overload) -> String {
    let mut text = overload.title.clone() + "\n";
    for section in sections(overload) {
        text += &format!("\n{}", section.render());
    }
    for warning in &overload.warnings {
        text += &format!("\n!! {warning}");
    }
    for broken in &overload.broken {
        text += &format!("\nnot held: {broken}");
    }
    text.trim_end().to_owned() + "\n"
}

/// Everything as a page.
pub(crate) fn page(overload: &Overload) -> String {
    let mut body = html::cards(&figures(overload));
    let broken = overload.broken.iter().map(|text| format!("not held: {text}"));
    body += &html::notes(&broken.collect::<Vec<_>>(), "bad");
    body += &html::notes(&overload.warnings, "warn");
    body += &html::figure("Packets over time, by when they were due", &plot(overload));
    body += &sections(overload).iter().map(html::table).collect::<String>();
    html::page(&overload.title, &overload.machine, &body)
}

/// Offered, delivered and lost packets over time.
pub(crate) fn picture(overload: &Overload) -> String {
    plot(overload).picture()
}

fn plot(overload: &Overload) -> Plot<'static> {
    let line = |name: &str, value: fn(&Slice) -> f64| Series {
        name: name.to_owned(),
        points: overload.series.iter().map(|slice| (slice.at_s, value(slice))).collect(),
    };
    Plot {
        x_title: "seconds since the overload began",
        y_title: "packets/s",
        x_label: |seconds| format!("{seconds:.0}"),
        y_label: short,
        y_log: false,
        dots: false,
        series: vec![
            line("offered", |slice| slice.sent_pps),
            line("delivered", |slice| slice.delivered_pps),
            line("lost", |slice| slice.lost_pps),
        ],
    }
}

fn figures(overload: &Overload) -> Vec<(String, String)> {
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
