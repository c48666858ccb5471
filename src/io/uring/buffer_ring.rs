//! The provided-buffer ring: how free receive buffers reach the kernel.
//!
//! A page-aligned array shared with the kernel. We write entries behind the tail and then move the
//! tail; the kernel takes from the head, which it keeps to itself. There are as many entries as the
//! next power of two holds all buffers, so the array cannot overflow, and every free buffer is in
//! it.
//!
//! ```text
//! entry   address 8 │ length 4 │ buffer id 2 │ tail 2 (of the first entry only)
//! ```
//!
//! A queue would write to every buffer before the first comes round again, and none would still be
//! in the cache. So buffers that were just in use go to the head, and what was there goes to the
//! tail:
//!
//! ```text
//!          head          tail              head                  tail
//! before   │ a b c d e f │        after    │ Y X │ c d e f │ a b │        X, Y freed, Y last
//! ```
//!
//! That is ours to do because the kernel takes buffers only while it works off what has arrived,
//! which with DEFER_TASKRUN is inside our own calls, and because every buffer it takes is told of
//! in a completion: while none of those is left to be looked at, the head is known. First in, first
//! out, CPU of a packet of trains was 1.11x [1.06, 1.17] of what it is at 600,000 a second, and the
//! same for voice; and a worker touches all of its buffers within seconds, which stay resident.
#![expect(unsafe_code, reason = "an array shared with the kernel")]

use std::{
    io,
    ptr::{self, NonNull},
    rc::Rc,
    sync::atomic::{AtomicU16, Ordering::Release},
};

use io_uring::types::BufRingEntry;

use super::ring::Ring;
use crate::io::memory::pool::{Incoming, Pool};

/// The buffer group of datagrams, and that of streams.
pub(super) const GROUP: u16 = 0;
pub(super) const STREAM_GROUP: u16 = 1;
/// The most entries a buffer ring can have.
const ENTRIES_MAX: u32 = 32_768;

/// The kernel's supply of receive buffers.
pub(super) struct BufferRing {
    entries: NonNull<BufRingEntry>,
    count: u16,
    tail: u16,
    /// Entries between head and tail.
    published: u16,
    pool: Rc<Pool>,
    incoming: Incoming,
}

impl BufferRing {
    /// Registers a buffer ring that can hold so many buffers, all that the pool has of a kind.
    ///
    /// # Safety
    /// The caller drops this only after the ring has no receive under way any more, or never.
    pub(super) unsafe fn register(
        ring: &Ring,
        pool: Rc<Pool>,
        incoming: Incoming,
        buffers: u32,
    ) -> io::Result<Self> {
        let count = buffers.clamp(1, ENTRIES_MAX).next_power_of_two() as u16;
        let entries = map(usize::from(count) * size_of::<BufRingEntry>())?;
        let buffers = Self { entries, count, tail: 0, published: 0, pool, incoming };
        let address = entries.as_ptr().addr() as u64;
        let group = match incoming {
            Incoming::Datagrams => GROUP,
            Incoming::Stream => STREAM_GROUP,
        };
        // SAFETY: the array is page-aligned, zeroed, `count` entries long, and unmapped only when
        // `buffers` is dropped, by which time the kernel takes nothing from it (caller's promise).
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, group, 0) }?;
        Ok(buffers)
    }

    /// BufferRing with the kernel that it has not told us it filled.
    pub(super) fn published(&self) -> u32 {
        self.published.into()
    }

    /// Gives all free receive buffers to the kernel, which takes those first that were in use last.
    ///
    /// Only while every buffer that the kernel has taken is [returned](Self::returned), and outside
    /// of calls into it.
    pub(super) fn publish_first(&mut self) {
        let added = self.pool.free(self.incoming) as u16;
        if added == 0 {
            return;
        }
        let (head, tail) = (self.tail.wrapping_sub(self.published), self.tail.wrapping_add(added));
        let moved = added.min(self.published);
        for position in 0..moved {
            self.copy(head.wrapping_add(position), tail.wrapping_sub(moved - position));
        }
        self.write_free(head, added);
    }

    /// Gives all free receive buffers to the kernel, which takes them last.
    pub(super) fn publish_last(&mut self) {
        let added = self.pool.free(self.incoming) as u16;
        if added > 0 {
            self.write_free(self.tail, added);
        }
    }

    /// Writes `added` free buffers from `first` on, and moves the tail by as many.
    fn write_free(&mut self, first: u16, added: u16) {
        for position in 0..added {
            let free = self.pool.publish(self.incoming);
            let (place, address) = free.expect("there are as many as were counted");
            self.write(first.wrapping_add(position), place, address);
        }
        self.move_tail(added);
    }

    /// Notes that the kernel has given one buffer back.
    pub(super) fn returned(&mut self) {
        self.published -= 1;
    }

    fn write(&mut self, position: u16, place: u16, address: *mut u8) {
        let bytes = self.incoming.bytes() as u32;
        let entry = self.entry(position);
        entry.set_addr(address.expose_provenance() as u64);
        entry.set_len(bytes);
        entry.set_bid(place);
    }

    fn copy(&mut self, from: u16, to: u16) {
        let bytes = self.incoming.bytes() as u32;
        let entry = self.entry(from);
        let (address, place) = (entry.addr(), entry.bid());
        let entry = self.entry(to);
        entry.set_addr(address);
        entry.set_len(bytes);
        entry.set_bid(place);
    }

    fn entry(&mut self, position: u16) -> &mut BufRingEntry {
        let index = usize::from(position & (self.count - 1));
        // SAFETY: the index is below `count`, the length of the mapped array.
        let mut entry = unsafe { self.entries.add(index) };
        // SAFETY: the entry is mapped and initialised, and outside our calls the kernel looks at
        // none.
        unsafe { entry.as_mut() }
    }

    fn move_tail(&mut self, added: u16) {
        self.tail = self.tail.wrapping_add(added);
        self.published += added;
        // SAFETY: the address is that of the array's first entry, which is mapped and initialised.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail is an aligned u16 in the mapping, and only this thread and the kernel
        // access it, both atomically.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Release);
    }
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        let bytes = usize::from(self.count) * size_of::<BufRingEntry>();
        // SAFETY: this is the mapping `register` made, and no receive is under way (its promise).
        unsafe { libc::munmap(self.entries.as_ptr().cast(), bytes) };
    }
}

/// Page-aligned zeroed memory.
fn map(bytes: usize) -> io::Result<NonNull<BufRingEntry>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: a fresh anonymous mapping at an address the kernel chooses overlaps nothing.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    match NonNull::new(address.cast()) {
        Some(entries) if address != libc::MAP_FAILED => Ok(entries),
        Some(_) | None => Err(io::Error::last_os_error()),
    }
}
