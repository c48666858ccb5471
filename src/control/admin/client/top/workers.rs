//! A line for each worker, as many as there is room for.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Row, Table};

use super::palette::{Fullness, Palette};
use super::state::{Rates, TopState};
use super::text::{meter, short};

/// The part of the screen's rest that workers may have beside sessions.
const PART: u16 = 3;
/// Columns of the CPU's bar.
const METER: usize = 12;

const WIDTHS: [Constraint; 8] = [
    Constraint::Length(6),
    Constraint::Length(METER as u16 + 6),
    Constraint::Length(9),
    Constraint::Length(8),
    Constraint::Length(5),
    Constraint::Length(6),
    Constraint::Length(6),
    Constraint::Length(9),
];

/// Lines that the workers take of so many: a head, one for each, and perhaps one for the rest.
pub(super) fn lines(state: &TopState, height: u16) -> u16 {
    let workers = u16::try_from(state.workers().len()).unwrap_or(u16::MAX);
    workers.saturating_add(1).min((height / PART).max(2))
}

pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState, palette: Palette, area: Rect) {
    let mut workers: Vec<_> = state.workers().into_iter().enumerate().collect();
    let room = usize::from(area.height.saturating_sub(1));
    let rest = workers.len().saturating_sub(room);
    if rest > 0 {
        // Those that do not answer first, then the busiest: what an operator looks for.
        workers.sort_by(|(_, a), (_, b)| load(b).total_cmp(&load(a)));
        workers.truncate(room.saturating_sub(1));
    }
    let rows: Vec<_> = workers.iter().map(|(index, it)| row(*index, it, palette)).collect();
    let head = ["worker", "CPU", "packets/s", "bit/s", "batch", "trains", "alloc", "dropped/s"];
    let table = Table::new(rows, WIDTHS).header(Row::new(head).style(palette.head()));
    frame.render_widget(table, area);
    if rest > 0 {
        let more = format!("and {} that are less busy: w shows all", rest + 1);
        let last = Rect { y: area.bottom().saturating_sub(1), height: area.height.min(1), ..area };
        frame.render_widget(Line::styled(more, palette.label()), last);
    }
}

fn load(rates: &Option<Rates>) -> f64 {
    rates.map_or(f64::INFINITY, |rates| rates.cpu.unwrap_or(0.0) + rates.packets * 1e-9)
}

fn row(index: usize, rates: &Option<Rates>, palette: Palette) -> Row<'static> {
    let Some(rates) = rates else {
        return Row::new([index.to_string(), "does not answer".to_owned()]).style(palette.alarm());
    };
    let cells = [
        short(rates.packets),
        short(rates.bits),
        format!("{:.1}", rates.batch),
        format!("{:.0} %", rates.in_trains * 100.0),
        rates.allocations.to_string(),
        short(rates.dropped),
    ];
    let [index, cpu] = [Cell::from(index.to_string()), Cell::from(cpu(rates.cpu, palette))];
    Row::new([index, cpu].into_iter().chain(cells.map(Cell::from)))
}

fn cpu(share: Option<f64>, palette: Palette) -> Line<'static> {
    let Some(share) = share else { return Line::raw("-") };
    let style = palette.level(Fullness::of(share));
    Line::from(vec![
        Span::raw(format!("{:>3.0} % ", share * 100.0)),
        Span::styled(meter(share, METER), style),
    ])
}
