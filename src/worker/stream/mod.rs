//! Connections of clients: TCP, and TLS on it.
//!
//! The driver has the sockets, [`Connection`](crate::stream::Connection) knows what bytes mean,
//! the state machine judges frames as it judges datagrams. What stands here brings them together,
//! and sees that strangers take little and nobody waits for a slow reader.
//!
//! ```text
//! accept.rs     a new connection, and who may not have one more
//! sources.rs    how many connections a source has, and how fast it opens them
//! table.rs      all connections, by the driver's number and by five-tuple
//! receive.rs    bytes ──▶ frames ──▶ the state machine
//! send.rs       frames ──▶ one write of each connection at the end of a turn
//! buffers.rs    where writes stand until the kernel has them
//! deadlines.rs  when a connection is looked at again
//! end.rs        how connections end
//! rules.rs      what the operator decides
//! counters.rs   what is counted
//! ```

mod accept;
mod buffers;
pub(super) mod counters;
mod deadlines;
mod end;
mod receive;
pub(super) mod rules;
mod send;
mod sources;
pub(super) mod table;

use crate::worker::{data::sockets::Role, reactor::Worker};
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
            StreamEvent::Closed(stream, _) => self.on_stream_closed(now, stream),
            StreamEvent::Connected(_) | StreamEvent::Detached { .. } => {
                debug_assert!(false, "nobody asked for it");
            }
            StreamEvent::AcceptorBroken(acceptor, errno) => {
                self.on_acceptor_broken(acceptor, errno);
            }
        }
    }

    fn on_acceptor_broken(&mut self, acceptor: AcceptorId, errno: i32) {
        if let Some((listener, _)) = self.sockets.acceptor(acceptor) {
            self.report_broken(Role::Listener(listener), errno);
        }
    }
}
