//! Buffers, and the leases that say who may touch them.
//!
//! One anonymous mapping holds every buffer of a driver: those that the kernel receives datagrams
//! into, those for the bytes of streams, and two small classes of private ones for datagrams the
//! server writes itself. The kernel backs a page
//! only when it is first written, and a page once written stays. Most datagrams and trains are
//! small; so that a flood of large ones does not make every buffer resident for good, all buffers
//! together keep no more than [`MOST_SPARE_BYTES`] beyond the first [`KEPT_BYTES`] of each:
//!
//! ```text
//! resident at most   1,024 buffers x 8 KiB  +  7.1 MiB  +  what is leased at the moment
//! ```
//!
//! A slot is in one of three states, and that is the law of this file:
//!
//! ```text
//! free ──publish──▶ kernel's ──claim──▶ leased by n holders ──last one drops──▶ free
//!   └──────────────── blank (private classes) ──▶ leased
//! ```
//!
//! Only a leased slot can be reached from safe code, shared by all of its holders for reading, or
//! exclusively by its only holder for writing. All of it lives on one thread.
#![expect(unsafe_code, reason = "hands out slices of one mapping; the slot states make it sound")]

use std::{
    cell::Cell,
    fmt, io,
    ops::Range,
    ptr::{self, NonNull},
    rc::Rc,
    slice,
};

use crate::io::room::{HEADROOM, PAD_MAX};

/// Bytes of a receive buffer: the largest UDP payload behind the kernel's own header, name and
/// control area. An odd number of cache lines, so that buffer starts spread over the cache's sets.
pub(in crate::io) const RECEIVE_BYTES: usize = 1033 * 64;
/// Where the bytes of a stream start in their buffer, and how many there are at most: a record of
/// TLS.
const STREAM_START: usize = 64;
const STREAM_PAYLOAD_BYTES: usize = 16 * 1024;
/// A stream buffer, with room behind the payload; an odd number of cache lines, as above.
const STREAM_BYTES: usize = 259 * 64;
/// Stream buffers, for all streams of a driver: as much as stays in a cache. With 1,024 of them no
/// receive finds none, and video over TCP cost more rather than less.
const STREAM_COUNT: u32 = 256;
const SMALL_BYTES: usize = 2048;
const LARGE_BYTES: usize = RECEIVE_BYTES;
/// Private buffers for replies the server originates.
const SMALL_COUNT: u32 = 512;
const LARGE_COUNT: u32 = 16;

const _: () = assert!(STREAM_START >= HEADROOM);
const _: () = assert!(STREAM_START + STREAM_PAYLOAD_BYTES + PAD_MAX <= STREAM_BYTES);

/// The `refs` of a slot that the kernel may write to.
const KERNEL: u32 = u32::MAX;
const END: u32 = u32::MAX;

/// What a buffer keeps resident in any case: a datagram of any MTU in use, or a small train.
const KEPT_BYTES: usize = 8192;
/// What all of them keep beyond that: 128 whole buffers, or 1,700 trains of ten packets. Giving a
/// buffer back and faulting it in anew costs some 5 to 8 us, so that trains which are in use turn
/// after turn must stay; where 128 buffers stayed whatever was in them, every other train of ten
/// was faulted in anew.
const MOST_SPARE_BYTES: usize = 128 * (RECEIVE_BYTES - KEPT_BYTES);
/// The smallest page there is. A multiple of it that is none of the machine's pages is refused, and
/// the buffer stays as it is.
const PAGE_BYTES: usize = 4096;

/// Which buffers a slot belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Receive,
    Small,
    Large,
    Stream,
}

impl Class {
    fn bytes(self) -> usize {
        match self {
            Self::Receive => RECEIVE_BYTES,
            Self::Large => LARGE_BYTES,
            Self::Small => SMALL_BYTES,
            Self::Stream => STREAM_BYTES,
        }
    }
}

/// What is received into a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Incoming {
    /// A datagram or a train, behind what the kernel writes in front of it: into a whole buffer.
    Datagrams,
    /// Bytes of a stream, behind the headroom.
    Stream,
}

impl Incoming {
    fn class(self) -> Class {
        match self {
            Self::Datagrams => Class::Receive,
            Self::Stream => Class::Stream,
        }
    }

    /// The part of a buffer that is received into.
    fn room(self) -> Range<usize> {
        match self {
            Self::Datagrams => 0..RECEIVE_BYTES,
            Self::Stream => STREAM_START..STREAM_START + STREAM_PAYLOAD_BYTES,
        }
    }

    /// Bytes that one receive takes at most.
    pub(in crate::io) fn bytes(self) -> usize {
        self.room().len()
    }
}

