//! What every driver does with streams.

use std::{io, net::TcpListener, os::fd::OwnedFd};

use bytes::BytesMut;

use super::event::{AcceptorId, HangUpHow, Remote, StreamId};
use crate::io::event::Receive;

/// The streams of a driver. All that is asked for is done by the next
/// [`turn`](crate::io::Driver::turn); what comes of it is an
/// [`Event::Stream`](crate::io::Event::Stream).
///
/// Of a stream that has broken, or is hung up or detached, nothing more can be asked: such calls do
/// nothing, and their buffers are dropped.
pub trait Streams {
    /// Takes connections of a listener, as long as the table of streams has room. Beyond that they
    /// wait in the listener's backlog, except for a few behind a storm, which are closed.
    ///
    /// # Errors
    /// When there are too many listeners (`EMFILE`), or the kernel does not take the listener.
    fn accept(&mut self, listener: TcpListener) -> io::Result<AcceptorId>;

    /// The same for a listener of which there may be many, and whose connections are of less worth:
    /// they are taken one at a time, into places that no accept of another listener waits for.
    /// Where none is left they are closed at once.
    ///
    /// # Errors
    /// Those of [`accept`](Self::accept).
    fn accept_leftovers(&mut self, listener: TcpListener) -> io::Result<AcceptorId>;

    /// Takes no more connections, and closes the listener: its address is free when this returns.
    /// None of it surfaces after this call; those that wait in the backlog are reset by the kernel.
    /// The id must not be used any more.
    fn stop_accepting(&mut self, acceptor: AcceptorId);

    /// Takes over a connected TCP or unix stream. It may have been [detached](Self::detach) from
    /// another driver.
    ///
    /// # Errors
    /// When the table is full (`EMFILE`), or the kernel does not take the socket.
    fn adopt(&mut self, socket: OwnedFd, reading: Receive) -> io::Result<StreamId>;

    /// Connects. [`Connected`](super::event::StreamEvent::Connected) or
    /// [`Closed`](super::event::StreamEvent::Closed) follows; until then the stream can only be
    /// hung up. The kernel gives up after two minutes or so; whoever has less patience hangs up.
    ///
    /// # Errors
    /// When the table is full (`EMFILE`), or what the kernel says to a new socket or to its local
    /// address.
    fn connect(&mut self, remote: Remote<'_>) -> io::Result<StreamId>;

    /// Writes all of a buffer. [`Written`](super::event::StreamEvent::Written) follows once the
    /// kernel has it, which may take as long as the peer likes.
    ///
    /// # Panics
    /// While another write of this stream is under way, or after [`finish`](Self::finish): that is
    /// a bug of the caller.
    fn write(&mut self, stream: StreamId, buffer: BytesMut);

    /// Ends our side of the stream (FIN), behind the write that is under way.
    fn finish(&mut self, stream: StreamId);

    /// Stops reading. What has arrived already may still surface.
    fn pause(&mut self, stream: StreamId);

    /// Reads again.
    fn unpause(&mut self, stream: StreamId);

    /// Ends the stream, and whatever is under way of it.
    /// [`Closed`](super::event::StreamEvent::Closed) follows, and nothing else surfaces.
    fn hang_up(&mut self, stream: StreamId, how: HangUpHow);

    /// Takes the stream out of the driver.
    /// [`Detached`](super::event::StreamEvent::Detached) follows, or
    /// [`Closed`](super::event::StreamEvent::Closed) where it breaks first. Nothing received
    /// surfaces after this call. A write that is under way ends first, as usual; whoever does not
    /// wait so long hangs up.
    fn detach(&mut self, stream: StreamId);
}
