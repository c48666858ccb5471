//! One log line a minute about everything that was dropped, however much it was.
//!
//! What strangers send must not decide how much is logged: workers count, and their counts meet
//! here.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tracing::info;

use crate::turn::Reason;

const MINUTE: Duration = Duration::from_secs(60);

/// Counts by reason, between two lines.
#[derive(Debug)]
pub(super) struct Drops {
    next_line: Instant,
    counts: BTreeMap<&'static str, u64>,
}

impl Drops {
    /// Starts with nothing dropped; the first line may come at once.
    pub(super) fn new(now: Instant) -> Self {
        Self { next_line: now, counts: BTreeMap::new() }
    }

    /// Adds what a worker dropped since it last said so.
    pub(super) fn add(&mut self, reasons: &[(Reason, u64)]) {
        for &(reason, packets) in reasons {
            *self.counts.entry(reason.name()).or_default() += packets;
        }
    }

    /// Says when there will be a line to log; `None` when nothing was dropped.
    pub(super) fn due(&self) -> Option<Instant> {
        (!self.counts.is_empty()).then_some(self.next_line)
    }

    /// Logs the counts if a minute is over since the last line.
    pub(super) fn settle(&mut self, now: Instant) {
        if let Some(reasons) = self.take(now) {
            info!(reasons, "datagrams dropped");
        }
    }

    fn take(&mut self, now: Instant) -> Option<String> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.next_line = now + MINUTE;
        let counts = std::mem::take(&mut self.counts).into_iter();
        let words: Vec<_> = counts.map(|(reason, packets)| format!("{reason} {packets}")).collect();
        Some(words.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::{Drops, MINUTE, Reason};

    #[test]
    fn a_minute_has_one_line_and_no_count_is_lost() {
        let start = Instant::now();
        let mut drops = Drops::new(start);
        assert_eq!(drops.take(start), None);
        drops.add(&[(Reason::NoCookie, 2), (Reason::BadSend, 1)]);
        assert_eq!(drops.take(start).unwrap(), "bad_send 1, no_cookie 2");
        drops.add(&[(Reason::NoCookie, 1)]);
        drops.add(&[(Reason::NoCookie, 1)]);
        assert_eq!((drops.take(start), drops.due()), (None, Some(start + MINUTE)));
        assert_eq!(drops.take(start + MINUTE).unwrap(), "no_cookie 2");
        assert_eq!(drops.due(), None);
    }
}
