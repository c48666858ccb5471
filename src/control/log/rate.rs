//! Bounds how many lines of a kind are logged each second.
//!
//! A relay under load opens and closes thousands of allocations a second; a line for each would
//! cost more than relaying them. So many are logged, the rest are counted, and the count is one
//! line when the second is over.

use std::time::{Duration, Instant};

const SECOND: Duration = Duration::from_secs(1);

/// A budget of lines for each second.
#[derive(Debug)]
pub(in crate::control) struct Rate {
    lines_per_second: u32,
    since: Instant,
    logged: u32,
    left_out: u64,
}

/// What became of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum LineAdmission {
    /// It may be logged.
    Log,
    /// It is counted.
    Count,
}

impl Rate {
    /// Starts with a full budget.
    pub(in crate::control) fn new(lines_per_second: u32, now: Instant) -> Self {
        Self { lines_per_second, since: now, logged: 0, left_out: 0 }
    }

    /// Asks for one line. Call [`Rate::left_out`] before, so that a second's count is not lost.
    pub(in crate::control) fn admit(&mut self, now: Instant) -> LineAdmission {
        if now >= self.ends() && self.left_out == 0 {
            (self.since, self.logged) = (now, 0);
        }
        if self.logged < self.lines_per_second {
            self.logged += 1;
            return LineAdmission::Log;
        }
        self.left_out += 1;
        LineAdmission::Count
    }

    /// Takes the number of lines that a finished second left out; `None` when there were none or
    /// the second is not over.
    pub(in crate::control) fn left_out(&mut self, now: Instant) -> Option<u64> {
        if self.left_out == 0 || now < self.ends() {
            return None;
        }
        (self.since, self.logged) = (now, 0);
        Some(std::mem::take(&mut self.left_out))
    }

    /// Says when there will be a count to log; `None` when nothing has been left out.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        (self.left_out > 0).then(|| self.ends())
    }

    fn ends(&self) -> Instant {
        self.since + SECOND
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{LineAdmission, Rate};

    #[test]
    fn the_rest_of_a_second_is_one_count() {
        let start = Instant::now();
        let mut rate = Rate::new(2, start);
        let seen: Vec<_> = (0..5).map(|_| rate.admit(start)).collect();
        assert_eq!(&seen[..3], [LineAdmission::Log, LineAdmission::Log, LineAdmission::Count]);
        assert_eq!(rate.left_out(start), None);
        let due = rate.due().unwrap();
        assert_eq!(due, start + Duration::from_secs(1));
        assert_eq!(rate.left_out(due), Some(3));
        assert_eq!((rate.left_out(due), rate.due()), (None, None));
        assert_eq!(rate.admit(due), LineAdmission::Log);
    }

    proptest! {
        #[test]
        fn every_line_is_logged_or_counted_and_no_second_has_more(
            gaps_ms in proptest::collection::vec(0_u64..700, 1..200),
        ) {
            let mut now = Instant::now();
            let (mut rate, mut logged_at, mut counted) = (Rate::new(3, now), Vec::new(), 0);
            for gap_ms in &gaps_ms {
                now += Duration::from_millis(*gap_ms);
                counted += rate.left_out(now).unwrap_or_default();
                if rate.admit(now) == LineAdmission::Log {
                    logged_at.push(now);
                }
            }
            counted += rate.left_out(now + Duration::from_secs(1)).unwrap_or_default();
            prop_assert_eq!(logged_at.len() as u64 + counted, gaps_ms.len() as u64);
            // A budget may be spent at the end of one second and again at the start of the next.
            let close = |window: &[Instant]| window[6] - window[0] < Duration::from_secs(1);
            prop_assert!(!logged_at.windows(7).any(close));
        }
    }
}
