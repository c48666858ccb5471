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

use std::{collections::VecDeque, mem};

use super::{
    hang_up::HangUp,
    limits::{BULK_WRITE_BYTES, MOST_ANSWER_BYTES, MOST_ANSWERS, MOST_RAW_BYTES, StreamLimits},
};
use crate::wire::padded;

/// Idle memory of queues that a worker keeps.
const MOST_IDLE_BYTES: usize = 4 << 20;
/// The same of one queue: twice what a write takes.
const MOST_IDLE_QUEUE_BYTES: usize = 2 * BULK_WRITE_BYTES;

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

/// Frames in a row, first in, first out.
#[derive(Debug, Default)]
struct Frames {
    /// What waits, behind `head` bytes that are gone.
    bytes: Vec<u8>,
    head: usize,
    /// The waiting frames. Their bytes end where `bytes` ends; raw bytes may stand in front.
    frames: VecDeque<Frame>,
}

#[derive(Debug, Clone, Copy)]
struct Frame {
    queued_ms: u64,
    bytes: usize,
}

impl Frames {
    fn waiting(&self) -> &[u8] {
        &self.bytes[self.head..]
    }

    fn append(&mut self, parts: &[&[u8]]) {
        if self.head > self.bytes.len() / 2 {
            self.bytes.drain(..self.head);
            self.head = 0;
        }
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
    }

    /// Appends a frame and pads it to 4 bytes.
    fn push(&mut self, now_ms: u64, parts: &[&[u8]]) {
        let bytes = parts.iter().map(|part| part.len()).sum();
        let padding = padded(bytes) - bytes;
        self.append(parts);
        self.append(&[&[0; 3][..padding]]);
        self.frames.push_back(Frame { queued_ms: now_ms, bytes: bytes + padding });
    }

    /// Takes bytes off the front.
    fn consume(&mut self, bytes: usize) {
        self.head += bytes;
        if self.head == self.bytes.len() {
            self.bytes.clear();
            self.head = 0;
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.frames.is_empty()
    }

    /// Bytes of memory, used or not.
    fn memory_bytes(&self) -> usize {
        self.bytes.capacity() + self.frames.capacity() * size_of::<Frame>()
    }

    /// Bytes and number of the whole frames at the front that fit into `most`.
    fn whole(&self, most: usize) -> (usize, usize) {
        let mut taken = (0, 0);
        for frame in &self.frames {
            if taken.0 + frame.bytes > most {
                break;
            }
            taken = (taken.0 + frame.bytes, taken.1 + 1);
        }
        taken
    }
}

/// Memory of queues that nothing waits in. A worker has one for all of its streams: so an idle one
/// holds none, and a busy one takes none from the heap.
#[derive(Debug, Default)]
pub struct QueueMemory {
    idle: Vec<Frames>,
    idle_bytes: usize,
}

impl QueueMemory {
    /// Lends memory to a queue that has none.
    fn lend(&mut self, queue: &mut Frames) {
        if queue.memory_bytes() == 0
            && let Some(idle) = self.idle.pop()
        {
            self.idle_bytes -= idle.memory_bytes();
            *queue = idle;
        }
    }

