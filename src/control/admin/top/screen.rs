//! The screen of `uturn top`: a picture of a [`TopState`], and of nothing else.

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Paragraph, Row, Table};

use super::state::{Rates, TopState};
use crate::control::admin::print::{duration, held};
use crate::control::admin::protocol::{Busy, Top};
use crate::control::escape;

const STRONG: Style = Style::new().add_modifier(Modifier::BOLD);
const HEAD: Style = Style::new().add_modifier(Modifier::REVERSED);
const ALARM: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
/// Lines for drops: the reasons with most.
const DROP_LINES: usize = 4;

/// Draws everything.
pub(super) fn draw(frame: &mut Frame<'_>, state: &TopState) {
    let Some(now) = state.now() else {
        frame.render_widget(Paragraph::new("waiting for the first figures"), frame.area());
        return;
    };
    let workers = state.workers();
    let worker_lines = u16::try_from(workers.len()).unwrap_or(u16::MAX).saturating_add(1);
    let areas: [_; 4] = Layout::vertical([
        Constraint::Length(6),
        Constraint::Length(worker_lines.saturating_add(1)),
        Constraint::Length(DROP_LINES as u16 + 2),
        Constraint::Fill(1),
    ])
    .areas(frame.area());
    frame.render_widget(summary(state, now, &workers), areas[0]);
    frame.render_widget(worker_table(&workers), areas[1]);
    frame.render_widget(drop_table(state), areas[2]);
    frame.render_widget(session_table(state), areas[3]);
}

fn summary(state: &TopState, now: &Top, workers: &[Option<Rates>]) -> Paragraph<'static> {
    let sum = |of: fn(&Rates) -> f64| workers.iter().flatten().map(of).sum::<f64>();
    let allocations: u64 = workers.iter().flatten().map(|rates| rates.allocations).sum();
    let up = duration(now.at_ms as f64 / 1000.0);
    let imbalance = state.imbalance().map_or("-".to_owned(), |more| format!("{more:.2}x"));
    let overflow =
        state.socket_overflow().map_or("-".to_owned(), |datagrams| format!("{datagrams:.0}/s"));
    Paragraph::new(vec![
        Line::styled(
            format!("uturn {}  {}  up {up}  on {}", now.version, now.state, now.driver),
            STRONG,
        ),
        Line::raw(format!(
            "{} packets/s  {}  {allocations} of {} allocations  {} dropped/s",
            short(sum(|rates| rates.packets)),
            bits(sum(|rates| rates.bits)),
            now.allocations_limit,
            short(sum(|rates| rates.dropped)),
        )),
        Line::raw(format!(
            "busiest worker: {imbalance} of the mean  socket overflow: {overflow} (whole machine)"
        )),
        Line::raw(format!("packets held at most: {}", now.held.map_or("-".to_owned(), held))),
        Line::raw(format!(
            "sorted by {}  keys: p packets, b bits, a age, q quit",
            state.sort.word()
        )),
    ])
}

fn worker_table(workers: &[Option<Rates>]) -> Table<'static> {
    let row = |(worker, rates): (usize, &Option<Rates>)| match rates {
        None => Row::new([worker.to_string(), "does not".into(), "answer".into()]).style(ALARM),
        Some(rates) => Row::new([
            worker.to_string(),
            short(rates.packets),
            short(rates.bits),
            format!("{:.1}", rates.batch),
            format!("{:.0} %", rates.in_trains * 100.0),
            rates.allocations.to_string(),
            short(rates.dropped),
        ]),
    };
    let head = ["worker", "packets/s", "bit/s", "batch", "trains", "allocations", "dropped/s"];
    Table::new(
        workers.iter().enumerate().map(row),
        [
            Constraint::Length(7),
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Length(7),
            Constraint::Length(7),
            Constraint::Length(12),
            Constraint::Length(10),
        ],
    )
    .header(Row::new(head).style(HEAD))
}

fn drop_table(state: &TopState) -> Table<'static> {
    let row = |(reason, rate, total): (&str, f64, u64)| {
        Row::new([reason.to_owned(), short(rate), total.to_string()])
    };
    let rows: Vec<_> = state.drops().into_iter().take(DROP_LINES).map(row).collect();
    Table::new(rows, [Constraint::Length(26), Constraint::Length(10), Constraint::Length(20)])
        .header(Row::new(["dropped because", "dropped/s", "since the start"]).style(HEAD))
}

fn session_table(state: &TopState) -> Table<'static> {
    let row = |busy: &Busy| {
        let session = &busy.session;
        let relayed: Vec<_> = session.relayed.iter().map(ToString::to_string).collect();
        Row::new([
            session.id.clone(),
            short(busy.packets_per_s),
            short(busy.bytes_per_s * 8.0),
            duration(session.age_s),
            escape::text(&session.user).into_owned(),
            session.client.to_string(),
            relayed.join(" "),
        ])
    };
    let rows: Vec<_> = state.busiest().into_iter().map(row).collect();
    let head = ["session", "packets/s", "bit/s", "age", "user", "client", "relayed"];
    Table::new(
        rows,
        [
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Length(10),
            Constraint::Length(20),
            Constraint::Length(22),
            Constraint::Fill(1),
        ],
    )
    .header(Row::new(head).style(HEAD))
}

/// A number in three digits or so, by powers of 1000.
fn short(number: f64) -> String {
    let (value, prefix) = scaled(number);
    format!("{value} {prefix}").trim_end().to_owned()
}

/// As [`short`], with its unit.
fn bits(number: f64) -> String {
    let (value, prefix) = scaled(number);
    format!("{value} {prefix}bit/s")
}

