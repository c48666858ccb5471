//! Frames in a row, first in, first out. Each stands behind its length and the time it was queued.
//!
//! ```text
//! milliseconds, bytes (8) | frame, padded to 4 | milliseconds, bytes (8) | frame …
//! ```

use bytes::BytesMut;

use super::chunks::{Chunks, QueueMemory};
use crate::wire::padded;

/// Bytes in front of each frame.
pub(super) const HEAD_BYTES: usize = 8;

/// Frames that wait.
#[derive(Debug, Default)]
pub(super) struct Frames {
    bytes: Chunks,
    count: usize,
}

/// A frame at the front.
#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// When it was queued: the lower half of it, which is 49 days.
    queued_ms: u32,
    pub bytes: usize,
}

impl Frame {
    fn head(self) -> [u8; HEAD_BYTES] {
        (u64::from(self.queued_ms) << 32 | self.bytes as u64).to_ne_bytes()
    }

    fn of_head(head: [u8; HEAD_BYTES]) -> Frame {
        let head = u64::from_ne_bytes(head);
        Frame { queued_ms: (head >> 32) as u32, bytes: head as u32 as usize }
    }

    /// How long it has waited.
    pub(super) fn age_ms(self, now_ms: u64) -> u32 {
        let age_ms = (now_ms as u32).wrapping_sub(self.queued_ms);
        // Of a clock that went back it is none.
        if age_ms > i32::MAX as u32 { 0 } else { age_ms }
    }
}

impl Frames {
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Bytes of all frames.
    pub(super) fn waiting_bytes(&self) -> usize {
        self.bytes.len() - self.count * HEAD_BYTES
    }

    /// Bytes of memory, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.bytes.memory_bytes()
    }

    /// Appends a frame and pads it to 4 bytes.
    pub(super) fn push(&mut self, now_ms: u64, parts: [&[u8]; 3], memory: &mut QueueMemory) {
        let bytes: usize = parts.iter().map(|part| part.len()).sum();
        let head = Frame { queued_ms: now_ms as u32, bytes: padded(bytes) }.head();
        self.count += 1;
        if let Some(place) = self.bytes.append(HEAD_BYTES + padded(bytes), memory)
            && let Some((of_head, mut rest)) = place.split_first_chunk_mut()
        {
            *of_head = head;
            for part in parts {
                let (here, behind) = rest.split_at_mut(part.len());
                here.copy_from_slice(part);
                rest = behind;
            }
            return rest.fill(0);
        }
        self.bytes.write(&head, memory);
        parts.into_iter().for_each(|part| self.bytes.write(part, memory));
        self.bytes.write(&[0; 3][..padded(bytes) - bytes], memory);
    }

    /// The oldest frame.
    pub(super) fn front(&self) -> Option<Frame> {
        self.bytes.first().map(Frame::of_head)
    }

    /// Takes the oldest frame off, which is this one: so many bytes of it go to `out`, and the rest
    /// behind what `begun` has.
    pub(super) fn pop(
        &mut self,
        frame: Frame,
        bytes: usize,
        out: &mut BytesMut,
        begun: &mut Chunks,
        memory: &mut QueueMemory,
    ) {
        self.count -= 1;
        self.bytes.take(HEAD_BYTES, bytes, memory, |piece| out.extend_from_slice(piece));
        if bytes < frame.bytes {
            let mut rest = Vec::with_capacity(frame.bytes - bytes);
            self.bytes.take(0, frame.bytes - bytes, memory, |piece| rest.extend_from_slice(piece));
            begun.write(&rest, memory);
        }
    }

    /// Drops the oldest frame; says whether there was one.
    pub(super) fn drop_front(&mut self, memory: &mut QueueMemory) -> bool {
        let Some(frame) = self.front() else { return false };
        self.count -= 1;
        self.bytes.take(HEAD_BYTES, frame.bytes, memory, |_| {});
        true
    }
}
