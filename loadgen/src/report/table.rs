//! The table at the end of a run.

use super::number::{bytes, count, known, latency_cells, short};
use crate::{
    count::latency::FIGURES,
    result::{
        generator::GeneratorOutcome,
        outcome::{Outcome, SetUpOutcome},
        server::ServerOutcome,
        way::WayOutcome,
    },
};

/// Rows of cells: the first column to the left, the others to the right, as wide as they must be.
#[derive(Debug, Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    /// The first row names the columns.
    headed: bool,
}

impl Table {
    /// A table whose columns have names.
    pub(crate) fn headed(name: &str, cells: impl IntoIterator<Item = String>) -> Table {
        let mut table = Table { rows: Vec::new(), headed: true };
        table.row(name, cells);
        table
    }

    pub(crate) fn is_headed(&self) -> bool {
        self.headed
    }

    pub(crate) fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.rows.push(std::iter::once(name.to_owned()).chain(cells).collect());
    }

    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    pub(crate) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or_default()
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
                if column == 0 { format!("{cell:<width$}") } else { format!("  {cell:>width$}") }
            });
            cells.collect::<String>().trim_end().to_owned() + "\n"
        };
        self.rows.iter().map(line).collect()
    }
}

/// Everything a run has to say, in tables: both ways, set-up, server, generator.
pub(super) fn sections(outcome: &Outcome) -> Vec<Table> {
    let set_up = outcome.set_up.iter().map(set_up);
    let server = outcome.server.iter().map(|used| server(used, &outcome.unit));
    let ends = [generator(&outcome.generator)];
    [ways(&outcome.ways), latencies(outcome)]
        .into_iter()
        .chain(set_up)
        .chain(server)
        .chain(ends)
        .collect()
}

/// The same as text.
pub(crate) fn render(outcome: &Outcome) -> String {
    let mut text = outcome.title.clone() + "\n";
    for section in sections(outcome) {
        text += &format!("\n{}", section.render());
    }
    for warning in &outcome.warnings {
        text += &format!("\n!! {warning}");
    }
    for broken in &outcome.verdict.broken {
        text += &format!("\nlimit broken: {broken}");
    }
    text.trim_end().to_owned() + "\n"
}

fn set_up(set_up: &SetUpOutcome) -> Table {
    let mut table = Table::headed("requests", FIGURES.map(str::to_owned));
    for (name, latency) in &set_up.requests {
        table.row(&format!("  {name}"), latency_cells(latency.as_ref()));
    }
    table
}

fn ways(ways: &[WayOutcome]) -> Table {
    type Cell = fn(&WayOutcome) -> String;
    let rows: [(&str, Cell); 9] = [
        ("sent", |way| count(way.sent)),
        ("delivered", |way| count(way.relayed)),
        ("lost", |way| count(way.lost)),
        ("loss", |way| format!("{:.4} %", way.loss_percent)),
        ("reordered", |way| count(way.reordered)),
        ("duplicated", |way| count(way.duplicates)),
        ("corrupt or misrouted", |way| count(way.corrupt + way.misrouted)),
        ("delivered/s", |way| short(way.pps)),
        ("payload Gbit/s", |way| format!("{:.3}", way.gbps)),
    ];
    let mut table = Table::headed("", ways.iter().map(|way| way.direction.clone()));
    for (name, cell) in rows {
        table.row(name, ways.iter().map(cell));
    }
    table
}

/// Both ways, and the generator alone.
fn latencies(outcome: &Outcome) -> Table {
    let mut table = Table::headed("latency", FIGURES.map(str::to_owned));
    for way in &outcome.ways {
        table.row(&format!("  {}", way.direction), latency_cells(way.latency.as_ref()));
    }
    if let Some(floor) = &outcome.floor {
        table.row(FLOOR_ROW, latency_cells(Some(floor)));
    }
    table
}

fn server(server: &ServerOutcome, unit: &str) -> Table {
    let mut table = Table::default();
    let part = |ns: Option<f64>| known(ns, |ns| format!("{ns:.0}"));
    let cpu = known(server.cpu_ns_per_packet, |ns| format!("{ns:.0} ns"));
    table.row(&format!("server CPU per {unit}"), [cpu]);
    let parts = (part(server.user_ns_per_packet), part(server.system_ns_per_packet));
    table.row("  user, system", [format!("{}, {} ns", parts.0, parts.1)]);
    table.row("  cores busy", [format!("{:.2}", server.cores_busy)]);
    table.row("  resident memory", [bytes(server.resident_bytes as f64)]);
    if let Some(each) = server.bytes_per_allocation {
        table.row("  memory per allocation", [bytes(each)]);
    }
    table.row(
        &format!("  context switches per {unit}"),
        [known(server.switches_per_packet, |switches| format!("{switches:.3}"))],
    );
    table.row("  socket drops", [count(server.socket_drops)]);
    table
}

/// The row of the generator's own latency.
pub(super) const FLOOR_ROW: &str = "  the same without a relay";

/// What a thread does while nothing is due.
pub(super) fn waiting(spins: bool) -> &'static str {
    if spins { "spins" } else { "sleeps" }
}

/// What the generator used.
pub(super) fn generator(generator: &GeneratorOutcome) -> Table {
    let mut table = Table::default();
    for thread in &generator.threads {
        let core = thread.core.map_or(String::new(), |core| format!(" on core {core}"));
        let share = format!("busy {:.0} %, CPU {:.0} %", 100.0 * thread.busy, 100.0 * thread.cpu);
        table.row(&format!("generator: {}{core}", thread.role), [share]);
    }
    table.row("  while nothing is due", [waiting(generator.spins).to_owned()]);
    let [p50, _, p99, ..] = latency_cells(generator.lag.as_ref());
    table.row("  sent after due, p50 and p99", [format!("{p50}, {p99}")]);
    table.row("  socket drops", [count(generator.socket_drops)]);
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::default();
        table.row("", ["a → b".to_owned(), "x".to_owned()]);
        table.row("sent", ["1".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.render(), "      a → b      x\nsent      1  1,000\n");
    }
}
