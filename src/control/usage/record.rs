//! One record as a line of JSON.
//!
//! Times are milliseconds, those of the day since the Unix epoch. A field is always there; what
//! does not apply is null.

use std::net::{IpAddr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::sync::watch;

use crate::control::admin::commands::ServerStatus;
use crate::control::escape;
use crate::turn::{Cause, Closed, Path, PeerLog, PerFamily, Session, SessionId, Traffic};

/// What a record says that is the same for all.
#[derive(Clone, Debug)]
pub(in crate::control) struct Names {
    /// Where the realm of the day and the names of listeners stand.
    pub(in crate::control) status: watch::Receiver<ServerStatus>,
}

/// What is known of one allocation at one moment.
#[derive(Debug)]
struct Facts<'a> {
    session: SessionId,
    user: &'a str,
    path: Path,
    relayed: PerFamily<SocketAddr>,
    duration_ms: u64,
    traffic: Traffic,
    peers: &'a PeerLog,
    /// Why it ended; `None` while it lives.
    cause: Option<Cause>,
}

#[derive(Serialize)]
struct Record<'a> {
    kind: &'static str,
    session: String,
    user: &'a str,
    realm: &'a str,
    transport: &'static str,
    client: SocketAddr,
    server: Option<SocketAddr>,
    relayed: Vec<SocketAddr>,
    peers: &'a [IpAddr],
    peers_more: u64,
    start_ms: u64,
    end_ms: u64,
    duration_ms: u64,
    reason: Option<&'static str>,
    to_peers_packets: u64,
    to_peers_bytes: u64,
    to_client_packets: u64,
    to_client_bytes: u64,
    dropped: u64,
}

impl Names {
    /// The record of an allocation that ended just now.
    pub(super) fn ended(&self, closed: &Closed) -> Vec<u8> {
        let Closed { session, user, path, relayed, duration_ms, traffic, peers, cause } = closed;
        self.line(&Facts {
            session: *session,
            user,
            path: *path,
            relayed: *relayed,
            duration_ms: *duration_ms,
            traffic: *traffic,
            peers,
            cause: Some(*cause),
        })
    }

    /// The record of an allocation that lives.
    pub(super) fn interim(&self, session: &Session) -> Vec<u8> {
        let Session { id, user, path, relayed, age_ms, traffic, peers, .. } = session;
        self.line(&Facts {
            session: *id,
            user,
            path: *path,
            relayed: *relayed,
            duration_ms: *age_ms,
            traffic: *traffic,
            peers,
            cause: None,
        })
    }

    fn line(&self, facts: &Facts<'_>) -> Vec<u8> {
        let Facts { path, traffic, peers, duration_ms, .. } = facts;
        let end_ms = now_ms();
        let status = self.status.borrow();
        let record = Record {
            kind: if facts.cause.is_some() { "ended" } else { "interim" },
            session: facts.session.to_string(),
            user: facts.user,
            realm: &status.realm,
            transport: path.transport.name(),
            client: path.client(),
            server: status.server(path.flow.listener),
            relayed: facts.relayed.iter().copied().collect(),
            peers: peers.named(),
            peers_more: peers.more(),
            start_ms: end_ms.saturating_sub(*duration_ms),
            end_ms,
            duration_ms: *duration_ms,
            reason: facts.cause.map(Cause::name),
            to_peers_packets: traffic.to_peers.packets,
            to_peers_bytes: traffic.to_peers.bytes,
            to_client_packets: traffic.to_client.packets,
            to_client_bytes: traffic.to_client.bytes,
            dropped: traffic.dropped,
        };
        let line = serde_json::to_string(&record).expect("numbers and text are always JSON");
        let mut line = escape::json(&line).into_owned().into_bytes();
        line.push(b'\n');
        line
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
