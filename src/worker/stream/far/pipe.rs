//! Bytes that pass as they are, between a client and a peer (RFC 6062) or the web backend.
//!
//! ```text
//! client ──▶ Connection ──▶ waiting ──▶ far side       64 KiB wait: the client is not read
//! client ◀── Connection ◀── queue_data ◀── far side    64 KiB wait: the far side is not read
//! ```
//!
//! Nothing is dropped here. Either side may end its direction while the other goes on; when both
//! have, or one breaks, both are closed.

use bytes::{Buf, BytesMut};

use crate::worker::{
    reactor::Worker,
    status::report::Report,
    stream::{
        buffers::ReaderPace,
        entry::{Ends, Far, FarPurpose},
    },
};
use crate::{
    io::{Driver, HangUpHow, StreamId},
    stream::{
        HangUp,
        limits::{DRAINING_MS, MOST_RAW_BYTES, WRITE_MS},
    },
    turn::{NotConnected, Now, Way},
};

impl<D: Driver> Worker<D> {
    /// Passes bytes of a client on.
    pub(in crate::worker::stream) fn pass_to_far(
        &mut self,
        now: Now,
        client: StreamId,
        bytes: &[u8],
    ) {
        let Some(stream) = self.streams.client(client).and_then(|client| client.far) else {
            return;
        };
        let Some(far) = self.streams.far(stream) else { return };
        far.waiting.extend_from_slice(bytes);
        let is_full = far.waiting.len() > MOST_RAW_BYTES;
        let purpose = far.purpose;
        let until_ms = self.charge(now, purpose, Way::ToPeers, bytes.len());
        if is_full || until_ms.is_some() {
            self.pause(client, until_ms);
        }
        self.write_far(now, stream);
    }

    /// Passes bytes of the far side on, or keeps them until it has a client.
    pub(in crate::worker::stream) fn pass_to_client(
        &mut self,
        now: Now,
        stream: StreamId,
        bytes: &[u8],
    ) {
        let Some(far) = self.streams.far(stream).filter(|far| !far.is_parting) else { return };
        let purpose = far.purpose;
        let Some(id) = far.client else { return far.early.extend_from_slice(bytes) };
        let Some((client, memory)) = self.streams.client_with_memory(id) else { return };
        let is_full = client.connection.queue_data(bytes, memory).is_full;
        let until_ms = self.charge(now, purpose, Way::ToClient, bytes.len());
        if is_full || until_ms.is_some() {
            self.pause(stream, until_ms);
        }
        self.streams.settle(id);
    }

    /// Counts what a peer connection relays; says until when its sender is to wait.
    fn charge(&mut self, now: Now, purpose: FarPurpose, way: Way, bytes: usize) -> Option<u64> {
        match purpose {
            FarPurpose::Peer(id) => self.server.relayed(now, id, way, bytes),
            FarPurpose::Web => None,
        }
    }

    /// Has two connections begin to pass bytes, with those of the far side that came before.
    pub(in crate::worker::stream) fn begin_pipe(&mut self, now: Now, client: StreamId) {
        let Some(stream) = self.streams.client(client).and_then(|client| client.far) else {
            return;
        };
        let Some(far) = self.streams.far(stream) else { return };
        let (early, has_finished) = (std::mem::take(&mut far.early), far.ends.heard);
        self.streams.pair(client, stream);
        if !early.is_empty() {
            self.pass_to_client(now, stream, &early);
        }
        if has_finished {
            self.finish_client(now, client);
        }
        self.resume(now, stream);
    }

    /// Stops reading a connection: until there is room again, and not before a time.
    pub(in crate::worker::stream) fn pause(&mut self, stream: StreamId, until_ms: Option<u64>) {
        let Some(reading) = self.streams.reading(stream) else { return };
        reading.until_ms = until_ms.unwrap_or(0).max(reading.until_ms);
        if !std::mem::replace(&mut reading.is_paused, true) {
            self.driver.pause(stream);
        }
        self.streams.settle(stream);
    }

    /// Reads a connection again, if there is room for what it sends and its time has come.
    pub(in crate::worker::stream) fn resume(&mut self, now: Now, stream: StreamId) {
        let has_room = self.streams.has_room_beyond(stream);
        let Some(reading) = self.streams.reading(stream) else { return };
        if reading.until_ms > now.mono_ms {
            return;
        }
        // A time that is over is no deadline any more: it would be due again at once.
        reading.until_ms = 0;
        if reading.is_paused && has_room {
            reading.is_paused = false;
            self.driver.unpause(stream);
        }
    }

    /// Begins a write to a far side that has none under way, or says the end.
    pub(super) fn write_far(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.far(stream) else { return };
        if !far.is_connected || far.writing.is_some() {
            return;
        }
        if far.waiting.is_empty() {
            if far.wants_finish && !std::mem::replace(&mut far.ends.said, true) {
                self.driver.finish(stream);
                self.end_finished(now, stream);
            }
            return self.end_parting(stream);
        }
        let bytes = far.waiting.len();
        let (mut buffer, size) = self.streams.buffers.take(bytes, ReaderPace::default());
        let far = self.streams.far(stream).expect("it was there a moment ago");
        let count = bytes.min(size.most_bytes());
        buffer.extend_from_slice(&far.waiting[..count]);
        far.waiting.advance(count);
        if far.waiting.is_empty() {
            far.waiting = BytesMut::new();
        }
        far.writing = Some(size);
        far.write_by_ms = now.mono_ms + WRITE_MS;
        self.driver.write(stream, buffer);
        self.streams.settle(stream);
    }

