//! Drops and refusals beside each other, by reason, those with most first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::widgets::{Row, Table};

use super::palette::Palette;
use super::state::{Count, TopState};
use super::text::short;

/// Reasons on a small screen, and on one that has room.
const FEW: u16 = 3;
const MANY: u16 = 6;
/// From so many lines on there is room.
const ROOMY: u16 = 26;

/// Lines that the reasons take, with their head: no more than there are reasons.
pub(super) fn lines(state: &TopState, area: Rect) -> u16 {
    let most = if area.height < ROOMY { FEW } else { MANY };
    let reasons = state.drops().len().max(state.refusals().len());
    1 + u16::try_from(reasons).unwrap_or(most).clamp(1, most)
}

pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState, palette: Palette, area: Rect) {
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)])
            .areas(area);
    frame.render_widget(table("dropped because", &state.drops(), palette), left);
    frame.render_widget(table("refused because", &state.refusals(), palette), right);
}

fn table(head: &'static str, counts: &[Count<'_>], palette: Palette) -> Table<'static> {
    let row = |count: &Count<'_>| {
        let row = Row::new([count.reason.to_owned(), short(count.per_s), count.total.to_string()]);
        if count.per_s >= 1.0 { row.style(palette.alarm()) } else { row }
    };
    let rows: Vec<_> = match counts {
        [] => vec![Row::new(["nothing so far"])],
        counts => counts.iter().map(row).collect(),
    };
    let widths = [Constraint::Fill(1), Constraint::Length(6), Constraint::Length(8)];
    Table::new(rows, widths).header(Row::new([head, "/s", "in all"]).style(palette.head()))
}
