//! Time as a worker sees it: read once a turn, the same for everything that turn brought.
//!
//! Both clocks are the coarse ones, which stand at the kernel's last timer tick (1 to 10 ms): a
//! lifetime is no more exact than that, and to read them costs a fifth of reading the counter of
//! the processor (5 ns instead of 23).

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use nix::time::{ClockId, clock_gettime};

use crate::turn::Now;

/// Where workers have the time from; all of them have it from the same place.
#[derive(Debug, Clone)]
pub enum Clock {
    /// The machine: its monotonic clock, which begins when it boots, and its wall clock.
    Machine,
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
    /// Reads both clocks: the monotonic one for lifetimes, the wall clock for credentials.
    pub(super) fn now(&self) -> Now {
        match self {
            Clock::Machine => Now {
                mono_ms: read(ClockId::CLOCK_MONOTONIC_COARSE).as_millis() as u64,
                unix_s: read(ClockId::CLOCK_REALTIME_COARSE).as_secs(),
            },
            Clock::Virtual(time) => {
                Now { mono_ms: time.mono_ms.load(Relaxed), unix_s: time.unix_s.load(Relaxed) }
            }
        }
    }
}

/// How long until `deadline_ms`; at least a millisecond, so that a deadline that is not reached yet
/// cannot make the worker spin.
pub(super) fn until(now: Now, deadline_ms: u64) -> Duration {
    Duration::from_millis(deadline_ms.saturating_sub(now.mono_ms).max(1))
}

/// A clock as it is. That of lifetimes is CLOCK_MONOTONIC, so that a deadline means the same to the
/// next process on this machine, and to a program in the kernel (`bpf_ktime_get_ns`).
fn read(clock: ClockId) -> Duration {
    clock_gettime(clock).expect("every Linux has it").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Field 1 of /proc/uptime counts suspended time too, CLOCK_MONOTONIC does not.
    #[test]
    fn the_machine_counts_from_boot_and_every_clock_reads_the_same() {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux");
        let uptime_s: f64 = uptime.split(' ').next().expect("a field").parse().expect("seconds");
        let (one, other) = (Clock::Machine.now(), Clock::Machine.clone().now());
        assert!(one.mono_ms > 0 && one.mono_ms <= (uptime_s * 1000.0) as u64 + 1_000);
        assert!(other.mono_ms - one.mono_ms < 1_000);
    }
}
