//! Lines of answers as people read them, and as programs do.

use std::fmt::{Display, Write as _};

use crate::control::admin::protocol::{
    CertificateRow, Held, Line, LoadRow, RefusedRow, SessionDetail, SessionRow, Status,
};
use crate::control::config::Change;
use crate::control::escape;
use crate::control::numbers::{counted, now_s};

/// What a line says, as JSON without the word for its kind.
pub(super) fn json(line: &Line) -> String {
    let value = match line {
        Line::Status(status) => serde_json::to_string(status),
        Line::Session(session) => serde_json::to_string(session),
        Line::Refusal(refusal) => serde_json::to_string(refusal),
        Line::Detail(detail) => serde_json::to_string(detail),
        Line::Reloaded(change) => serde_json::to_string(change),
        Line::Top(top) => serde_json::to_string(top),
        Line::Draining(draining) => serde_json::to_string(draining),
        Line::Killed(_)
        | Line::Drained { .. }
        | Line::Serving {}
        | Line::Done {}
        | Line::Error(_) => serde_json::to_string(line),
    };
    escape::json(&value.expect("a line is always JSON")).into_owned() + "\n"
}

/// What a line says, in words.
pub(super) fn words(line: &Line) -> String {
    match line {
        Line::Status(status) => status_words(status),
        Line::Session(session) => session_row(session),
        Line::Refusal(refusal) => refusal_row(refusal),
        Line::Detail(detail) => detail_words(detail),
        Line::Killed(id) => format!("{id} is gone\n"),
        Line::Reloaded(change) => change_words(change),
        Line::Serving {} => "serving again\n".to_owned(),
        // Watched, not printed.
        Line::Draining(_) | Line::Drained { .. } | Line::Top(_) | Line::Done {} => String::new(),
        Line::Error(problem) => format!("{problem}\n"),
    }
}

fn status_words(status: &Status) -> String {
    let Status { version, pid, state, driver, .. } = status;
    let now = i64::try_from(now_s()).unwrap_or(i64::MAX);
    let mut text = format!("uturn {version}, {state}, process {pid}, on {driver}\n\n");
    let workers = format!("{} of {} answer", status.workers_answering, status.workers);
    let allocations = format!(
        "{} of {}, {} since the start",
        status.allocations, status.allocations_limit, status.allocations_opened
    );
    field(&mut text, "up for", duration(status.uptime_s as f64));
    field(&mut text, "workers", workers);
    if let Some(config) = &status.config {
        field(&mut text, "config", config.display());
    }
    field(&mut text, "realm", escape::text(&status.realm));
    field(&mut text, "listening", joined(&status.listen));
    field(
        &mut text,
        "relaying",
        format!("{} ports {}", joined(&status.relays), status.relay_ports),
    );
    for certificate in &status.certificates {
        field(&mut text, "certificate", certificate_words(certificate, now));
    }
    field(&mut text, "allocations", allocations);
    let connections = format!(
        "{}, {} without credentials",
        status.connections, status.connections_unauthenticated
    );
    field(&mut text, "connections", connections);
    field(&mut text, "to peers", load(status.to_peers));
    field(&mut text, "to clients", load(status.to_clients));
    field(&mut text, "hairpin", load(status.between_clients));
    field(&mut text, "dropped", counted(status.dropped, "packet"));
    field(&mut text, "held", status.held.map_or("-".to_owned(), held));
    text
}

fn certificate_words(certificate: &CertificateRow, now: i64) -> String {
    let CertificateRow { name, not_after, not_after_s } = certificate;
    let holds = if *not_after_s < now { "expired on" } else { "until" };
    format!("{} {holds} {not_after}", escape::text(name))
}

/// The head of a list of sessions.
pub(super) fn sessions_head() -> String {
    row(["ID", "USER", "CLIENT", "OVER", "RELAYED", "AGE", "LEFT", "TO PEERS", "TO CLIENT"])
}

fn session_row(session: &SessionRow) -> String {
    row([
        &session.id,
        &escape::text(&session.user),
        &session.client.to_string(),
        &session.transport,
        &joined(&session.relayed),
        &duration(session.age_s),
        &duration(session.left_s),
        &bytes(session.to_peers.bytes),
        &bytes(session.to_client.bytes),
    ])
}

/// Fixed widths, so that a row can be printed before the next one is known; what is wider moves the
/// rest of its row.
fn row(cells: [&str; 9]) -> String {
    let [id, user, client, transport, relayed, age, left, to_peers, to_client] = cells;
    format!(
        "{id:<10} {user:<24} {client:<21} {transport:<4} {relayed:<21} {age:>9} {left:>9} \
         {to_peers:>9} {to_client:>9}\n"
    )
}

/// The head of a list of refusals.
pub(super) fn refusals_head() -> String {
    refusal_cells(["LAST (UTC)", "TIMES", "CLIENT", "OVER", "REQUEST", "CODE", "REASON", "USER"])
}

/// The name is last: it is the client's to choose, and moves nothing.
fn refusal_row(row: &RefusedRow) -> String {
    refusal_cells([
        &row.at,
        &row.times.to_string(),
        &row.client.to_string(),
        &row.transport,
        &row.request,
        &row.code.map_or_else(String::new, |code| code.to_string()),
        &row.reason,
        &escape::text(row.user.as_deref().unwrap_or_default()),
    ])
}

