//! What turn needs the world to do, and what it tells the log.
//!
//! Effects queue up inside a call and are taken with [`super::Server::next_effect`] after it, in
//! order. Every [`Effect::Open`] and every [`Effect::Redeem`] is answered by exactly one
//! [`super::Server::complete`]; every [`Effect::Close`] by exactly one
//! [`super::Server::released`].

use std::{net::SocketAddr, sync::Arc};

use crate::turn::{Correspondents, FiveTuple, PendingId, RelayId, SessionId, WorkerIndex};

/// One thing to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Sockets are to be bound; an Allocate waits for them.
    Open(Open),
    /// A reserved socket became a relay of this worker: its packets are wanted from now on.
    Activate(RelayId),
    /// A relay socket, or a reserved one, is no longer needed. Its port is free only after
    /// [`super::Server::released`].
    Close(RelayId),
    /// A port that another worker reserved is asked for; that worker answers with
    /// [`super::Server::redeem`].
    Redeem(Redeem),
    /// A borrowed port is no longer needed and its socket gone: its owner is to be told with
    /// [`super::Server::returned`].
    GiveBack {
        /// Whose port it is.
        owner: WorkerIndex,
        /// The relay's own address and the port.
        local: SocketAddr,
    },
    /// For the log: an allocation was made.
    Opened(Opened),
    /// For the log: an allocation ended.
    Closed(Closed),
}

/// The sockets an Allocate waits for: one or two relays, and perhaps the reserved next port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Names the Allocate in [`super::Server::complete`].
    pub pending: PendingId,
    /// Where the answer goes.
    pub flow: FiveTuple,
    /// 1 to 3 sockets; the outcomes are given in the same order.
    pub sockets: Vec<Socket>,
}

/// One socket to bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// The name of the socket from now on.
    pub relay: RelayId,
    /// What it is bound to.
    pub local: SocketAddr,
    /// Whether packets are wanted from it at once.
    pub purpose: Purpose,
}

/// What a socket is bound for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// It relays at once.
    Relay,
    /// It only holds a port, until [`Effect::Activate`], [`Effect::Close`], or
    /// [`super::Server::redeem`] takes it to another worker.
    Reserve,
}

/// A reservation token that another worker gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeem {
    /// Names the Allocate in [`super::Server::complete`].
    pub pending: PendingId,
    /// Where the answer goes.
    pub flow: FiveTuple,
    /// The worker whose token it is.
    pub owner: WorkerIndex,
    /// The name the socket will have here.
    pub relay: RelayId,
    /// The token as the client sent it.
    pub token: [u8; 8],
    /// Who redeems; only the user that reserved may.
    pub user: Arc<str>,
}

/// What became of an [`Effect::Open`] or an [`Effect::Redeem`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// One result for each socket of [`Open::sockets`], in their order.
    Opened(&'a [Bind]),
    /// The owner gave the socket, bound to this address, and it now relays here.
    Redeemed(SocketAddr),
    /// The owner gave the socket, but it cannot be used here: its port went back to the owner. The
    /// place in the quota that came with it is given up.
    Returned,
    /// The owner knows no such reservation, or could not be asked.
    NotRedeemed,
}

/// What became of one socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bind {
    /// It is bound, and open as its purpose says.
    Bound,
    /// The address is in use (`EADDRINUSE`): another port may do.
    InUse,
    /// No socket, for a reason another port does not cure.
    Failed,
}

/// An allocation was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// Its name.
    pub session: SessionId,
    /// Who owns it.
    pub user: Arc<str>,
    /// The client.
    pub flow: FiveTuple,
    /// The relayed addresses as advertised: IPv4, IPv6.
    pub relayed: [Option<SocketAddr>; 2],
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
    pub flow: FiveTuple,
    /// The relayed addresses it was made with: IPv4, IPv6.
    pub relayed: [Option<SocketAddr>; 2],
    /// How long it lived.
    pub duration_ms: u64,
    /// What was relayed for it.
    pub traffic: Traffic,
    /// Whom it had permissions for.
    pub peers: Correspondents,
    /// Why it ended.
    pub cause: Cause,
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

impl Load {
    /// Adds a train of `packets` segments with `bytes` of payload together.
    pub fn add(&mut self, packets: usize, bytes: usize) {
        self.packets += packets as u64;
        self.bytes += bytes as u64;
    }
}
