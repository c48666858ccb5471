//! What a kernel has to do for streams.
//!
//! Every operation that is begun ends with a step of its own, whatever happens; until then the
//! kernel may use the descriptor, and the memory is the kernel's.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    os::fd::OwnedFd,
    rc::Rc,
};

use bytes::BytesMut;
use socket2::SockAddr;

use crate::io::{engine::table::Key, memory::pool::Lease};

/// Operations on plain descriptors, each named by the key of its stream or acceptor.
pub trait StreamKernel {
    /// Has what streams need beside their sockets. Asked before the first, and for each again.
    fn begin_streams(&mut self) -> io::Result<()>;

    /// Sees that a socket from elsewhere can be used.
    fn admit_stream(&mut self, socket: &OwnedFd) -> io::Result<()>;

    /// Sees that a listener can be used.
    fn admit_listener(&mut self, listener: &TcpListener) -> io::Result<()>;

    /// Takes one connection: one [`StreamStep::Accepted`].
    fn accept(&mut self, key: Key, listener: &Rc<TcpListener>) -> io::Result<()>;

    /// Ends all accepts of an acceptor.
    fn stop_accepts(&mut self, key: Key) -> io::Result<()>;

    /// Connects: one [`StreamStep::Connected`].
    fn connect_stream(
        &mut self,
        key: Key,
        socket: &Rc<OwnedFd>,
        address: SockAddr,
    ) -> io::Result<()>;

    /// Whether receives may be begun: not from when the buffers ran out until half of them are
    /// back, so that none ends again at once.
    fn may_receive_streams(&mut self) -> bool;

    /// Begins to receive: [`StreamStep::Received`] with `more`, until one without.
    fn receive_stream(&mut self, key: Key, socket: &Rc<OwnedFd>, shots: Shots) -> io::Result<()>;

    /// Writes what is left of a write, or a part of it: one [`StreamStep::Wrote`].
    fn write_stream(&mut self, key: Key, socket: &Rc<OwnedFd>, write: Write) -> io::Result<()>;

    /// Ends an operation on a stream.
    fn stop(&mut self, key: Key, operation: Operation) -> io::Result<()>;
}

/// What may be under way on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Connect,
    Receive,
    Write,
}

/// How long a receive of a stream may go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shots {
    /// Until it is stopped or has no buffer.
    Many,
    /// Until bytes have come. Kernels before some of 2026 lose the end of a unix stream that comes
    /// right behind bytes where the receive goes on (liburing issue 1549).
    One,
}

/// A buffer on its way out.
#[derive(Debug)]
pub struct Write {
    pub(in crate::io) buffer: BytesMut,
    /// How much of it the operating system has.
    pub(in crate::io) sent: usize,
}

impl Write {
    pub(in crate::io) fn left(&self) -> &[u8] {
        &self.buffer[self.sent..]
    }
}

/// One step of one operation. Results below zero are errnos.
#[derive(Debug)]
pub enum StreamStep {
    Accepted {
        key: Key,
        accepted: Result<(OwnedFd, SocketAddr), i32>,
    },
    Connected {
        key: Key,
        result: i32,
    },
    /// Bytes in a buffer; 0 without one for the peer's FIN. Whether the receive goes on.
    Received {
        key: Key,
        result: i32,
        lease: Option<Lease>,
        more: bool,
    },
    Wrote {
        key: Key,
        result: i32,
        write: Write,
    },
    /// There was no such operation to end, or it could not be ended.
    NotStopped {
        key: Key,
        operation: Operation,
    },
    /// The same of an acceptor.
    AcceptsNotStopped {
        key: Key,
    },
}
