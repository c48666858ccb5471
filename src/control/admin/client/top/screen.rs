//! The screen of `uturn top`: a picture of a [`TopState`], and of nothing else.
//!
//! ```text
//! name, state, up                     80x24 has 4 workers, 3 reasons and 8 sessions
//! packets, bits, drops: the last minutes
//! allocations, time held, overflow, balance
//! workers
//! drops            refusals
//! sessions
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Paragraph, Sparkline};

use super::palette::{Fullness, Palette};
use super::state::{Overlay, TopState};
use super::text::{bits, short};
use super::trace::Trace;
use super::{overlay, reasons, sessions, workers};
use crate::control::admin::client::print::{duration, held};
use crate::control::admin::protocol::Top;

/// Columns before a line of bars: what it is, the rate now, the peak.
const BEFORE_BARS: u16 = 36;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState, palette: Palette) {
    let Some(now) = state.now() else {
        frame.render_widget(Paragraph::new("waiting for the first figures"), frame.area());
        return;
    };
    let [title, traces, summary, rest] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(3),
        Constraint::Length(2),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    frame.render_widget(title_line(state, now, palette), title);
    draw_traces(frame, state, palette, traces);
    frame.render_widget(summary_lines(state, now, palette), summary);
    if state.is_about_workers {
        workers::draw(frame, state, palette, rest);
    } else {
        let (lines, reason_lines) =
            (workers::lines(state, rest.height), reasons::lines(state, rest));
        let heights = [lines, reason_lines].map(Constraint::Length);
        let [first, second, third] =
            Layout::vertical([heights[0], heights[1], Constraint::Fill(1)]).areas(rest);
        workers::draw(frame, state, palette, first);
        reasons::draw(frame, state, palette, second);
        sessions::draw(frame, state, palette, third);
    }
    match &state.overlay {
        Overlay::None => {}
        Overlay::Help => overlay::help(frame, palette),
        Overlay::Session(opened) => overlay::session(frame, opened, palette),
    }
}

fn title_line(state: &TopState, now: &Top, palette: Palette) -> Line<'static> {
    let up = duration(now.at_ms as f64 / 1000.0);
    let serving = if now.state == "serving" { palette.strong() } else { palette.alarm() };
    let silent = state.workers().iter().filter(|rates| rates.is_none()).count();
    let mut spans = vec![
        Span::styled(format!("uturn {}  ", now.version), palette.strong()),
        Span::styled(now.state.clone(), serving),
    ];
    if silent > 0 {
        spans.push(Span::styled(format!("  silent workers: {silent}"), palette.alarm()));
    }
    spans.push(Span::raw(format!("  up {up}  on {}", now.driver)));
    spans.push(Span::styled("   ? help  q quit", palette.label()));
    Line::from(spans)
}

fn draw_traces(frame: &mut Frame<'_>, state: &TopState, palette: Palette, area: Rect) {
    let rows: [_; 3] = Layout::vertical([Constraint::Length(1); 3]).areas(area);
    let traces = [
        ("packets/s", &state.packets, short as fn(f64) -> String),
        ("payload", &state.bits, bits),
        ("dropped/s", &state.dropped, short),
    ];
    for ((name, trace, unit), row) in traces.into_iter().zip(rows) {
        let [words, bars] =
            Layout::horizontal([Constraint::Length(BEFORE_BARS), Constraint::Fill(1)]).areas(row);
        let now = trace.bars(300).last().copied().unwrap_or(0) as f64;
        let line = Line::from(vec![
            Span::styled(format!("{name:<10}"), palette.label()),
            Span::styled(format!("{:>10}", unit(now)), palette.strong()),
            Span::raw(format!("  peak {:>7} ", short(trace.peak()))),
        ]);
        frame.render_widget(line, words);
        draw_bars(frame, trace, palette, bars);
    }
}

/// The latest bar stands on the right.
fn draw_bars(frame: &mut Frame<'_>, trace: &Trace, palette: Palette, area: Rect) {
    let bars = trace.bars(usize::from(area.width));
    let columns = u16::try_from(bars.len()).unwrap_or(area.width);
    let [_, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(columns)]).areas(area);
    frame.render_widget(Sparkline::default().data(bars).style(palette.spark()), right);
}

fn summary_lines(state: &TopState, now: &Top, palette: Palette) -> Paragraph<'static> {
    let allocations: u64 = now.workers.iter().map(|worker| worker.allocations).sum();
    let full = allocations as f64 / f64::from(now.allocations_limit.max(1));
    let imbalance = state.imbalance().map_or("-".to_owned(), |more| format!("{more:.2}x"));
    let overflow = state.socket_overflow().map_or("-".to_owned(), |it| format!("{it:.0}/s"));
    let label = |word: &'static str| Span::styled(word, palette.label());
    Paragraph::new(vec![
        Line::from(vec![
            label("allocations "),
            Span::styled(allocations.to_string(), palette.level(Fullness::of(full))),
            Span::raw(format!(" of {}   ", now.allocations_limit)),
            label("held "),
            Span::raw(now.held.map_or("-".to_owned(), held)),
        ]),
        Line::from(vec![
            label("busiest worker "),
            Span::raw(format!("{imbalance} of the mean   ")),
            label("socket overflow "),
            Span::raw(format!("{overflow} (whole machine)")),
        ]),
    ])
}
