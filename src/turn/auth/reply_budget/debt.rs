//! A token bucket in eight bytes: what was sent and is not yet paid off, as the moment when it is.
//!
//! Debts are counted in the time it takes to pay them off, so that a level means the same whatever
//! the rate is, and a bucket that nobody has touched is all zeros.

use crate::turn::api::now::Now;

pub(super) const SECOND_NS: u64 = 1_000_000_000;

/// When everything sent is paid off, in nanoseconds of [`Now::mono_ms`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Debt(u64);

impl Debt {
    /// How long the debt takes to pay off from now on.
    pub(super) fn left_ns(self, now: Now) -> u64 {
        self.0.saturating_sub(ns(now))
    }

    /// Adds what was sent at so many bytes a second. The debt grows to `most_ns` and no further,
    /// unless it is there already.
    pub(super) fn add(&mut self, now: Now, bytes: usize, bytes_per_s: u64, most_ns: u64) {
        let cost_ns = (bytes as u64 * SECOND_NS).div_ceil(bytes_per_s.max(1));
        let left_ns = self.left_ns(now);
        self.0 = ns(now) + (left_ns + cost_ns).min(most_ns.max(left_ns));
    }
}

fn ns(now: Now) -> u64 {
    now.mono_ms.saturating_mul(SECOND_NS / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(mono_ms: u64) -> Now {
        Now { mono_ms, unix_s: 0 }
    }

    #[test]
    fn it_is_paid_off_at_its_rate_and_stops_growing() {
        let mut debt = Debt::default();
        debt.add(at(5_000), 250, 1_000, u64::MAX);
        assert_eq!(debt.left_ns(at(5_000)), SECOND_NS / 4);
        assert_eq!(debt.left_ns(at(5_100)), SECOND_NS * 15 / 100);
        assert_eq!(debt.left_ns(at(9_000)), 0);
        debt.add(at(5_250), 9_000, 1_000, 2 * SECOND_NS);
        assert_eq!(debt.left_ns(at(5_250)), 2 * SECOND_NS);
        debt.add(at(5_250), 1, 1_000, SECOND_NS);
        assert_eq!(debt.left_ns(at(5_250)), 2 * SECOND_NS, "a lower bound takes nothing away");
    }
}
