//! The last refusals, for `uturn refusals`: what the log was told, kept for a while.
//!
//! Workers report a few refusals a second, whatever happens; nothing here is done for a packet. Who
//! tries again and again is one row with a count, so that a client in a loop does not push the
//! others out.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use crate::control::numbers;
use crate::turn::{self, MAX_USERNAME_BYTES, RequestRefused, Transport, WorkerIndex};
use crate::wire::{ErrorCode, Method};
use crate::worker::{Report, StreamRefused};

/// Rows that are kept: some 400 kB with the longest names there are.
const KEPT: usize = 512;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Refused {
    /// This request, with this answer.
    Request(Method, ErrorCode),
    /// The connection itself.
    Connection,
}

/// Refusals of one client for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct RefusalRow {
    /// When it happened last, seconds since the Unix epoch.
    pub(in crate::control) at_s: i64,
    /// Who the client claims to be; nothing of a connection.
    pub(in crate::control) user: Option<Arc<str>>,
    /// The client, with the port that it had last.
    pub(in crate::control) client: SocketAddr,
    pub(in crate::control) transport: Transport,
    pub(in crate::control) refused: Refused,
    pub(in crate::control) reason: &'static str,
    /// How often it was reported.
    pub(in crate::control) times: u64,
    /// Refusals of the worker, of anybody, that were not reported for their number.
    pub(in crate::control) left_out: u64,
    /// The worker that saw it last.
    pub(in crate::control) worker: WorkerIndex,
}

impl RefusalRow {
    /// Whether it is the same once more.
    fn is_again(&self, other: &Self) -> bool {
        let what = |it: &Self| (it.client.ip(), it.transport, it.refused, it.reason);
        what(self) == what(other) && self.user == other.user
    }

    /// Whether it is a user's: by name, or by the id of a time-limited name.
    fn is_of(&self, wanted: &str) -> bool {
        let Some(user) = &self.user else { return false };
        let parts = user.split_once(':');
        **user == *wanted || parts.is_some_and(|(a, b)| a == wanted || b == wanted)
    }
}

/// The last refusals; clones share them.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct RecentRefusals(Arc<Mutex<VecDeque<RefusalRow>>>);

impl RecentRefusals {
    /// Keeps a report that something was refused.
    pub(in crate::control::log) fn note(&self, worker: WorkerIndex, report: &Report) {
        if let Report::Turn(turn::Report::RequestRefused(refused)) = report {
            self.note_request(worker, refused);
        } else if let Report::StreamRefused(refused) = report {
            self.note_connection(worker, refused);
        }
    }

    fn note_request(&self, worker: WorkerIndex, refused: &RequestRefused) {
        let RequestRefused { path, user, method, code, reason, left_out } = refused;
        self.keep(RefusalRow {
            at_s: now_s(),
            user: Some(bounded(user)),
            client: path.client(),
            transport: path.transport,
            refused: Refused::Request(*method, *code),
            reason,
            times: 1,
            left_out: *left_out,
            worker,
        });
    }

    fn note_connection(&self, worker: WorkerIndex, refused: &StreamRefused) {
        let StreamRefused { client, transport, reason, left_out } = refused;
        self.keep(RefusalRow {
            at_s: now_s(),
            user: None,
            client: *client,
            transport: *transport,
            refused: Refused::Connection,
            reason: reason.name(),
            times: 1,
            left_out: *left_out,
            worker,
        });
    }

    fn keep(&self, mut row: RefusalRow) {
        let mut rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = rows.iter().position(|it| it.is_again(&row));
        if let Some(before) = before.and_then(|at| rows.remove(at)) {
            row.times += before.times;
            row.left_out += before.left_out;
        }
        if rows.len() == KEPT {
            rows.pop_front();
        }
        rows.push_back(row);
    }

    /// What is kept, the latest last: of one user, of one address, or of all.
    pub(in crate::control) fn rows(
        &self,
        user: Option<&str>,
        client: Option<IpAddr>,
    ) -> Vec<RefusalRow> {
        let rows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted = |row: &&RefusalRow| {
            user.is_none_or(|user| row.is_of(user))
                && client.is_none_or(|client| row.client.ip() == client)
        };
        rows.iter().filter(is_wanted).cloned().collect()
    }
}

