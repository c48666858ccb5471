//! What waits to be written to a client: plaintext, with the time it was queued.
//!
//! Nothing cures head-of-line blocking, but a client that reads slowly can get fresh media in place
//! of old. So media that waited longer than the delay is dropped, oldest first, and so is what is
//! over the bytes that may wait. Answers are never dropped, and go in front of media; raw bytes
//! are neither dropped nor reordered.
//!
//! ```text
//!   begun, raw │ answers │ media, oldest first          ──▶ one write of up to 16 KiB
//! ```

use std::collections::VecDeque;

use super::{
    hang_up::HangUp,
    limits::{MOST_ANSWER_BYTES, MOST_ANSWERS, MOST_RAW_BYTES, StreamLimits},
};
use crate::wire::padded;

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

    /// Takes bytes off the front, and the memory back when none are left.
    fn consume(&mut self, bytes: usize) {
        self.head += bytes;
        if self.head == self.bytes.len() {
            *self = Frames::default();
        }
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
    ) -> Result<Queued, HangUp> {
        let mut dropped_late = 0;
        match kind {
            FrameKind::Answer if self.are_answers_too_many() => {
                return Err(HangUp::TooManyAnswers);
            }
            FrameKind::Answer => {
                self.answers.push(now_ms, &parts);
                self.answers_in_write = self.answers_in_write.map(|answers| answers + 1);
            }
            FrameKind::Media => {
                // Here as well as in front of a write: of a client that reads nothing none ends.
                dropped_late = self.drop_late(now_ms, limits.delay_ms);
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
        let of = |queue: &Frames| queue.bytes.capacity() + queue.frames.capacity();
        of(&self.answers) + of(&self.media)
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
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::*;

    const LIMITS: StreamLimits = StreamLimits { delay_ms: 250, queued_bytes: 1_000 };

    fn queued(frames: &[(u64, FrameKind, &[u8])]) -> Egress {
        let mut egress = Egress::default();
        for (now_ms, kind, frame) in frames {
            egress.queue(*now_ms, *kind, [frame, &[], &[]], LIMITS).unwrap();
        }
        egress
    }

    /// Everything that waits, in writes of `most` bytes.
    fn written(egress: &mut Egress, most: usize) -> Vec<Vec<u8>> {
        let mut writes = Vec::new();
        while let Some(chunk) = egress.next(most, true) {
            let bytes = chunk.bytes.to_vec();
            egress.consume(bytes.len());
            writes.push(bytes);
        }
        writes
    }

    #[test]
    fn media_is_dropped_by_age_and_answers_are_not() {
        let mut egress = queued(&[
            (0, FrameKind::Media, b"old!"),
            (0, FrameKind::Answer, b"answ"),
            (49, FrameKind::Media, b"late"),
            (50, FrameKind::Media, b"good"),
        ]);
        assert_eq!(egress.drop_late(300, LIMITS.delay_ms), 2);
        assert_eq!(written(&mut egress, 4), [b"answ", b"good"]);
        assert_eq!(egress.drop_late(9_999, LIMITS.delay_ms), 0);
    }

    #[test]
    fn what_waits_for_a_client_that_reads_nothing_is_never_older_than_the_delay() {
        let mut egress = Egress::default();
        for now_ms in 0..10_000 {
            let limits = StreamLimits { queued_bytes: 4_000, ..LIMITS };
            let media = egress.queue(now_ms, FrameKind::Media, [&[1; 4], &[], &[]], limits);
            let oldest_ms = egress.media.frames.front().unwrap().queued_ms;
            assert!(now_ms - oldest_ms <= LIMITS.delay_ms.into());
            let late = u32::from(now_ms > LIMITS.delay_ms.into());
            assert_eq!(media.map(|queued| (queued.dropped_late, queued.dropped_full)), Ok((late, 0)));
        }
    }

    #[test]
    fn over_the_bytes_the_oldest_media_goes() {
        let mut egress =
            queued(&[(0, FrameKind::Answer, &[1; 400]), (0, FrameKind::Media, &[2; 400])]);
        let mut queue =
            |kind, frame: &[u8]| egress.queue(0, kind, [frame, &[], &[]], LIMITS).unwrap();
        assert_eq!(queue(FrameKind::Media, &[3; 200]).dropped_full, 0);
        assert_eq!(queue(FrameKind::Media, &[4; 4]).dropped_full, 1);
        assert_eq!(queue(FrameKind::Answer, &[5; 700]).dropped_full, 2);
        assert_eq!(egress.waiting_bytes(), 1_100, "answers alone may be more");
    }

    #[test]
    fn more_answers_than_may_wait_behind_a_write_close_the_stream() {
        let mut egress = queued(&[(0, FrameKind::Answer, &[1; 4][..]); 3 * MOST_ANSWERS]);
        let answer =
            |egress: &mut Egress| egress.queue(0, FrameKind::Answer, [&[2; 4], &[], &[]], LIMITS);
        egress.begin_write();
        assert!((0..MOST_ANSWERS).all(|_| answer(&mut egress).is_ok()));
        assert_eq!(answer(&mut egress), Err(HangUp::TooManyAnswers));
        egress.end_write();
        assert!(answer(&mut egress).is_ok());
    }

    #[test]
    fn more_bytes_of_answers_than_may_wait_close_the_stream() {
        let mut egress = queued(&[(0, FrameKind::Answer, &[1; MOST_ANSWER_BYTES])]);
        let answer =
            |egress: &mut Egress| egress.queue(0, FrameKind::Answer, [&[2; 4], &[], &[]], LIMITS);
        assert!(answer(&mut egress).is_ok());
        assert_eq!(answer(&mut egress), Err(HangUp::TooManyAnswers));
        egress.consume(MOST_ANSWER_BYTES);
        assert!(answer(&mut egress).is_ok());
    }

    // RFC 8656 §12.5: ChannelData over a stream is padded to a multiple of four bytes.
    #[test]
    fn parts_are_one_frame_and_padded() {
        let mut egress = Egress::default();
        egress.queue(0, FrameKind::Media, [b"a", b"bc", b"de"], LIMITS).unwrap();
        assert_eq!(written(&mut egress, 99), [b"abcde\0\0\0"]);
    }

    #[test]
    fn a_frame_that_has_begun_is_neither_dropped_nor_interrupted() {
        let mut egress = queued(&[
            (0, FrameKind::Media, &[1; 100]),
            (0, FrameKind::Media, &[2; 100]),
            (0, FrameKind::Media, &[3; 100]),
        ]);
        assert!(egress.next(64, false).is_none(), "it may not begin");
        assert_eq!(egress.next(64, true).unwrap().bytes, [1; 64]);
        egress.consume(64);
        egress.queue(500, FrameKind::Answer, [&[9; 8], &[], &[]], LIMITS).unwrap();
        assert_eq!(egress.drop_late(500, LIMITS.delay_ms), 2);
        assert_eq!(written(&mut egress, 64), [vec![1; 36], vec![9; 8]]);
    }

    #[test]
    fn an_answer_that_has_begun_goes_on_before_anything_else() {
        let mut egress = queued(&[
            (0, FrameKind::Media, &[1; 8]),
            (0, FrameKind::Answer, &[2; 100]),
            (0, FrameKind::Answer, &[3; 8]),
        ]);
        let writes = written(&mut egress, 64);
        assert_eq!(writes, [vec![2; 64], vec![2; 36], vec![3; 8], vec![1; 8]]);
    }

    #[test]
    fn an_empty_queue_holds_no_memory() {
        let mut egress =
            queued(&[(0, FrameKind::Answer, &[1; 100]), (0, FrameKind::Media, &[2; 100])]);
        written(&mut egress, 70);
        assert_eq!(egress.buffer_bytes(), 0);
    }

    #[derive(Debug, Clone)]
    enum Deed {
        Queue(FrameKind, usize),
        Write(usize),
        DropLate,
    }

    fn deeds() -> impl Strategy<Value = Vec<(u64, Deed)>> {
        let kind = prop_oneof![Just(FrameKind::Answer), Just(FrameKind::Media)];
        let deed = prop_oneof![
            (kind, 0..300_usize).prop_map(|(kind, bytes)| Deed::Queue(kind, bytes)),
            (1..500_usize).prop_map(Deed::Write),
            Just(Deed::DropLate),
        ];
        prop::collection::vec((0..100_u64, deed), 1..60)
    }

    proptest! {
        /// Each frame carries its kind, its number and its length.
        #[test]
        fn what_is_written_is_whole_frames_in_their_order(deeds in deeds(), last: bool) {
            let (mut egress, mut now_ms, mut stream) = (Egress::default(), 0, Vec::new());
            let (mut answers, mut media) = (0_u16, 0_u16);
            for (passed_ms, deed) in deeds {
                now_ms += passed_ms;
                match deed {
                    Deed::Queue(kind, bytes) => {
                        let (letter, number) = match kind {
                            FrameKind::Answer => (b'A', &mut answers),
                            FrameKind::Media => (b'M', &mut media),
                        };
                        let [high, low] = number.to_be_bytes();
                        let words = u8::try_from(bytes / 4).unwrap();
                        let body = vec![0; usize::from(words) * 4];
                        let parts = [&[letter, high, low, words][..], &body, &[]];
                        *number += u16::from(egress.queue(now_ms, kind, parts, LIMITS).is_ok());
                    }
                    Deed::Write(most) => {
                        if let Some(chunk) = egress.next(most, last) {
                            let bytes = chunk.bytes.len();
                            stream.extend_from_slice(chunk.bytes);
                            egress.consume(bytes);
                        }
                    }
                    Deed::DropLate => {
                        egress.drop_late(now_ms, LIMITS.delay_ms);
                    }
                }
            }
            stream.extend(written(&mut egress, 1_000).concat());
            let (mut next_answer, mut next_media, mut rest) = (0, 0, &stream[..]);
            while let [letter, high, low, words, behind @ ..] = rest {
                let number = u16::from_be_bytes([*high, *low]);
                match letter {
                    b'A' => {
                        assert_eq!(number, next_answer, "no answer is missing");
                        next_answer += 1;
                    }
                    _ => {
                        assert!(*letter == b'M' && number >= next_media);
                        next_media = number + 1;
                    }
                }
                rest = &behind[usize::from(*words) * 4..];
            }
            assert!(rest.is_empty() && next_answer == answers);
        }

        #[test]
        fn raw_bytes_keep_their_order_behind_what_waits(
            frames in prop::collection::vec((any::<bool>(), 1..9_u8), 0..6),
            raw in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..5),
            most in 1..40_usize,
        ) {
            let mut egress = Egress::default();
            for (is_answer, byte) in &frames {
                let kind = if *is_answer { FrameKind::Answer } else { FrameKind::Media };
                egress.queue(0, kind, [&[*byte; 12], &[], &[]], LIMITS).unwrap();
            }
            for bytes in &raw {
                egress.queue_raw(bytes);
            }
            assert_eq!(egress.drop_late(9_999, 0), 0);
            let of = |wanted: bool| frames.iter().filter(move |(it, _)| *it == wanted);
            let first: Vec<u8> = of(true).chain(of(false)).flat_map(|(_, it)| [*it; 12]).collect();
            assert_eq!(written(&mut egress, most).concat(), [first, raw.concat()].concat());
        }
    }
}
