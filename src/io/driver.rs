//! The one face of all drivers.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
};

use super::{
    engine::figures::{counters::Counters, hold_times::HoldTimes},
    event::{Event, Receive, SocketId, Wait},
    memory::pool::Lease,
    piece::Piece,
    stream::streams::Streams,
    waker::Waker,
};

/// A socket layer with batches: io_uring, or its portable stand-in.
///
/// A driver belongs to the thread that made it. Everything it needs is taken when it is made;
/// moving a packet allocates nothing.
pub trait Driver: Streams {
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
    ///
    /// [`HEADROOM`]: crate::io::HEADROOM
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
