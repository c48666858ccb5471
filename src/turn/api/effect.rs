//! What turn orders the world to do.
//!
//! Effects queue up inside a call and are taken with [`crate::turn::Server::next_effect`] after
//! it, in order. Every [`Effect::Open`] and every [`Effect::Redeem`] is answered by exactly one
//! [`crate::turn::Server::complete`]; every [`Effect::Close`] by exactly one
//! [`crate::turn::Server::released`]; every [`Effect::Connect`] by one
//! [`crate::turn::Server::connected`], unless [`Effect::CloseConnection`] comes first.

use std::{net::SocketAddr, sync::Arc};

use crate::turn::api::names::{
    connection::{Connect, ConnectionId},
    identity::{FiveTuple, PendingId, RelayId, WorkerIndex},
    path::Path,
};
use crate::wire::ChannelNumber;

/// One order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Sockets are to be bound; an Allocate waits for them.
    Open(Open),
    /// A reserved socket became a relay of this worker: its packets are wanted from now on.
    Activate(RelayId),
    /// A relay socket, or a reserved one, is no longer needed. Its port is free only after
    /// [`crate::turn::Server::released`].
    Close(RelayId),
    /// A port that another worker reserved is asked for; that worker answers with
    /// [`crate::turn::Server::redeem`].
    Redeem(Redeem),
    /// A channel may be served without asking from now on, until a time in
    /// [`crate::turn::Now::mono_ms`]. Said again when that time moves. Only with
    /// [`crate::turn::Settings::forwarding`].
    Forward {
        /// The channel.
        channel: ForwardedChannel,
        /// When it is over, unless it is said again.
        until_ms: u64,
    },
    /// A channel may no longer be served without asking.
    Unforward(ForwardedChannel),
    /// A TCP connection to a peer is to be made; a Connect waits for it.
    Connect(Connect),
    /// A whole message for a client, which is no answer to what it sent just now: the end of a
    /// Connect, or a ConnectionAttempt indication.
    Tell {
        /// Whom it is for.
        path: Path,
        /// The message; a multiple of 4 bytes.
        message: Box<[u8]>,
    },
    /// A client's connection and a peer connection belong together: behind the answer that is on
    /// its way to the client, all that comes on either goes to the other as it is, what the peer
    /// has sent before included, and nothing is STUN any more (RFC 6062 §5.4).
    Join {
        /// The peer connection.
        id: ConnectionId,
        /// The client's connection.
        path: Path,
    },
    /// A peer connection ends: one that is being made is given up, and one that was joined takes
    /// the client's connection with it. Nothing is to be said of it any more.
    CloseConnection(ConnectionId),
}

/// A bound channel: frames of `number` from the client leave from `relay` to `peer`, and what
/// `peer` sends there reaches the client in frames of `number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ForwardedChannel {
    /// The client and the listener it uses.
    pub flow: FiveTuple,
    /// The channel number.
    pub number: ChannelNumber,
    /// The relay socket, of the peer's family.
    pub relay: RelayId,
    /// The peer, canonical, not a relay of this server.
    pub peer: SocketAddr,
}

/// The sockets an Allocate waits for: one or two relays, and perhaps the reserved next port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Names the Allocate in [`crate::turn::Server::complete`].
    pub pending: PendingId,
    /// Where the answer goes.
    pub path: Path,
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
    /// [`crate::turn::Server::redeem`] takes it to another worker.
    Reserve,
    /// It listens for TCP connections, which are told with
    /// [`crate::turn::Server::peer_connected`], and connections leave from its address.
    Listen,
}

/// A reservation token that another worker gave out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Redeem {
    /// Names the Allocate in [`crate::turn::Server::complete`].
    pub pending: PendingId,
    /// Where the answer goes.
    pub path: Path,
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
    /// The owner gave the socket, bound to this address, but it cannot be used here and is gone.
    /// Its port is free again, and the place in the quota that came with it.
    Unusable(SocketAddr),
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
