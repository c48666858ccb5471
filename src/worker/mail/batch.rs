//! Payloads on their way to another worker, packed: hairpins, and misrouted packets of clients.
//!
//! A worker packs everything that another worker has to deliver into one
//! [`Batch`] and posts it once per turn: one message and one wake-up for all of it. Batches are
//! made at the start and return to be filled again, so that nothing is allocated on the way and a
//! worker that falls behind costs its own hairpin traffic, not memory.

use std::{net::SocketAddr, ops::Range};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::turn::FiveTuple;

/// Batches that a worker owns, for all other workers together.
const BATCHES: usize = 32;

/// Payload bytes of a batch: a full train of the largest datagrams fits.
const BATCH_BYTES: usize = 128 * 1024;

/// Payloads of a batch.
const BATCH_ENTRIES: usize = 256;

/// What a payload is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::worker) enum Handoff {
    /// It goes from one of our relayed addresses to another.
    Hairpin {
        /// The sender's relayed address, as it is advertised.
        from: SocketAddr,
        /// The receiver's relayed address.
        to: SocketAddr,
    },
    /// It is a datagram of a client of the other worker.
    Misrouted(FiveTuple),
}

#[derive(Debug, Clone)]
struct HandoffEntry {
    handoff: Handoff,
    bytes: Range<usize>,
}

/// A packed batch of payloads.
#[derive(Debug)]
pub(in crate::worker) struct Batch {
    bytes: Box<[u8]>,
    used: usize,
    entries: Vec<HandoffEntry>,
}

impl Batch {
    /// Packs a payload; false when it does not fit any more.
    pub(in crate::worker) fn pack(&mut self, handoff: Handoff, payload: &[u8]) -> bool {
        let range = self.used..self.used + payload.len();
        if self.entries.len() == BATCH_ENTRIES {
            return false;
        }
        let Some(place) = self.bytes.get_mut(range.clone()) else { return false };
        place.copy_from_slice(payload);
        self.used = range.end;
        self.entries.push(HandoffEntry { handoff, bytes: range });
        true
    }

    /// The payloads in the order they were packed.
    pub(in crate::worker) fn entries(&self) -> impl Iterator<Item = (Handoff, &[u8])> {
        self.entries.iter().map(|entry| (entry.handoff, &self.bytes[entry.bytes.clone()]))
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

/// Where the batches of one worker go back to, from whichever worker has emptied them.
#[derive(Debug, Clone)]
pub(in crate::worker) struct BatchReturn(Sender<Batch>);

impl BatchReturn {
    /// Empties the batch and sends it back.
    pub(in crate::worker) fn take_back(&self, mut batch: Batch) {
        batch.empty();
        match self.0.try_send(batch) {
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
            Err(TrySendError::Full(_)) => debug_assert!(false, "a pool has room for its batches"),
        }
    }
}

/// The empty batches of one worker.
#[derive(Debug)]
pub(in crate::worker) struct BatchPool {
    empties: Receiver<Batch>,
}

impl BatchPool {
    /// Makes all batches a worker will ever have. Their memory is backed when first written.
    pub(in crate::worker) fn new() -> (BatchPool, BatchReturn) {
        let (returns, empties) = bounded(BATCHES);
        for _ in 0..BATCHES {
            let bytes = vec![0; BATCH_BYTES].into_boxed_slice();
            let batch = Batch { bytes, used: 0, entries: Vec::with_capacity(BATCH_ENTRIES) };
            returns.try_send(batch).expect("the channel was made for this many");
        }
        (BatchPool { empties }, BatchReturn(returns))
    }

    /// An empty batch, unless all are under way.
    pub(in crate::worker) fn take(&self) -> Option<Batch> {
        self.empties.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hairpin(from: u16, to: u16) -> Handoff {
        let [from, to] = [from, to].map(|port| SocketAddr::from(([192, 0, 2, 1], port)));
        Handoff::Hairpin { from, to }
    }

    #[test]
    fn what_is_packed_is_unpacked_in_order() {
        let (batches, _returns) = BatchPool::new();
        let mut batch = batches.take().unwrap();
        for n in 0..10_u8 {
            assert!(batch.pack(hairpin(1, n.into()), &vec![n; usize::from(n)]));
        }
        for (n, (handoff, payload)) in batch.entries().enumerate() {
            assert_eq!(handoff, hairpin(1, n as u16));
            assert_eq!(payload, vec![n as u8; n]);
        }
    }

    #[test]
    fn a_batch_is_bounded_in_bytes_and_in_entries() {
        let (batches, _returns) = BatchPool::new();
        let mut batch = batches.take().unwrap();
        let packed = (0..1_000).filter(|_| batch.pack(hairpin(1, 2), &[])).count();
        assert_eq!(packed, BATCH_ENTRIES);
        let mut batch = batches.take().unwrap();
        let packed = (0..1_000).filter(|_| batch.pack(hairpin(1, 2), &[0; 60_000])).count();
        assert_eq!(packed, BATCH_BYTES / 60_000);
    }

    #[test]
    fn batches_return_empty() {
        let (batches, returns) = BatchPool::new();
        let mut all: Vec<_> = std::iter::from_fn(|| batches.take()).collect();
        assert_eq!(all.len(), BATCHES);
        let mut batch = all.pop().unwrap();
        assert!(batch.pack(hairpin(1, 2), b"x"));
        returns.take_back(batch);
        assert_eq!(batches.take().unwrap().len(), 0);
        assert!(batches.take().is_none());
    }
}
