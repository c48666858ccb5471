//! When to wait for a batch and when for the first completion.
//!
//! A batch is what lets datagrams be joined, and it spares wake-ups: the longer the wait, the fewer
//! calls into the network stack a datagram costs. It also adds as much latency. CPU time is worth
//! having only where it is short, so a worker with little to do never waits, and one that would soon
//! be at its limit trades less than half a millisecond for a third of its work:
//!
//! ```text
//! use of the core   below 35 %: one step back ── 50 % and more: one step on
//! wait              none ▸ 100 µs or 64 completions ▸ 200, 128 ▸ 400, 256
//! ```
//!
//! Measured on loopback, CPU per packet with a wait of 100 and of 400 µs against none: video as singles
//! at 150,000 packets/s 0.79x and 0.69x; trains at 600,000 packets/s 0.99x and 0.92x; voice towards
//! clients at 60,000 packets/s 0.74x with 400 µs. The price is latency, more than the wait itself where
//! the core is nearly full: the median of those trains rose from 0.1 to 3.1 ms.

use std::{mem, time::Duration};

use crate::io::{Batching, engine::load::Load};

/// More steps than this make no difference that could be measured.
const STEP_MAX: u32 = 8;

/// The driver's idea of how busy it is.
#[derive(Debug)]
pub(in crate::io) struct Pace {
    batching: Batching,
    load: Load,
    /// 0 for no wait; the first is `wait_us` long, each further one twice as long.
    step: u32,
    /// Datagrams of the turn under way.
    datagrams: usize,
}

/// What to wait for: so many completions, but no longer than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) struct Batch {
    pub(in crate::io) completions: u32,
    pub(in crate::io) wait: Duration,
}

impl Batch {
    /// The same, complete with so many datagrams.
    pub(in crate::io) fn at_most(self, datagrams: u32) -> Self {
        Self { completions: self.completions.min(datagrams).max(1), ..self }
    }
}

impl Pace {
    pub(in crate::io) fn new(batching: Batching) -> Self {
        Self { batching, load: Load::new(), step: 0, datagrams: 0 }
    }

    /// Counts datagrams of this turn.
    pub(in crate::io) fn received(&mut self, datagrams: usize) {
        self.datagrams += datagrams;
    }

    /// Datagrams of this turn so far.
    pub(in crate::io) fn datagrams(&self) -> usize {
        self.datagrams
    }

    /// Judges the turn that ends here by what it brought; `None` when the next one should wait for
    /// no more than its first completion.
    pub(in crate::io) fn next_batch(&mut self) -> Option<Batch> {
        if let Some(percent) = self.load.sample() {
            self.adapt(percent);
        }
        let busy = mem::take(&mut self.datagrams) >= self.batching.busy_from as usize;
        (busy && self.step > 0 && self.batching.longest_wait_us > 0).then(|| self.batch())
    }

    /// Goes one step on or back.
    fn adapt(&mut self, percent: u32) {
        let Batching { widen_from_percent, narrow_below_percent, .. } = self.batching;
        if percent >= widen_from_percent && !self.is_longest() {
            self.step += 1;
        } else if percent < narrow_below_percent {
            self.step = self.step.saturating_sub(1);
        }
    }

    fn is_longest(&self) -> bool {
        let reached =
            self.step > 0 && self.doubled(self.batching.wait_us) >= self.batching.longest_wait_us;
        reached || self.step == STEP_MAX
    }

    fn batch(&self) -> Batch {
        let Batching { completions, wait_us, longest_wait_us, .. } = self.batching;
        let wait_us = self.doubled(wait_us).min(longest_wait_us);
        let wait = Duration::from_micros(wait_us.into());
        Batch { completions: self.doubled(completions), wait }
    }

    /// What a figure of the first step has become.
    fn doubled(&self, first: u32) -> u32 {
        first << (self.step - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(completions: u32, wait_us: u64) -> Option<Batch> {
        Some(Batch { completions, wait: Duration::from_micros(wait_us) })
    }

    impl Pace {
        fn after(&mut self, datagrams: usize) -> Option<Batch> {
            self.received(datagrams);
            self.next_batch()
        }
    }

    /// As busy as can be, and `datagrams` in the turn that ends.
    fn at_its_limit(batching: Batching, datagrams: usize) -> Option<Batch> {
        let mut pace = Pace::new(batching);
        (0..10).for_each(|_| pace.adapt(100));
        pace.after(datagrams)
    }

    #[test]
    fn a_worker_with_little_to_do_never_waits() {
        let mut pace = Pace::new(Batching::default());
        (0..10).for_each(|_| pace.adapt(49));
        assert_eq!(pace.after(1000), None);
    }

    #[test]
    fn nor_does_one_whose_turns_bring_few() {
        let batching = Batching::default();
        assert_eq!(at_its_limit(batching, 3), None);
        assert_eq!(at_its_limit(batching, 4), batch(256, 400));
    }

    #[test]
    fn the_wait_grows_with_load_up_to_its_bound_and_goes_again() {
        let mut pace = Pace::new(Batching::default());
        for expected in [batch(64, 100), batch(128, 200), batch(256, 400), batch(256, 400)] {
            pace.adapt(50);
            assert_eq!(pace.after(8), expected);
        }
        pace.adapt(49);
        pace.adapt(35);
        assert_eq!(pace.after(8), batch(256, 400));
        for expected in [batch(128, 200), batch(64, 100), None, None] {
            pace.adapt(34);
            assert_eq!(pace.after(8), expected);
        }
    }

    #[test]
    fn a_bound_between_two_steps_is_kept() {
        let bounded = |longest_wait_us| Batching { longest_wait_us, ..Batching::default() };
        assert_eq!(at_its_limit(bounded(120), 8), batch(128, 120));
        assert_eq!(at_its_limit(bounded(30), 8), batch(64, 30));
        assert_eq!(at_its_limit(bounded(0), 1000), None);
    }
}
