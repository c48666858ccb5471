//! Requests and the lines they are answered with; the same types on both sides.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::control::config::Change;
use crate::control::log::refused::recent::{RefusalRow, Refused};
use crate::control::tls::certificate::{CertificateFacts, second};
use crate::{io, turn};

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub(super) enum ControlRequest {
    /// How the server is.
    Status {},
    /// Who is there.
    Sessions {
        /// Whose sessions, all of them without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
    },
    /// Everything about one session.
    Session {
        /// Its name.
        id: String,
    },
    /// Who was refused something, and why.
    Refusals {
        /// Whose refusals, all of them without it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        user: Option<String>,
        /// Those of one address.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        client: Option<IpAddr>,
    },
    /// The end of one session.
    Kill {
        /// Its name.
        id: String,
    },
    /// The configuration is to be read again.
    Reload {},
    /// No new clients, and the end when the last has gone.
    Drain {
        /// Seconds it may take; 0 for as long as it takes.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline_s: Option<u32>,
        /// Where new clients are sent.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        alternate: Vec<SocketAddr>,
    },
    /// The end of draining: new clients are taken again.
    Cancel {},
    /// Figures once a second, until nobody reads them.
    Top {},
}

/// Reads a request of the control protocol, a line of JSON, and writes it as `uturn` would; `None`
/// where it is none.
pub fn control_request(line: &str) -> Option<String> {
    let request: ControlRequest = serde_json::from_str(line).ok()?;
    serde_json::to_string(&request).ok()
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Line {
    /// How the server is.
    Status(Box<Status>),
    /// One of a list.
    Session(SessionRow),
    /// Everything about one.
    Detail(Box<SessionDetail>),
    /// One of the last refusals.
    Refusal(RefusedRow),
    /// This one is gone.
    Killed(String),
    /// What a reload changed.
    Reloaded(Change),
    /// How far a drain is.
    Draining(Draining),
    /// A drain is over, and so is the server.
    Drained {
        /// Allocations that the deadline ended.
        left: u64,
    },
    /// Figures of this second.
    Top(Box<Top>),
    /// New clients are taken.
    Serving {},
    /// That was all.
    Done {},
    /// It cannot be done; nothing more comes.
    Error(String),
}

/// How a server is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Status {
    pub(super) version: String,
    pub(super) pid: u32,
    /// Serving, draining or stopping.
    pub(super) state: String,
    pub(super) uptime_s: u64,
    pub(super) driver: String,
    pub(super) workers: usize,
    /// Workers that answered just now.
    pub(super) workers_answering: usize,
    pub(super) config: Option<PathBuf>,
    pub(super) realm: String,
    pub(super) listen: Vec<SocketAddr>,
    /// As advertised.
    pub(super) relays: Vec<IpAddr>,
    pub(super) relay_ports: String,
    pub(super) allocations: u64,
    pub(super) allocations_limit: u32,
    pub(super) allocations_opened: u64,
    /// Of clients on TCP and TLS.
    #[serde(default)]
    pub(super) connections: u64,
    /// Of these, those without credentials that were good.
    #[serde(default)]
    pub(super) connections_unauthenticated: u64,
    pub(super) to_peers: LoadRow,
    pub(super) to_clients: LoadRow,
    pub(super) between_clients: LoadRow,
    /// Datagrams, for any reason.
    pub(super) dropped: u64,
    /// Since the start; nothing before the first sample.
    pub(super) held: Option<Held>,
    /// What clients on TLS are shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) certificates: Vec<CertificateRow>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CertificateRow {
    /// Its first name.
    pub(super) name: String,
    /// Last second that it holds, since the Unix epoch.
    pub(super) not_after_s: i64,
    /// The day of that, in UTC.
    pub(super) not_after: String,
}

impl From<CertificateFacts> for CertificateRow {
    fn from(facts: CertificateFacts) -> Self {
        let CertificateFacts { name, not_after_s, not_after, .. } = facts;
        Self { name, not_after_s, not_after }
    }
}

/// One session of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionRow {
    pub(super) id: String,
    pub(super) user: String,
    pub(super) realm: String,
    pub(super) transport: String,
    pub(super) client: SocketAddr,
    pub(super) server: Option<SocketAddr>,
    /// As advertised; one of each family at most.
    pub(super) relayed: Vec<SocketAddr>,
    pub(super) permissions: usize,
    pub(super) channels: usize,
    pub(super) age_s: f64,
    pub(super) left_s: f64,
    pub(super) to_peers: LoadRow,
    pub(super) to_client: LoadRow,
}

