//! The table of a driver's sockets.
//!
//! Slots are reused, so whatever is under way for a socket carries the slot's generation too, and
//! is recognised as stale when the two differ.

use std::{
    io,
    net::UdpSocket,
    os::fd::{AsFd, OwnedFd},
};

use crate::io::{
    event::{Receive, SocketId},
    sys,
};

/// One socket from open to closed.
#[derive(Debug)]
pub(in crate::io) struct Entry {
    /// The process's descriptor of it; `None` where only a ring has it, under the slot's number.
    pub(in crate::io) socket: Option<UdpSocket>,
    pub(in crate::io) v6: bool,
    pub(in crate::io) phase: Phase,
    pub(in crate::io) receive: Receive,
    /// A receive is with the kernel.
    pub(in crate::io) armed: bool,
    /// That receive is cancelled and has not ended yet.
    pub(in crate::io) cancelled: bool,
    /// The ring is letting go of the socket that only it has.
    pub(in crate::io) leaving: bool,
    /// The descriptor to hand out of a socket that only a ring had.
    pub(in crate::io) installed: Option<UdpSocket>,
    /// Receives in a row that failed.
    pub(in crate::io) failures: u32,
    /// Whether datagrams now leave this socket with the DF bit.
    dont_fragment: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Phase {
    /// The ring opens and binds it, as far as it knows without this error so far.
    Opening(Result<(), i32>),
    Open,
    /// It could not be opened, with this errno; the ring still lets go of what there is of it.
    Refused(i32),
    /// `close` was called; the kernel still holds the socket.
    Closing,
    /// `take` was called; the kernel still holds the socket.
    Leaving,
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    entry: Option<Entry>,
}

/// Sockets by slot, at most `capacity` of them.
#[derive(Debug)]
pub struct Table {
    slots: Vec<Slot>,
    free: Vec<u32>,
    capacity: usize,
}

/// A slot at one point of its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    pub(in crate::io) slot: u32,
    pub(in crate::io) generation: u32,
}

impl Key {
    pub(in crate::io) fn id(self) -> SocketId {
        SocketId(self.slot)
    }
}

impl Table {
    pub(in crate::io) fn new(capacity: usize) -> Self {
        Self { slots: Vec::with_capacity(capacity), free: Vec::with_capacity(capacity), capacity }
    }

    /// Takes a socket in.
    ///
    /// # Errors
    /// `EMFILE` when the table is full.
    pub(in crate::io) fn insert(&mut self, socket: UdpSocket, receive: Receive) -> io::Result<Key> {
        let v6 = socket.local_addr()?.is_ipv6();
        self.add(Entry::new(Some(socket), v6, Phase::Open, receive))
    }

    /// Makes room for a socket that a ring is to open.
    ///
    /// # Errors
    /// `EMFILE` when the table is full.
    pub(in crate::io) fn reserve(&mut self, v6: bool, receive: Receive) -> io::Result<Key> {
        self.add(Entry::new(None, v6, Phase::Opening(Ok(())), receive))
    }

    fn add(&mut self, entry: Entry) -> io::Result<Key> {
        let slot = self.vacant().ok_or_else(|| io::Error::from_raw_os_error(libc::EMFILE))?;
        let place = &mut self.slots[slot as usize];
        place.entry = Some(entry);
        Ok(Key { slot, generation: place.generation })
    }

    fn vacant(&mut self) -> Option<u32> {
        if let Some(slot) = self.free.pop() {
            return Some(slot);
        }
        let slot = self.slots.len();
        let room = slot < self.capacity;
        room.then(|| self.slots.push(Slot::default()))?;
        u32::try_from(slot).ok()
    }

    /// Forgets a socket and ends its generation; its descriptor is in what is returned. The slot is
    /// not used again before it is [vacated](Self::vacate).
    pub(in crate::io) fn remove(&mut self, key: Key) -> Option<Entry> {
        let slot = &mut self.slots[key.slot as usize];
        debug_assert_eq!(slot.generation, key.generation, "a slot is removed once per life");
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MASK;
        slot.entry.take()
    }

