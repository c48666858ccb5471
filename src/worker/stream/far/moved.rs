//! A client's connection that goes to another worker, because that one has the peer connection it
//! asks for with its ConnectionBind.
//!
//! ```text
//! this worker                               the worker that has the allocation
//!   Verdict::Move ─▶ driver.detach
//!   Detached ─▶ Mail::Client ──────────────▶ driver.adopt, the request is judged, bytes pass
//! ```
//!
//! What was read travels with it, TLS and all, and what was not read waits in the socket.

use std::os::fd::OwnedFd;

use bytes::BytesMut;

use crate::worker::{
    mail::mailbox::Mail,
    reactor::Worker,
    stream::entry::{Client, MovedClient, Moving},
};
use crate::{
    io::{Driver, HangUpHow, Receive, StreamId},
    stream::HangUp,
    turn::{Now, WorkerIndex},
};

/// What had arrived and was not read is taken in parts of this size.
const UNREAD_BYTES: usize = 16_384;

/// How often a connection has been handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker::stream) enum Hops {
    None,
    One,
}

impl<D: Driver> Worker<D> {
    /// Has a connection leave the driver.
    pub(in crate::worker::stream) fn move_client(
        &mut self,
        now: Now,
        stream: StreamId,
        worker: WorkerIndex,
        request: &[u8],
    ) {
        self.leave(now, stream);
        let Some(client) = self.streams.take(now.mono_ms, stream) else { return };
        self.streams.moves(stream, Moving { client, worker, request: request.into() });
        self.driver.detach(stream);
    }

    /// A connection has left the driver. Where the other worker has no room for it, it ends here.
    pub(in crate::worker::stream) fn on_detached(
        &mut self,
        stream: StreamId,
        socket: OwnedFd,
        unread: BytesMut,
    ) {
        let Some(moving) = self.streams.take_moving(stream) else { return };
        let Moving { client, worker, request } = moving;
        let moved = MovedClient { socket, unread, client, request };
        let counters = &mut self.streams.counters.pipes;
        match self.mailboxes.try_post(worker, Mail::Client(Box::new(moved))) {
            Ok(()) => counters.moved += 1,
            Err(_) => {
                counters.moves_failed += 1;
                self.streams.counters.count(HangUp::MoveFailed);
            }
        }
    }

    /// Takes a connection over and judges what it asks for.
    pub(in crate::worker) fn on_moved_client(&mut self, now: Now, moved: MovedClient) {
        let MovedClient { socket, unread, client, request } = moved;
        let Ok(stream) = self.driver.adopt(socket, Receive::Now) else {
            self.streams.counters.pipes.moves_failed += 1;
            return self.streams.counters.count(HangUp::MoveFailed);
        };
        let Client { connection, listener, peer, source, .. } = *client;
        let mut client = Client::new(connection, listener, peer, now.mono_ms);
        client.source = source;
        source.into_iter().for_each(|source| self.streams.sources.take_over(source));
        self.streams.insert(stream, client);
        self.receive_bind(now, stream, &request, Hops::One);
        let intake = std::mem::take(&mut self.streams.intake);
        self.take_intake(now, stream, intake, None, Ok(()));
        // There may be more of it than is held behind a request.
        for part in unread.chunks(UNREAD_BYTES) {
            match self.copied(part) {
                Some(lease) => self.on_bytes(now, stream, lease),
                None => {
                    self.counters.no_buffer += 1;
                    return self.hang_up(now, stream, HangUp::ServerEnds, HangUpHow::Reset);
                }
            }
        }
    }
}
