//! How long datagrams are held by this server, from samples of one turn in [`EVERY`].
//!
//! ```text
//!   first packet      held for company,      datagrams are      their sends are
//!   is there          or not                 judged, framed     with the kernel
//! ───────────┬─────────────────────────────────────────────────┬───────────────
//!       clock│                                            clock│
//!            ╰────────────────── a sample ────────────────────╯
//! ```
//!
//! A sample is the time from when the turn's first packets have been taken from the kernel until
//! the kernel has taken the last send of the turn: the longest that any datagram of it was held
//! for. It stands for every datagram of the turn, most of which were held for less.
//!
//! Not in it: the time a datagram lies in the kernel's receive queue while the turn before is under
//! way, which shows under overload, and whatever happens before and after in the kernel and the
//! network card. Other turns read no clock for this.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Turns for each sample.
const EVERY: u32 = 16;
/// The longest time that is told apart; what is longer counts as this.
const LONGEST_US: u64 = 1_000_000;
/// Decimal digits that times are told apart by.
const DIGITS: u8 = 2;

/// The times, 1 µs to 1 s, one for each datagram of a sampled turn.
#[derive(Debug, Clone)]
pub struct HoldTimes {
    micros: Histogram<u64>,
    sum_us: u64,
}

/// The clock that is read around what sampled turns do.
#[derive(Debug, Default)]
pub(in crate::io) struct Sampler {
    turns: u32,
    /// When the packets of the sampled turn had arrived that is being worked on.
    since: Option<Instant>,
}

impl HoldTimes {
    /// Counts so many datagrams as held for so long.
    fn count(&mut self, held: Duration, datagrams: usize) {
        let held_us = u64::try_from(held.as_micros()).unwrap_or(u64::MAX).clamp(1, LONGEST_US);
        self.micros.saturating_record_n(held_us, datagrams as u64);
        self.sum_us += held_us * datagrams as u64;
    }

    /// Datagrams that were held for so many microseconds at most, give or take a hundredth.
    #[must_use]
    pub fn up_to(&self, micros: u64) -> u64 {
        self.micros.count_between(0, micros)
    }

    /// Datagrams that were sampled.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.micros.len()
    }

    /// The times of all of them together, in microseconds.
    #[must_use]
    pub fn sum_us(&self) -> u64 {
        self.sum_us
    }

    /// The time that this share of them (0 to 1) was held for at most, in microseconds; `None`
    /// while there is no sample.
    #[must_use]
    pub fn quantile_us(&self, share: f64) -> Option<u64> {
        (self.total() > 0).then(|| self.micros.value_at_quantile(share))
    }

    /// Adds the samples of another worker.
    pub fn add(&mut self, other: &HoldTimes) {
        self.micros.add(&other.micros).expect("all have the same bounds");
        self.sum_us += other.sum_us;
    }

    /// Takes away what was there at an earlier time.
    pub fn subtract(&mut self, earlier: &HoldTimes) {
        // A worker that did not answer earlier is missing there, never here: counts only grow.
        self.micros.subtract(&earlier.micros).expect("what is taken away was there");
        self.sum_us -= earlier.sum_us;
    }
}

impl Default for HoldTimes {
    fn default() -> Self {
        let micros = Histogram::new_with_bounds(1, LONGEST_US, DIGITS);
        Self { micros: micros.expect("1 µs to 1 s in two digits are bounds"), sum_us: 0 }
    }
}

impl Sampler {
    /// Packets of a turn have arrived.
    pub(in crate::io) fn arrived(&mut self) {
        self.turns += 1;
        if self.turns == EVERY {
            self.turns = 0;
            self.since = Some(Instant::now());
        }
    }

    /// Whether the turn that ends is a sample: then its sends are to be handed over, and
    /// [`Sampler::sent`] is to be called.
    pub(in crate::io) fn is_under_way(&self) -> bool {
        self.since.is_some()
    }

    /// The sends of the turn, which had so many datagrams, are with the kernel.
    pub(in crate::io) fn sent(&mut self, held: &mut HoldTimes, datagrams: usize) {
        if let Some(since) = self.since.take() {
            held.count(since.elapsed(), datagrams);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use super::*;

    const NONE: Duration = Duration::ZERO;
    const MS: Duration = Duration::from_millis(1);

    /// A turn of seven datagrams that takes so long. Whether it was sampled.
    fn turn(sampler: &mut Sampler, held: &mut HoldTimes, takes: Duration) -> bool {
        sampler.arrived();
        sleep(takes);
        let sampled = sampler.is_under_way();
        if sampled {
            sampler.sent(held, 7);
        }
        sampled
    }

    #[test]
    fn one_turn_in_sixteen_is_sampled_and_stands_for_its_datagrams() {
        let (mut sampler, mut held) = (Sampler::default(), HoldTimes::default());
        let sampled: Vec<_> = (1..=33).filter(|_| turn(&mut sampler, &mut held, NONE)).collect();
        assert_eq!(sampled, [16, 32]);
        assert_eq!(held.total(), 2 * 7);
    }

    #[test]
    fn a_sample_lasts_from_the_arrival_until_the_sends_are_out() {
        let (mut sampler, mut held) = (Sampler::default(), HoldTimes::default());
        (1..=15).for_each(|_| _ = turn(&mut sampler, &mut held, NONE));
        turn(&mut sampler, &mut held, 5 * MS);
        assert!(held.quantile_us(0.5) >= Some(5_000), "{:?}", held.quantile_us(0.5));
    }

    #[test]
    fn what_is_out_of_bounds_is_counted_at_them() {
        let mut held = HoldTimes::default();
        held.count(NONE, 1);
        held.count(3600 * 1000 * MS, 2);
        assert_eq!((held.total(), held.up_to(1), held.up_to(LONGEST_US)), (3, 1, 3));
        assert_eq!(held.sum_us(), 1 + 2 * LONGEST_US);
    }

    #[test]
    fn samples_are_added_and_taken_away() {
        let (mut all, mut one) = (HoldTimes::default(), HoldTimes::default());
        assert_eq!(all.quantile_us(0.5), None);
        one.count(MS, 10);
        all.add(&one);
        all.count(50 * MS, 90);
        all.subtract(&one);
        assert_eq!((all.total(), all.sum_us()), (90, 90 * 50_000));
        let p50 = all.quantile_us(0.5).unwrap();
        assert!((50_000..51_000).contains(&p50), "{p50}");
    }
}