    /// Frees the slot of a removed socket.
    pub(in crate::io) fn vacate(&mut self, id: SocketId) {
        debug_assert!(self.get(id).is_none(), "a slot is vacated after its socket was removed");
        self.free.push(id.0);
    }

    /// The socket a key was made for, unless that life is over.
    pub(in crate::io) fn at(&mut self, key: Key) -> Option<&mut Entry> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.entry.as_mut() } else { None }
    }

    /// The same, for looking.
    pub(in crate::io) fn entry(&self, key: Key) -> Option<&Entry> {
        let slot = self.slots.get(key.slot as usize)?;
        if slot.generation == key.generation { slot.entry.as_ref() } else { None }
    }

    /// The key of an open socket.
    pub(in crate::io) fn open_key(&self, id: SocketId) -> Option<Key> {
        let slot = self.slots.get(id.index())?;
        let open = slot.entry.as_ref().is_some_and(|entry| entry.phase == Phase::Open);
        open.then_some(Key { slot: id.0, generation: slot.generation })
    }

    pub(in crate::io) fn get(&self, id: SocketId) -> Option<&Entry> {
        self.slots.get(id.index())?.entry.as_ref()
    }
}

/// Generations travel in 24 bits of a completion's user data.
pub(in crate::io) const GENERATION_MASK: u32 = 0x00FF_FFFF;

impl Entry {
    fn new(socket: Option<UdpSocket>, v6: bool, phase: Phase, receive: Receive) -> Self {
        Self {
            socket,
            v6,
            phase,
            receive,
            armed: false,
            cancelled: false,
            leaving: false,
            installed: None,
            failures: 0,
            dont_fragment: false,
        }
    }

    /// Whether `close` or `take` was called.
    pub(in crate::io) fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::Closing | Phase::Leaving)
    }

    /// The descriptor of a socket that leaves the driver, with the DF bit as a driver expects it.
    /// `None` where there could be none.
    pub(in crate::io) fn hand_out(self) -> Option<OwnedFd> {
        let (v6, dont_fragment) = (self.v6, self.dont_fragment);
        let socket = self.socket.or(self.installed)?;
        if dont_fragment && sys::set_dont_fragment(socket.as_fd(), v6, false).is_err() {
            return None;
        }
        Some(socket.into())
    }

    /// The process's descriptor of a socket that no ring opened.
    pub(in crate::io) fn descriptor(&self) -> &UdpSocket {
        self.socket.as_ref().expect("only sockets that a ring opened have no descriptor")
    }

    /// Whether the DF bit has to be switched before a datagram that wants it so.
    pub(in crate::io) fn differs(&self, dont_fragment: bool) -> bool {
        self.dont_fragment != dont_fragment
    }

    /// Notes that the DF bit of everything this socket sends from now on is switched.
    pub(in crate::io) fn note_dont_fragment(&mut self, on: bool) {
        self.dont_fragment = on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket() -> UdpSocket {
        UdpSocket::bind("127.0.0.1:0").expect("loopback")
    }

    #[test]
    fn a_reused_slot_is_another_life() {
        let mut table = Table::new(4);
        let first = table.insert(socket(), Receive::Now).expect("room");
        table.remove(first);
        table.vacate(first.id());
        let second = table.insert(socket(), Receive::Now).expect("room");
        assert_eq!(first.slot, second.slot);
        assert!(table.at(first).is_none());
        assert!(table.at(second).is_some());
    }

    #[test]
    fn a_socket_leaves_with_the_df_bit_off() {
        let mut entry = Entry::new(Some(socket()), false, Phase::Leaving, Receive::Now);
        sys::set_dont_fragment(entry.descriptor(), false, true).expect("a UDP socket");
        entry.note_dont_fragment(true);
        let socket = entry.hand_out().expect("it has a descriptor");
        let discovery = sys::option(&socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER);
        assert_eq!(discovery.expect("a UDP socket"), libc::IP_PMTUDISC_OMIT);
    }

    #[test]
    fn the_table_is_bounded() {
        let mut table = Table::new(1);
        table.insert(socket(), Receive::Now).expect("room");
        let error = table.insert(socket(), Receive::Now).expect_err("full");
        assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
    }
}
