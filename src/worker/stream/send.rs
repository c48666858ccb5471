//! Back to the client: frames wait as plaintext and are written at the end of the turn, one write
//! of a connection at a time.

use bytes::BytesMut;

use crate::worker::{
    reactor::Worker,
    stream::{entry::Writing, table::StreamTable},
};
use crate::{
    io::{Driver, HangUpHow, Piece, StreamId},
    stream::{FillOutcome, FrameKind, HangUp, Queued, Then},
    turn::{FiveTuple, Now},
};

/// Memory of all queues of a worker. Beyond that, those that have more than their share lose the
/// oldest of their media.
const MOST_QUEUED_BYTES: u64 = 64 << 20;

impl<D: Driver> Worker<D> {
    /// Queues every body of a piece as a frame of its own.
    pub(in crate::worker) fn send_to_stream(
        &mut self,
        now: Now,
        flow: FiveTuple,
        piece: &Piece<'_>,
    ) {
        let Some(stream) = self.streams.of(flow) else {
            self.streams.counters.dropped_gone += piece.segments as u64;
            return;
        };
        for segment in 0..piece.segments {
            let begin = piece.body.start + segment * piece.stride;
            let body = &piece.lease.buffer()[begin..begin + piece.body.len()];
            self.queue_frame(now, stream, FrameKind::Media, [piece.header, body, &[]]);
        }
        self.streams.shed(stream, MOST_QUEUED_BYTES);
    }

    /// Queues a frame, or closes a connection that takes no more.
    pub(super) fn queue_frame(
        &mut self,
        now: Now,
        stream: StreamId,
        kind: FrameKind,
        parts: [&[u8]; 3],
    ) {
        let Some((client, memory)) = self.streams.client_with_memory(stream) else { return };
        match client.connection.queue(now.mono_ms, kind, parts, memory) {
            Ok(queued) => self.streams.note_queued(stream, queued),
            Err(reason) => self.hang_up(now, stream, reason, HangUpHow::Reset),
        }
    }

    /// Queues an answer that stands in the reply buffer.
    pub(in crate::worker) fn answer_stream(&mut self, now: Now, flow: FiveTuple, bytes: usize) {
        let Some(stream) = self.streams.of(flow) else { return };
        let Some((client, memory)) = self.streams.client_with_memory(stream) else { return };
        let parts = [&self.reply[..bytes], &[], &[]];
        match client.connection.queue(now.mono_ms, FrameKind::Answer, parts, memory) {
            Ok(queued) => self.streams.note_queued(stream, queued),
            Err(reason) => self.hang_up(now, stream, reason, HangUpHow::Reset),
        }
    }

    /// Begins a write on every connection that has something to say and none under way.
    pub(in crate::worker) fn flush_streams(&mut self, now: Now) {
        self.streams.turn += 1;
        if self.streams.dirty.is_empty() {
            return;
        }
        let mut dirty = std::mem::take(&mut self.streams.dirty);
        dirty.drain(..).for_each(|stream| self.flush_stream(now, stream));
        // What was listed meanwhile has its turn later.
        dirty.append(&mut self.streams.dirty);
        self.streams.dirty = dirty;
    }

    /// Begins a write.
    pub(super) fn flush_stream(&mut self, now: Now, stream: StreamId) {
        let Some(client) = self.streams.take_dirty(stream) else { return };
        let (bytes, pace) = (client.connection.output_bytes(), client.pace);
        let (mut buffer, size) = self.streams.buffers.take(bytes, pace);
        let turn = self.streams.turn;
        let (client, memory) =
            self.streams.client_with_memory(stream).expect("it was there a moment ago");
        let filled = client.connection.fill(now.mono_ms, size.most_bytes(), &mut buffer, memory);
        let FillOutcome { dropped_late, oldest_age_ms, then } = match filled {
            Ok(filled) => filled,
            Err(reason) => {
                buffer.clear();
                self.streams.buffers.put(buffer, size);
                return self.hang_up(now, stream, reason, HangUpHow::Close);
            }
        };
        client.writing = (!buffer.is_empty()).then_some(Writing { size, turn, then });
        self.streams.counters.count_fill(dropped_late, oldest_age_ms);
        if buffer.is_empty() {
            self.streams.buffers.put(buffer, size);
            self.after_write(now, stream, then);
        } else {
            self.driver.write(stream, buffer);
            self.streams.settle(stream);
        }
    }

    /// All of a write is with the kernel.
    pub(super) fn on_written(&mut self, now: Now, stream: StreamId, buffer: BytesMut) {
        let then = self.streams.written(now.mono_ms, stream, buffer);
        let Some(client) = self.streams.client(stream) else {
            return self.on_far_written(now, stream);
        };
        let far = client.far;
        self.after_write(now, stream, then.unwrap_or(Then::More));
        far.into_iter().for_each(|far| self.resume(now, far));
    }

    fn after_write(&mut self, now: Now, stream: StreamId, then: Then) {
        match then {
            Then::More => self.streams.settle(stream),
            Then::Finish => self.client_told(now, stream),
            Then::HangUp(reason) => self.part(now, stream, reason),
        }
    }

    /// Ends a connection on which all is said. Where the client may still be sending, the kernel
    /// would answer with a reset that overtakes our last words: its FIN is waited for, unless it is
    /// there already, for as long as the connection drains.
    fn part(&mut self, now: Now, stream: StreamId, reason: HangUp) {
        let has_finished = self.streams.client(stream).is_some_and(|client| client.ends.heard);
        if has_finished || matches!(reason, HangUp::Left | HangUp::ServerEnds) {
            return self.hang_up(now, stream, reason, HangUpHow::Close);
        }
        self.leave(now, stream);
        if let Some(client) = self.streams.client(stream) {
            client.is_lingering = true;
            self.driver.finish(stream);
        }
        self.streams.settle(stream);
    }
}

impl StreamTable {
    /// Counts what queueing dropped.
    pub(super) fn note_queued(&mut self, stream: StreamId, queued: Queued) {
        self.counters.dropped_full += u64::from(queued.dropped_full);
        self.counters.dropped_late += u64::from(queued.dropped_late);
        self.settle(stream);
    }
}
