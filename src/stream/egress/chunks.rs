//! Bytes in a row, first in, first out, in chunks of one size.
//!
//! ```text
//! chunks   [ gone | waiting ......... ] [ waiting ......... ] [ waiting ... | free ]
//!                 ^ begin                                      begin + len ^
//! ```
//!
//! Memory that grows with what waits is up to twice as long as that, and what is given back in many
//! sizes stays with the allocator: clients that read nothing took four times what waited for them.
//! Of chunks a queue has two more than it fills at most, and each fits every other queue.

use std::{collections::VecDeque, mem};

use bytes::BytesMut;

/// Bytes of a chunk.
pub(super) const CHUNK_BYTES: usize = 2_048;
/// Chunks that a worker keeps while they are in no queue: 4 MiB.
pub(super) const MOST_IDLE_CHUNKS: usize = (4 << 20) / CHUNK_BYTES;
/// Lists of chunks that it keeps, and chunks that one of these has room for: half a MiB.
pub(super) const MOST_IDLE_LISTS: usize = 1_024;
const MOST_LIST_CHUNKS: usize = 64;

/// Memory of a queue with a single chunk, at most.
pub const LEAST_QUEUE_BYTES: usize = CHUNK_BYTES + MOST_LIST_CHUNKS * size_of::<Chunk>();

type Chunk = Box<[u8; CHUNK_BYTES]>;

/// Memory that is in no queue. A worker has one for all of its streams: so an idle stream holds
/// none, and a busy one takes none from the heap.
#[derive(Debug, Default)]
pub struct QueueMemory {
    pub(super) chunks: Vec<Chunk>,
    /// Empty ones.
    pub(super) lists: Vec<VecDeque<Chunk>>,
    /// Where the plaintext of a TLS record is put together.
    pub(in crate::stream) record: BytesMut,
}

impl QueueMemory {
    fn chunk(&mut self) -> Chunk {
        self.chunks.pop().unwrap_or_else(|| Box::new([0; CHUNK_BYTES]))
    }

    fn put_chunk(&mut self, chunk: Chunk) {
        if self.chunks.len() < MOST_IDLE_CHUNKS {
            self.chunks.push(chunk);
        }
    }

    fn put_list(&mut self, list: VecDeque<Chunk>) {
        if list.capacity() <= MOST_LIST_CHUNKS && self.lists.len() < MOST_IDLE_LISTS {
            self.lists.push(list);
        }
    }
}

/// Bytes that wait.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    /// None as long as nothing waits; a last one without waiting bytes there never is.
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are gone.
    begin: usize,
    len: usize,
}

impl Chunks {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of memory, used or not.
    pub(super) fn memory_bytes(&self) -> usize {
        self.chunks.len() * CHUNK_BYTES + self.chunks.capacity() * size_of::<Chunk>()
    }

    /// Appends.
    pub(super) fn write(&mut self, bytes: &[u8], memory: &mut QueueMemory) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = self.begin + self.len;
            if end == self.chunks.len() * CHUNK_BYTES {
                self.grow(memory);
            }
            let at = end % CHUNK_BYTES;
            let count = rest.len().min(CHUNK_BYTES - at);
            let chunk = self.chunks.back_mut().expect("there is room now");
            let (now, later) = rest.split_at(count);
            chunk[at..at + count].copy_from_slice(now);
            self.len += count;
            rest = later;
        }
    }

    fn grow(&mut self, memory: &mut QueueMemory) {
        if self.chunks.capacity() == 0 {
            self.chunks = memory.lists.pop().unwrap_or_default();
        }
        self.chunks.push_back(memory.chunk());
    }

    /// The bytes at the front, if there are so many.
    pub(super) fn first<const COUNT: usize>(&self) -> Option<[u8; COUNT]> {
        if self.len < COUNT {
            return None;
        }
        let here = &self.chunks.front()?[self.begin..];
        if let Some(first) = here.first_chunk() {
            return Some(*first);
        }
        let mut first = [0; COUNT];
        let (front, rest) = first.split_at_mut(here.len());
        front.copy_from_slice(here);
        rest.copy_from_slice(&self.chunks.get(1)?[..rest.len()]);
        Some(first)
    }

    /// Takes bytes off the front, piece by piece. There are so many.
    pub(super) fn take(
        &mut self,
        bytes: usize,
        memory: &mut QueueMemory,
        mut piece: impl FnMut(&[u8]),
    ) {
        let mut left = bytes;
        while left > 0 {
            let end = CHUNK_BYTES.min(self.begin + left);
            let chunk = self.chunks.front().expect("so many bytes wait");
            piece(&chunk[self.begin..end]);
            let count = end - self.begin;
            left -= count;
            self.len -= count;
            self.begin = end;
            if self.len == 0 || end == CHUNK_BYTES {
                self.begin = 0;
                self.chunks.pop_front().into_iter().for_each(|chunk| memory.put_chunk(chunk));
            }
        }
        if self.len == 0 && self.chunks.capacity() > 0 {
            memory.put_list(mem::take(&mut self.chunks));
        }
    }
}
