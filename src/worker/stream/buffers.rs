//! What is written stands in one of these until the kernel has it.
//!
//! A client that reads nothing keeps its buffer for as long as a write may take. So nobody waits
//! for one: small ones are there for every connection, larger ones for those that find one free.

use bytes::BytesMut;

use crate::stream::limits::{BULK_WRITE_BYTES, MOST_WRITE_BYTES, SMALL_WRITE_BYTES};

/// Room behind a write's own bytes, for what TLS adds while it seals.
const SPARE_BYTES: usize = 512;
/// Large writes under way at a time: 16 MiB.
const MOST_LARGE: usize = 1_024;
/// The same of the largest: 16 MiB.
const MOST_BULK: usize = 256;
/// Large writes that a quick reader has taken at once.
const QUICK_FROM: u8 = 4;
/// Buffers of each size that are kept while they are not in use: 4 MiB.
const MOST_IDLE_BYTES: usize = 4 << 20;

/// How much a write may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteSize {
    /// Every connection may have one such write under way.
    Small,
    /// There are so many of them.
    Large,
    /// There are fewer of them, for quick readers.
    Bulk,
}

/// How fast a client takes what is written.
///
/// What is on its way to a slow one can no longer be dropped when it is late, so that little is to
/// be on its way. A kernel takes as much as the network has room for and 16 KiB (see the listener's
/// options): if it takes several large writes in a row at once, the network has taken them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReaderPace {
    /// Large writes in a row that the kernel has taken at once.
    at_once: u8,
}

impl ReaderPace {
    /// Notes that a write is over, and whether that was in the turn after it began.
    pub(super) fn written(&mut self, size: WriteSize, was_at_once: bool) {
        self.at_once = match (size, was_at_once) {
            (_, false) => 0,
            // It says nothing.
            (WriteSize::Small, true) => self.at_once,
            (WriteSize::Large | WriteSize::Bulk, true) => self.at_once.saturating_add(1),
        };
    }

    fn is_quick(self) -> bool {
        self.at_once >= QUICK_FROM
    }
}

impl WriteSize {
    /// Bytes of a write at most.
    pub(super) fn most_bytes(self) -> usize {
        match self {
            WriteSize::Small => SMALL_WRITE_BYTES,
            WriteSize::Large => MOST_WRITE_BYTES,
            WriteSize::Bulk => BULK_WRITE_BYTES,
        }
    }

    fn most_idle(self) -> usize {
        MOST_IDLE_BYTES / self.most_bytes()
    }
}

/// The buffers of a worker. They are made when they are first needed.
#[derive(Debug, Default)]
pub(super) struct WriteBuffers {
    small: Vec<BytesMut>,
    large: Vec<BytesMut>,
    bulk: Vec<BytesMut>,
    large_in_use: usize,
    bulk_in_use: usize,
}

impl WriteBuffers {
    /// An empty buffer for some bytes, and what of them may be written.
    pub(super) fn take(&mut self, bytes: usize, pace: ReaderPace) -> (BytesMut, WriteSize) {
        let may_be_bulk = pace.is_quick() && self.bulk_in_use < MOST_BULK;
        let size = if bytes > MOST_WRITE_BYTES && may_be_bulk {
            self.bulk_in_use += 1;
            WriteSize::Bulk
        } else if bytes > SMALL_WRITE_BYTES && self.large_in_use < MOST_LARGE {
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
        let idle = self.idle(size);
        if idle.len() < size.most_idle() && buffer.capacity() >= size.most_bytes() {
            idle.push(buffer);
        }
    }

    /// Notes that one is gone with its connection.
    pub(super) fn lose(&mut self, size: WriteSize) {
        self.large_in_use -= usize::from(size == WriteSize::Large);
        self.bulk_in_use -= usize::from(size == WriteSize::Bulk);
    }

    fn idle(&mut self, size: WriteSize) -> &mut Vec<BytesMut> {
        match size {
            WriteSize::Small => &mut self.small,
            WriteSize::Large => &mut self.large,
            WriteSize::Bulk => &mut self.bulk,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNKNOWN: ReaderPace = ReaderPace { at_once: 0 };
    const QUICK: ReaderPace = ReaderPace { at_once: QUICK_FROM };

    #[test]
    fn where_all_large_buffers_are_in_use_small_ones_are_left_for_everybody() {
        let mut buffers = WriteBuffers::default();
        let mut sizes = |count: usize| {
            let taken = (0..count).map(|_| buffers.take(MOST_WRITE_BYTES, UNKNOWN).1);
            taken.filter(|size| *size == WriteSize::Large).count()
        };
        assert_eq!(sizes(MOST_LARGE), MOST_LARGE);
        assert_eq!(sizes(3 * MOST_LARGE), 0);
        buffers.lose(WriteSize::Small);
        let mut size = |bytes| buffers.take(bytes, UNKNOWN).1;
        assert_eq!(size(MOST_WRITE_BYTES), WriteSize::Small);
        buffers.lose(WriteSize::Large);
        let mut size = |bytes| buffers.take(bytes, UNKNOWN).1;
        assert_eq!(size(SMALL_WRITE_BYTES), WriteSize::Small, "it needs no more");
        assert_eq!(size(MOST_WRITE_BYTES), WriteSize::Large);
    }

    #[test]
    fn the_largest_are_for_quick_readers_as_long_as_there_are_any() {
        let mut buffers = WriteBuffers::default();
        let mut size = |bytes, pace| buffers.take(bytes, pace).1;
        assert_eq!(size(BULK_WRITE_BYTES, UNKNOWN), WriteSize::Large);
        assert_eq!(size(MOST_WRITE_BYTES, QUICK), WriteSize::Large, "it needs no more");
        for _ in 0..MOST_BULK {
            assert_eq!(size(MOST_WRITE_BYTES + 1, QUICK), WriteSize::Bulk);
        }
        assert_eq!(size(BULK_WRITE_BYTES, QUICK), WriteSize::Large);
        buffers.lose(WriteSize::Bulk);
        assert_eq!(buffers.take(BULK_WRITE_BYTES, QUICK).1, WriteSize::Bulk);
    }

    #[test]
    fn a_reader_is_quick_after_several_large_writes_at_once() {
        let mut pace = UNKNOWN;
        (0..100).for_each(|_| pace.written(WriteSize::Small, true));
        assert!(!pace.is_quick(), "small ones say nothing");
        let mut large = |count: u8| {
            (0..count).for_each(|_| pace.written(WriteSize::Large, true));
            pace.is_quick()
        };
        assert_eq!([large(QUICK_FROM - 1), large(1)], [false, true]);
        pace.written(WriteSize::Bulk, false);
        assert!(!pace.is_quick(), "it took its time");
    }

    #[test]
    fn so_many_are_kept_and_used_again() {
        let mut buffers = WriteBuffers::default();
        let mut take = || buffers.take(MOST_WRITE_BYTES, UNKNOWN);
        let taken: Vec<_> = (0..3 * MOST_LARGE).map(|_| take()).collect();
        taken.into_iter().for_each(|(buffer, size)| buffers.put(buffer, size));
        let idle = (buffers.large.len(), buffers.small.len());
        assert_eq!(idle, (WriteSize::Large.most_idle(), WriteSize::Small.most_idle()));
        let (buffer, size) = buffers.take(MOST_WRITE_BYTES, UNKNOWN);
        assert_eq!((buffers.large.len(), size), (idle.0 - 1, WriteSize::Large));
        assert!(buffer.capacity() >= MOST_WRITE_BYTES);
    }
}
