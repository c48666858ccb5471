//! Latencies as they come, for whoever watches meanwhile: coarse, written by one thread, read by
//! another without a lock.

use std::sync::atomic::{AtomicU32, Ordering};

/// Four buckets for each power of two of nanoseconds.
const PARTS_BITS: u32 = 2;
const BUCKETS: usize = 64 << PARTS_BITS;

/// Counts since a measurement began.
#[derive(Debug)]
pub(crate) struct Recent(Box<[AtomicU32; BUCKETS]>);

/// Counts of one moment.
#[derive(Debug, Clone)]
pub(crate) struct Seen(Box<[u32; BUCKETS]>);

impl Default for Recent {
    fn default() -> Recent {
        Recent(Box::new([const { AtomicU32::new(0) }; BUCKETS]))
    }
}

impl Default for Seen {
    fn default() -> Seen {
        Seen(Box::new([0; BUCKETS]))
    }
}

impl Recent {
    /// Counts one latency. The only writer may do so without a locked instruction.
    pub(crate) fn note(&self, latency_ns: u64) {
        let count = &self.0[bucket(latency_ns)];
        count.store(count.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Seen {
    /// Adds what another thread has counted.
    pub(crate) fn add(&mut self, recent: &Recent) {
        for (sum, count) in self.0.iter_mut().zip(recent.0.iter()) {
            *sum = sum.wrapping_add(count.load(Ordering::Relaxed));
        }
    }

    /// The latency that `share` of those did not exceed that came since an earlier moment, to a
    /// fifth, ns; `None` when none came.
    pub(crate) fn quantile_ns(&self, before: &Seen, share: f64) -> Option<u64> {
        let news = || self.0.iter().zip(before.0.iter()).map(|(now, then)| now.wrapping_sub(*then));
        let all: u64 = news().map(u64::from).sum();
        let wanted = (all as f64 * share).ceil() as u64;
        let mut sum = 0;
        let found = news().position(|count| {
            sum += u64::from(count);
            sum >= wanted
        });
        found.filter(|_| all > 0).map(middle_ns)
    }
}

fn bucket(latency_ns: u64) -> usize {
    let ns = latency_ns.max(1 << PARTS_BITS);
    let power = ns.ilog2();
    let part = ns >> (power - PARTS_BITS) & ((1 << PARTS_BITS) - 1);
    (power << PARTS_BITS) as usize + part as usize
}

fn middle_ns(bucket: usize) -> u64 {
    let (power, part) = (bucket as u32 >> PARTS_BITS, bucket as u64 & ((1 << PARTS_BITS) - 1));
    let width = 1 << power.saturating_sub(PARTS_BITS);
    (1 << power) + part * width + width / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_latency_is_near_the_middle_of_its_bucket() {
        for ns in [4, 5, 7, 8, 100, 999, 123_456, 60_000_000_000, u64::MAX / 3] {
            let middle = middle_ns(bucket(ns)) as f64;
            assert!((middle / ns as f64 - 1.0).abs() < 0.2, "{ns}: {middle}");
        }
        assert_eq!(bucket(0), bucket(4));
        assert!(bucket(u64::MAX) < BUCKETS);
    }

    #[test]
    fn only_what_came_since_is_told() {
        let recent = Recent::default();
        (0..1_000).for_each(|_| recent.note(1_000_000));
        let mut before = Seen::default();
        before.add(&recent);
        let mut now = Seen::default();
        now.add(&recent);
        assert_eq!(now.quantile_ns(&before, 0.5), None);
        (0..99).for_each(|_| recent.note(1_000));
        recent.note(50_000);
        let mut now = Seen::default();
        now.add(&recent);
        assert_eq!(now.quantile_ns(&before, 0.5), Some(middle_ns(bucket(1_000))));
        assert_eq!(now.quantile_ns(&before, 1.0), Some(middle_ns(bucket(50_000))));
    }
}
