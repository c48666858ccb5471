//! The door through which workers' reports reach the control thread.
//!
//! It is bounded and a worker never waits at it: a report that finds it full is counted as lost.
//! Only at the end does it wait, with its last report and with the allocations that end with it: then
//! somebody waits for it, too, and there is nothing left to relay.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::turn::{Cause, WorkerIndex};
use crate::worker::{Report, Tell};

/// Reports that fit in the door: more than a second's worth of those that are logged.
const DOOR_REPORTS: usize = 8192;

/// Where the control thread finds reports.
#[derive(Debug)]
pub(super) struct Reports {
    door: Receiver<(WorkerIndex, Report)>,
    lost: Arc<AtomicU64>,
    told_lost: u64,
}

/// Makes the door: what workers call, and where their reports come out. It closes when the last
/// worker has let go of its side.
pub(super) fn reports() -> (Tell, Reports) {
    let (sender, receiver) = channel(DOOR_REPORTS);
    let lost = Arc::new(AtomicU64::new(0));
    let reports = Reports { door: receiver, lost: Arc::clone(&lost), told_lost: 0 };
    (Arc::new(move |worker, report| leave(&sender, &lost, worker, report)), reports)
}

/// Runs on the worker's thread.
fn leave(
    door: &Sender<(WorkerIndex, Report)>,
    lost: &AtomicU64,
    worker: WorkerIndex,
    report: Report,
) {
    let left = if is_of_the_end(&report) {
        door.blocking_send((worker, report)).is_ok()
    } else {
        door.try_send((worker, report)).is_ok()
    };
    if !left {
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_of_the_end(report: &Report) -> bool {
    match report {
        Report::Stopped(_) | Report::Failed(_) => true,
        Report::Closed(closed) => closed.cause == Cause::Shutdown,
        Report::Opened(_) | Report::SegmentationOff | Report::SocketBroken(..) => false,
    }
}

impl Reports {
    /// Waits for the next report; `None` when every worker is gone.
    pub(super) async fn next(&mut self) -> Option<(WorkerIndex, Report)> {
        self.door.recv().await
    }

    /// Takes the number of reports that found the door full since the last time.
    pub(super) fn lost(&mut self) -> u64 {
        let lost = self.lost.load(Ordering::Relaxed);
        lost - std::mem::replace(&mut self.told_lost, lost)
    }

    /// Counts the reports that find the door full, for as long as there are workers.
    pub(super) fn lost_so_far(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }
}

#[cfg(test)]
mod tests {
    use super::{DOOR_REPORTS, Report, WorkerIndex, reports};

    #[test]
    fn a_full_door_loses_and_counts() {
        let (tell, mut reports) = reports();
        for _ in 0..DOOR_REPORTS + 3 {
            tell(WorkerIndex(0), Report::SegmentationOff);
        }
        assert_eq!((reports.lost(), reports.lost()), (3, 0));
        drop(tell);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut kept = 0;
        while runtime.block_on(reports.next()).is_some() {
            kept += 1;
        }
        assert_eq!(kept, DOOR_REPORTS);
    }

    #[test]
    fn a_last_report_waits_for_room() {
        let (tell, mut reports) = reports();
        for _ in 0..DOOR_REPORTS {
            tell(WorkerIndex(0), Report::SegmentationOff);
        }
        let worker = std::thread::spawn(move || {
            tell(WorkerIndex(7), Report::Failed(std::io::ErrorKind::OutOfMemory.into()));
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut last = None;
        while let Some(report) = runtime.block_on(reports.next()) {
            last = Some(report);
        }
        worker.join().unwrap();
        assert!(matches!(last, Some((WorkerIndex(7), Report::Failed(_)))));
        assert_eq!(reports.lost(), 0);
    }
}
