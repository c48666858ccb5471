//! How many answers a stretch of addresses may be sent before it has proved anything.
//!
//! An answer to a request without credentials can be aimed at somebody else by forging the source.
//! A fixed table of token buckets, one cell for each /24 of IPv4 or /56 of IPv6 by a seeded hash,
//! bounds what any one network can be made to receive. Prefixes that share a cell share its
//! tokens; a flood forged from everywhere spreads over all cells and meets each with a 4096th of
//! its rate, so it takes millions of packets a second before an honest neighbour notices.
//!
//! What an honest network needs, at most: behind one /24 of a carrier's NAT stand perhaps 10,000
//! people in calls. Each sends a Binding request every 10 to 15 seconds (RFC 8656 §3.2 has clients
//! keep their NAT mapping open so) and, when a call begins, about ten requests without credentials;
//! with calls of ten minutes that makes 1,000 and 170 answers a second. What an attacker gets
//! out of the default: 2,000 challenges of about 130 bytes each a second, 2 Mbit/s, less than one
//! video call.

use std::{hash::BuildHasher, net::IpAddr};

use foldhash::quality::FixedState;

use crate::turn::Now;

/// Cells of the table, 8 bytes each.
const CELLS: usize = 4096;

/// Leading bits of an IPv4 address that are counted together: what one network holds.
const IPV4_PREFIX_LEN: u32 = 24;

/// Leading bits of an IPv6 address that are counted together: what one customer holds.
const IPV6_PREFIX_LEN: u32 = 56;

/// How fast answers leave towards one prefix, for each worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyRate {
    /// Answers a second in the long run; 0 for no limit.
    pub per_s: u32,
    /// Answers at once after a silence; at least 1 is taken.
    pub burst: u32,
}

impl Default for ReplyRate {
    /// See the top of this file for where the numbers come from.
    fn default() -> ReplyRate {
        ReplyRate { per_s: 2_000, burst: 4_000 }
    }
}

/// The buckets of one worker.
#[derive(Debug)]
pub struct ReplyBudget {
    rate: ReplyRate,
    hasher: FixedState,
    cells: Box<[Cell; CELLS]>,
}

/// Answers sent and not yet paid off, in thousandths, as of a moment.
#[derive(Debug, Clone, Copy, Default)]
struct Cell {
    debt_milli: u32,
    /// Low half of [`Now::mono_ms`]; a cell untouched for 49 days may seem younger than it is.
    at_ms: u32,
}

/// One answer, in thousandths.
const ANSWER_MILLI: u64 = 1_000;

impl ReplyBudget {
    /// Begins with every bucket full. The seed keeps an attacker from choosing whose cell to share.
    pub fn new(rate: ReplyRate, seed: u64) -> ReplyBudget {
        let hasher = FixedState::with_seed(seed);
        ReplyBudget { rate, hasher, cells: Box::new([Cell::default(); CELLS]) }
    }

    /// Changes the rate; what has been sent stays counted.
    pub fn set_rate(&mut self, rate: ReplyRate) {
        self.rate = rate;
    }

    /// Takes one answer out of the bucket of this address; false when there is none left.
    pub fn allow(&mut self, now: Now, ip: IpAddr) -> bool {
        if self.rate.per_s == 0 {
            return true;
        }
        let cell = &mut self.cells[self.hasher.hash_one(prefix(ip)) as usize % CELLS];
        cell.spend(self.rate, now.mono_ms as u32)
    }
}

impl Cell {
    fn spend(&mut self, rate: ReplyRate, now_ms: u32) -> bool {
        let elapsed_ms = u64::from(now_ms.wrapping_sub(self.at_ms));
        let paid_milli = elapsed_ms * u64::from(rate.per_s);
        let debt_milli = u64::from(self.debt_milli).saturating_sub(paid_milli) + ANSWER_MILLI;
        let limit_milli = (u64::from(rate.burst.max(1)) * ANSWER_MILLI).min(u32::MAX.into());
        if debt_milli > limit_milli {
            return false;
        }
        *self = Cell { debt_milli: debt_milli as u32, at_ms: now_ms };
        true
    }
}

/// The leading bits that stand for all who share them; the two families never meet.
fn prefix(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits() >> (32 - IPV4_PREFIX_LEN)),
        IpAddr::V6(ip) => 1 << 63 | (ip.to_bits() >> (128 - IPV6_PREFIX_LEN)) as u64,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, unix_s: 0 }
    }

    fn budget(per_s: u32, burst: u32) -> ReplyBudget {
        ReplyBudget::new(ReplyRate { per_s, burst }, 7)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn answers(budget: &mut ReplyBudget, mono_ms: u64, source: &str) -> usize {
        (0..10_000).take_while(|_| budget.allow(at(mono_ms), ip(source))).count()
    }

    #[test]
    fn a_burst_then_the_rate() {
        let mut budget = budget(10, 25);
        assert_eq!(answers(&mut budget, 5_000, "192.0.2.1"), 25);
        assert_eq!(answers(&mut budget, 5_099, "192.0.2.1"), 0);
        assert_eq!(answers(&mut budget, 5_100, "192.0.2.1"), 1);
        assert_eq!(answers(&mut budget, 6_100, "192.0.2.1"), 10);
        assert_eq!(answers(&mut budget, 99_000, "192.0.2.1"), 25);
    }

    #[test]
    fn neighbours_share_and_strangers_do_not() {
        let mut budget = budget(10, 5);
        assert_eq!(answers(&mut budget, 0, "192.0.2.1"), 5);
        assert_eq!(answers(&mut budget, 0, "192.0.2.255"), 0);
        assert_eq!(answers(&mut budget, 0, "192.0.3.1"), 5);
        assert_eq!(answers(&mut budget, 0, "2001:db8::1"), 5);
        assert_eq!(answers(&mut budget, 0, "2001:db8:0:ff::1"), 0);
        assert_eq!(answers(&mut budget, 0, "2001:db8:0:100::1"), 5);
    }

    #[test]
    fn zero_is_no_limit() {
        assert_eq!(answers(&mut budget(0, 0), 0, "192.0.2.1"), 10_000);
    }

    // 10,000 people in calls behind one /24: 1,000 keep-alives a second, and a rush of joins.
    #[test]
    fn a_crowd_behind_one_network_is_not_hurt_by_the_default() {
        let mut budget = ReplyBudget::new(ReplyRate::default(), 7);
        for ms in 0..60_000 {
            let joins = if ms % 10_000 == 0 { 2_000 } else { 0 };
            assert!((0..1 + joins).all(|_| budget.allow(at(ms), ip("192.0.2.1"))), "{ms}");
        }
    }

    proptest! {
        #[test]
        fn never_more_than_burst_and_rate(
            steps in prop::collection::vec(0_u64..50, 1..400), begin in 0..=u64::from(u32::MAX) * 2,
        ) {
            let mut budget = budget(100, 10);
            let (mut elapsed_ms, mut sent) = (0, 0);
            for step in steps {
                elapsed_ms += step;
                sent += u64::from(budget.allow(at(begin + elapsed_ms), ip("192.0.2.1")));
                assert!(sent <= 10 + elapsed_ms / 10 + 1);
            }
        }
    }
}