/// All buffers of one driver. Public for drivers outside of this floor.
pub struct Pool {
    base: NonNull<u8>,
    mapped_bytes: usize,
    receive_count: u32,
    slots: Box<[Slot]>,
    free: [FreeList; 4],
    /// What all buffers together have been written beyond their first [`KEPT_BYTES`].
    spare_bytes: Cell<usize>,
}

struct Slot {
    /// Where its buffer begins, from the base of the mapping, and how long it is.
    start: usize,
    bytes: u32,
    class: Class,
    /// 0 free, [`KERNEL`] the kernel's, otherwise the number of leases.
    refs: Cell<u32>,
    /// The next free slot of the class, while this one is free.
    next: Cell<u32>,
    /// How far it has been written beyond its first [`KEPT_BYTES`].
    spare_bytes: Cell<usize>,
}

struct FreeList {
    head: Cell<u32>,
    count: Cell<u32>,
}

impl Pool {
    /// Maps `receive_count` receive buffers and the private classes.
    ///
    /// # Errors
    /// When the process may not map so much memory.
    pub fn new(receive_count: u32) -> io::Result<Rc<Self>> {
        let slot_count = receive_count + SMALL_COUNT + LARGE_COUNT + STREAM_COUNT;
        let mapped_bytes = (receive_count + LARGE_COUNT) as usize * RECEIVE_BYTES
            + SMALL_COUNT as usize * SMALL_BYTES
            + STREAM_COUNT as usize * STREAM_BYTES;
        let base = map(mapped_bytes)?;
        let classes = [
            (Class::Receive, receive_count),
            (Class::Large, LARGE_COUNT),
            (Class::Small, SMALL_COUNT),
            (Class::Stream, STREAM_COUNT),
        ];
        let classes = classes.into_iter().flat_map(|(class, count)| (0..count).map(move |_| class));
        let mut end = 0;
        let slots = classes.map(|class| {
            let (start, bytes) = (end, class.bytes());
            end += bytes;
            let bytes = bytes as u32;
            let (refs, next, spare_bytes) = (Cell::new(0), Cell::new(END), Cell::new(0));
            Slot { start, bytes, class, refs, next, spare_bytes }
        });
        let free = [(); 4].map(|()| FreeList { head: Cell::new(END), count: Cell::new(0) });
        let slots = slots.collect();
        let spare_bytes = Cell::new(0);
        let pool = Self { base, mapped_bytes, receive_count, slots, free, spare_bytes };
        (0..slot_count).rev().for_each(|slot| pool.put_free(slot));
        Ok(Rc::new(pool))
    }

    /// Free buffers for what comes in: neither the kernel's nor leased.
    pub(in crate::io) fn free(&self, incoming: Incoming) -> u32 {
        self.free[incoming.class() as usize].count.get()
    }

    /// All buffers there are for the bytes of streams.
    pub(in crate::io) fn stream_buffers() -> u32 {
        STREAM_COUNT
    }

    /// Takes a free buffer for the kernel to write to: its place among those of its kind, and the
    /// address it is received into, of [as many bytes](Incoming::bytes) as there is room for.
    ///
    /// The buffer is out of safe code's reach until it is [claimed](Self::claim).
    pub(in crate::io) fn publish(&self, incoming: Incoming) -> Option<(u16, *mut u8)> {
        let slot = self.take_free(incoming.class())?;
        self.slots[slot as usize].refs.set(KERNEL);
        // SAFETY: the room of a buffer begins within it.
        let address = unsafe { self.pointer(slot).add(incoming.room().start) };
        Some(((slot - self.first(incoming)) as u16, address))
    }

    /// Makes a lease of a buffer that the kernel has filled with so many bytes and given back, by
    /// its place.
    ///
    /// # Safety
    /// The kernel no longer reads or writes this buffer.
    pub(in crate::io) unsafe fn claim(
        self: &Rc<Self>,
        incoming: Incoming,
        place: u16,
        bytes: usize,
    ) -> Lease {
        let slot = self.first(incoming) + u32::from(place);
        let owner = &self.slots[slot as usize].refs;
        assert_eq!(owner.get(), KERNEL, "a buffer comes back from the kernel once");
        owner.set(1);
        let start = incoming.room().start;
        Lease::new(Rc::clone(self), slot, start..start + bytes)
    }

    /// A lease of a free buffer, for receiving without a ring.
    pub(in crate::io) fn lease(self: &Rc<Self>, incoming: Incoming) -> Option<Lease> {
        let slot = self.take_free(incoming.class())?;
        self.slots[slot as usize].refs.set(1);
        Some(Lease::new(Rc::clone(self), slot, 0..0))
    }

