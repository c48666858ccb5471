//! Time as a worker sees it: read once a turn, the same for everything that turn brought.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::turn::Now;

/// Counts milliseconds from a start that all workers share.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// Starts at zero.
    pub(super) fn start() -> Clock {
        Clock { start: Instant::now() }
    }

    /// Reads both clocks: the monotonic one for lifetimes, the wall clock for credentials.
    pub(super) fn now(&self) -> Now {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Now { mono_ms: self.start.elapsed().as_millis() as u64, unix_s: unix.as_secs() }
    }

    /// How long from `now` until `deadline_ms`; at least a millisecond, so that a deadline that is
    /// not reached yet cannot make the worker spin.
    pub(super) fn until(now: Now, deadline_ms: u64) -> Duration {
        Duration::from_millis(deadline_ms.saturating_sub(now.mono_ms).max(1))
    }
}
