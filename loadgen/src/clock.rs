//! The one clock of a run: nanoseconds of CLOCK_MONOTONIC since the program began.
//!
//! Due times travel inside packets and are compared with arrival times, so every thread must count
//! from the same moment.

use std::time::{Duration, Instant, SystemTime};

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// Nanoseconds in a millisecond.
pub(crate) const MILLI_NS: u64 = 1_000_000;

/// Counts from the moment it was made; copies agree with each other.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Nanoseconds since the start: 584 years fit.
    pub(crate) fn now(&self) -> u64 {
        self.0.elapsed().as_nanos() as u64
    }
}

/// The kernel's arrival stamps (SO_TIMESTAMPNS, CLOCK_REALTIME) on the clock of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stamps {
    clock: Clock,
    /// How far the kernel's clock is ahead of the run's.
    ahead_ns: u64,
}

/// Readings of both clocks, of which the one that took least is kept: 50 ns off at most.
const READINGS: usize = 5;

/// A stamp older than this was not taken since: somebody has set the clock.
const OLDEST_STAMP_NS: u64 = 5 * SECOND_NS;

impl Stamps {
    pub(crate) fn new(clock: Clock) -> Stamps {
        let mut stamps = Stamps { clock, ahead_ns: 0 };
        stamps.renew();
        stamps
    }

    /// Compares the clocks anew: somebody may have set the kernel's.
    pub(crate) fn renew(&mut self) {
        let reading = |_| {
            let before_ns = self.clock.now();
            let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
            let after_ns = self.clock.now();
            let middle_ns = before_ns.midpoint(after_ns);
            (after_ns - before_ns, wall.map_or(0, nanoseconds).saturating_sub(middle_ns))
        };
        let best = (0..READINGS).map(reading).min_by_key(|(took_ns, _)| *took_ns);
        self.ahead_ns = best.map_or(0, |(_, ahead_ns)| ahead_ns);
    }

    /// When a datagram arrived that was taken from its socket at `now_ns`: as stamped, or now if it
    /// has no stamp that can be true.
    pub(crate) fn arrival_ns(&self, stamp_ns: Option<u64>, now_ns: u64) -> u64 {
        let arrival_ns = stamp_ns.map(|stamp_ns| stamp_ns.saturating_sub(self.ahead_ns));
        let possible = now_ns.saturating_sub(OLDEST_STAMP_NS)..=now_ns;
        arrival_ns.filter(|ns| possible.contains(ns)).unwrap_or(now_ns)
    }
}

/// The length of a duration in nanoseconds; one too long to count becomes the longest.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_taken_now_is_now_on_the_clock_of_the_run() {
        let stamps = Stamps::new(Clock::start());
        let before_ns = stamps.clock.now();
        let stamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let after_ns = stamps.clock.now();
        let arrival_ns = stamps.arrival_ns(Some(nanoseconds(stamp)), after_ns + MILLI_NS);
        assert!(arrival_ns + 1_000 >= before_ns && arrival_ns <= after_ns + 1_000);
    }

    #[test]
    fn a_stamp_that_cannot_be_true_is_not_believed() {
        let stamps = Stamps { clock: Clock::start(), ahead_ns: 1_000 * SECOND_NS };
        let now_ns = 100 * SECOND_NS;
        for stamp_s in [0, 1_094, 1_101] {
            assert_eq!(stamps.arrival_ns(Some(stamp_s * SECOND_NS), now_ns), now_ns, "{stamp_s}");
        }
        assert_eq!(stamps.arrival_ns(None, now_ns), now_ns);
        assert_eq!(stamps.arrival_ns(Some(1_099 * SECOND_NS), now_ns), 99 * SECOND_NS);
    }
}
