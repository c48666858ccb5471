//! The table that finds a flow's newest train.
//!
//! Direct-mapped: a flow has one bucket, and two flows that meet there take it from each other,
//! which costs joins and never order. An adversary who makes them meet gains as little.

use std::net::SocketAddr;

use crate::io::event::SocketId;

/// Entries of the table. A power of two.
const FLOWS: usize = 1024;

/// The newest train of each flow, and what the kernel refused to join for it.
pub(in crate::io) struct RecentTrains {
    entries: Box<[Entry; FLOWS]>,
    batch: u32,
}

#[derive(Clone, Copy)]
struct Entry {
    /// The batch that `train` belongs to.
    batch: u32,
    train: u32,
    /// Tells which flow was refused, as far as 32 bits of its hash can.
    refused_tag: u32,
    /// The shortest datagrams the kernel did not take as a train.
    refused_bytes: u32,
}

/// Where a flow is in the table.
#[derive(Debug, Clone, Copy)]
pub(in crate::io) struct Bucket {
    index: usize,
    tag: u32,
}

impl RecentTrains {
    pub(in crate::io) fn new() -> Self {
        let entry = Entry { batch: 0, train: 0, refused_tag: 0, refused_bytes: u32::MAX };
        Self { entries: Box::new([entry; FLOWS]), batch: 1 }
    }

    /// The train last noted at this bucket in this batch; of this flow or of another.
    pub(in crate::io) fn newest(&self, bucket: Bucket) -> Option<usize> {
        let entry = &self.entries[bucket.index];
        (entry.batch == self.batch).then_some(entry.train as usize)
    }

    pub(in crate::io) fn set_newest(&mut self, bucket: Bucket, train: usize) {
        let entry = &mut self.entries[bucket.index];
        (entry.batch, entry.train) = (self.batch, train as u32);
    }

    /// Whether the kernel refused a train of such datagrams for this flow.
    pub(in crate::io) fn is_refused(&self, bucket: Bucket, datagram_bytes: usize) -> bool {
        let entry = &self.entries[bucket.index];
        entry.refused_tag == bucket.tag && datagram_bytes >= entry.refused_bytes as usize
    }

    pub(in crate::io) fn refuse(&mut self, bucket: Bucket, datagram_bytes: usize) {
        let entry = &mut self.entries[bucket.index];
        (entry.refused_tag, entry.refused_bytes) = (bucket.tag, datagram_bytes as u32);
    }

    /// Forgets all trains, and keeps what was refused.
    pub(in crate::io) fn next_batch(&mut self) {
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.batch = 1;
            self.entries.iter_mut().for_each(|entry| entry.batch = 0);
        }
    }
}

impl Bucket {
    pub(in crate::io) fn of(socket: SocketId, to: SocketAddr) -> Self {
        let hash = hash(socket, to);
        Self { index: (hash >> 32) as usize % FLOWS, tag: (hash >> 16) as u32 | 1 }
    }
}

/// A multiplicative hash: cheap, and good enough for what a collision costs.
fn hash(socket: SocketId, to: SocketAddr) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let address = match to {
        SocketAddr::V4(v4) => u64::from(v4.ip().to_bits()),
        SocketAddr::V6(v6) => {
            let bits = v6.ip().to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(32)
        }
    };
    let endpoint = u64::from(to.port()) << 32 | u64::from(socket.0);
    (address.wrapping_mul(ODD) ^ endpoint).wrapping_mul(ODD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(port: u16) -> Bucket {
        Bucket::of(SocketId(1), SocketAddr::from(([192, 0, 2, 1], port)))
    }

    #[test]
    fn a_batch_forgets_its_trains_and_keeps_what_was_refused() {
        let mut recent = RecentTrains::new();
        recent.set_newest(bucket(5), 3);
        recent.refuse(bucket(5), 1500);
        assert_eq!(recent.newest(bucket(5)), Some(3));
        recent.next_batch();
        assert_eq!(recent.newest(bucket(5)), None);
        assert!(recent.is_refused(bucket(5), 1500) && !recent.is_refused(bucket(5), 1499));
        assert!(!recent.is_refused(bucket(6), 1500));
    }

    #[test]
    fn no_train_of_an_old_batch_comes_back_when_the_count_wraps() {
        let mut recent = RecentTrains::new();
        recent.set_newest(bucket(5), 3);
        recent.batch = u32::MAX;
        recent.next_batch();
        assert_eq!(recent.newest(bucket(5)), None);
    }

    #[test]
    fn ports_spread_over_the_table() {
        let buckets = (40_000..40_512).map(|port| bucket(port).index);
        let distinct: std::collections::HashSet<_> = buckets.collect();
        assert!(distinct.len() > 300, "{}", distinct.len());
    }
}
