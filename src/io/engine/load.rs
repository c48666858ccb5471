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
pub(in crate::io) struct Load {
    turns: u32,
    since: Instant,
    cpu: Duration,
}

impl Load {
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
        let elapsed = now - self.since;
        if elapsed < PERIOD {
            return None;
        }
        let cpu = thread_cpu();
        let used = cpu.saturating_sub(self.cpu);
        (self.since, self.cpu) = (now, cpu);
        Some((used.as_micros() * 100 / elapsed.as_micros().max(1)) as u32)
    }
}

/// CPU time of the calling thread. Linux has this clock since 2.6; without it no load is seen.
fn thread_cpu() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map_or(Duration::ZERO, Duration::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sampled(mut turn: impl FnMut()) -> u32 {
        let mut load = Load::new();
        loop {
            turn();
            if let Some(percent) = load.sample() {
                return percent;
            }
        }
    }

    #[test]
    fn a_sleeping_thread_uses_little_and_a_running_one_what_it_gets() {
        let asleep = sampled(|| std::thread::sleep(Duration::from_millis(1)));
        assert!(asleep < 50, "{asleep} %");
        let mut best = 0;
        for _ in 0..50 {
            best = best.max(sampled(|| _ = (0..1000).map(std::hint::black_box).sum::<i32>()));
        }
        assert!(best > 50, "{best} %");
    }
}