fn scaled(number: f64) -> (String, &'static str) {
    const UNITS: [&str; 5] = ["", "k", "M", "G", "T"];
    let (mut value, mut unit) = (number, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    (format!("{value:.digits$}"), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::state::Sort;
    use super::*;
    use crate::control::admin::protocol::{Held, LoadRow, SessionRow, WorkerFigures};

    fn worker(worker: u8, seconds: u64) -> WorkerFigures {
        let load = if worker == 0 { 3 } else { 1 };
        WorkerFigures {
            worker,
            turns: 100 * seconds,
            received: 800 * seconds * load,
            received_in_trains: 200 * seconds * load,
            packets: 1000 * seconds * load,
            bytes: 125_000 * seconds * load,
            allocations: 7,
            dropped: 5 * seconds,
        }
    }

    fn busy(id: &str, packets_per_s: f64, bytes_per_s: f64, age_s: f64) -> Busy {
        let session = SessionRow {
            id: id.to_owned(),
            user: "alice\x1b[2J".to_owned(),
            realm: "r".to_owned(),
            transport: "udp".to_owned(),
            client: "192.0.2.7:5000".parse().unwrap(),
            server: None,
            relayed: vec!["198.51.100.1:50000".parse().unwrap()],
            permissions: 1,
            channels: 1,
            age_s,
            left_s: 1.0,
            to_peers: LoadRow::default(),
            to_client: LoadRow::default(),
        };
        Busy { session, packets_per_s, bytes_per_s }
    }

    fn top(seconds: u64) -> Top {
        Top {
            version: "1.2.3".to_owned(),
            state: "serving".to_owned(),
            driver: "io_uring".to_owned(),
            at_ms: seconds * 1000,
            allocations_limit: 99,
            worker_count: 3,
            workers: vec![worker(0, seconds), worker(1, seconds)],
            drops: [("no_cookie", 3), ("no_channel", 7 * seconds)]
                .map(|(reason, count)| (reason.to_owned(), count))
                .into(),
            socket_overflow: Some(10 * seconds),
            held: Some(Held { p50_us: 85, p99_us: 240 }),
            busiest: vec![busy("0-1", 5.0, 9000.0, 60.0), busy("0-2", 50.0, 10.0, 3700.0)],
        }
    }

    /// What stands on a screen of 100 by 24, line by line.
    fn screen(state: &TopState) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(100, 24)).unwrap();
        terminal.draw(|frame| draw(frame, state)).unwrap();
        let buffer = terminal.backend().buffer().clone();
        let line = |cells: &[ratatui::buffer::Cell]| {
            let text: String = cells.iter().map(ratatui::buffer::Cell::symbol).collect();
            text.trim_end().to_owned()
        };
        buffer.content.chunks(100).map(line).collect()
    }

    fn two_samples() -> TopState {
        let mut state = TopState::default();
        state.note(top(60));
        state.note(top(62));
        state
    }

    #[test]
    fn a_second_sample_makes_rates() {
        let lines = screen(&two_samples());
        assert_eq!(lines[0], "uturn 1.2.3  serving  up 1 m 02 s  on io_uring");
        assert_eq!(lines[1], "4.0 k packets/s  4.0 Mbit/s  14 of 99 allocations  10 dropped/s");
        assert_eq!(
            lines[2],
            "busiest worker: 2.25x of the mean  socket overflow: 10/s (whole machine)"
        );
        assert_eq!(lines[3], "packets held at most: p50 85 µs, p99 240 µs");
        let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(
            words(&lines[6]),
            ["worker", "packets/s", "bit/s", "batch", "trains", "allocations", "dropped/s"]
        );
        assert_eq!(words(&lines[7]), ["0", "3.0", "k", "3.0", "M", "24.0", "25", "%", "7", "5"]);
        assert_eq!(words(&lines[8]), ["1", "1.0", "k", "1.0", "M", "8.0", "25", "%", "7", "5"]);
        assert_eq!(words(&lines[9]), ["2", "does", "not", "answer"]);
        assert_eq!(words(&lines[12]), ["no_channel", "7", "434"]);
        assert_eq!(words(&lines[13]), ["no_cookie", "0", "3"]);
    }

    #[test]
    fn sessions_are_sorted_by_the_key() {
        let mut state = two_samples();
        for (sort, first, word) in [
            (Sort::Packets, "0-2", "sorted by packets"),
            (Sort::Bits, "0-1", "sorted by bits"),
            (Sort::Age, "0-2", "sorted by age"),
        ] {
            state.sort = sort;
            let lines = screen(&state);
            assert!(lines[4].starts_with(word), "{}", lines[4]);
            let head = lines.iter().position(|line| line.starts_with("session")).unwrap();
            assert!(lines[head + 1].starts_with(first), "{sort:?}: {lines:#?}");
            assert!(lines[head + 1].contains("192.0.2.7:5000"));
        }
    }

    #[test]
    fn one_sample_has_no_rates_and_none_is_waited_for() {
        assert_eq!(screen(&TopState::default())[0], "waiting for the first figures");
        let mut state = TopState::default();
        state.note(top(60));
        let lines = screen(&state);
        assert!(lines[1].starts_with("0 packets/s  0 bit/s"), "{}", lines[1]);
        assert!(lines[2].contains("-"), "{}", lines[2]);
    }

    #[test]
    fn a_small_terminal_is_no_panic() {
        for (width, height) in [(1, 1), (20, 5), (300, 3)] {
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &two_samples())).unwrap();
        }
    }

    #[test]
    fn numbers_are_short() {
        for (number, text) in [(0.0, "0"), (999.0, "999"), (1000.0, "1.0 k"), (2.5e9, "2.5 G")] {
            assert_eq!(short(number), text);
        }
    }
}
