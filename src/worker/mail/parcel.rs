//! Payloads on their way to another worker, packed: hairpins, and packets that went astray.
//!
//! A worker that reaps a batch packs everything another worker has to deliver into one parcel and
//! posts it once per turn: one message and one wake-up for a whole batch. Parcels are made at the
//! start and go home to be filled again, so that nothing is allocated on the way and a worker that
//! falls behind costs its own hairpin traffic, not memory.

use std::{net::SocketAddr, ops::Range};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::turn::FiveTuple;

/// Parcels a worker owns, for all other workers together.
const PARCELS: usize = 32;

/// Payload bytes of a parcel: a full train of the largest datagrams fits.
const PARCEL_BYTES: usize = 128 * 1024;

/// Payloads of a parcel.
const PARCEL_ENTRIES: usize = 256;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Passage {
    /// It goes from one of our relayed addresses to another.
    Hairpin {
        /// The sender's relayed address, as it is advertised.
        from: SocketAddr,
        /// The receiver's relayed address.
        to: SocketAddr,
    },
    /// It is a datagram of a client of the other worker.
    Stray(FiveTuple),
}

#[derive(Debug, Clone)]
struct Entry {
    passage: Passage,
    bytes: Range<usize>,
}

/// A packed batch of payloads.
#[derive(Debug)]
pub(in crate::worker) struct Parcel {
    bytes: Box<[u8]>,
    used: usize,
    entries: Vec<Entry>,
}

impl Parcel {
    /// Packs a payload; false when it does not fit any more.
    pub(in crate::worker) fn pack(&mut self, passage: Passage, payload: &[u8]) -> bool {
        let range = self.used..self.used + payload.len();
        if self.entries.len() == PARCEL_ENTRIES {
            return false;
        }
        let Some(place) = self.bytes.get_mut(range.clone()) else { return false };
        place.copy_from_slice(payload);
        self.used = range.end;
        self.entries.push(Entry { passage, bytes: range });
        true
    }

    /// The payloads in the order they were packed.
    pub(in crate::worker) fn entries(&self) -> impl Iterator<Item = (Passage, &[u8])> {
        self.entries.iter().map(|entry| (entry.passage, &self.bytes[entry.bytes.clone()]))
    }

    /// How many payloads are in it.
    pub(in crate::worker) fn len(&self) -> usize {
        self.entries.len()
    }

    fn empty(&mut self) {
        self.entries.clear();
        self.used = 0;
    }
}

/// Where the parcels of one worker go back to, from whichever worker has emptied them.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Home(Sender<Parcel>);

impl Home {
    /// Empties the parcel and sends it home.
    pub(in crate::worker) fn take_back(&self, mut parcel: Parcel) {
        parcel.empty();
        match self.0.try_send(parcel) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => debug_assert!(false, "a home has room for its parcels"),
        }
    }
}

/// The empty parcels of one worker.
#[derive(Debug)]
pub(in crate::worker) struct Parcels {
    empties: Receiver<Parcel>,
}

impl Parcels {
    /// Makes all parcels a worker will ever have. Their memory is backed when first written.
    pub(in crate::worker) fn new() -> (Parcels, Home) {
        let (home, empties) = bounded(PARCELS);
        for _ in 0..PARCELS {
            let bytes = vec![0; PARCEL_BYTES].into_boxed_slice();
            let parcel = Parcel { bytes, used: 0, entries: Vec::with_capacity(PARCEL_ENTRIES) };
            home.try_send(parcel).expect("the channel was made for this many");
        }
        (Parcels { empties }, Home(home))
    }

    /// An empty parcel, unless all are under way.
    pub(in crate::worker) fn take(&self) -> Option<Parcel> {
        self.empties.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hairpin(from: u16, to: u16) -> Passage {
        let [from, to] = [from, to].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        Passage::Hairpin { from, to }
    }

    #[test]
    fn what_is_packed_is_unpacked_in_order() {
        let (parcels, _home) = Parcels::new();
        let mut parcel = parcels.take().unwrap();
        for n in 0..10_u8 {
            assert!(parcel.pack(hairpin(1, n.into()), &vec![n; usize::from(n)]));
        }
        for (n, (passage, payload)) in parcel.entries().enumerate() {
            assert_eq!(passage, hairpin(1, n as u16));
            assert_eq!(payload, vec![n as u8; n]);
        }
    }

    #[test]
    fn a_parcel_is_bounded_in_bytes_and_in_entries() {
        let (parcels, _home) = Parcels::new();
        let mut parcel = parcels.take().unwrap();
        let packed = (0..1_000).filter(|_| parcel.pack(hairpin(1, 2), &[])).count();
        assert_eq!(packed, PARCEL_ENTRIES);
        let mut parcel = parcels.take().unwrap();
        let packed = (0..1_000).filter(|_| parcel.pack(hairpin(1, 2), &[0; 60_000])).count();
        assert_eq!(packed, PARCEL_BYTES / 60_000);
    }

    #[test]
    fn parcels_go_home_empty() {
        let (parcels, home) = Parcels::new();
        let mut all: Vec<_> = std::iter::from_fn(|| parcels.take()).collect();
        assert_eq!(all.len(), PARCELS);
        let mut parcel = all.pop().unwrap();
        assert!(parcel.pack(hairpin(1, 2), b"x"));
        home.take_back(parcel);
        assert_eq!(parcels.take().unwrap().len(), 0);
        assert!(parcels.take().is_none());
    }
}