/// Refusals of one client for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RefusedRow {
    /// When it happened last, seconds since the Unix epoch.
    pub(super) at_s: i64,
    /// The same in UTC.
    pub(super) at: String,
    /// As sent, proved or not; nothing of a connection.
    pub(super) user: Option<String>,
    pub(super) client: SocketAddr,
    pub(super) transport: String,
    /// A method, or "connection".
    pub(super) request: String,
    /// What was answered; nothing of a connection.
    pub(super) code: Option<u16>,
    pub(super) reason: String,
    /// How often it was reported.
    pub(super) times: u64,
    /// Refusals of the worker, of anybody, that were not reported for their number.
    pub(super) left_out: u64,
    pub(super) worker: u8,
}

impl From<RefusalRow> for RefusedRow {
    fn from(row: RefusalRow) -> Self {
        let (request, code) = match row.refused {
            Refused::Request(method, code) => (format!("{method:?}"), Some(code.number())),
            Refused::Connection => ("connection".to_owned(), None),
        };
        Self {
            at_s: row.at_s,
            at: second(row.at_s),
            user: row.user.map(|user| user.to_string()),
            client: row.client,
            transport: row.transport.name().to_owned(),
            request,
            code,
            reason: row.reason.to_owned(),
            times: row.times,
            left_out: row.left_out,
            worker: row.worker.0,
        }
    }
}

/// A session with everybody it talks to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct SessionDetail {
    #[serde(flatten)]
    pub(super) session: SessionRow,
    pub(super) permitted: Vec<PermittedPeer>,
    pub(super) bound: Vec<BoundChannel>,
}

/// A peer that may reach the client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct PermittedPeer {
    pub(super) peer: IpAddr,
    pub(super) left_s: f64,
}

/// A channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct BoundChannel {
    pub(super) channel: u16,
    pub(super) peer: SocketAddr,
    pub(super) left_s: f64,
}

/// How far a drain is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Draining {
    /// Allocations that live; nothing when not every worker has said.
    pub(super) allocations: Option<u64>,
    /// Allocations when it began.
    pub(super) begun_with: Option<u64>,
    /// Seconds until the deadline, if there is one.
    pub(super) left_s: Option<u64>,
}

/// What `uturn top` makes rates of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Top {
    pub(super) version: String,
    pub(super) state: String,
    pub(super) driver: String,
    /// When this was counted: milliseconds since the server was started.
    pub(super) at_ms: u64,
    pub(super) allocations_limit: u32,
    pub(super) worker_count: usize,
    /// Those that answered.
    pub(super) workers: Vec<WorkerFigures>,
    /// Datagrams dropped since the start, by reason; those that there were.
    pub(super) drops: BTreeMap<String, u64>,
    /// Requests refused since the start, likewise.
    #[serde(default)]
    pub(super) refusals: BTreeMap<String, u64>,
    /// Datagrams that found a UDP socket's buffer full, of any process; nothing where the kernel
    /// does not say.
    pub(super) socket_overflow: Option<u64>,
    /// Since the last figures, in the first since the start; nothing when there was no sample.
    pub(super) held: Option<Held>,
    pub(super) busiest: Vec<Busy>,
}

/// What one worker did since the start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct WorkerFigures {
    pub(super) worker: u8,
    /// CPU time of its thread; nothing where the kernel does not say.
    #[serde(default)]
    pub(super) cpu_us: Option<u64>,
    /// Turns of its loop.
    pub(super) turns: u64,
    /// Datagrams that came from the kernel.
    pub(super) received: u64,
    /// Those of them that came in trains.
    pub(super) received_in_trains: u64,
    /// Packets relayed.
    pub(super) packets: u64,
    /// Their payload.
    pub(super) bytes: u64,
    /// Allocations that live now.
    pub(super) allocations: u64,
    pub(super) dropped: u64,
}

/// One of the busiest sessions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Busy {
    pub(super) session: SessionRow,
    pub(super) packets_per_s: f64,
    pub(super) bytes_per_s: f64,
}

/// How long datagrams were held by the server at most, microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Held {
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
}