/// A name that is no longer than names are.
fn bounded(user: &Arc<str>) -> Arc<str> {
    match user.get(..user.floor_char_boundary(MAX_USERNAME_BYTES)) {
        Some(head) if head.len() < user.len() => head.into(),
        Some(_) | None => Arc::clone(user),
    }
}

fn now_s() -> i64 {
    i64::try_from(numbers::now_s()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::HangUp;
    use crate::turn::{FiveTuple, ListenerId, Path};

    fn request(client: &str, user: &str) -> RequestRefused {
        let client = client.parse().unwrap();
        RequestRefused {
            path: Path::udp(FiveTuple { listener: ListenerId(0), client }),
            user: user.into(),
            method: Method::Allocate,
            code: ErrorCode::Unauthenticated,
            reason: "wrong_credentials",
            left_out: 2,
        }
    }

    fn seen(rows: &[RefusalRow]) -> Vec<(String, u64, u64)> {
        rows.iter().map(|row| (row.client.to_string(), row.times, row.left_out)).collect()
    }

    #[test]
    fn who_tries_again_is_one_row_and_the_latest_is_last() {
        let recent = RecentRefusals::default();
        recent.note_request(WorkerIndex(0), &request("192.0.2.7:5000", "alice"));
        recent.note_request(WorkerIndex(0), &request("192.0.2.8:5000", "alice"));
        recent.note_request(WorkerIndex(1), &request("192.0.2.7:6000", "alice"));
        let rows = recent.rows(None, None);
        let expected = [("192.0.2.8:5000".into(), 1, 2), ("192.0.2.7:6000".into(), 2, 4)];
        assert_eq!(seen(&rows), expected);
        assert_eq!(rows[1].worker, WorkerIndex(1));
        recent.note_request(WorkerIndex(0), &request("192.0.2.7:6000", "bob"));
        assert_eq!(recent.rows(None, None).len(), 3, "another user is another row");
    }

    #[test]
    fn however_many_come_a_bounded_number_is_kept_with_bounded_names() {
        let recent = RecentRefusals::default();
        for at in 0..KEPT + 10 {
            let client = format!("192.0.{}.{}:5000", at / 256, at % 256);
            recent.note_request(WorkerIndex(0), &request(&client, &"é".repeat(5000)));
        }
        let rows = recent.rows(None, None);
        assert_eq!(rows.len(), KEPT);
        assert_eq!(rows[0].client.to_string(), "192.0.0.10:5000", "the oldest go first");
        let longest = rows.iter().filter_map(|row| row.user.as_ref()).map(|user| user.len()).max();
        assert_eq!(longest, Some(MAX_USERNAME_BYTES));
    }

    #[test]
    fn they_are_found_by_user_by_id_and_by_address() {
        let recent = RecentRefusals::default();
        recent.note_request(WorkerIndex(0), &request("192.0.2.7:5000", "1795000000:alice"));
        recent.note_request(WorkerIndex(0), &request("192.0.2.8:5000", "alice"));
        recent.note_request(WorkerIndex(0), &request("192.0.2.9:5000", "malice"));
        let refused = StreamRefused {
            client: "192.0.2.8:7000".parse().unwrap(),
            transport: Transport::Tls,
            reason: HangUp::BadHello,
            left_out: 0,
        };
        recent.note_connection(WorkerIndex(0), &refused);
        assert_eq!(recent.rows(None, None).len(), 4);
        assert_eq!(recent.rows(Some("alice"), None).len(), 2);
        assert_eq!(recent.rows(Some("1795000000:alice"), None).len(), 1);
        let client = Some("192.0.2.8".parse().unwrap());
        let both = recent.rows(None, client);
        assert_eq!(both.len(), 2);
        assert_eq!((both[1].reason, both[1].refused), ("bad_hello", Refused::Connection));
        assert_eq!(recent.rows(Some("alice"), client).len(), 1);
    }
}
