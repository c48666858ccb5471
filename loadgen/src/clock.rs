//! The one clock of a run: nanoseconds of CLOCK_MONOTONIC since the program began.
//!
//! Due times travel inside packets and are compared with arrival times, so every thread must count
//! from the same moment.

use std::time::{Duration, Instant};

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

/// The length of a duration in nanoseconds; one too long to count becomes the longest.
pub(crate) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
