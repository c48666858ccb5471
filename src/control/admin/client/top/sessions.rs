//! The busiest sessions. Every port is whole; on a narrow screen the age and most of the user's
//! name go first.

use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::widgets::{Row, Table, TableState};

use super::palette::Palette;
use super::state::TopState;
use super::text::{address, cut, short};
use crate::control::admin::client::print::duration;
use crate::control::admin::protocol::Busy;
use crate::control::escape;

/// Columns of `255.255.255.255:65535`.
const SHORT_ADDRESS: usize = 21;
const ID: usize = 8;
const RATE: usize = 6;
/// `udp`, `tcp`, `tls`, below "over".
const OVER: usize = 4;
const AGE: usize = 9;
const NAME: usize = 8;
/// From so many columns on there is room for the age.
const ROOMY: usize = 100;

/// How many columns each column of the table has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Widths {
    age: Option<usize>,
    name: usize,
    address: usize,
}

impl Widths {
    /// Addresses have what they need before the name gets more.
    fn of(columns: usize, longest_address: usize) -> Self {
        let age = (columns >= ROOMY).then_some(AGE);
        let gaps = 6 + usize::from(age.is_some());
        let fixed = ID + 2 * RATE + OVER + age.unwrap_or(0) + gaps;
        let rest = columns.saturating_sub(fixed);
        let widest = rest.saturating_sub(NAME) / 2;
        let address = longest_address.clamp(SHORT_ADDRESS, widest.max(SHORT_ADDRESS));
        Self { age, name: rest.saturating_sub(2 * address).min(40), address }
    }
}

pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState, palette: Palette, area: Rect) {
    let sessions = state.sessions();
    let lengths = sessions.iter().flat_map(|busy| {
        let session = &busy.session;
        session.relayed.iter().chain([&session.client]).map(|it| it.to_string().len())
    });
    let widths = Widths::of(usize::from(area.width), lengths.max().unwrap_or(0));
    let rows = sessions.iter().map(|busy| row(busy, widths));
    let by = |word: &str| format!("by {}", state.sort().word()) == format!("by {word}");
    let rate = |word: &'static str, name: &'static str| {
        if by(word) { format!("{name}▾") } else { name.to_owned() }
    };
    let head = ["session".to_owned(), rate("packets", "pkt/s"), rate("bits", "bit/s")]
        .into_iter()
        .chain(widths.age.map(|_| rate("age", "age")))
        .chain(["user", "over", "client", "relayed"].map(str::to_owned));
    let constraints = [ID, RATE, RATE].into_iter().chain(widths.age).chain([
        widths.name,
        OVER,
        widths.address,
        widths.address,
    ]);
    let table = Table::new(rows, constraints.map(|columns| Constraint::Length(columns as u16)))
        .header(Row::new(head).style(palette.head()))
        .row_highlight_style(palette.bar());
    let mut place = TableState::new().with_selected(state.selected());
    frame.render_stateful_widget(table, area, &mut place);
}

fn row(busy: &Busy, widths: Widths) -> Row<'static> {
    let session = &busy.session;
    let relayed = session.relayed.first().map(|it| address(*it, widths.address));
    let cells = [session.id.clone(), short(busy.packets_per_s), short(busy.bytes_per_s * 8.0)]
        .into_iter()
        .chain(widths.age.map(|_| duration(session.age_s)))
        .chain([
            cut(&escape::text(&session.user), widths.name),
            session.transport.clone(),
            address(session.client, widths.address),
            relayed.unwrap_or_default(),
        ]);
    Row::new(cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn eighty_columns_have_two_whole_ipv4_addresses() {
        let widths = Widths::of(80, 21);
        assert_eq!(widths, Widths { age: None, name: 8, address: 21 });
        let used = ID + 2 * RATE + OVER + widths.name + 2 * widths.address + 6;
        assert_eq!(used, 80);
    }

    #[test]
    fn a_wide_screen_has_whole_ipv6_addresses_and_ages() {
        let widths = Widths::of(160, 47);
        assert_eq!((widths.age, widths.address), (Some(AGE), 47));
        assert!(widths.name >= NAME, "{widths:?}");
        assert_eq!(Widths::of(120, 21).address, 21);
    }
}
