//! Packets by when they were due, in slices of time: what shows loss begin and end.

use crate::{clock::MILLI_NS, offer::window::Window};

/// The usual slice; longer in long runs, so that at most this many are kept.
const SLICE_NS: u64 = 100 * MILLI_NS;
const MAX_SLICES: u64 = 6_000;

/// Packets of one measurement, warm-up included, by their due time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slices {
    start_ns: u64,
    each_ns: u64,
    counts: Vec<u64>,
}

impl Slices {
    /// Nothing yet, of a window.
    pub(crate) fn new(window: Window) -> Slices {
        let whole_ns = window.until_ns.saturating_sub(window.start_ns);
        let each_ns = SLICE_NS.max(whole_ns.div_ceil(MAX_SLICES));
        let slices = whole_ns.div_ceil(each_ns) as usize;
        Slices { start_ns: window.start_ns, each_ns, counts: vec![0; slices] }
    }

    /// Which slice a due time lies in.
    pub(crate) fn place(&self, due_ns: u64) -> usize {
        (due_ns.saturating_sub(self.start_ns) / self.each_ns.max(1)) as usize
    }

    /// Counts packets of a slice; those beyond the window are nobody's.
    pub(crate) fn add(&mut self, place: usize, packets: u64) {
        if let Some(count) = self.counts.get_mut(place) {
            *count += packets;
        }
    }

    /// Adds what another thread counted in the same window.
    pub(crate) fn join(&mut self, other: &Slices) {
        self.counts.iter_mut().zip(&other.counts).for_each(|(sum, count)| *sum += count);
    }

    pub(crate) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Length of a slice.
    pub(crate) fn each_ns(&self) -> u64 {
        self.each_ns
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SECOND_NS;

    fn window(seconds: u64) -> Window {
        Window { run: 1, start_ns: 7, from_ns: 7, until_ns: 7 + seconds * SECOND_NS }
    }

    #[test]
    fn packets_are_counted_where_they_were_due() {
        let mut slices = Slices::new(window(1));
        for due_ns in [7, 100_000_006, 100_000_007, 999_999_999, 7 + SECOND_NS] {
            slices.add(slices.place(due_ns), 2);
        }
        assert_eq!(slices.counts(), [4, 2, 0, 0, 0, 0, 0, 0, 0, 2]);
        slices.join(&slices.clone());
        assert_eq!(slices.counts().iter().sum::<u64>(), 16);
    }

    #[test]
    fn long_runs_have_long_slices() {
        let slices = Slices::new(window(1_000_000));
        assert!(slices.counts().len() <= 6_000 && slices.each_ns() > SECOND_NS);
    }
}
