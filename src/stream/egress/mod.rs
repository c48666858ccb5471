//! What waits to be written to a client: plaintext, with the time it was queued.
//!
//! Nothing cures head-of-line blocking, but a client that reads slowly can get fresh media in place
//! of old. So media that waited longer than the delay is dropped, oldest first, and so is what is
//! over the bytes that may wait. Answers are never dropped, and go in front of media; raw bytes
//! are neither dropped nor reordered.
//!
//! ```text
//!   begun, raw │ answers │ media, oldest first          ──▶ one write of up to 64 KiB
//! ```

mod chunks;
mod frames;

use bytes::BytesMut;

use super::{
    hang_up::HangUp,
    limits::{MOST_ANSWER_BYTES, MOST_ANSWERS, MOST_RAW_BYTES, StreamLimits},
};
use chunks::Chunks;
pub use chunks::{LEAST_QUEUE_BYTES, QueueMemory};
use frames::Frames;

/// What a frame is to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// An answer, or an indication a client must see: never dropped.
    Answer,
    /// A peer's payload: worth nothing once it is late.
    Media,
}

/// What became of something queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Queued {
    /// Frames of media that were dropped because too many bytes wait.
    pub dropped_full: u32,
    /// The same because they had waited too long.
    pub dropped_late: u32,
    /// More than 64 KiB wait: whoever sends raw bytes is to be read no further until
    /// `waiting_bytes` is below that again.
    pub is_full: bool,
}

/// The queues of one stream.
#[derive(Debug, Default)]
pub(super) struct Egress {
    /// Bytes of no frame: raw ones, and the rest of a frame that has begun. They are never dropped,
    /// and nothing goes in front of them.
    begun: Chunks,
    answers: Frames,
    media: Frames,
    /// Answers queued since the write that is under way began; `None` where none is.
    answers_in_write: Option<usize>,
}

/// What of the queues is to be written next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub most_bytes: usize,
    /// A frame that is longer than that may be begun.
    pub may_begin: bool,
}

/// What was taken off the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Taken {
    /// How long the oldest frame in it had waited; `None` for bytes of no frame.
    pub oldest_age_ms: Option<u32>,
}

impl Egress {
    pub(super) fn queue(
        &mut self,
        now_ms: u64,
        kind: FrameKind,
        parts: [&[u8]; 3],
        limits: StreamLimits,
        memory: &mut QueueMemory,
    ) -> Result<Queued, HangUp> {
        let mut dropped_late = 0;
        match kind {
            FrameKind::Answer if self.are_answers_too_many() => {
                return Err(HangUp::TooManyAnswers);
            }
            FrameKind::Answer => {
                self.answers.push(now_ms, parts, memory);
                self.answers_in_write = self.answers_in_write.map(|answers| answers + 1);
            }
            FrameKind::Media => {
                // Here as well as in front of a write: of a client that reads nothing none ends.
                dropped_late = self.drop_late(now_ms, limits.delay_ms, memory);
                self.media.push(now_ms, parts, memory);
            }
        }
        let most_bytes = limits.queued_bytes as usize;
        let dropped_full = self.drop_media_while(memory, |it| it.waiting_bytes() > most_bytes);
        Ok(Queued { dropped_full, dropped_late, is_full: self.waiting_bytes() > MOST_RAW_BYTES })
    }

    fn are_answers_too_many(&self) -> bool {
        self.answers_in_write.is_some_and(|answers| answers >= MOST_ANSWERS)
            || self.answers.waiting_bytes() > MOST_ANSWER_BYTES
    }

    /// Notes that a write is under way.
    pub(super) fn begin_write(&mut self) {
        self.answers_in_write = Some(0);
    }

    /// Notes that none is.
    pub(super) fn end_write(&mut self) {
        self.answers_in_write = None;
    }

    /// Queues raw bytes behind everything that waits, which they are never mixed with: from now on
    /// all of it is raw, in the order it would be written.
    pub(super) fn queue_raw(&mut self, bytes: &[u8], memory: &mut QueueMemory) -> Queued {
        let all = Wanted { most_bytes: usize::MAX, may_begin: true };
        if !(self.answers.is_empty() && self.media.is_empty()) {
            let mut before = BytesMut::new();
            while self.take(0, all, &mut before, memory).is_some() {}
            self.begun.write(&before, memory);
        }
        self.begun.write(bytes, memory);
        Queued { is_full: self.waiting_bytes() > MOST_RAW_BYTES, ..Queued::default() }
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.begun.len() + self.answers.waiting_bytes() + self.media.waiting_bytes()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    /// Bytes of memory, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.begun.memory_bytes() + self.answers.memory_bytes() + self.media.memory_bytes()
    }

    /// Drops media that has waited longer than `delay_ms`; returns how many frames.
    pub(super) fn drop_late(
        &mut self,
        now_ms: u64,
        delay_ms: u32,
        memory: &mut QueueMemory,
    ) -> u32 {
        let is_late =
            |it: &Egress| it.media.front().is_some_and(|oldest| oldest.age_ms(now_ms) > delay_ms);
        self.drop_media_while(memory, is_late)
    }

    /// Drops the oldest media until the queues have no more memory than this; returns how many
    /// frames.
    pub(super) fn shed(&mut self, most_bytes: usize, memory: &mut QueueMemory) -> u32 {
        self.drop_media_while(memory, |it| it.memory_bytes() > most_bytes)
    }

    /// Drops all media.
    pub(super) fn drop_media(&mut self) {
        self.media = Frames::default();
    }

    fn drop_media_while(
        &mut self,
        memory: &mut QueueMemory,
        is_one_more: impl Fn(&Egress) -> bool,
    ) -> u32 {
        let mut dropped = 0;
        while is_one_more(self) && self.media.drop_front(memory) {
            dropped += 1;
        }
        dropped
    }

    /// Takes what is to be written next and appends it to `out`: bytes that have begun, or whole
    /// answers, or whole frames of media. `None` where nothing waits that fits.
    pub(super) fn take(
        &mut self,
        now_ms: u64,
        wanted: Wanted,
        out: &mut BytesMut,
        memory: &mut QueueMemory,
    ) -> Option<Taken> {
        let Wanted { most_bytes, may_begin } = wanted;
        if !self.begun.is_empty() {
            let bytes = self.begun.len().min(most_bytes);
            self.begun.take(0, bytes, memory, |piece| out.extend_from_slice(piece));
            return (bytes > 0).then_some(Taken { oldest_age_ms: None });
        }
        let queue = if self.answers.is_empty() { &mut self.media } else { &mut self.answers };
        let mut oldest = queue.front()?;
        let taken = Taken { oldest_age_ms: Some(oldest.age_ms(now_ms)) };
        if oldest.bytes > most_bytes {
            if !may_begin {
                return None;
            }
            queue.pop(oldest, most_bytes, out, &mut self.begun, memory);
            return Some(taken);
        }
        let mut room_bytes = most_bytes;
        while oldest.bytes <= room_bytes {
            room_bytes -= oldest.bytes;
            queue.pop(oldest, oldest.bytes, out, &mut self.begun, memory);
            let Some(next) = queue.front() else { break };
            oldest = next;
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests;
