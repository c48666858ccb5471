//! The queue through which workers' reports reach the control thread.
//!
//! It is bounded and a worker never waits for it: a report that finds it full is counted as lost.
//! Only at the end does it wait, with its last report and with the allocations that end with it:
//! then somebody waits for it, too, and there is nothing left to relay.
//!
//! A report that finds the control thread asleep has to wake it, and that is most of what a report
//! costs. So the control thread rests after each look: what comes meanwhile wakes nobody.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Instant, sleep_until};

use crate::turn::{self, Cause, WorkerIndex};
use crate::worker::{Report, Tell};

/// Reports that fit in the queue: more than a second's worth of those that are logged.
const QUEUED_REPORTS: usize = 8192;

/// How long the control thread rests between two looks at the queue, once a report has come. A line
/// of the log is late by as much. While 10,000 allocations a second come and go, that takes a
/// fourth of the server's CPU time away (75 µs instead of 101 for each, from set-up to end).
const REST: Duration = Duration::from_millis(10);

/// Where the control thread finds reports.
#[derive(Debug)]
pub(in crate::control) struct Reports {
    queue: Receiver<(WorkerIndex, Report)>,
    lost: Arc<AtomicU64>,
    told_lost: u64,
    /// The end of the rest that the last report began.
    rest_until: Option<Instant>,
}

/// Makes the queue: what workers call, and where their reports come out. It closes when the last
/// worker has let go of its side.
pub(in crate::control) fn reports() -> (Tell, Reports) {
    let (sender, receiver) = channel(QUEUED_REPORTS);
    let lost = Arc::new(AtomicU64::new(0));
    let reports =
        Reports { queue: receiver, lost: Arc::clone(&lost), told_lost: 0, rest_until: None };
    (Arc::new(move |worker, report| leave(&sender, &lost, worker, report)), reports)
}

/// Runs on the worker's thread.
fn leave(
    queue: &Sender<(WorkerIndex, Report)>,
    lost: &AtomicU64,
    worker: WorkerIndex,
    report: Report,
) {
    let left = if is_of_the_end(&report) {
        queue.blocking_send((worker, report)).is_ok()
    } else {
        queue.try_send((worker, report)).is_ok()
    };
    if !left {
        lost.fetch_add(1, Ordering::Relaxed);
    }
}

fn is_of_the_end(report: &Report) -> bool {
    match report {
        Report::Stopped(_) | Report::Failed(_) => true,
        Report::Turn(turn::Report::Closed(closed)) => closed.cause == Cause::Shutdown,
        Report::Turn(
            turn::Report::Opened(_)
            | turn::Report::StrangersRefused(_)
            | turn::Report::RequestRefused(_),
        )
        | Report::SegmentationOff
        | Report::SegmentationOn
        | Report::SocketBroken { .. }
        | Report::WebBackendFailed { .. }
        | Report::StreamRefused(_)
        | Report::SourceRefused(_) => false,
    }
}

impl Reports {
    /// Waits for the next report; `None` when every worker is gone. Nothing is lost when the wait
    /// is given up.
    pub(in crate::control) async fn next(&mut self) -> Option<(WorkerIndex, Report)> {
        if let Some(report) = self.at_hand() {
            return Some(report);
        }
        if let Some(end) = self.rest_until {
            sleep_until(end).await;
            self.rest_until = None;
        }
        let first = self.queue.recv().await;
        self.rest_until = Some(Instant::now() + REST);
        first
    }

    /// Takes the next report that has come already.
    pub(in crate::control) fn at_hand(&mut self) -> Option<(WorkerIndex, Report)> {
        self.queue.try_recv().ok()
    }

    /// Takes the number of reports that found the queue full since the last time.
    pub(in crate::control) fn lost(&mut self) -> u64 {
        let lost = self.lost.load(Ordering::Relaxed);
        lost - std::mem::replace(&mut self.told_lost, lost)
    }

    /// Counts the reports that find the queue full, for as long as there are workers.
    pub(in crate::control) fn lost_so_far(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.lost)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::{QUEUED_REPORTS, REST, Report, WorkerIndex, reports};

    #[test]
    fn a_full_queue_loses_and_counts() {
        let (tell, mut reports) = reports();
        for _ in 0..QUEUED_REPORTS + 3 {
            tell(WorkerIndex(0), Report::SegmentationOff);
        }
        assert_eq!((reports.lost(), reports.lost()), (3, 0));
        drop(tell);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut kept = 0;
        while runtime.block_on(reports.next()).is_some() {
            kept += 1;
        }
        assert_eq!(kept, QUEUED_REPORTS);
    }

    #[test]
    fn who_rests_is_woken_by_nobody_and_misses_nothing() {
        let (tell, mut reports) = reports();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            tell(WorkerIndex(0), Report::SegmentationOff);
            assert!(reports.next().await.is_some());
            let begun = Instant::now();
            let given_up = timeout(REST / 4, reports.next()).await;
            assert!(given_up.is_err(), "nobody came");
            tell(WorkerIndex(1), Report::SegmentationOff);
            let (worker, _) = reports.next().await.unwrap();
            assert_eq!(worker, WorkerIndex(1), "what has come is taken at once");
            assert!(reports.at_hand().is_none());
            let late = timeout(REST / 4, async { tell(WorkerIndex(2), Report::SegmentationOff) });
            late.await.unwrap();
            drop(tell);
            assert!(matches!(reports.next().await, Some((WorkerIndex(2), _))));
            assert!(reports.next().await.is_none(), "every worker is gone");
            assert!(begun.elapsed() >= REST / 4);
        });
    }

    #[test]
    fn a_last_report_waits_for_room() {
        let (tell, mut reports) = reports();
        for _ in 0..QUEUED_REPORTS {
            tell(WorkerIndex(0), Report::SegmentationOff);
        }
        let worker = std::thread::spawn(move || {
            tell(WorkerIndex(7), Report::Failed(std::io::ErrorKind::OutOfMemory.into()));
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let mut last = None;
        while let Some(report) = runtime.block_on(reports.next()) {
            last = Some(report);
        }
        worker.join().unwrap();
        assert!(matches!(last, Some((WorkerIndex(7), Report::Failed(_)))));
        assert_eq!(reports.lost(), 0);
    }
}
