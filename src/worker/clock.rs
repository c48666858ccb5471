//! Time as a worker sees it: read once a turn, the same for everything that turn brought.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use crate::turn::Now;

/// Where workers have the time from; all of them have it from the same place.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine, in milliseconds since this moment.
    Machine(Instant),
    /// Whoever holds the other end.
    Virtual(Arc<VirtualTime>),
}

/// A time that stands still until somebody sets it.
#[derive(Debug, Default)]
pub struct VirtualTime {
    mono_ms: AtomicU64,
    unix_s: AtomicU64,
}

impl VirtualTime {
    /// Sets both clocks.
    pub fn set(&self, now: Now) {
        self.mono_ms.store(now.mono_ms, Relaxed);
        self.unix_s.store(now.unix_s, Relaxed);
    }
}

impl Clock {
    /// The machine's clocks, the monotonic one from zero.
    pub(super) fn start() -> Clock {
        Clock::Machine(Instant::now())
    }

    /// Reads both clocks: the monotonic one for lifetimes, the wall clock for credentials.
    pub(super) fn now(&self) -> Now {
        match self {
            Clock::Machine(start) => {
                let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Now { mono_ms: start.elapsed().as_millis() as u64, unix_s: unix.as_secs() }
            }
            Clock::Virtual(time) => {
                Now { mono_ms: time.mono_ms.load(Relaxed), unix_s: time.unix_s.load(Relaxed) }
            }
        }
    }

    /// How long from `now` until `deadline_ms`; at least a millisecond, so that a deadline that is
    /// not reached yet cannot make the worker spin.
    pub(super) fn until(now: Now, deadline_ms: u64) -> Duration {
        Duration::from_millis(deadline_ms.saturating_sub(now.mono_ms).max(1))
    }
}
