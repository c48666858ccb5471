//! What the ring's operations on streams name: buffers, addresses and what is being written.
#![expect(unsafe_code, reason = "takes over what completions bring")]

use std::{
    collections::HashMap,
    io,
    os::fd::{FromRawFd, OwnedFd},
    rc::Rc,
};

use socket2::SockAddr;

use super::{
    buffer_ring::BufferRing,
    ring::{Completion, NameRoom, Ring},
    token::Token,
};
use crate::io::{
    engine::table::Key,
    memory::pool::{Incoming, Pool},
    stream::kernel::{StreamStep, Write},
};

/// What operations on streams name. The kernel may use it until they have ended.
#[derive(Default)]
pub(super) struct StreamMemory {
    buffers: Option<BufferRing>,
    /// Accepts by number, each of an acceptor, with a place for the address of who connects.
    pub(super) accepts: Vec<Accept>,
    free_accepts: Vec<u32>,
    /// Whose receive is under way, by slot.
    receives: Vec<Option<Key>>,
    /// Writes under way, by slot.
    pub(super) writes: Vec<Option<Write>>,
    /// Addresses of connects under way, by slot.
    pub(super) connects: HashMap<u32, Box<SockAddr>>,
    /// Operations under way.
    pub(super) under_way: usize,
    /// Buffers ran out, and half of them are not back yet.
    is_starved: bool,
}

pub(super) struct Accept {
    /// Whose it is, while it is under way.
    pub(super) key: Option<Key>,
    pub(super) name: Box<NameRoom>,
}

impl StreamMemory {
    /// Whether nothing is under way.
    pub(super) fn is_quiet(&self) -> bool {
        self.under_way == 0
    }

    /// Gives free buffers to the kernel; `is_settled` says whether all that it took are known.
    pub(super) fn publish(&mut self, is_settled: bool) {
        match &mut self.buffers {
            Some(buffers) if is_settled => buffers.publish_first(),
            Some(buffers) => buffers.publish_last(),
            None => {}
        }
    }

    /// Has a buffer group, and free buffers in it.
    pub(super) fn provide(&mut self, ring: &Ring, pool: &Rc<Pool>) -> io::Result<()> {
        if self.buffers.is_none() {
            let (pool, count) = (Rc::clone(pool), Pool::stream_buffers());
            // SAFETY: this memory is dropped only once no receive is under way, or never (see
            // `Drop` of the kernel).
            let buffers = unsafe { BufferRing::register(ring, pool, Incoming::Stream, count) }?;
            self.buffers.insert(buffers).publish_last();
        }
        Ok(())
    }

    pub(super) fn may_receive(&mut self) -> bool {
        let Some(buffers) = &self.buffers else { return true };
        self.is_starved &= buffers.published() < Pool::stream_buffers() / 2;
        !self.is_starved && buffers.published() > 0
    }

    /// Notes that a receive is under way.
    pub(super) fn receives(&mut self, key: Key) {
        let slot = key.slot as usize;
        if slot >= self.receives.len() {
            self.receives.resize(slot + 1, None);
        }
        self.receives[slot] = Some(key);
        self.under_way += 1;
    }

    /// A place for an accept.
    pub(super) fn take_accept(&mut self, key: Key) -> u32 {
        let number = self.free_accepts.pop().unwrap_or_else(|| {
            self.accepts.push(Accept { key: None, name: Box::default() });
            self.accepts.len() as u32 - 1
        });
        self.accepts[number as usize].key = Some(key);
        number
    }

    /// The step that the completion of an operation on a stream is.
    pub(super) fn step(
        &mut self,
        token: Token,
        entry: Completion,
        pool: &Rc<Pool>,
    ) -> Option<StreamStep> {
        let result = entry.result;
        match token {
            Token::StreamReceive(key) => self.received(key, entry, pool),
            Token::StreamWrite(key) => {
                let write = self.writes.get_mut(key.slot as usize)?.take()?;
                self.under_way -= 1;
                Some(StreamStep::Wrote { key, result, write })
            }
            Token::StreamConnect(key) => {
                self.connects.remove(&key.slot)?;
                self.under_way -= 1;
                Some(StreamStep::Connected { key, result })
            }
            Token::Accept(number) => self.accepted(number, result),
            // These complete only if there was nothing to end.
            Token::StopStream(key, operation) => Some(StreamStep::NotStopped { key, operation }),
            Token::StopAccept(key) => Some(StreamStep::AcceptsNotStopped { key }),
            Token::Receive(_)
            | Token::Cancel(_)
            | Token::Send(_)
            | Token::Wake
            | Token::Make(_)
            | Token::Bind(_)
            | Token::Leave(_)
            | Token::Install(_)
            | Token::Descriptor => None,
        }
    }

    /// Some kernels tell more of a receive that has failed (liburing issue 1246). That is passed
    /// over, but for the buffer.
    fn received(&mut self, key: Key, entry: Completion, pool: &Rc<Pool>) -> Option<StreamStep> {
        let Completion { result, more, buffer, .. } = entry;
        let lease = buffer.map(|place| {
            if let Some(buffers) = &mut self.buffers {
                buffers.returned();
            }
            // SAFETY: this completion says that the kernel is done with the buffer, and is looked
            // at once.
            unsafe { pool.claim(Incoming::Stream, place, result.max(0) as usize) }
        });
        let receives = self.receives.get_mut(key.slot as usize)?;
        receives.filter(|of| *of == key)?;
        if !more {
            *receives = None;
            self.under_way -= 1;
        }
        self.is_starved |= result == -libc::ENOBUFS;
        Some(StreamStep::Received { key, result, lease, more })
    }

    fn accepted(&mut self, number: u32, result: i32) -> Option<StreamStep> {
        let accept = self.accepts.get_mut(number as usize)?;
        let key = accept.key.take()?;
        self.under_way -= 1;
        self.free_accepts.push(number);
        let accepted = if result < 0 {
            Err(-result)
        } else {
            // SAFETY: the kernel has just made this descriptor for us, and nothing else holds it.
            let socket = unsafe { OwnedFd::from_raw_fd(result) };
            accept.name.address().map(|peer| (socket, peer)).ok_or(libc::ECONNABORTED)
        };
        Some(StreamStep::Accepted { key, accepted })
    }
}