    /// A lease of a free stream buffer that `read` has put some bytes into. `None` when there is no
    /// buffer; otherwise what `read` says.
    pub(in crate::io) fn fill_stream<E>(
        self: &Rc<Self>,
        read: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Option<Result<Lease, E>> {
        let mut lease = self.lease(Incoming::Stream)?;
        let room = Incoming::Stream.room();
        let buffer = lease.exclusive().expect("just taken");
        let read = read(&mut buffer[room.clone()]);
        Some(read.map(|bytes| {
            lease.set_range(room.start..room.start + bytes);
            lease
        }))
    }

    /// A stream buffer that holds `bytes` as if they had arrived, with the headroom in front.
    /// `None` when all of them are in use, or when there are more bytes than one holds.
    #[must_use]
    pub fn arrived(self: &Rc<Self>, bytes: &[u8]) -> Option<Lease> {
        let filled = self.fill_stream(|room| {
            room.get_mut(..bytes.len()).ok_or(())?.copy_from_slice(bytes);
            Ok::<_, ()>(bytes.len())
        });
        filled?.ok()
    }

    /// A receive buffer that holds `bytes` as if they had arrived, with the headroom in front.
    /// `None` when all of them are in use, or when there are more bytes than a datagram or train
    /// holds.
    #[must_use]
    pub fn received(self: &Rc<Self>, bytes: &[u8]) -> Option<Lease> {
        let payload = HEADROOM..HEADROOM + bytes.len();
        if payload.end > RECEIVE_BYTES {
            return None;
        }
        let mut lease = self.lease(Incoming::Datagrams)?;
        lease.exclusive()?[payload.clone()].copy_from_slice(bytes);
        lease.set_range(payload);
        Some(lease)
    }

    /// A private buffer whose payload is the `bytes` behind the headroom. `None` when all of them
    /// are in use.
    #[must_use]
    pub fn blank(self: &Rc<Self>, bytes: usize) -> Option<Lease> {
        let needed = HEADROOM + bytes + PAD_MAX;
        let small = if needed <= SMALL_BYTES { self.take_free(Class::Small) } else { None };
        let fits = needed <= LARGE_BYTES;
        let slot = small.or_else(|| if fits { self.take_free(Class::Large) } else { None })?;
        self.slots[slot as usize].refs.set(1);
        Some(Lease::new(Rc::clone(self), slot, HEADROOM..HEADROOM + bytes))
    }

    /// The first buffer of a kind. Receive buffers stand first, then large and small ones, then
    /// those of streams.
    fn first(&self, incoming: Incoming) -> u32 {
        match incoming {
            Incoming::Datagrams => 0,
            Incoming::Stream => self.receive_count + LARGE_COUNT + SMALL_COUNT,
        }
    }

    fn bytes(&self, slot: u32) -> usize {
        self.slots[slot as usize].bytes as usize
    }

    fn pointer(&self, slot: u32) -> *mut u8 {
        let start = self.slots[slot as usize].start;
        // SAFETY: `new` has laid the buffers of all slots one behind the other into the mapping,
        // whose length it computed from the same counts and sizes.
        unsafe { self.base.as_ptr().add(start) }
    }

    fn take_free(&self, class: Class) -> Option<u32> {
        let list = &self.free[class as usize];
        let slot = list.head.get();
        let taken = self.slots.get(slot as usize)?;
        list.head.set(taken.next.get());
        list.count.set(list.count.get() - 1);
        Some(slot)
    }

    /// Notes that a buffer has been written up to `end`.
    fn touch(&self, slot: u32, end: usize) {
        let spare = &self.slots[slot as usize].spare_bytes;
        let more = end.saturating_sub(KEPT_BYTES + spare.get());
        if more > 0 {
            spare.set(spare.get() + more);
            self.spare_bytes.set(self.spare_bytes.get() + more);
        }
    }

    /// Gives the kernel back what a free buffer has beyond [`KEPT_BYTES`], where all have too much.
    fn shrink(&self, slot: u32) {
        let spare = &self.slots[slot as usize].spare_bytes;
        if self.spare_bytes.get() <= MOST_SPARE_BYTES || spare.get() == 0 {
            return;
        }
        let start = self.pointer(slot).addr();
        // Whole pages that are this buffer's alone; those at its edges it shares with its
        // neighbours.
        let first = (start + KEPT_BYTES).next_multiple_of(PAGE_BYTES);
        let end = (start + self.bytes(slot)) / PAGE_BYTES * PAGE_BYTES;
        let pages = self.base.as_ptr().with_addr(first).cast();
        // SAFETY: the pages lie within this slot, which has no lease and is not the kernel's, so
        // that nobody reads or writes them; what they held is not looked at again.
        let given_back = unsafe { libc::madvise(pages, end - first, libc::MADV_DONTNEED) };
        if given_back == 0 {
            self.spare_bytes.set(self.spare_bytes.get() - spare.replace(0));
        }
    }

    fn put_free(&self, slot: u32) {
        self.shrink(slot);
        let list = &self.free[self.slots[slot as usize].class as usize];
        self.slots[slot as usize].next.set(list.head.replace(slot));
        list.count.set(list.count.get() + 1);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let base = self.base.as_ptr().cast();
        // SAFETY: this is the mapping `new` made. No lease is left, since each holds an `Rc` of the
        // pool, and the driver keeps the pool until the kernel has given back every buffer.
        unsafe { libc::munmap(base, self.mapped_bytes) };
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.free.each_ref().map(|list| list.count.get());
        f.debug_struct("Pool").field("slots", &self.slots.len()).field("free", &free).finish()
    }
}

/// A buffer that the kernel does not own. Dropping the last lease of a buffer returns it.
///
/// The payload is what arrived, or what [`Driver::blank`](crate::io::Driver::blank) was asked for;
/// in front of it stand at least [`HEADROOM`] bytes that may be written over.
pub struct Lease {
    pool: Rc<Pool>,
    slot: u32,
    start: u32,
    end: u32,
}

impl Lease {
    fn new(pool: Rc<Pool>, slot: u32, range: Range<usize>) -> Self {
        let mut lease = Self { pool, slot, start: 0, end: 0 };
        lease.set_range(range);
        lease
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        &self.buffer()[self.range()]
    }

