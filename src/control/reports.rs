//! What workers tell the control thread, and the door it goes through.
//!
//! The door is bounded and a worker never waits at it: a report that finds it full is counted as
//! lost. Only a worker's last report waits, since somebody waits for it, too.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;

/// Reports that fit in the door. A second of 4,096 allocations opened and closed is more than is
/// logged anyway.
const DOOR_REPORTS: usize = 8192;

/// One thing that happened in a worker.
#[derive(Debug)]
pub enum Report {
    /// An allocation was made and its relay socket exists.
    Opened(Opened),
    /// An allocation ended.
    Closed(Closed),
    /// Datagrams were dropped. At most one report a minute from each worker.
    Dropped {
        /// Reasons, and datagrams since the worker's last such report.
        reasons: Vec<(&'static str, u64)>,
    },
    /// A worker can go on no longer; the server ends.
    Failed {
        /// Index of the worker.
        worker: usize,
        /// What happened, in one line.
        error: String,
    },
    /// A worker has ended after it was asked to; its last report.
    Stopped {
        /// Index of the worker.
        worker: usize,
        /// What it did in its life.
        totals: Totals,
    },
}

/// An allocation that has begun.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Index of the worker that owns it.
    pub worker: usize,
    /// USERNAME that it was made with.
    pub user: String,
    /// Client's side of the five-tuple.
    pub client: SocketAddr,
    /// Our side of the five-tuple.
    pub server: SocketAddr,
    /// Transport of the five-tuple, such as `udp`.
    pub transport: &'static str,
    /// Relayed address as the client was told.
    pub relayed: SocketAddr,
    /// Second relayed address, of the other family (RFC 8656 §7.1).
    pub also_relayed: Option<SocketAddr>,
}

/// An allocation that has ended.
#[derive(Clone, Debug)]
pub struct Closed {
    /// What was said when it began.
    pub opened: Opened,
    /// How long it lived.
    pub duration: Duration,
    /// Payload from the client to peers.
    pub to_peers: Traffic,
    /// Payload from peers to the client.
    pub to_client: Traffic,
    /// Why it ended, in a word or two, such as `expired`, `deleted`, `replaced`, `shutdown`.
    pub reason: &'static str,
}

/// Payload in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams relayed.
    pub packets: u64,
    /// Payload bytes relayed, without any header.
    pub bytes: u64,
}

/// What was done from start to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Allocations made.
    pub allocations: u64,
    /// Payload from clients to peers.
    pub to_peers: Traffic,
    /// Payload from peers to clients.
    pub to_client: Traffic,
    /// Datagrams dropped, for any reason.
    pub dropped: u64,
}

impl std::ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.allocations += other.allocations;
        self.to_peers += other.to_peers;
        self.to_client += other.to_client;
        self.dropped += other.dropped;
    }
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
        for worker in 0..DOOR_REPORTS + 3 {
            reporter.tell(Report::Failed { worker, error: String::new() });
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