    /// Closes a far side that has all its client had said.
    fn end_parting(&mut self, stream: StreamId) {
        if self.streams.far(stream).is_some_and(|far| far.is_parting && far.ends.said) {
            self.streams.take_far(stream);
            self.driver.hang_up(stream, HangUpHow::Close);
        }
    }

    /// A write to a far side is with the kernel.
    pub(in crate::worker::stream) fn on_far_written(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.far(stream) else { return };
        let id = far.client;
        if let Some(client) = id.and_then(|id| self.streams.client(id)) {
            client.connection.note_web_traffic(now.mono_ms);
        }
        self.write_far(now, stream);
        id.into_iter().for_each(|id| self.resume(now, id));
    }

    /// The client sends no more: the far side is told behind what waits for it.
    pub(in crate::worker::stream) fn client_finished(&mut self, now: Now, stream: StreamId) {
        let Some(client) = self.streams.client(stream) else { return };
        client.ends.heard = true;
        let Some(far) = client.far else { return };
        if let Some(far) = self.streams.far(far) {
            far.wants_finish = true;
        }
        self.write_far(now, far);
        // It is kept for less time from now on.
        self.streams.settle(stream);
        self.end_finished(now, far);
    }

    /// The far side sends no more: the client is told behind what waits for it.
    pub(in crate::worker::stream) fn far_finished(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.far(stream) else { return };
        far.ends.heard = true;
        if let Some(client) = far.client {
            self.finish_client(now, client);
            self.end_finished(now, stream);
        }
    }

    fn finish_client(&mut self, now: Now, stream: StreamId) {
        let Some(client) = self.streams.client(stream) else { return };
        client.connection.finish(now.mono_ms);
        self.streams.settle(stream);
        self.flush_stream(now, stream);
    }

    /// Our FIN to a client is on its way.
    pub(in crate::worker::stream) fn client_told(&mut self, now: Now, stream: StreamId) {
        self.driver.finish(stream);
        let Some(client) = self.streams.client(stream) else { return };
        client.ends.said = true;
        client.far.into_iter().for_each(|far| self.end_finished(now, far));
    }

    /// Closes both connections once both directions are over.
    fn end_finished(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.far(stream) else { return };
        let (Some(id), true) = (far.client, far.ends.are_both()) else { return };
        let ends = self.streams.client(id).map(|client| client.ends);
        if ends.is_some_and(Ends::are_both) {
            self.hang_up(now, id, HangUp::Left, HangUpHow::Close);
        }
    }

    /// Ends a far side whose client is gone. Where that had said all, it is still written;
    /// otherwise the far side learns that it was cut off.
    pub(in crate::worker::stream) fn drop_far(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.far(stream) else { return };
        let (purpose, is_connected) = (far.purpose, far.is_connected);
        if is_connected && far.wants_finish && !far.ends.said {
            self.streams.part(stream, now.mono_ms + DRAINING_MS);
        } else {
            let how = if far.ends.said { HangUpHow::Close } else { HangUpHow::Reset };
            self.streams.take_far(stream);
            self.driver.hang_up(stream, how);
        }
        self.far_is_gone(now, purpose, is_connected);
    }

    /// Ends a far side that is not reached in time, or that reads nothing.
    pub(in crate::worker::stream) fn give_up_far(&mut self, now: Now, stream: StreamId) {
        let Some(far) = self.streams.take_far(stream) else { return };
        self.driver.hang_up(stream, HangUpHow::Reset);
        self.on_far_closed(now, &far, Some(libc::ETIMEDOUT));
    }

    /// A far side has broken, or could not be reached: its client goes, once all that came before
    /// is written.
    pub(in crate::worker::stream) fn on_far_closed(
        &mut self,
        now: Now,
        far: &Far,
        errno: Option<i32>,
    ) {
        if !far.is_connected {
            self.note_unreached(far.purpose, errno);
        }
        self.far_is_gone(now, far.purpose, far.is_connected);
        self.part_from(now, far);
    }

    /// Counts a far side that could not be reached; whose it was hears of it by other ways.
    pub(super) fn note_unreached(&mut self, purpose: FarPurpose, errno: Option<i32>) {
        match purpose {
            FarPurpose::Peer(_) => self.streams.counters.pipes.connects_failed += 1,
            FarPurpose::Web => {
                self.streams.counters.pipes.web_failed += 1;
                self.report(Report::WebBackendFailed { errno: errno.unwrap_or_default() });
            }
        }
    }

    /// Has the client of a far side that is gone go, too.
    pub(super) fn part_from(&mut self, now: Now, far: &Far) {
        let Some(id) = far.client else { return };
        let Some(client) = self.streams.client(id) else { return };
        client.far = None;
        let reason = match far.purpose {
            FarPurpose::Peer(_) => HangUp::PeerLeft,
            FarPurpose::Web => HangUp::WebBackend,
        };
        client.connection.drain(now.mono_ms, reason);
        // Its end is waited for.
        client.reading.until_ms = 0;
        self.resume(now, id);
        self.streams.settle(id);
    }

    fn far_is_gone(&mut self, now: Now, purpose: FarPurpose, is_connected: bool) {
        let FarPurpose::Peer(id) = purpose else { return };
        if is_connected {
            self.server.connection_closed(now, id);
        } else {
            self.server.connected(now, id, Err(NotConnected));
        }
        self.carry_out(now);
    }
}
