//! Rings, buffers and sockets: datagrams in and out, in batches.
//!
//! A worker owns one [`Driver`]. It calls [`Driver::turn`] once per loop, which hands the kernel
//! everything queued and waits; it takes what arrived with [`Driver::next`], and queues answers
//! with [`Driver::send`]. There is no call into the kernel per packet.
//!
//! ```text
//!            next()                    send()                  turn()
//!  kernel ──────────▶ Received{Lease} ────────▶ Piece{Lease} ─────────▶ kernel
//!     ▲                     │ drop                                │ sent
//!     └───── pool ◀─────────┴─────────────────────────────────────┘
//! ```
//!
//! The law of this floor: a buffer the kernel does not own is a value, a [`Lease`]. Possession is
//! the proof that it may be read; being its only holder is the proof that it may be written.
//! Nothing here knows what stands in a datagram.
//!
//! ```text
//! engine/           the driver, once for both kernels; kernel.rs says what a third one has to do
//! uring/ epoll/     the kernels: calls, and the memory that the operating system may touch
//! datagram/         how pieces become trains, and where those may go
//! memory/           buffers, and who may touch them
//! socket/           how sockets are opened, addressed and steered
//! probe.rs          what this machine's kernel can do
//! ```

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    ops::Range,
    os::fd::OwnedFd,
    time::Duration,
};

mod datagram;
mod engine;
mod epoll;
mod memory;
mod probe;
mod settings;
mod socket;
mod sys;
mod uring;
mod waker;

pub use engine::{
    counters::{Counters, TrainSizes, TurnSizes},
    hold_times::HoldTimes,
    size_histogram::SizeHistogram,
};
pub use memory::pool::{Lease, Pool};
pub use probe::{Facts, Obstacle};
pub use settings::Settings;
pub use socket::{
    open::{self as sockets, BufferSizes},
    steer,
};
pub use waker::Waker;

/// Datagrams through io_uring.
pub type UringDriver = engine::Engine<uring::Kernel>;
/// Datagrams through epoll, `recvmmsg` and `sendmmsg`, for where io_uring is absent or forbidden.
///
/// The same sockets, leases, joining and trains; only the calls differ, and there are more of them.
pub type PortableDriver = engine::Engine<epoll::Kernel>;

/// Writable bytes guaranteed in front of every received and every blank payload.
///
/// 20 (STUN header) + 24 (XOR-PEER-ADDRESS of IPv6) + 4 (DATA header): the largest prefix a relayed
/// payload gets (RFC 8656 §11.6).
pub const HEADROOM: usize = 48;

/// The longest zero padding that may stand behind a piece, in bytes.
pub const PAD_MAX: usize = 3;

/// A slot in the driver's socket table.
///
/// Small and dense, from 0. It names one socket from [`Driver::open`] or [`Driver::bind`] until
/// [`Event::Closed`], [`Event::Taken`] or [`Event::Refused`], after which the number is used again;
/// no event of a socket that is gone surfaces under it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SocketId(u32);

impl SocketId {
    /// The id of a slot, for whoever implements [`Driver`].
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
    Woken,
    /// A socket that [`Driver::bind`] was asked for is bound, and receives unless it is paused.
    Opened(SocketId),
    /// A socket that [`Driver::bind`] was asked for cannot be had; the errno says why, `EADDRINUSE`
    /// for a port that somebody else has. Its id is free.
    Refused(SocketId, i32),
    /// The kernel has let go of a closed socket: its port can be bound again, its id is free.
    Closed(SocketId),
    /// The socket that [`Driver::take`] was asked for, for [`Driver::open`] of another driver. Its
    /// id is free.
    Taken(SocketId, OwnedFd),
    /// A socket can no longer receive; the errno says why. It still has to be closed.
    Broken(SocketId, i32),
    /// The kernel refused segmentation offload (UDP_SEGMENT) to several destinations in a row:
    /// every datagram is a send of its own. It is tried again every minute.
    SegmentationOff,
    /// The kernel has taken a train again.
    SegmentationOn,
}

/// When a socket begins to receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Receive {
    /// At once.
    Now,
    /// Not before [`Driver::resume`]. What arrives until then waits in the socket's buffer as far
    /// as there is room, and surfaces afterwards.
    Paused,
}

/// How long [`Driver::turn`] may sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all.
    None,
    /// Until something arrives, and at most this long.
    For(Duration),
    /// Until something arrives.
    Forever,
}

