//! What a driver is asked to do and what it brings, in plain values.

use std::{net::SocketAddr, os::fd::OwnedFd, time::Duration};

use super::{memory::pool::Lease, stream::event::StreamEvent};

/// A slot in the driver's socket table.
///
/// Small and dense, from 0. It names one socket from [`Driver::open`] or [`Driver::bind`] until
/// [`Event::Closed`], [`Event::Taken`] or [`Event::Refused`], after which the number is used again;
/// no event of a socket that is gone surfaces under it.
///
/// [`Driver::open`]: crate::io::Driver::open
/// [`Driver::bind`]: crate::io::Driver::bind
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(pub(super) u32);

impl SocketId {
    /// The id of a slot, for whoever implements [`Driver`].
    ///
    /// [`Driver`]: crate::io::Driver
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

/// One datagram, or one train of datagrams of equal size that the kernel joined (UDP_GRO).
#[derive(Debug)]
pub struct Received {
    /// Where it arrived.
    pub socket: SocketId,
    /// Who sent it; the same for every segment of a train.
    pub from: SocketAddr,
    /// Bytes of each datagram in the payload; only the last one may be shorter. Equals the
    /// payload's length for a single datagram, and is 0 only for an empty one.
    pub segment_bytes: usize,
    /// The bytes; [`Lease::range`] says where in the buffer.
    pub lease: Lease,
}

impl Received {
    /// Datagrams in this train; 1 for a single one, empty or not.
    #[must_use]
    pub fn segments(&self) -> usize {
        let payload_bytes = self.lease.range().len();
        payload_bytes.div_ceil(self.segment_bytes.max(1)).max(1)
    }
}

/// What a turn of the driver brought.
#[derive(Debug)]
pub enum Event {
    /// A datagram or a train of them arrived.
    Received(Received),
    /// A [`Waker`] was used, once or many times, since the last `Woken`.
    ///
    /// [`Waker`]: crate::io::Waker
    Woken,
    /// A socket that [`Driver::bind`] was asked for is bound, and receives unless it is paused.
    ///
    /// [`Driver::bind`]: crate::io::Driver::bind
    Opened(SocketId),
    /// A socket that [`Driver::bind`] was asked for cannot be had; the errno says why, `EADDRINUSE`
    /// for a port that somebody else has. Its id is free.
    ///
    /// [`Driver::bind`]: crate::io::Driver::bind
    Refused(SocketId, i32),
    /// The kernel has let go of a closed socket: its port can be bound again, its id is free.
    Closed(SocketId),
    /// The socket that [`Driver::take`] was asked for, for [`Driver::open`] of another driver. Its
    /// id is free.
    ///
    /// [`Driver::take`]: crate::io::Driver::take
    /// [`Driver::open`]: crate::io::Driver::open
    Taken(SocketId, OwnedFd),
    /// A socket can no longer receive; the errno says why. It still has to be closed.
    Broken(SocketId, i32),
    /// The kernel refused segmentation offload (UDP_SEGMENT) to several destinations in a row:
    /// every datagram is a send of its own. It is tried again every minute.
    SegmentationOff,
    /// The kernel has taken a train again.
    SegmentationOn,
    /// What came of a stream.
    Stream(StreamEvent),
}

/// When a socket begins to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// At once.
    Now,
    /// Not before [`Driver::resume`]. What arrives until then waits in the socket's buffer as far
    /// as there is room, and surfaces afterwards.
    ///
    /// [`Driver::resume`]: crate::io::Driver::resume
    Paused,
}

/// How long [`Driver::turn`] may sleep.
///
/// [`Driver::turn`]: crate::io::Driver::turn
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    None,
    /// Until something arrives, and at most this long.
    For(Duration),
    /// Until something arrives.
    Forever,
}
