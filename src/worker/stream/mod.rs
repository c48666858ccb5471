//! Connections of clients: TCP, and TLS on it.
//!
//! The driver has the sockets, [`Connection`](crate::stream::Connection) knows what bytes mean,
//! the state machine judges frames as it judges datagrams. What stands here brings them together,
//! and sees that strangers take little and nobody waits for a slow reader.
//!
//! ```text
//! accept.rs     a new connection, and who may not have one more
//! table.rs      all connections, by the driver's number and by five-tuple
//! entry.rs      what one of the driver's numbers stands for
//! receive.rs    bytes ──▶ frames ──▶ the state machine
//! send.rs       frames ──▶ one write of each connection at the end of a turn
//! buffers.rs    where writes stand until the kernel has them
//! deadlines.rs  when a connection is looked at again
//! end.rs        how connections end
//! counters.rs   what is counted
//! bounds/       what one source and one client may have, and what the log hears of the rest
//! far/          connections whose bytes pass as they are: to peers (RFC 6062), to the web backend
//! ```

mod accept;
pub(super) mod bounds;
mod buffers;
pub(super) mod counters;
mod deadlines;
mod end;
pub(super) mod entry;
mod far;
mod receive;
mod send;
pub(super) mod table;

use crate::worker::{
    data::sockets::{Acceptor, Role},
    reactor::Worker,
};
use crate::{
    io::{AcceptorId, Driver, StreamEvent},
    turn::Now,
};

use accept::Accepted;

impl<D: Driver> Worker<D> {
    /// Takes what came of a connection.
    pub(in crate::worker) fn on_stream(&mut self, now: Now, event: StreamEvent) {
        match event {
            StreamEvent::Accepted { acceptor, stream, peer, local } => {
                self.on_accepted(now, stream, Accepted { acceptor, peer, local });
            }
            StreamEvent::Bytes(stream, lease) => self.on_bytes(now, stream, lease),
            StreamEvent::Written(stream, buffer) => self.on_written(now, stream, buffer),
            StreamEvent::Finished(stream) => self.on_finished(now, stream),
            StreamEvent::Closed(stream, errno) => self.on_stream_closed(now, stream, errno),
            StreamEvent::Connected(stream) => self.on_connected(now, stream),
            StreamEvent::Detached { stream, socket, unread } => {
                self.on_detached(stream, socket, unread);
            }
            StreamEvent::AcceptorBroken(acceptor, errno) => {
                self.on_acceptor_broken(acceptor, errno);
            }
        }
    }

    fn on_acceptor_broken(&mut self, acceptor: AcceptorId, errno: i32) {
        match self.sockets.acceptor(acceptor) {
            Some(Acceptor::Listener(listener, _)) => {
                self.report_broken(Role::Listener(listener), errno);
            }
            Some(Acceptor::Relay(relay)) => {
                self.counters.relays_broken += 1;
                self.report_broken(Role::Relay(relay), errno);
            }
            None => {}
        }
    }
}
