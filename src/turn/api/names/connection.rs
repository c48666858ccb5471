//! Connections between the relayed address of a TCP allocation and its peers (RFC 6062).
//!
//! ```text
//! Connect ──▶ Effect::Connect ──▶ connected ──┐
//!                                             ├─▶ waits 30 s ─▶ ConnectionBind ─▶ Effect::Join
//! a peer's connection ──▶ peer_connected ─────┘
//! ```
//!
//! A name lives from [`Effect::Connect`](crate::turn::Effect::Connect) or
//! [`Server::peer_connected`](crate::turn::Server::peer_connected) on, until
//! [`Effect::CloseConnection`](crate::turn::Effect::CloseConnection) or
//! [`Server::connection_closed`](crate::turn::Server::connection_closed): whichever comes first is
//! the last word about it, in either direction.

use std::net::SocketAddr;

use crate::turn::api::names::identity::{RelayId, WorkerIndex};

/// The value of CONNECTION-ID: the worker that has the allocation, and 24 bits nobody can guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u32);

impl ConnectionId {
    /// The worker that has the allocation, by what the name says.
    pub const fn worker(self) -> WorkerIndex {
        WorkerIndex((self.0 >> 24) as u8)
    }
}

/// A connection that is to be made for a Connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connect {
    /// Its name.
    pub id: ConnectionId,
    /// The listening socket whose address it leaves from.
    pub relay: RelayId,
    /// What it is bound to: the address of that socket.
    pub local: SocketAddr,
    /// Whom it goes to.
    pub peer: SocketAddr,
}

/// A connection could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotConnected;
