//! Usage records: one JSON line for each allocation that has ended, and, at an interval, for each
//! that lives.
//!
//! ```text
//! workers ── reports ──▶ UsageRecords ── lines, a bounded queue ──▶ writer.rs ──▶ file.rs
//!                                                                       ▲
//!                                              every interval: ── live.rs ── pages of allocations
//! ```
//!
//! Law: nobody waits for the disk while there is something to relay. What does not fit into the
//! queue, or what a full disk does not take, is counted as lost, and the relay goes on. All of this
//! runs on the control thread.

pub(super) mod counts;
mod file;
mod live;
pub(super) mod record;
pub(super) mod writer;

use std::io;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::mpsc::{Sender, channel};
use tokio::time::timeout;
use tracing::warn;

use counts::{Order, RecordCounts};
use file::File;
use record::Names;
use writer::Writer;

use crate::turn::Closed;

/// How long the records of those that end with the server may take to find room in the queue, and
/// then, once everything else has ended, to be written.
pub(super) const LAST_RECORDS_WITHIN: Duration = Duration::from_secs(3);

/// Lines that wait for the disk at most; some 500 bytes each.
pub(super) const QUEUE_LINES: usize = 16_384;

/// Lives, and writes records beside it; waits a while for the last of them.
pub(super) async fn beside<T>(
    work: impl Future<Output = T>,
    writing: Option<impl Future<Output = ()>>,
) -> T {
    let Some(writing) = writing else { return work.await };
    let (mut work, mut writing) = (pin!(work), pin!(writing));
    tokio::select! {
        outcome = &mut work => {
            if timeout(LAST_RECORDS_WITHIN, writing).await.is_err() {
                warn!("the last usage records were not written: the disk or the reader is too slow");
            }
            outcome
        }
        () = &mut writing => work.await,
    }
}

/// Takes records in; without a file it takes none.
#[derive(Debug, Default)]
pub(super) struct UsageRecords {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    queue: Sender<Order>,
    names: Names,
    counts: Arc<RecordCounts>,
}

impl UsageRecords {
    /// Opens the file, or makes it. `has_ring` says that this thread's runtime is tokio-uring.
    ///
    /// # Errors
    /// The file cannot be opened; the error names it.
    pub(super) fn open(
        path: &Path,
        has_ring: bool,
        names: Names,
        counts: &Arc<RecordCounts>,
    ) -> io::Result<(Self, Writer)> {
        let (queue, orders) = channel(QUEUE_LINES);
        let writer = Writer::new(File::open(path, has_ring)?, orders, Arc::clone(counts));
        let open = Open { queue, names, counts: Arc::clone(counts) };
        Ok((Self { open: Some(open) }, writer))
    }

    /// Writes down an allocation that has ended.
    pub(super) fn ended(&self, closed: &Closed) {
        let Some(open) = &self.open else { return };
        if open.queue.try_send(Order::Write(open.names.ended(closed))).is_err() {
            open.counts.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until there is room for a record. This is for the end, when more allocations may end
    /// at once than the queue has room for; whoever waits has to bound it.
    pub(super) async fn room(&self) {
        if let Some(open) = &self.open {
            // Without a writer there is no room to wait for.
            drop(open.queue.reserve().await);
        }
    }

    /// Goes on in a new file of the same name, after the old one has been renamed.
    pub(super) fn reopen(&self) {
        let Some(open) = &self.open else { return };
        // With a full queue the disk is stuck, and so is whoever renamed the file.
        if open.queue.try_send(Order::Reopen).is_err() {
            warn!("usage records go on in the old file: the disk is too slow");
        }
    }
}
