//! What a driver is asked with about streams and what it brings of them, in plain values.

use std::{net::SocketAddr, os::fd::OwnedFd, path::Path};

use bytes::BytesMut;

use crate::io::memory::pool::Lease;

/// A slot in the driver's table of listeners, from [`Streams::accept`] to
/// [`Streams::stop_accepting`].
///
/// [`Streams::accept`]: crate::io::Streams::accept
/// [`Streams::stop_accepting`]: crate::io::Streams::stop_accepting
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AcceptorId(pub(in crate::io) u32);

/// A slot in the driver's table of streams.
///
/// Small and dense, from 0. It names one stream from [`StreamEvent::Accepted`], or the call that
/// made it, until [`StreamEvent::Closed`] or [`StreamEvent::Detached`], after which the number is
/// used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub(in crate::io) u32);

impl AcceptorId {
    /// The id of a slot, for whoever implements [`Streams`](crate::io::Streams).
    #[must_use]
    pub fn new(slot: u32) -> Self {
        Self(slot)
    }

    /// The slot as an index, for tables kept beside the driver's.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl StreamId {
    /// The id of a slot, for whoever implements [`Streams`](crate::io::Streams).
    #[must_use]
    pub fn new(slot: u32) -> Self {
        Self(slot)
    }

    /// The slot as an index, for tables kept beside the driver's.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// What a turn brought of streams.
#[derive(Debug)]
pub enum StreamEvent {
    /// A client has connected; its bytes are being read.
    Accepted {
        /// Whose listener it came to.
        acceptor: AcceptorId,
        /// The new stream.
        stream: StreamId,
        /// The client's end.
        peer: SocketAddr,
        /// Our end.
        local: SocketAddr,
    },
    /// Bytes arrived, in the order in which they were sent: the lease's payload. Buffers are few,
    /// so that a lease must not be kept beyond the turn unless it is being sent.
    Bytes(StreamId, Lease),
    /// All of a write is with the kernel. The buffer comes back, empty.
    Written(StreamId, BytesMut),
    /// A connection that [`Streams::connect`](crate::io::Streams::connect) was asked for is there;
    /// its bytes are being read.
    Connected(StreamId),
    /// The peer sends nothing more, and all that it sent has surfaced. Writing is still possible.
    Finished(StreamId),
    /// The stream is gone; the errno says why when it broke, or could not connect. What was to be
    /// written is dropped. Its id is free.
    Closed(StreamId, Option<i32>),
    /// Answers [`Streams::detach`](crate::io::Streams::detach). The id is free.
    Detached {
        /// Which one.
        stream: StreamId,
        /// Its descriptor, for [`Streams::adopt`](crate::io::Streams::adopt) of another driver. It
        /// holds what arrived later than `unread`.
        socket: OwnedFd,
        /// What had arrived and not surfaced yet; mostly nothing. It comes before everything that
        /// the descriptor holds.
        unread: BytesMut,
    },
    /// A listener takes no more connections; the errno says why. It still has to be
    /// [stopped](crate::io::Streams::stop_accepting).
    AcceptorBroken(AcceptorId, i32),
}

/// Whom to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remote<'a> {
    /// A TCP connection.
    Tcp {
        /// The local end, which other sockets may have too (SO_REUSEADDR and SO_REUSEPORT); the
        /// kernel chooses where there is none.
        from: Option<SocketAddr>,
        /// The other end.
        to: SocketAddr,
    },
    /// A unix stream socket.
    Unix(&'a Path),
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HangUpHow {
    /// With a FIN behind what the kernel has of it. The kernel sends a reset instead where bytes
    /// have arrived that nobody read.
    Close,
    /// With a reset, and what the kernel has of it is dropped.
    Reset,
}
