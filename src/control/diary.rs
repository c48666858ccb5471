//! Everything that workers report, as log lines: all of it noted, none of it in a flood.

use std::net::SocketAddr;
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
    /// Starts empty; the addresses are those of the workers' listeners, in their order.
    pub(super) fn new(now: Instant, listen: Vec<SocketAddr>) -> Self {
        Self { journal: Journal::new(now, listen), drops: Drops::new(now) }
    }

    /// Notes a report. A worker's last one gives what the worker did in its life.
    pub(super) fn note(&mut self, now: Instant, report: Report) -> Option<Totals> {
        match report {
            Report::Opened(worker, opened) => self.journal.opened(now, worker, &opened),
            Report::Closed(worker, closed) => self.journal.closed(now, worker, &closed),
            Report::Dropped(reasons) => self.drops.add(&reasons),
            Report::Warning(worker, what) => warn!(worker = worker.0, "{what}"),
            Report::Failed(worker, error) => {
                error!(worker = worker.0, error, "a worker failed");
                return Some(Totals::default());
            }
            Report::Stopped(_, totals) => return Some(totals),
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