/// What [`Driver::send`] puts on the wire: `segments` datagrams, each `header`, `body`, `pad`.
///
/// ```text
/// buffer   ..│ body │........│ body │........│ body │..      each body `stride` after the last
/// wire       [header][body][pad] [header][body][pad] [header][body][pad]
/// ```
///
/// Most pieces are one datagram; a received train whose segments are framed alike goes out as one
/// piece, with one lease and one header for all of them.
#[derive(Debug)]
pub struct Piece<'a> {
    /// Copied by `send`, in front of every body. At most [`HEADROOM`] bytes.
    pub header: &'a [u8],
    /// Holds the bodies until the kernel has sent them.
    pub lease: Lease,
    /// The first body, in offsets of the whole buffer (as [`Lease::range`] counts).
    pub body: Range<usize>,
    /// Datagrams in this piece, at least 1.
    pub segments: usize,
    /// Bytes from the start of one body to the start of the next; without meaning for one segment.
    pub stride: usize,
    /// Zero bytes behind every body. At most [`PAD_MAX`].
    pub pad: u8,
    /// Whether the datagrams leave with the DF bit set, and are dropped where they do not fit.
    pub dont_fragment: bool,
}

impl<'a> Piece<'a> {
    /// One datagram: `body` of the lease's buffer, nothing in front or behind.
    #[must_use]
    pub fn single(lease: Lease, body: Range<usize>) -> Self {
        Self { header: &[], lease, body, segments: 1, stride: 0, pad: 0, dont_fragment: false }
    }

    /// Puts `header` in front of every body.
    #[must_use]
    pub fn with_header(mut self, header: &'a [u8]) -> Self {
        self.header = header;
        self
    }

    /// Puts `pad` zero bytes behind every body.
    #[must_use]
    pub fn with_pad(mut self, pad: u8) -> Self {
        self.pad = pad;
        self
    }

    /// Repeats the body `segments` times, each `stride` bytes after the one before.
    #[must_use]
    pub fn repeated(mut self, segments: usize, stride: usize) -> Self {
        self.segments = segments;
        self.stride = stride;
        self
    }
}

/// A socket layer with batches: io_uring, or its portable stand-in.
///
/// A driver belongs to the thread that made it. Everything it needs is taken when it is made;
/// moving a packet allocates nothing.
pub trait Driver {
    /// Takes over a bound, non-blocking socket and starts receiving on it. It may have been
    /// [taken](Self::take) out of another driver.
    ///
    /// # Errors
    /// When the socket table is full (`EMFILE`), or the kernel does not take the socket.
    fn open(&mut self, socket: UdpSocket) -> io::Result<SocketId>;

    /// Opens a relay socket at an address. [`Event::Opened`] or [`Event::Refused`] follows, with
    /// the id that is returned; until then it must not be used.
    ///
    /// # Errors
    /// When the socket table is full (`EMFILE`), or when it is known at once that the socket cannot
    /// be had, with what the kernel says to the address.
    fn bind(&mut self, address: SocketAddr, receive: Receive) -> io::Result<SocketId>;

    /// Starts receiving on a socket that was bound [paused](Receive::Paused).
    fn resume(&mut self, socket: SocketId);

    /// Stops a socket. Nothing received on it surfaces after this call; what was queued to be sent
    /// still leaves. [`Event::Closed`] follows once the kernel has let go of it.
    fn close(&mut self, socket: SocketId);

    /// Takes a socket out of the driver. Nothing received on it surfaces after this call; what was
    /// queued to be sent still leaves. [`Event::Taken`] follows with its descriptor, or
    /// [`Event::Closed`] where the process can have no more descriptors; until then the socket can
    /// be neither closed nor taken again.
    ///
    /// What arrives between this call and the next turn may be lost. What arrives later waits in
    /// the socket.
    fn take(&mut self, socket: SocketId);

    /// Queues a piece. It leaves at the next [`turn`](Self::turn), or earlier if the queue is full.
    ///
    /// Pieces of equal size for one destination are joined into one train; the order within one
    /// `(socket, to)` always holds. What the kernel refuses is dropped and counted.
    ///
    /// # Panics
    /// If the piece does not lie in its lease's buffer, has no segment, or its header or pad is
    /// longer than the bounds above: that is a bug of the caller, never input.
    fn send(&mut self, socket: SocketId, to: SocketAddr, piece: Piece<'_>);

    /// Hands everything queued to the kernel, waits, and collects what arrived: one system call.
    ///
    /// A signal ends the wait early and is not an error.
    ///
    /// # Errors
    /// Only when the ring (or epoll) itself fails, which is a bug or the end of memory.
    fn turn(&mut self, wait: Wait) -> io::Result<()>;

    /// Takes the next thing that [`turn`](Self::turn) collected.
    fn next(&mut self) -> Option<Event>;

    /// A private buffer for a datagram of up to `bytes` that the server itself writes; its payload
    /// is the `bytes` behind [`HEADROOM`]. `None` when all of them are in use: drop and count.
    fn blank(&mut self, bytes: usize) -> Option<Lease>;

    /// A handle that makes [`turn`](Self::turn) return, from any thread.
    fn waker(&self) -> Waker;

    /// What this driver has done so far.
    fn counters(&self) -> &Counters;

    /// How long it held datagrams, sampled.
    fn hold_times(&self) -> &HoldTimes;

    /// Datagrams the kernel dropped because the socket's receive buffer was full, if it says so:
    /// not for a socket that has no descriptor.
    fn kernel_drops(&self, socket: SocketId) -> Option<u64>;
}
