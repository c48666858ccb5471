//! Whole screens, as text.

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::{Buffer, Cell};
use ratatui::style::Color;

use super::keys::{KeyPress, Sort};
use super::palette::Palette;
use super::screen::draw;
use super::state::{After, TopState};
use crate::control::admin::protocol::{
    BoundChannel, Busy, Held, LoadRow, PermittedPeer, SessionDetail, SessionRow, Top, WorkerFigures,
};

fn worker(worker: u8, seconds: u64) -> WorkerFigures {
    let load = if worker == 0 { 3 } else { 1 };
    WorkerFigures {
        worker,
        cpu_us: Some(300_000 * seconds * load),
        turns: 100 * seconds,
        received: 800 * seconds * load,
        received_in_trains: 200 * seconds * load,
        packets: 1000 * seconds * load,
        bytes: 125_000 * seconds * load,
        allocations: 7,
        dropped: 5 * seconds,
    }
}

fn session(id: &str, age_s: f64) -> SessionRow {
    SessionRow {
        id: id.to_owned(),
        user: "alice\x1b[2J".to_owned(),
        realm: "r".to_owned(),
        transport: "udp".to_owned(),
        client: "192.168.100.100:58647".parse().unwrap(),
        server: None,
        relayed: vec!["198.51.100.100:50000".parse().unwrap()],
        permissions: 1,
        channels: 1,
        age_s,
        left_s: 1.0,
        to_peers: LoadRow::default(),
        to_client: LoadRow::default(),
    }
}

fn busy(id: &str, packets_per_s: f64, bytes_per_s: f64, age_s: f64) -> Busy {
    Busy { session: session(id, age_s), packets_per_s, bytes_per_s }
}

fn top(seconds: u64, workers: u8) -> Top {
    let many = (3..60).map(|n| busy(&format!("1-{n}"), 1.0 / f64::from(n), 1.0, f64::from(n)));
    let busiest = [busy("0-1", 5.0, 9000.0, 60.0), busy("0-2", 50.0, 10.0, 3700.0)];
    Top {
        version: "1.2.3".to_owned(),
        state: "serving".to_owned(),
        driver: "io_uring".to_owned(),
        at_ms: seconds * 1000,
        allocations_limit: 99,
        worker_count: usize::from(workers) + 1,
        workers: (0..workers).map(|index| worker(index, seconds)).collect(),
        drops: [("no_cookie", 3), ("no_channel", 7 * seconds)]
            .map(|(reason, count)| (reason.to_owned(), count))
            .into(),
        refusals: [("wrong_credentials".to_owned(), 4 * seconds)].into(),
        socket_overflow: Some(10 * seconds),
        held: Some(Held { p50_us: 85, p99_us: 240 }),
        busiest: busiest.into_iter().chain(many).collect(),
    }
}

fn buffer(state: &TopState, (width, height): (u16, u16), palette: Palette) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, state, palette)).unwrap();
    terminal.backend().buffer().clone()
}

/// What stands on a screen, line by line.
fn screen(state: &TopState, size: (u16, u16)) -> Vec<String> {
    let line = |cells: &[Cell]| {
        let text: String = cells.iter().map(Cell::symbol).collect();
        text.trim_end().to_owned()
    };
    let buffer = buffer(state, size, Palette::PLAIN);
    buffer.content.chunks(usize::from(size.0)).map(line).collect()
}

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);

fn two_samples() -> TopState {
    let mut state = TopState::default();
    state.note(top(60, 2));
    state.note(top(62, 2));
    state
}

fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

fn line<'a>(lines: &'a [String], begin: &str) -> &'a str {
    let found = lines.iter().find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("no line begins with {begin:?}: {lines:#?}"))
}

