//! Which sources were answered lately: a table of 65,536 of them, 256 KiB.
//!
//! A source has four cells to be in, and takes that of the one answered longest ago. What a cell
//! keeps of it is 16 bits of its hash, so one stranger in 16,000 is taken for somebody who is
//! there; who is pushed out is taken for somebody new.

use crate::turn::api::now::Now;

const SETS: usize = 1 << 14;
const WAYS: usize = 4;

/// How long an answer is remembered. With all its 65,536 ports an address has new sources at 2,200
/// a second then, a fifth of what the default lets through.
pub(super) const RECENT_S: u64 = 30;

/// Moments repeat after so many seconds; 0 stands for never.
const TURN_S: u64 = u16::MAX as u64;

/// One source that was answered.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    tag: u16,
    moment: u16,
}

#[derive(Debug)]
pub(super) struct Recent(Box<[[Cell; WAYS]]>);

impl Recent {
    pub(super) fn new() -> Recent {
        Recent(vec![[Cell::default(); WAYS]; SETS].into())
    }

    /// True for a source, given by its hash, that was answered within [`RECENT_S`].
    pub(super) fn has(&self, now: Now, source: u64) -> bool {
        let cells = self.0[set(source)].iter();
        cells.copied().any(|cell| cell.tag == tag(source) && cell.age_s(now) <= RECENT_S)
    }

    /// Remembers that a source was answered.
    pub(super) fn record(&mut self, now: Now, source: u64) {
        let cells = &mut self.0[set(source)];
        let its_own = cells.iter().position(|cell| cell.tag == tag(source));
        let oldest = (0..WAYS).max_by_key(|way| cells[*way].age_s(now));
        if let Some(way) = its_own.or(oldest) {
            cells[way] = Cell { tag: tag(source), moment: moment(now) };
        }
    }
}

impl Cell {
    /// The age of the answer; of none, more than any.
    fn age_s(self, now: Now) -> u64 {
        match self.moment {
            0 => TURN_S,
            then => (u64::from(moment(now)) + TURN_S - u64::from(then)) % TURN_S,
        }
    }
}

fn set(source: u64) -> usize {
    source as usize % SETS
}

fn tag(source: u64) -> u16 {
    (source >> 48) as u16
}

fn moment(now: Now) -> u16 {
    1 + (now.mono_ms / 1000 % TURN_S) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop_assert_eq, proptest};

    use super::*;

    fn at_s(seconds: u64) -> Now {
        Now { mono_ms: seconds * 1000, unix_s: 0 }
    }

    /// Like a hash, of small numbers.
    fn source(n: u64) -> u64 {
        let n = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (n ^ n >> 31).wrapping_mul(0xBF58_476D_1CE4_E5B9)
    }

    #[test]
    fn nobody_was_answered_before_the_first_answer() {
        let recent = Recent::new();
        assert!((0..70_000).all(|seconds| !recent.has(at_s(seconds), 7)));
    }

    proptest! {
        #[test]
        fn an_answer_is_remembered_for_its_time(
            source: u64, begin_s in 0_u64..200_000, age_s in 0_u64..60_000,
        ) {
            let mut recent = Recent::new();
            recent.record(at_s(begin_s), source);
            prop_assert_eq!(recent.has(at_s(begin_s + age_s), source), age_s <= RECENT_S);
        }
    }

    #[test]
    fn all_of_many_are_remembered_and_few_are_taken_for_one_of_them() {
        let mut recent = Recent::new();
        (0..10_000).for_each(|n| recent.record(at_s(100 + n / 1000), source(n)));
        let remembered = (0..10_000).filter(|n| recent.has(at_s(110), source(*n))).count();
        assert!(remembered > 9_950, "{remembered} of 10,000");
        let mistaken = (10_000..110_000).filter(|n| recent.has(at_s(110), source(*n))).count();
        assert!(mistaken < 20, "{mistaken} of 100,000");
    }

    #[test]
    fn the_oldest_of_too_many_is_forgotten() {
        let mut recent = Recent::new();
        let sources = [1, 2, 3, 4, 5].map(|tag: u64| tag << 48);
        for (seconds, source) in sources.into_iter().enumerate() {
            recent.record(at_s(seconds as u64), source);
        }
        let remembered = sources.map(|source| recent.has(at_s(5), source));
        assert_eq!(remembered, [false, true, true, true, true]);
    }
}
