//! What lies over the screen when it is asked for: one session with everybody it talks to, or what
//! the keys do and the words mean.

use ratatui::Frame;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph, Wrap};

use super::palette::Palette;
use super::state::OpenedSession;
use crate::control::admin::client::print::detail_words;
use crate::control::escape;

const HELP: &str = "\
up/down j/k   move the bar over the sessions      PgUp PgDn Home End
Enter         the session under the bar, with its permissions and channels
p  b  a       sort sessions by packets, bits, age
w             every worker, or the sessions again
Esc           back      q  quit      ?  this help

CPU       share of a core that the worker's thread used
batch     packets in one turn of the worker's loop
trains    share of the packets that came in trains (cheap)
held      longest time that packets can have been in the server, this second
overflow  packets that found a socket's buffer full, all programs

The bars show the last five minutes; the latest is on the right.
The sessions are the busiest: `uturn sessions` lists all of them.";

/// Columns of the help.
const WIDTH: u16 = 74;

pub(super) fn help(frame: &mut Frame<'_>, palette: Palette) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    over(frame, " help ", HELP.to_owned(), lines, palette);
}

pub(super) fn session(frame: &mut Frame<'_>, opened: &OpenedSession, palette: Palette) {
    let text = match &opened.detail {
        None => "asking".to_owned(),
        // The box's title says which session it is.
        Some(Ok(detail)) => {
            detail_words(detail).lines().skip(2).map(|it| format!("{it}\n")).collect()
        }
        Some(Err(problem)) => format!("{problem}\nEsc goes back"),
    };
    let text = escape::lines(&text).into_owned();
    let lines = u16::try_from(text.lines().count()).unwrap_or(u16::MAX);
    let title = format!(" session {} ", escape::text(&opened.id));
    over(frame, &title, text, lines, palette);
}

/// A box in the middle, as high as its text and no higher than the screen.
fn over(frame: &mut Frame<'_>, title: &str, text: String, lines: u16, palette: Palette) {
    let area = middle(frame.area(), WIDTH + 4, lines.saturating_add(2));
    let block = Block::bordered().title(Line::styled(title.to_owned(), palette.strong()));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(text).wrap(Wrap { trim: false }).block(block), area);
}

fn middle(area: Rect, width: u16, height: u16) -> Rect {
    let [column] = Layout::horizontal([Constraint::Max(width)]).flex(Flex::Center).areas(area);
    let [place] = Layout::vertical([Constraint::Max(height)]).flex(Flex::Center).areas(column);
    place
}