    /// Takes the memory of an empty queue, or frees it where enough is idle.
    fn take_back(&mut self, queue: &mut Frames) {
        let bytes = queue.memory_bytes();
        if bytes == 0 || !queue.is_empty() {
            return;
        }
        let empty = mem::take(queue);
        if bytes <= MOST_IDLE_QUEUE_BYTES && self.idle_bytes + bytes <= MOST_IDLE_BYTES {
            self.idle_bytes += bytes;
            self.idle.push(empty);
        }
    }
}

/// The queues of one stream.
#[derive(Debug, Default)]
pub(super) struct Egress {
    answers: Frames,
    media: Frames,
    /// Bytes at the front of `media` that belong to no frame of its list: raw ones, and the rest of
    /// a frame that has begun. They are never dropped, and nothing goes in front of them.
    begun_bytes: usize,
    /// Answers queued since the write that is under way began; `None` where none is.
    answers_in_write: Option<usize>,
}

/// A part of what waits, to be written next.
pub(super) struct Chunk<'a> {
    pub bytes: &'a [u8],
    /// When the oldest frame in it was queued; `None` for raw bytes.
    pub queued_ms: Option<u64>,
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
                memory.lend(&mut self.answers);
                self.answers.push(now_ms, &parts);
                self.answers_in_write = self.answers_in_write.map(|answers| answers + 1);
            }
            FrameKind::Media => {
                // Here as well as in front of a write: of a client that reads nothing none ends.
                dropped_late = self.drop_late(now_ms, limits.delay_ms);
                memory.lend(&mut self.media);
                self.media.push(now_ms, &parts);
            }
        }
        let dropped_full = self.shed(limits.queued_bytes as usize);
        Ok(Queued { dropped_full, dropped_late, is_full: self.waiting_bytes() > MOST_RAW_BYTES })
    }

    fn are_answers_too_many(&self) -> bool {
        self.answers_in_write.is_some_and(|answers| answers >= MOST_ANSWERS)
            || self.answers.waiting().len() > MOST_ANSWER_BYTES
    }

    /// Gives memory back that nothing waits in.
    pub(super) fn give_back(&mut self, memory: &mut QueueMemory) {
        memory.take_back(&mut self.answers);
        memory.take_back(&mut self.media);
    }

    /// Notes that a write is under way.
    pub(super) fn begin_write(&mut self) {
        self.answers_in_write = Some(0);
    }

    /// Notes that none is.
    pub(super) fn end_write(&mut self) {
        self.answers_in_write = None;
    }

    /// Queues an answer of another protocol, as it is.
    pub(super) fn queue_last_words(&mut self, now_ms: u64, bytes: &[u8]) {
        self.answers.append(&[bytes]);
        self.answers.frames.push_back(Frame { queued_ms: now_ms, bytes: bytes.len() });
    }

    /// Queues raw bytes behind everything that waits.
    pub(super) fn queue_raw(&mut self, bytes: &[u8]) -> Queued {
        self.turn_raw();
        self.media.append(&[bytes]);
        self.begun_bytes += bytes.len();
        Queued { is_full: self.waiting_bytes() > MOST_RAW_BYTES, ..Queued::default() }
    }

    /// Makes raw bytes of all that waits, in the order it would be written.
    fn turn_raw(&mut self) {
        if self.answers.frames.is_empty() && self.media.frames.is_empty() {
            return;
        }
        let (begun, media) = self.media.waiting().split_at(self.begun_bytes);
        let bytes = [begun, self.answers.waiting(), media].concat();
        self.begun_bytes = bytes.len();
        self.answers = Frames::default();
        self.media = Frames { bytes, head: 0, frames: VecDeque::new() };
    }

    pub(super) fn waiting_bytes(&self) -> usize {
        self.answers.waiting().len() + self.media.waiting().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    /// Bytes of buffers, used or not.
    #[cfg(test)]
    pub(super) fn buffer_bytes(&self) -> usize {
        self.answers.memory_bytes() + self.media.memory_bytes()
    }

    /// Drops media that has waited longer than `delay_ms`; returns how many frames.
    pub(super) fn drop_late(&mut self, now_ms: u64, delay_ms: u32) -> u32 {
        let is_late = |frame: &Frame| now_ms.saturating_sub(frame.queued_ms) > delay_ms.into();
        self.drop_media_while(|frame, _| is_late(frame))
    }

    /// Drops the oldest media until no more than `most_bytes` wait; returns how many frames.
    pub(super) fn shed(&mut self, most_bytes: usize) -> u32 {
        let excess_bytes = self.waiting_bytes().saturating_sub(most_bytes);
        self.drop_media_while(|_, dropped_bytes| dropped_bytes < excess_bytes)
    }

    /// Drops media from the front; `goes` is told how many bytes went before.
    fn drop_media_while(&mut self, goes: impl Fn(&Frame, usize) -> bool) -> u32 {
        let (mut dropped, mut dropped_bytes) = (0, 0);
        while self.media.frames.front().is_some_and(|frame| goes(frame, dropped_bytes)) {
            let frame = self.media.frames.pop_front();
            dropped_bytes += frame.map_or(0, |frame| frame.bytes);
            dropped += 1;
        }
        if dropped == 0 {
            return 0;
        }
        // Bytes that have begun stand in front of what goes, and move behind it.
        let begun = self.media.head..self.media.head + self.begun_bytes;
        self.media.bytes.copy_within(begun, self.media.head + dropped_bytes);
        self.media.consume(dropped_bytes);
        if self.media.is_empty() {
            // No write follows that would give the memory back.
            self.media = Frames::default();
        }
        dropped
    }

    /// What is to be written next, `most` bytes at most: the begun bytes, whole answers, or whole
    /// frames of media. A frame longer than `most` is begun if `may_begin` says so.
    pub(super) fn next(&self, most: usize, may_begin: bool) -> Option<Chunk<'_>> {
        if self.begun_bytes > 0 {
            let bytes = &self.media.waiting()[..self.begun_bytes.min(most)];
            return (most > 0).then_some(Chunk { bytes, queued_ms: None });
        }
        let queue = if self.answers.frames.is_empty() { &self.media } else { &self.answers };
        let oldest = queue.frames.front()?;
        let bytes = match queue.whole(most) {
            (0, _) if may_begin => most.min(oldest.bytes),
            (0, _) => return None,
            (bytes, _) => bytes,
        };
        Some(Chunk { bytes: &queue.waiting()[..bytes], queued_ms: Some(oldest.queued_ms) })
    }

    /// Takes what `next` returned off the queue.
    pub(super) fn consume(&mut self, bytes: usize) {
        if self.begun_bytes > 0 {
            self.begun_bytes -= bytes;
            return self.media.consume(bytes);
        }
        if self.answers.frames.is_empty() {
            self.begun_bytes = take(&mut self.media, bytes);
            return;
        }
        let begun = take(&mut self.answers, bytes);
        if begun > 0 {
            self.begin_answer(begun);
        }
    }

    /// Puts the rest of an answer that has begun in front of everything.
    fn begin_answer(&mut self, bytes: usize) {
        let rest = self.answers.waiting()[..bytes].to_vec();
        self.answers.consume(bytes);
        self.media.bytes.splice(..self.media.head, rest);
        self.media.head = 0;
        self.begun_bytes = bytes;
    }
}

/// Takes bytes off the front of a queue; returns the bytes of the frame that they end in.
fn take(queue: &mut Frames, bytes: usize) -> usize {
    let mut left = bytes;
    let mut begun_bytes = 0;
    while left > 0 {
        let Some(frame) = queue.frames.pop_front() else { break };
        begun_bytes = frame.bytes.saturating_sub(left);
        left = left.saturating_sub(frame.bytes);
    }
    queue.consume(bytes);
    begun_bytes
}

#[cfg(test)]
mod tests;