impl Held {
    /// Of the samples there are, if there are any.
    pub(super) fn of(held: &io::HoldTimes) -> Option<Self> {
        Some(Self { p50_us: held.quantile_us(0.5)?, p99_us: held.quantile_us(0.99)? })
    }
}

/// Packets and their payload bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LoadRow {
    pub(super) packets: u64,
    pub(super) bytes: u64,
}

impl From<turn::Load> for LoadRow {
    fn from(load: turn::Load) -> Self {
        Self { packets: load.packets, bytes: load.bytes }
    }
}

/// Milliseconds as seconds.
pub(super) fn seconds(ms: u64) -> f64 {
    ms as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::{ControlRequest, Line};

    const PAGE: &str = include_str!("../../../docs/control-protocol.md");

    /// The answers that the page shows, each on one line again.
    fn examples() -> Vec<String> {
        let blocks = PAGE.split("```text\n").skip(1);
        let lines = blocks.flat_map(|block| block.split("\n```").next().unwrap().lines());
        lines.fold(Vec::new(), |mut answers, line| {
            match answers.last_mut() {
                Some(answer) if line.starts_with(' ') => *answer += line,
                _ => answers.push(line.to_owned()),
            }
            answers
        })
    }

    #[test]
    fn the_page_shows_requests_and_answers_as_they_are() {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| `{"));
        let requests: Vec<_> =
            rows.map(|row| format!("{{{}", row.split('`').next().unwrap())).collect();
        for text in &requests {
            let request: ControlRequest = serde_json::from_str(text).unwrap();
            assert_eq!(&serde_json::to_string(&request).unwrap(), text);
        }
        assert_eq!(requests.len(), 9, "each command has a row");
        assert!(examples().len() > 20);
        for text in examples() {
            let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
            let line: Line = serde_json::from_str(&text).unwrap();
            assert_eq!(serde_json::to_value(line).unwrap(), shown);
        }
    }

    #[test]
    fn requests_are_what_the_documentation_says() {
        for (text, request) in [
            (r#"{"command":"status"}"#, ControlRequest::Status {}),
            (r#"{"command":"sessions"}"#, ControlRequest::Sessions { user: None }),
            (
                r#"{"command":"sessions","user":"a"}"#,
                ControlRequest::Sessions { user: Some("a".into()) },
            ),
            (r#"{"command":"session","id":"0-1"}"#, ControlRequest::Session { id: "0-1".into() }),
            (r#"{"command":"refusals"}"#, ControlRequest::Refusals { user: None, client: None }),
            (
                r#"{"command":"refusals","user":"a","client":"192.0.2.7"}"#,
                ControlRequest::Refusals {
                    user: Some("a".into()),
                    client: Some("192.0.2.7".parse().unwrap()),
                },
            ),
            (r#"{"command":"kill","id":"0-1"}"#, ControlRequest::Kill { id: "0-1".into() }),
            (r#"{"command":"reload"}"#, ControlRequest::Reload {}),
            (r#"{"command":"cancel"}"#, ControlRequest::Cancel {}),
            (r#"{"command":"top"}"#, ControlRequest::Top {}),
            (
                r#"{"command":"drain"}"#,
                ControlRequest::Drain { deadline_s: None, alternate: Vec::new() },
            ),
            (
                r#"{"command":"drain","deadline_s":60,"alternate":["192.0.2.1:3478"]}"#,
                ControlRequest::Drain {
                    deadline_s: Some(60),
                    alternate: vec!["192.0.2.1:3478".parse().unwrap()],
                },
            ),
        ] {
            assert_eq!(serde_json::from_str::<ControlRequest>(text).unwrap(), request);
            assert_eq!(serde_json::to_string(&request).unwrap(), text);
        }
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for text in [
            "",
            "{}",
            "status",
            r#"{"command":"dance"}"#,
            r#"{"command":"kill"}"#,
            r#"{"command":"kill","id":7}"#,
            r#"{"command":"kill","id":"0-1","user":"a"}"#,
            r#"{"command":"status","colour":"red"}"#,
        ] {
            assert!(serde_json::from_str::<ControlRequest>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lines_have_one_key() {
        assert_eq!(serde_json::to_string(&Line::Done {}).unwrap(), r#"{"done":{}}"#);
        let killed = Line::Killed("0-1".into());
        assert_eq!(serde_json::to_string(&killed).unwrap(), r#"{"killed":"0-1"}"#);
    }
}
