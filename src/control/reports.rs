//! What workers tell the control thread, and the door it goes through.
//!
//! The door is bounded and a worker never waits at it: a report that finds it full is counted as
//! lost. Only a worker's last report waits, since somebody waits for it, too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc;

use crate::turn::{Closed, Load, Opened, Reason, Traffic, WorkerIndex};

/// Reports that fit in the door. A second of 4,096 allocations opened and closed is more than is
/// logged anyway.
const DOOR_REPORTS: usize = 8192;

/// One thing that happened in a worker, which is named by its index.
#[derive(Debug)]
pub enum Report {
    /// An allocation was made and its relay socket exists.
    Opened(WorkerIndex, Opened),
    /// An allocation ended.
    Closed(WorkerIndex, Closed),
    /// Datagrams were dropped: reasons, and datagrams since the worker's last such report. At most
    /// one such report a minute from each worker.
    Dropped(Vec<(Reason, u64)>),
    /// Something an operator should know of, in one line; rare.
    Warning(WorkerIndex, String),
    /// The worker can go on no longer, and why; its last report. The server ends.
    Failed(WorkerIndex, String),
    /// The worker has ended after it was asked to, and what it did in its life; its last report.
    Stopped(WorkerIndex, Totals),
}

/// What was done from start to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Allocations made.
    pub allocations: u64,
    /// Payload relayed, both ways and between clients.
    pub traffic: Traffic,
    /// Datagrams dropped, for any reason.
    pub dropped: u64,
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.allocations += other.allocations;
        add(&mut self.traffic.to_peers, other.traffic.to_peers);
        add(&mut self.traffic.to_client, other.traffic.to_client);
        self.dropped += other.dropped;
    }
}

fn add(sum: &mut Load, more: Load) {
    sum.packets += more.packets;
    sum.bytes += more.bytes;
}

/// Where a worker leaves its reports. Cheap to clone; usable from any thread.
#[derive(Clone, Debug)]
pub struct Reporter {
    door: mpsc::Sender<Report>,
    lost: Arc<AtomicU64>,
}

/// Where the control thread finds them.
#[derive(Debug)]
pub(super) struct Reports {
    door: mpsc::Receiver<Report>,
    lost: Arc<AtomicU64>,
}

/// Makes the door.
pub(super) fn reports() -> (Reporter, Reports) {
    let (sender, receiver) = mpsc::channel(DOOR_REPORTS);
    let lost = Arc::new(AtomicU64::new(0));
    (Reporter { door: sender, lost: Arc::clone(&lost) }, Reports { door: receiver, lost })
}

impl Reporter {
    /// Leaves a report without waiting; it is counted as lost when the door is full.
    pub fn tell(&self, report: Report) {
        if self.door.try_send(report).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Leaves a worker's last report, and waits until there is room for it.
    ///
    /// # Panics
    ///
    /// On a thread that runs an asynchronous runtime; workers do not.
    pub fn tell_last(&self, report: Report) {
        if self.door.blocking_send(report).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Reports {
    /// Waits for the next report; `None` when every worker's reporter is gone.
    pub(super) async fn next(&mut self) -> Option<Report> {
        self.door.recv().await
    }

    /// Takes the number of reports that found the door full.
    pub(super) fn lost(&self) -> u64 {
        self.lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::{DOOR_REPORTS, Report, reports};

    #[test]
    fn a_full_door_loses_and_counts() {
        let (reporter, mut reports) = reports();
        for _ in 0..DOOR_REPORTS + 3 {
            reporter.tell(Report::Dropped(Vec::new()));
        }
        assert_eq!((reports.lost(), reports.lost()), (3, 0));
        drop(reporter);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut kept = 0;
        while runtime.block_on(reports.next()).is_some() {
            kept += 1;
        }
        assert_eq!(kept, DOOR_REPORTS);
    }
}
