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
    /// None as long as nothing waits; a last chunk without waiting bytes there never is.
    first: Option<Chunk>,
    /// Those behind it, of which there mostly are none.
    more: VecDeque<Chunk>,
    /// Bytes of the first chunk that are gone.
    begin: usize,
    len: usize,
    /// Bytes of the last chunk that are free.
    free: usize,
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
        let chunks = usize::from(self.first.is_some()) + self.more.len();
        chunks * CHUNK_BYTES + self.more.capacity() * size_of::<Chunk>()
    }

    /// Appends so many bytes, which are some, and says where they stand, for the caller to write.
    /// `None` where they do not stand in one chunk: they are to be [written](Self::write) then.
    #[inline]
    pub(super) fn append(&mut self, bytes: usize, memory: &mut QueueMemory) -> Option<&mut [u8]> {
        if self.free == 0 {
            self.grow(memory);
        }
        let free = self.free.checked_sub(bytes)?;
        let begin = CHUNK_BYTES - self.free;
        let chunk = self.more.back_mut().or(self.first.as_mut())?;
        (self.len, self.free) = (self.len + bytes, free);
        Some(&mut chunk[begin..begin + bytes])
    }

    /// Appends bytes, in as many chunks as they take.
    pub(super) fn write(&mut self, bytes: &[u8], memory: &mut QueueMemory) {
        let mut rest = bytes;
        while !rest.is_empty() {
            let room = if self.free == 0 { CHUNK_BYTES } else { self.free };
            let (now, later) = rest.split_at(rest.len().min(room));
            self.append(now.len(), memory).expect("they fit").copy_from_slice(now);
            rest = later;
        }
    }

    fn grow(&mut self, memory: &mut QueueMemory) {
        self.free = CHUNK_BYTES;
        if self.first.is_none() {
            self.first = Some(memory.chunk());
            return;
        }
        if self.more.capacity() == 0 {
            self.more = memory.lists.pop().unwrap_or_default();
        }
        self.more.push_back(memory.chunk());
    }

    /// The bytes at the front, if there are so many.
    pub(super) fn first<const COUNT: usize>(&self) -> Option<[u8; COUNT]> {
        if self.len < COUNT {
            return None;
        }
        let here = &self.first.as_ref()?[self.begin..];
        if let Some(first) = here.first_chunk() {
            return Some(*first);
        }
        let mut first = [0; COUNT];
        let (front, rest) = first.split_at_mut(here.len());
        front.copy_from_slice(here);
        rest.copy_from_slice(&self.more.front()?[..rest.len()]);
        Some(first)
    }

    /// Takes bytes off the front, behind others that are skipped, piece by piece. There are so
    /// many.
    #[inline]
    pub(super) fn take(
        &mut self,
        skipped: usize,
        bytes: usize,
        memory: &mut QueueMemory,
        mut piece: impl FnMut(&[u8]),
    ) {
        let (mut skip, mut left) = (skipped, skipped + bytes);
        while left > 0 {
            let end = CHUNK_BYTES.min(self.begin + left);
            let from = end.min(self.begin + skip);
            let chunk = self.first.as_ref().expect("so many bytes wait");
            piece(&chunk[from..end]);
            skip -= from - self.begin;
            left -= end - self.begin;
            self.len -= end - self.begin;
            self.begin = end;
            if self.len == 0 || end == CHUNK_BYTES {
                self.drop_first(memory);
            }
        }
    }

    /// Gives the first chunk back, of which nothing waits, and the list once it is of no use.
    fn drop_first(&mut self, memory: &mut QueueMemory) {
        self.begin = 0;
        let next = self.more.pop_front();
        if next.is_none() {
            self.free = 0;
        }
        mem::replace(&mut self.first, next).into_iter().for_each(|chunk| memory.put_chunk(chunk));
        if self.more.is_empty() && self.more.capacity() > 0 {
            memory.put_list(mem::take(&mut self.more));
        }
    }
}
