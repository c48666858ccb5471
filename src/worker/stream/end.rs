//! How connections end: by their client, by a deadline, by the server.

use crate::worker::reactor::Worker;
use crate::{
    io::{Driver, HangUpHow, StreamId},
    stream::{HangUp, limits::DRAINING_MS},
    turn::{FiveTuple, Now},
};

impl<D: Driver> Worker<D> {
    /// Ends a connection at once, and its client's allocation with it.
    pub(super) fn hang_up(&mut self, now: Now, stream: StreamId, reason: HangUp, how: HangUpHow) {
        self.leave(now, stream);
        if let Some(client) = self.streams.take(now.mono_ms, stream) {
            self.streams.counters.count(reason);
            let path = client.path();
            self.tell_fault(now, path.client(), path.transport, reason);
            self.driver.hang_up(stream, how);
            client.far.into_iter().for_each(|far| self.drop_far(now, far));
        }
    }

    /// Tells the state machine that the client of a connection is gone.
    pub(super) fn leave(&mut self, now: Now, stream: StreamId) {
        if let Some(flow) = self.streams.unname(stream) {
            self.server.disconnected(now, flow);
            self.carry_out(now);
        }
    }

    /// The client sends no more; what it was answered is still written.
    pub(super) fn on_finished(&mut self, now: Now, stream: StreamId) {
        let Some(client) = self.streams.client(stream) else {
            return self.far_finished(now, stream);
        };
        if client.connection.wants_step() {
            // What came before it is not read yet.
            client.fin_waits = true;
            return;
        }
        let Some(reason) = client.connection.finished(now.mono_ms) else {
            return self.client_finished(now, stream);
        };
        if client.is_lingering {
            return self.hang_up(now, stream, reason, HangUpHow::Close);
        }
        // Once all is said it is not waited for again.
        client.ends.heard = true;
        self.let_go(now, stream, reason);
    }

    /// Ends a connection once what its client was answered is written; its allocation ends now.
    pub(super) fn let_go(&mut self, now: Now, stream: StreamId, reason: HangUp) {
        if let Some(client) = self.streams.client(stream) {
            client.connection.drain(now.mono_ms, reason);
        }
        self.leave(now, stream);
        self.streams.settle(stream);
    }

    /// The driver has let go of a connection: as it was told to, or because it broke.
    pub(super) fn on_stream_closed(&mut self, now: Now, stream: StreamId, errno: Option<i32>) {
        self.leave(now, stream);
        if let Some(client) = self.streams.take(now.mono_ms, stream) {
            self.streams.counters.count(HangUp::Broke);
            client.far.into_iter().for_each(|far| self.drop_far(now, far));
        }
        let far = self.streams.take_far(stream);
        self.streams.forget(stream);
        far.into_iter().for_each(|far| self.on_far_closed(now, &far, errno));
    }

    /// Ends connections whose deadline has passed.
    pub(in crate::worker) fn expire_streams(&mut self, now: Now) {
        self.tell_refused_source(now);
        while let Some(stream) = self.streams.next_due(now.mono_ms) {
            self.resume(now, stream);
            if self.streams.far(stream).is_some_and(|far| far.deadline_ms() <= now.mono_ms) {
                self.give_up_far(now, stream);
            }
            let Some(client) = self.streams.client(stream) else {
                self.streams.settle(stream);
                continue;
            };
            match client.connection.expire(now.mono_ms) {
                Some(reason) => {
                    // What the kernel still has of it is dropped, or it would live on there.
                    let reset = matches!(reason, HangUp::WriteTimeout);
                    let how = if reset { HangUpHow::Reset } else { HangUpHow::Close };
                    self.hang_up(now, stream, reason, how);
                }
                None => self.streams.settle(stream),
            }
        }
    }

    /// Notes that a client has an allocation, and so has shown credentials.
    pub(in crate::worker) fn stream_allocated(&mut self, flow: FiveTuple) {
        let Some(stream) = self.streams.of(flow) else { return };
        self.streams.authenticated(stream);
        if let Some(client) = self.streams.client(stream) {
            client.connection.allocated();
        }
        self.streams.settle(stream);
    }

    /// Notes that its allocation has ended: it has a while to make another.
    pub(in crate::worker) fn stream_deallocated(&mut self, now: Now, flow: FiveTuple) {
        let Some(stream) = self.streams.of(flow) else { return };
        if let Some(client) = self.streams.client(stream) {
            client.connection.deallocated(now.mono_ms);
        }
        self.streams.settle(stream);
    }

    /// Ends every connection: what was answered is still written. Says until when that may take.
    pub(in crate::worker) fn drain_streams(&mut self, now: Now) -> u64 {
        for stream in self.streams.clients() {
            let Some(client) = self.streams.client(stream) else { continue };
            if client.is_lingering {
                self.hang_up(now, stream, HangUp::ServerEnds, HangUpHow::Close);
                continue;
            }
            client.connection.drain(now.mono_ms, HangUp::ServerEnds);
            self.streams.settle(stream);
        }
        now.mono_ms + DRAINING_MS
    }
}
