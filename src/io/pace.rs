//! When to wait for a batch and when for the first completion.
//!
//! Under load a short wait for many completions lets datagrams be joined, which saves far more
//! than it costs. With little to do it would only add latency, so the driver goes by what the last
//! turn brought, with a gap between the two thresholds so that it does not flutter.

use std::time::Duration;

use super::ring::Patience;
use crate::io::{Batching, Wait};

/// The driver's idea of how busy it is.
#[derive(Debug)]
pub(super) struct Pace {
    batching: Batching,
    min_wait: bool,
    /// Receives of the turn under way.
    receives: u32,
    busy: bool,
}

impl Pace {
    pub(super) fn new(batching: Batching, min_wait: bool) -> Self {
        Self { batching, min_wait, receives: 0, busy: false }
    }

    /// Counts one receive of this turn.
    pub(super) fn received(&mut self) {
        self.receives += 1;
    }

    /// Judges the turn by what it brought.
    pub(super) fn turn_ended(&mut self) {
        let from = if self.busy { self.batching.idle_below } else { self.batching.busy_from };
        self.busy = std::mem::take(&mut self.receives) >= from.max(1);
    }

    /// How the next call should wait.
    pub(super) fn patience(&self, wait: Wait) -> Patience {
        let limit = match wait {
            Wait::None => return Patience::NONE,
            Wait::For(limit) => Some(limit),
            Wait::Forever => None,
        };
        if !self.busy {
            return Patience { completions: 1, limit, batch_us: 0 };
        }
        let Batching { completions, wait_us, .. } = self.batching;
        if self.min_wait {
            return Patience { completions, limit, batch_us: wait_us };
        }
        // Without the kernel's help the whole wait is cut to the batch's. It may come back empty
        // once; the driver is then no longer busy.
        let batch = Duration::from_micros(wait_us.into());
        let limit = limit.map_or(batch, |limit| limit.min(batch));
        Patience { completions, limit: Some(limit), batch_us: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Pace {
        fn brought(&mut self, receives: u32) {
            (0..receives).for_each(|_| self.received());
            self.turn_ended();
        }
    }

    #[test]
    fn a_driver_waits_for_a_batch_only_while_turns_bring_many() {
        let mut pace = Pace::new(Batching::default(), true);
        assert_eq!(pace.patience(Wait::Forever).completions, 1);
        pace.brought(8);
        let busy = Patience { completions: 32, limit: None, batch_us: 50 };
        assert_eq!(pace.patience(Wait::Forever), busy);
        pace.brought(4);
        assert_eq!(pace.patience(Wait::Forever), busy);
        pace.brought(3);
        assert_eq!(pace.patience(Wait::Forever).completions, 1);
        pace.brought(7);
        assert_eq!(pace.patience(Wait::Forever).completions, 1);
    }

    #[test]
    fn without_min_wait_a_batch_is_bounded_by_the_whole_wait() {
        let mut pace = Pace::new(Batching::default(), false);
        pace.brought(100);
        let limit = Some(Duration::from_micros(50));
        let batch = Patience { completions: 32, limit, batch_us: 0 };
        assert_eq!(pace.patience(Wait::Forever), batch);
        assert_eq!(pace.patience(Wait::For(Duration::from_secs(1))), batch);
        assert_eq!(pace.patience(Wait::None), Patience::NONE);
    }
}
