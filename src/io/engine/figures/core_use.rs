//! How much of its core the calling thread uses.
//!
//! CPU time over wall time, a hundred times a second at most. The wall clock is read without a
//! system call, and only once in a few turns; the thread's CPU clock costs a call, but is read only
//! when a period is over.

use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};

/// Turns between two looks at the wall clock.
const TURNS: u32 = 16;
/// The shortest period that is judged; a scheduler tick or two.
const PERIOD: Duration = Duration::from_millis(10);

/// A thread's use of its core since the last look.
#[derive(Debug)]
pub(in crate::io) struct CoreUse {
    turns: u32,
    since: Instant,
    cpu: Duration,
}

impl CoreUse {
    pub(in crate::io) fn new() -> Self {
        Self { turns: 0, since: Instant::now(), cpu: thread_cpu() }
    }

    /// Counts a turn. When a period is over: the percentage of it that the thread was running.
    pub(in crate::io) fn sample(&mut self) -> Option<u32> {
        self.turns += 1;
        if self.turns < TURNS {
            return None;
        }
        self.turns = 0;
        let now = Instant::now();
        (now - self.since >= PERIOD).then(|| self.judge(now, thread_cpu()))
    }

    /// A use of the core that is never judged.
    #[cfg(test)]
    pub(in crate::io) fn never() -> Self {
        Self { since: Instant::now() + Duration::from_secs(3600), ..Self::new() }
    }

    /// Ends a period: the percentage of it that the thread was running.
    fn judge(&mut self, now: Instant, cpu: Duration) -> u32 {
        let (elapsed, used) = (now - self.since, cpu.saturating_sub(self.cpu));
        (self.since, self.cpu) = (now, cpu);
        (used.as_micros() * 100 / elapsed.as_micros().max(1)) as u32
    }
}

/// CPU time of the calling thread. Linux has this clock since 2.6; without it no use is seen.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn core_use_is_cpu_time_over_time() {
        let ms = Duration::from_millis;
        let mut core_use = CoreUse { turns: 0, since: Instant::now(), cpu: ms(3) };
        let begun = core_use.since;
        assert_eq!(core_use.judge(begun + ms(10), ms(3)), 0);
        assert_eq!(core_use.judge(begun + ms(30), ms(13)), 50);
        assert_eq!(core_use.judge(begun + ms(40), ms(23)), 100);
    }

    #[test]
    fn a_period_is_judged_once_it_is_over() {
        let mut core_use = CoreUse::new();
        assert!((0..TURNS).all(|_| core_use.sample().is_none()));
        std::thread::sleep(2 * PERIOD);
        assert!((1..TURNS).all(|_| core_use.sample().is_none()));
        assert!(core_use.sample().is_some());
        assert!(core_use.cpu > Duration::ZERO, "a thread that runs has a CPU clock");
    }
}