#[test]
fn a_second_sample_makes_rates() {
    for size in [SMALL, LARGE] {
        let lines = screen(&two_samples(), size);
        assert!(
            lines[0]
                .starts_with("uturn 1.2.3  serving  silent workers: 1  up 1 m 02 s  on io_uring")
        );
        assert!(lines[1].starts_with("packets/s      4.0 k  peak   4.0 k "), "{}", lines[1]);
        assert!(lines[2].starts_with("payload   4.0 Mbit/s"), "{}", lines[2]);
        assert!(lines[1].ends_with('█'), "{lines:#?} the latest bar is on the right: {}", lines[1]);
        let (first, second) = (
            "allocations 14 of 99   held p50 85 µs, p99 240 µs",
            "busiest worker 2.25x of the mean   socket overflow 10/s (whole machine)",
        );
        assert_eq!([lines[4].as_str(), &lines[5]], [first, second]);
        let zero = words(line(&lines, "0 "));
        assert_eq!(zero[..4], ["0", "90", "%", "██████████▊"], "{zero:?}");
        assert_eq!(zero[4..], ["3.0", "k", "3.0", "M", "24.0", "25", "%", "7", "5"]);
        assert_eq!(words(line(&lines, "2 ")), ["2", "does", "not", "answer"]);
        assert!(lines[0].contains("silent workers: 1"));
        let reasons = words(line(&lines, "no_channel"));
        assert_eq!(reasons, ["no_channel", "7", "434", "wrong_credentials", "4", "248"]);
        assert!(line(&lines, "dropped because").contains("refused because"));
    }
}

#[test]
fn reasons_take_no_more_lines_than_there_are() {
    let head_of_sessions = |state: &TopState| {
        let lines = screen(state, LARGE);
        let at = |begin: &str| lines.iter().position(|line| line.starts_with(begin)).unwrap();
        at("session") - at("dropped because")
    };
    assert_eq!(head_of_sessions(&two_samples()), 3, "two kinds of drops");
    let mut calm = TopState::default();
    calm.note(Top { drops: [].into(), refusals: [].into(), ..top(60, 2) });
    assert_eq!(head_of_sessions(&calm), 2, "nothing so far");
}

// A port that is cut is another port.
#[test]
fn eighty_columns_show_every_address_whole() {
    let lines = screen(&two_samples(), SMALL);
    let row = line(&lines, "0-2");
    assert!(row.contains(" udp  192.168.100.100:58647 198.51.100.100:50000"), "{row}");
    assert!(lines.iter().all(|line| line.chars().count() <= 80));
    let at = lines.iter().position(|line| line.starts_with("session")).unwrap();
    assert!(24 - at > 8, "there is room for sessions: {lines:#?}");
}

#[test]
fn sessions_are_sorted_by_the_key() {
    let mut state = two_samples();
    for (sort, first, head) in [
        (Sort::Packets, "0-2", "pkt/s▾"),
        (Sort::Bits, "0-1", "bit/s▾"),
        (Sort::Age, "0-2", "age▾"),
    ] {
        assert_eq!(state.press(KeyPress::Sort(sort)), After::GoOn);
        let lines = screen(&state, LARGE);
        let at = lines.iter().position(|line| line.starts_with("session")).unwrap();
        assert!(lines[at].contains(head), "{}", lines[at]);
        assert!(lines[at + 1].starts_with(first), "{sort:?}: {lines:#?}");
    }
}

#[test]
fn the_bar_reaches_every_session_and_stays_on_its_own() {
    let mut state = two_samples();
    assert_eq!(state.selected(), None);
    state.press(KeyPress::Last);
    assert_eq!(state.selected(), Some(58));
    let lines = screen(&state, SMALL);
    assert!(lines[23].starts_with("1-59"), "it has scrolled: {lines:#?}");
    state.press(KeyPress::Move(1));
    assert_eq!(state.selected(), Some(58), "there is none below");
    state.press(KeyPress::First);
    state.press(KeyPress::Move(1));
    assert_eq!(state.selected(), Some(1));
    state.press(KeyPress::Sort(Sort::Bits));
    assert_eq!(state.selected(), Some(0), "0-1 has most bits and keeps the bar");
}