    /// Where in the whole buffer the payload is.
    #[must_use]
    pub fn range(&self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// The whole buffer: what is in front of the payload, the payload, and what is behind it.
    #[must_use]
    pub fn buffer(&self) -> &[u8] {
        let pointer = self.pool.pointer(self.slot);
        let bytes = self.pool.bytes(self.slot);
        // SAFETY: the slot lies within the mapping and is initialised (anonymous memory is zero).
        // While this lease lives the slot is leased, so the kernel does not write to it; another
        // `&mut` to it exists only through `exclusive` of its only lease, which borrows that lease.
        unsafe { slice::from_raw_parts(pointer, bytes) }
    }

    /// The whole buffer for writing, unless another lease shares it.
    #[must_use]
    pub fn exclusive(&mut self) -> Option<&mut [u8]> {
        if self.is_shared() {
            return None;
        }
        let pointer = self.pool.pointer(self.slot);
        let bytes = self.pool.bytes(self.slot);
        // SAFETY: as in `buffer`; and this is the only lease of the slot, borrowed mutably for as
        // long as the slice lives, so that nothing can share or read the buffer meanwhile.
        Some(unsafe { slice::from_raw_parts_mut(pointer, bytes) })
    }

    /// Another lease of the same buffer. Until all but one are dropped, none can write.
    #[must_use]
    pub fn share(&self) -> Self {
        let refs = &self.refs().get();
        assert!(*refs < KERNEL - 1, "fewer leases than the address space holds");
        self.refs().set(refs + 1);
        Self { pool: Rc::clone(&self.pool), ..*self }
    }

    /// Whether another lease of the same buffer exists.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.refs().get() > 1
    }

    /// Says where the payload is, for whoever has received into the buffer.
    pub(in crate::io) fn set_range(&mut self, range: Range<usize>) {
        assert!(range.start <= range.end, "a payload does not end before it starts");
        assert!(range.end <= self.pool.bytes(self.slot), "a payload lies within its buffer");
        self.pool.touch(self.slot, range.end);
        (self.start, self.end) = (range.start as u32, range.end as u32);
    }

    fn refs(&self) -> &Cell<u32> {
        &self.pool.slots[self.slot as usize].refs
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let left = self.refs().get() - 1;
        self.refs().set(left);
        if left == 0 {
            self.pool.put_free(self.slot);
        }
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Lease");
        out.field("slot", &self.slot).field("range", &self.range());
        out.field("shared", &self.is_shared()).finish()
    }
}

/// Anonymous zeroed memory; pages are backed when first written.
fn map(bytes: usize) -> io::Result<NonNull<u8>> {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh anonymous mapping at an address the kernel chooses overlaps nothing.
    let address = unsafe { libc::mmap(ptr::null_mut(), bytes, access, flags, -1, 0) };
    match NonNull::new(address.cast()) {
        Some(base) if address != libc::MAP_FAILED => Ok(base),
        Some(_) | None => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests;