fn refusal_cells(cells: [&str; 8]) -> String {
    let [at, times, client, transport, request, code, reason, user] = cells;
    let row = format!(
        "{at:<19} {times:>5} {client:<21} {transport:<4} {request:<16} {code:<4} {reason:<24} {user}"
    );
    row.trim_end().to_owned() + "\n"
}

pub(super) fn detail_words(detail: &SessionDetail) -> String {
    let SessionDetail { session, permitted, bound } = detail;
    let mut text = format!("session {}\n\n", session.id);
    let server = session.server.map_or_else(String::new, |server| format!(" at {server}"));
    field(&mut text, "user", escape::text(&session.user));
    field(&mut text, "realm", escape::text(&session.realm));
    field(&mut text, "client", format!("{} {}{server}", session.transport, session.client));
    field(&mut text, "relayed", joined(&session.relayed));
    field(&mut text, "age", duration(session.age_s));
    field(&mut text, "left", duration(session.left_s));
    field(&mut text, "to peers", load(session.to_peers));
    field(&mut text, "to client", load(session.to_client));
    for permitted in permitted {
        let left = duration(permitted.left_s);
        field(&mut text, "permitted", format!("{}, {left} left", permitted.peer));
    }
    for bound in bound {
        let left = duration(bound.left_s);
        let channel = format!("0x{:04X} is {}, {left} left", bound.channel, bound.peer);
        field(&mut text, "channel", channel);
    }
    text
}

fn change_words(change: &Change) -> String {
    let Change { applied, restart, certificates } = change;
    let mut text = match applied.as_slice() {
        [] if certificates.is_some() => String::new(),
        [] => "nothing has changed\n".to_owned(),
        [..] => format!("holds from now on: {}\n", applied.join(", ")),
    };
    if !restart.is_empty() {
        text += &format!("needs a restart: {}\n", restart.join(", "));
    }
    if let Some(problem) = certificates {
        text += &format!("the certificates stay as they were: {}\n", escape::text(problem));
    }
    text
}

fn field(text: &mut String, name: &str, value: impl Display) {
    writeln!(text, "{name:<14}{value}").expect("a string takes everything");
}

fn joined(values: &[impl Display]) -> String {
    let words: Vec<_> = values.iter().map(ToString::to_string).collect();
    words.join(" ")
}

fn load(load: LoadRow) -> String {
    format!("{}, {}", counted(load.packets, "packet"), bytes(load.bytes))
}

/// How long datagrams stay in the server.
pub(super) fn held(held: Held) -> String {
    format!("p50 {} µs, p99 {} µs", held.p50_us, held.p99_us)
}

/// A number of bytes in three digits or so, by powers of 1000.
pub(super) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = usize::from(unit > 0 && value < 99.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// A time span in its two largest units.
pub(super) fn duration(seconds: f64) -> String {
    let s = seconds as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{} m {:02} s", s / 60, s % 60),
        3600..86_400 => format!("{} h {:02} m", s / 3600, s / 60 % 60),
        86_400.. => format!("{} d {:02} h", s / 86_400, s / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (number, text) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (99_940, "99.9 kB"),
            (99_960, "100 kB"),
            (999_600, "1.0 MB"),
            (1_500_000_000, "1.5 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        for (seconds, text) in
            [(0.9, "0 s"), (61.0, "1 m 01 s"), (3600.0, "1 h 00 m"), (90_000.0, "1 d 01 h")]
        {
            assert_eq!(duration(seconds), text);
        }
    }

    #[test]
    fn a_certificate_that_is_over_is_said_to_be() {
        let certificate = CertificateRow {
            name: "turn.example.org".into(),
            not_after_s: 1_000,
            not_after: "1970-01-01".into(),
        };
        let words = certificate_words(&certificate, 1_000);
        assert_eq!(words, "turn.example.org until 1970-01-01");
        let words = certificate_words(&certificate, 1_001);
        assert_eq!(words, "turn.example.org expired on 1970-01-01");
    }

    #[test]
    fn a_reload_says_what_holds_and_what_does_not() {
        let change = Change {
            applied: vec!["user".into()],
            restart: vec!["listen".into()],
            certificates: None,
        };
        assert_eq!(change_words(&change), "holds from now on: user\nneeds a restart: listen\n");
        assert_eq!(change_words(&Change::default()), "nothing has changed\n");
    }

    #[test]
    fn a_pair_that_is_not_taken_does_not_hold() {
        let of = |applied: &[&str]| {
            let applied = applied.iter().map(ToString::to_string).collect();
            let mut change = Change { applied, ..Change::default() };
            change.refuse_certificates("a.key: no such file".into());
            change
        };
        let change = of(&["tls-key", "user"]);
        assert_eq!(change.applied, ["user"]);
        let kept = "the certificates stay as they were: a.key: no such file\n";
        assert_eq!(change_words(&change), format!("holds from now on: user\n{kept}"));
        let alone = of(&["tls-key"]);
        assert_eq!(change_words(&alone), kept);
    }
}
