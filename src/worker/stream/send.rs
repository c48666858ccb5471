//! Back to the client: frames wait as plaintext and are written at the end of the turn, one write
//! of a connection at a time.

use crate::worker::{reactor::Worker, stream::entry::Client};
use crate::{
    io::{Driver, HangUpHow, Piece, StreamId},
    stream::{FillOutcome, FrameKind, HangUp, Then},
    turn::{FiveTuple, Now},
};

/// Plaintext bytes that wait in all queues of a worker. Beyond that, whoever queues more media
/// loses as much of the oldest of his own.
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
            let Some(client) = self.streams.client(stream) else { return };
            match client.connection.queue(now.mono_ms, FrameKind::Media, [piece.header, body, &[]])
            {
                Ok(queued) => self.streams.note_queued(stream, queued),
                Err(reason) => return self.hang_up(now, stream, reason, HangUpHow::Reset),
            }
        }
        self.shed(stream);
    }

    /// Queues an answer that stands in the reply buffer.
    pub(in crate::worker) fn answer_stream(&mut self, now: Now, flow: FiveTuple, bytes: usize) {
        let Some(stream) = self.streams.of(flow) else { return };
        let Some(client) = self.streams.client(stream) else { return };
        let parts = [&self.reply[..bytes], &[], &[]];
        match client.connection.queue(now.mono_ms, FrameKind::Answer, parts) {
            Ok(queued) => self.streams.note_queued(stream, queued),
            Err(reason) => self.hang_up(now, stream, reason, HangUpHow::Reset),
        }
    }

    /// Drops what a connection has above its share where all queues together are full.
    fn shed(&mut self, stream: StreamId) {
        let excess = self.streams.counters.queued_bytes.saturating_sub(MOST_QUEUED_BYTES);
        if excess == 0 {
            return;
        }
        let Some(client) = self.streams.client(stream) else { return };
        let most = client.connection.waiting_bytes().saturating_sub(excess as usize);
        let dropped = client.connection.shed(most);
        self.streams.counters.dropped_full += u64::from(dropped);
        self.streams.settle(stream);
    }

    /// Begins a write on every connection that has something to say and none under way.
    pub(in crate::worker) fn flush_streams(&mut self, now: Now) {
        if self.streams.dirty.is_empty() {
            return;
        }
        let mut dirty = std::mem::take(&mut self.streams.dirty);
        let mut flushed = 0;
        for stream in &dirty {
            if self.streams.far(*stream).is_some() {
                self.write_far(now, *stream);
            } else if !self.flush_stream(now, *stream) {
                break;
            }
            flushed += 1;
        }
        dirty.drain(..flushed);
        // What was listed meanwhile comes after those that no buffer was left for.
        dirty.append(&mut self.streams.dirty);
        self.streams.dirty = dirty;
    }

    /// Begins a write; false when no buffer is left for it.
    pub(super) fn flush_stream(&mut self, now: Now, stream: StreamId) -> bool {
        if self.streams.client(stream).is_none() {
            return true;
        }
        let Some(mut buffer) = self.streams.buffers.take() else { return false };
        let Some(client) = self.streams.take_dirty(stream) else {
            self.streams.buffers.put(buffer);
            return true;
        };
        let filled = client.connection.fill(now.mono_ms, &mut buffer);
        let FillOutcome { dropped_late, then, .. } = match filled {
            Ok(filled) => filled,
            Err(reason) => {
                buffer.clear();
                self.streams.buffers.put(buffer);
                self.hang_up(now, stream, reason, HangUpHow::Close);
                return true;
            }
        };
        self.streams.counters.dropped_late += u64::from(dropped_late);
        if buffer.is_empty() {
            self.streams.buffers.put(buffer);
            self.after_write(now, stream, then);
        } else {
            client_writes(self.streams.client(stream), then);
            self.driver.write(stream, buffer);
            self.streams.settle(stream);
        }
        true
    }

    /// All of a write is with the kernel.
    pub(super) fn on_written(&mut self, now: Now, stream: StreamId, buffer: bytes::BytesMut) {
        self.streams.buffers.put(buffer);
        let Some(client) = self.streams.client(stream) else {
            self.streams.moving_has_written(now.mono_ms, stream);
            return self.on_far_written(now, stream);
        };
        client.connection.written(now.mono_ms);
        let then = client.writing.take().unwrap_or(Then::More);
        let far = client.far;
        self.after_write(now, stream, then);
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

fn client_writes(client: Option<&mut Client>, then: Then) {
    if let Some(client) = client {
        client.writing = Some(then);
    }
}