#[test]
fn enter_opens_a_session_and_escape_leaves_it() {
    let mut state = two_samples();
    state.press(KeyPress::Open);
    assert_eq!(state.wanted_detail(), Some("0-2"));
    assert!(screen(&state, SMALL).iter().any(|line| line.contains("asking")));
    let peer: std::net::SocketAddr = "203.0.113.9:7000".parse().unwrap();
    let detail = SessionDetail {
        session: session("0-2", 3700.0),
        permitted: vec![PermittedPeer { peer: peer.ip(), left_s: 299.0 }],
        bound: vec![BoundChannel { channel: 0x4001, peer, left_s: 600.0 }],
    };
    state.note_detail("0-9", Ok(Box::new(detail.clone())));
    assert!(state.wanted_detail().is_some(), "that was another one");
    state.note_detail("0-2", Ok(Box::new(detail)));
    assert_eq!(state.wanted_detail(), None);
    let text = screen(&state, SMALL).join("\n");
    for part in ["session 0-2", "192.168.100.100:58647", "0x4001 is 203.0.113.9:7000"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    state.age_detail();
    assert_eq!(state.wanted_detail(), Some("0-2"));
    state.note_detail("0-2", Err("there is no session 0-2".to_owned()));
    assert!(screen(&state, SMALL).join("\n").contains("there is no session 0-2"));
    assert_eq!(state.press(KeyPress::Back), After::GoOn);
    assert_eq!(state.press(KeyPress::Back), After::Quit);
}

#[test]
fn help_names_every_key_and_fits_a_small_screen() {
    let mut state = two_samples();
    state.press(KeyPress::Help);
    let text = screen(&state, SMALL).join("\n");
    for part in ["move the bar", "Enter", "sort sessions", "every worker", "q  quit", "lists all"] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
    state.press(KeyPress::Help);
    assert!(!screen(&state, SMALL).join("\n").contains("move the bar"));
}

#[test]
fn many_workers_leave_room_for_sessions_until_all_are_wanted() {
    let mut state = TopState::default();
    state.note(top(60, 64));
    state.note(top(62, 64));
    let lines = screen(&state, LARGE);
    let at = |lines: &[String], begin: &str| lines.iter().position(|it| it.starts_with(begin));
    let workers = at(&lines, "worker").unwrap();
    assert!(lines[workers + 1].starts_with("64"), "the silent one first: {lines:#?}");
    assert!(lines[workers + 2].starts_with("0 "), "then the busiest: {lines:#?}");
    assert!(lines.iter().any(|line| line.contains("w shows all")));
    assert!(at(&lines, "session").is_some());
    state.press(KeyPress::Workers);
    let lines = screen(&state, (120, 80));
    assert!(at(&lines, "63 ").is_some() && at(&lines, "session").is_none(), "{lines:#?}");
}

#[test]
fn one_sample_has_no_rates_and_none_is_waited_for() {
    assert_eq!(screen(&TopState::default(), SMALL)[0], "waiting for the first figures");
    let mut state = TopState::default();
    state.note(top(60, 2));
    let lines = screen(&state, SMALL);
    assert!(lines[1].starts_with("packets/s          0  peak       0"), "{}", lines[1]);
    assert!(lines[5].starts_with("busiest worker - of the mean"), "{}", lines[5]);
}

#[test]
fn nothing_is_coloured_where_colours_are_not_wanted() {
    let mut state = two_samples();
    state.press(KeyPress::Help);
    let is_coloured = |cell: &Cell| cell.fg != Color::Reset || cell.bg != Color::Reset;
    let coloured = |palette| buffer(&state, LARGE, palette).content.iter().any(is_coloured);
    assert!(coloured(Palette::COLOURED));
    assert!(!coloured(Palette::PLAIN));
}

#[test]
fn a_small_terminal_is_no_panic() {
    let mut state = two_samples();
    for key in [KeyPress::Workers, KeyPress::Workers, KeyPress::Help, KeyPress::Open] {
        for size in [(1, 1), (20, 5), (300, 3), (8, 60)] {
            screen(&state, size);
        }
        state.press(key);
    }
}
