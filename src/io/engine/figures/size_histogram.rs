//! How often there were how many: counts in buckets that end at powers of two.
//!
//! ```text
//! bucket       0    1    2     3      4      …   the last
//! how many     0    1    2    3-4    5-8     …   what is left
//! ```
//!
//! One more is two additions in memory of the one who counts.

/// A distribution of sizes in so many buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizeHistogram<const BUCKETS: usize> {
    counts: [u64; BUCKETS],
    sum: u64,
}

impl<const BUCKETS: usize> SizeHistogram<BUCKETS> {
    /// Counts one of this size.
    pub(crate) fn count(&mut self, size: usize) {
        let bucket = match size {
            0 => 0,
            1.. => 1 + (usize::BITS - (size - 1).leading_zeros()) as usize,
        };
        self.counts[bucket.min(BUCKETS - 1)] += 1;
        self.sum += size as u64;
    }

    /// Each bucket from the smallest sizes to the largest: the largest size in it, `None` for the
    /// last, which has no bound; and how often there was one.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<u64>, u64)> {
        let bound = |bucket| match bucket {
            0 => Some(0),
            _ if bucket == BUCKETS - 1 => None,
            _ => Some(1 << (bucket - 1)),
        };
        self.counts.iter().enumerate().map(move |(bucket, count)| (bound(bucket), *count))
    }

    /// All sizes together.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.sum
    }

    /// How many sizes were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
}

impl<const BUCKETS: usize> Default for SizeHistogram<BUCKETS> {
    fn default() -> Self {
        Self { counts: [0; BUCKETS], sum: 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    #[test]
    fn a_size_is_in_the_first_bucket_that_has_room() {
        let mut sizes = SizeHistogram::<6>::default();
        (0..=20).for_each(|size| sizes.count(size));
        let buckets: Vec<_> = sizes.buckets().collect();
        let bounds = [Some(0), Some(1), Some(2), Some(4), Some(8), None];
        let counts = [1, 1, 1, 2, 4, 12];
        assert_eq!(buckets, bounds.into_iter().zip(counts).collect::<Vec<_>>());
        assert_eq!((sizes.sum(), sizes.total()), (210, 21));
    }

    proptest! {
        #[test]
        fn bounds_hold(size: u16) {
            let mut sizes = SizeHistogram::<12>::default();
            sizes.count(size.into());
            let mut below = None;
            for (bound, count) in sizes.buckets() {
                let fits = bound.is_none_or(|bound| u64::from(size) <= bound)
                    && below.is_none_or(|below| u64::from(size) > below);
                assert_eq!(count, u64::from(fits));
                below = bound;
            }
        }
    }
}
