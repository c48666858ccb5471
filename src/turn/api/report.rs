//! What turn tells the log: news, with nothing to be done about it.
//!
//! Reports queue up inside a call and are taken with [`crate::turn::Server::next_report`] after
//! it, in order.

use std::{net::SocketAddr, sync::Arc};

use ipnet::IpNet;

use crate::turn::{
    allocation::peer_log::PeerLog,
    api::{
        names::{path::Path, session::SessionId},
        per_family::PerFamily,
    },
    auth::reply_budget::kind::ReplyKind,
};
use crate::wire::{ErrorCode, Method};

/// One piece of news.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// An allocation was made.
    Opened(Opened),
    /// An allocation ended.
    Closed(Closed),
    /// Strangers are not answered; told now and then.
    StrangersRefused(StrangersRefused),
    /// A request of somebody who claims to be a user was refused; a few are told each second.
    RequestRefused(RequestRefused),
}

/// An allocation was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub session: SessionId,
    /// Who owns it.
    pub user: Arc<str>,
    /// The client.
    pub path: Path,
    /// The relayed addresses as advertised.
    pub relayed: PerFamily<SocketAddr>,
    /// Seconds granted.
    pub lifetime_s: u32,
}

/// An allocation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Its name.
    pub session: SessionId,
    /// Who owned it.
    pub user: Arc<str>,
    /// The client.
    pub path: Path,
    /// The relayed addresses it was made with.
    pub relayed: PerFamily<SocketAddr>,
    /// How long it lived.
    pub duration_ms: u64,
    /// What was relayed for it.
    pub traffic: Traffic,
    /// Whom it had permissions for.
    pub peers: PeerLog,
    /// Why it ended.
    pub cause: Cause,
}

/// A network has used up what its strangers are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StrangersRefused {
    /// The network, /24 or /56, that asked for more than all others.
    pub network: IpNet,
    /// What it did not get.
    pub kind: ReplyKind,
    /// How many answers of that kind to that network were left out, at least.
    pub answers: u64,
    /// How many others, of any kind and to any network, since the last report.
    pub others: u64,
}

/// A request of somebody who claims to be a user was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRefused {
    /// The client.
    pub path: Path,
    /// USERNAME as sent, proved or not.
    pub user: Arc<str>,
    /// What was asked for.
    pub method: Method,
    /// What was answered.
    pub code: ErrorCode,
    /// Why, in a few words.
    pub reason: &'static str,
    /// How many refusals were left out since the last report.
    pub left_out: u64,
}

/// Why an allocation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Its lifetime ran out.
    Expired,
    /// A Refresh with lifetime 0.
    Deleted,
    /// The client allocated anew on the same five-tuple and the configuration lets it.
    Replaced,
    /// Another worker has an allocation for the same five-tuple and keeps it.
    Duplicate,
    /// The TCP or TLS connection of its client ended: its five-tuple cannot come back.
    Disconnected,
    /// An operator ended it.
    Killed,
    /// The server ends.
    Shutdown,
}

impl Cause {
    /// One word for it, in logs and records.
    pub const fn name(self) -> &'static str {
        match self {
            Cause::Expired => "expired",
            Cause::Deleted => "deleted",
            Cause::Replaced => "replaced",
            Cause::Duplicate => "duplicate",
            Cause::Disconnected => "disconnected",
            Cause::Killed => "killed",
            Cause::Shutdown => "shutdown",
        }
    }
}

/// What was relayed for one allocation, headers not counted, and what was not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traffic {
    /// From the client towards its peers.
    pub to_peers: Load,
    /// From peers towards the client.
    pub to_client: Load,
    /// Datagrams of the client and of its peers that were dropped, for want of a permission, a
    /// channel or room under the limits.
    pub dropped: u64,
}

/// Packets and their payload bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Load {
    /// Datagrams; each segment of a train is one.
    pub packets: u64,
    /// Payload bytes.
    pub bytes: u64,
}

impl std::ops::AddAssign for Load {
    fn add_assign(&mut self, other: Load) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl Load {
    /// Adds a train of `packets` segments with `bytes` of payload together.
    pub fn add(&mut self, packets: usize, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }
}
