//! Tables, as text and as HTML.

use std::iter;

use super::{
    number::{count, latency_cells},
    page::escape::escape,
};
use crate::{result::generator::GeneratorOutcome, stream::Transport};

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

    pub(crate) fn row(&mut self, name: &str, cells: impl IntoIterator<Item = String>) {
        self.rows.push(iter::once(name.to_owned()).chain(cells).collect());
    }

    /// As HTML.
    pub(crate) fn html(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or_default();
        let row = |row: &Vec<String>| {
            let cells = row.iter().map(String::as_str).chain(iter::repeat("")).take(columns);
            let cells = cells.map(|cell| format!("<td>{}</td>", escape(cell)));
            format!("<tr>{}</tr>\n", cells.collect::<String>())
        };
        let rows: String = self.rows.iter().map(row).collect();
        let class = if self.headed { " class=\"headed\"" } else { "" };
        format!("<div class=\"scroll\"><table{class}>\n{rows}</table></div>\n")
    }

    /// As text.
    pub(crate) fn text(&self) -> String {
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

/// The row of the generator's own latency.
pub(super) fn floor_row(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "  the same without a relay",
        Transport::Tcp | Transport::Tls => "  the same by UDP, without a relay",
    }
}

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
    fn every_row_of_a_page_is_as_long_as_the_longest() {
        let mut table = Table::default();
        table.row("a", ["1".to_owned()]);
        table.row("b", ["1".to_owned(), "2".to_owned()]);
        assert_eq!(table.html().matches("<td>").count(), 2 * 3);
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::default();
        table.row("", ["a → b".to_owned(), "x".to_owned()]);
        table.row("sent", ["1".to_owned(), "1,000".to_owned()]);
        assert_eq!(table.text(), "      a → b      x\nsent      1  1,000\n");
    }
}
