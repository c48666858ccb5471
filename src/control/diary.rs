//! Everything that workers report, as log lines: all of it noted, none of it in a flood.

use std::time::Instant;

use tracing::{error, warn};

use super::drops::Drops;
use super::journal::Journal;
use super::reports::{Report, Totals};

/// Logs reports.
#[derive(Debug)]
pub(super) struct Diary {
    journal: Journal,
    drops: Drops,
}

impl Diary {
    /// Starts empty.
    pub(super) fn new(now: Instant) -> Self {
        Self { journal: Journal::new(now), drops: Drops::new(now) }
    }

    /// Notes a report. A worker's last one gives what the worker did in its life.
    pub(super) fn note(&mut self, now: Instant, report: Report) -> Option<Totals> {
        match report {
            Report::Opened(opened) => self.journal.opened(now, &opened),
            Report::Closed(closed) => self.journal.closed(now, &closed),
            Report::Dropped { reasons } => self.drops.add(&reasons),
            Report::Failed { worker, error } => {
                error!(worker, error, "a worker failed");
                return Some(Totals::default());
            }
            Report::Stopped { totals, .. } => return Some(totals),
        }
        None
    }

    /// Says when there is something to sum up.
    pub(super) fn due(&self) -> Option<Instant> {
        [self.journal.due(), self.drops.due()].into_iter().flatten().min()
    }

    /// Sums up what is due, and says how many reports never arrived.
    pub(super) fn settle(&mut self, now: Instant, reports: u64) {
        self.journal.settle(now);
        self.drops.settle(now);
        if reports > 0 {
            warn!(reports, "reports of workers were lost");
        }
    }
}
