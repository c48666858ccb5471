//! The peer connections of a TCP allocation (RFC 6062 §5).

use std::net::SocketAddr;

use crate::turn::api::names::connection::ConnectionId;
use crate::wire::{IntegrityKey, TransactionId};

/// Peer connections that one allocation may have at a time, those that wait included.
pub(in crate::turn) const CONNECTIONS: usize = 16;

/// How long a connection may take to be made (RFC 6062 §5.2: at least 30 seconds).
pub(in crate::turn) const CONNECT_MS: u64 = 30_000;

/// How long a connection waits for its ConnectionBind (RFC 6062 §5.2, §5.3).
pub(in crate::turn) const BIND_MS: u64 = 30_000;

/// A Connect that waits for its answer.
#[derive(Debug, Clone)]
pub(in crate::turn) struct PendingConnect {
    pub(in crate::turn) transaction: TransactionId,
    pub(in crate::turn) fingerprint: bool,
    pub(in crate::turn) key: IntegrityKey,
}

/// How far a peer connection has come.
#[derive(Debug)]
pub(in crate::turn) enum ConnectionStage {
    /// It is being made, until then.
    Connecting(Box<PendingConnect>, u64),
    /// It waits to be bound, until then.
    Waiting(u64),
    /// It is one with a connection of the client.
    Bound,
}

impl ConnectionStage {
    fn deadline_ms(&self) -> Option<u64> {
        match self {
            ConnectionStage::Connecting(_, until_ms) | ConnectionStage::Waiting(until_ms) => {
                Some(*until_ms)
            }
            ConnectionStage::Bound => None,
        }
    }
}

/// One peer connection.
#[derive(Debug)]
pub(in crate::turn) struct PeerConnection {
    pub(in crate::turn) id: ConnectionId,
    /// Canonical, as the client knows it.
    pub(in crate::turn) peer: SocketAddr,
    pub(in crate::turn) stage: ConnectionStage,
}

/// The connections of one allocation.
#[derive(Debug, Default)]
pub(in crate::turn) struct Connections {
    /// At most [`CONNECTIONS`], in no order.
    list: Vec<PeerConnection>,
}

impl Connections {
    /// True when no more may be made.
    pub(in crate::turn) fn is_full(&self) -> bool {
        self.list.len() >= CONNECTIONS
    }

    /// True while there is a connection with a peer, however far it has come.
    pub(in crate::turn) fn has_peer(&self, peer: SocketAddr) -> bool {
        self.list.iter().any(|connection| connection.peer == peer)
    }

    /// Whom they are with.
    pub(in crate::turn) fn peers(&self) -> impl Iterator<Item = SocketAddr> {
        self.list.iter().map(|connection| connection.peer)
    }

    pub(in crate::turn) fn push(&mut self, connection: PeerConnection) {
        self.list.push(connection);
    }

    pub(in crate::turn) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut PeerConnection> {
        self.list.iter_mut().find(|connection| connection.id == id)
    }

    pub(in crate::turn) fn remove(&mut self, id: ConnectionId) -> Option<PeerConnection> {
        let place = self.list.iter().position(|connection| connection.id == id)?;
        Some(self.list.swap_remove(place))
    }

    /// Takes out every connection that is one of those meant.
    pub(in crate::turn) fn take(
        &mut self,
        is_meant: impl Fn(&PeerConnection) -> bool,
    ) -> Vec<PeerConnection> {
        self.list.extract_if(.., |connection| is_meant(connection)).collect()
    }

    /// When the next connection has waited too long.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        self.list.iter().filter_map(|connection| connection.stage.deadline_ms()).min()
    }
}

impl PeerConnection {
    /// True when it has waited too long.
    pub(in crate::turn) fn is_over(&self, now_ms: u64) -> bool {
        self.stage.deadline_ms().is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }
}
