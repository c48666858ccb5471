//! What is to be done with a datagram.

use std::{net::SocketAddr, ops::Range};

use crate::turn::api::{
    names::{
        identity::{RelayId, WorkerIndex},
        path::Path,
    },
    reason::Reason,
    train::Train,
};
use crate::wire::Prefix;

/// The one answer to a datagram from a client, or to a run of frames that have its size and header.
///
/// Ranges count from the first byte of the first frame. `frames` says how many of the run share the
/// verdict, at least one; the rest is dropped, and counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The payload leaves, bare, from a relay socket.
    ToPeer {
        /// The socket it leaves from.
        relay: RelayId,
        /// Where it goes.
        peer: SocketAddr,
        /// What goes of each frame.
        payload: Range<usize>,
        /// The first so many frames go.
        frames: usize,
        /// The client asked for the DF bit (RFC 8656 §15).
        dont_fragment: bool,
    },
    /// Hairpin: the peer is another client of this worker. The payload stays in user space.
    ToClient {
        /// Where it goes and how it is framed.
        to: ToClient,
        /// What goes of each frame.
        payload: Range<usize>,
        /// The first so many frames go.
        frames: usize,
    },
    /// Hairpin: the peer is a client of another worker, which is to be asked with
    /// [`crate::turn::Server::from_worker`].
    HandOver {
        /// Who owns the port.
        worker: WorkerIndex,
        /// The sender's relayed address as advertised.
        from: SocketAddr,
        /// The receiver's relayed address as the sender named it.
        to: SocketAddr,
        /// What goes of each frame.
        payload: Range<usize>,
        /// The first so many frames go.
        frames: usize,
    },
    /// An answer of so many bytes stands in the reply buffer and goes back where the request came
    /// from.
    Reply(usize),
    /// The answer comes later, once an effect has been carried out: that to an Allocate from
    /// [`crate::turn::Server::complete`], that to a Connect as an
    /// [`Effect::Tell`](crate::turn::Effect::Tell).
    Pending,
    /// A ConnectionBind for a connection of another worker: the client's connection is to be handed
    /// over to it as a whole, and this request judged there with
    /// [`crate::turn::Server::from_moved_client`]. Where it cannot be handed over it is closed.
    Move(WorkerIndex),
    /// Nothing happens. Already counted.
    Drop(Reason),
}

/// Where a payload for a client goes, and what is written in front of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ToClient {
    /// How the client is reached.
    pub path: Path,
    /// The framing; the same for every segment of a train.
    pub prefix: Prefix,
}

impl ToClient {
    /// Zero bytes that follow a payload. On a stream every frame ends on a multiple of 4, over UDP
    /// a ChannelData frame ends where its payload does (RFC 8656 §12.5).
    pub const fn trailing_bytes(&self, payload_bytes: usize) -> usize {
        if self.path.transport.is_stream() {
            payload_bytes.next_multiple_of(4) - payload_bytes
        } else {
            self.prefix.trailing_bytes(payload_bytes)
        }
    }
}

/// What of a train from a peer goes to a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// Where it goes and how each datagram is framed.
    pub to: ToClient,
    /// What goes: the train's first datagrams, at least one. What is missing is dropped, and
    /// counted.
    pub train: Train,
}
