//! What is written stands in one of these until the kernel has it.
//!
//! A client that reads nothing keeps its buffer for as long as a write may take. So nobody waits
//! for one: small ones are there for every connection, large ones for those that find one free.

use bytes::BytesMut;

use crate::stream::limits::{MOST_WRITE_BYTES, SMALL_WRITE_BYTES};

/// Room behind a write's own bytes, for what TLS adds while it seals.
const SPARE_BYTES: usize = 512;
/// Large writes under way at a time: 16 MiB.
const MOST_LARGE: usize = 1_024;
/// Large buffers that are kept while they are not in use: 4 MiB.
const MOST_IDLE_LARGE: usize = 256;
/// The same for small ones: 4 MiB.
const MOST_IDLE_SMALL: usize = 1_024;

/// How much a write may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteSize {
    /// Every connection may have one such write under way.
    Small,
    /// There are so many of them.
    Large,
}

impl WriteSize {
    /// Bytes of a write at most.
    pub(super) fn most_bytes(self) -> usize {
        match self {
            WriteSize::Small => SMALL_WRITE_BYTES,
            WriteSize::Large => MOST_WRITE_BYTES,
        }
    }
}

/// The buffers of a worker. They are made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct WriteBuffers {
    small: Vec<BytesMut>,
    large: Vec<BytesMut>,
    large_in_use: usize,
}

impl WriteBuffers {
    /// An empty buffer for some bytes, and what of them may be written.
    pub(super) fn take(&mut self, bytes: usize) -> (BytesMut, WriteSize) {
        let size = if bytes > SMALL_WRITE_BYTES && self.large_in_use < MOST_LARGE {
            self.large_in_use += 1;
            WriteSize::Large
        } else {
            WriteSize::Small
        };
        let made = || BytesMut::with_capacity(size.most_bytes() + SPARE_BYTES);
        (self.idle(size).pop().unwrap_or_else(made), size)
    }

    /// Takes an empty buffer back.
    pub(super) fn put(&mut self, buffer: BytesMut, size: WriteSize) {
        debug_assert!(buffer.is_empty(), "a buffer comes back empty");
        self.lose(size);
        let most_idle = match size {
            WriteSize::Small => MOST_IDLE_SMALL,
            WriteSize::Large => MOST_IDLE_LARGE,
        };
        let idle = self.idle(size);
        if idle.len() < most_idle && buffer.capacity() >= size.most_bytes() {
            idle.push(buffer);
        }
    }

    /// Notes that one is gone with its connection.
    pub(super) fn lose(&mut self, size: WriteSize) {
        self.large_in_use -= usize::from(size == WriteSize::Large);
    }

    fn idle(&mut self, size: WriteSize) -> &mut Vec<BytesMut> {
        match size {
            WriteSize::Small => &mut self.small,
            WriteSize::Large => &mut self.large,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_all_large_buffers_are_in_use_small_ones_are_left_for_everybody() {
        let mut buffers = WriteBuffers::default();
        let mut sizes = |count: usize| {
            let taken = (0..count).map(|_| buffers.take(MOST_WRITE_BYTES).1);
            taken.filter(|size| *size == WriteSize::Large).count()
        };
        assert_eq!(sizes(MOST_LARGE), MOST_LARGE);
        assert_eq!(sizes(3 * MOST_LARGE), 0);
        buffers.lose(WriteSize::Small);
        assert_eq!(buffers.take(MOST_WRITE_BYTES).1, WriteSize::Small);
        buffers.lose(WriteSize::Large);
        assert_eq!(buffers.take(SMALL_WRITE_BYTES).1, WriteSize::Small, "it needs no more");
        assert_eq!(buffers.take(MOST_WRITE_BYTES).1, WriteSize::Large);
    }

    #[test]
    fn so_many_are_kept_and_used_again() {
        let mut buffers = WriteBuffers::default();
        let taken: Vec<_> = (0..2 * MOST_LARGE).map(|_| buffers.take(MOST_WRITE_BYTES)).collect();
        taken.into_iter().for_each(|(buffer, size)| buffers.put(buffer, size));
        assert_eq!((buffers.large.len(), buffers.small.len()), (MOST_IDLE_LARGE, MOST_IDLE_SMALL));
        let (buffer, size) = buffers.take(MOST_WRITE_BYTES);
        assert_eq!((buffers.large.len(), size), (MOST_IDLE_LARGE - 1, WriteSize::Large));
        assert!(buffer.capacity() >= MOST_WRITE_BYTES);
    }
}
