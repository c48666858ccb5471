//! Writes lines out, as many at a time as there are, and says when it cannot.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval_at};
use tracing::{info, warn};

use super::{
    counts::{Order, RecordCounts},
    file::File,
    live::Walk,
    record::Names,
};
use crate::worker::Workers;

/// Lines that are written at once.
const LINES_AT_ONCE: usize = 256;
/// How often it is said that records are lost.
const COMPLAINT_EVERY: Duration = Duration::from_secs(60);

/// Writes what [`super::UsageRecords`] takes in.
pub(in crate::control) struct Writer {
    file: File,
    orders: Receiver<Order>,
    counts: Arc<RecordCounts>,
    complaint: Complaint,
    /// The last line in the file has no end: a disk was full in the middle of it.
    is_torn: bool,
}

/// How allocations that live are recorded.
pub(in crate::control) struct Interim {
    pub(in crate::control) every: Duration,
    pub(in crate::control) workers: Arc<Workers>,
    pub(in crate::control) count: usize,
    pub(in crate::control) names: Names,
}

impl Interim {
    /// Ticks from one interval on; one that was missed is left out.
    fn ticks(&self) -> Interval {
        let mut ticks = interval_at(tokio::time::Instant::now() + self.every, self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        ticks
    }
}

/// Waits for the next tick, or for ever where there is none.
async fn tick(ticks: &mut Option<Interval>) {
    match ticks {
        Some(ticks) => drop(ticks.tick().await),
        None => std::future::pending().await,
    }
}

/// What is said about losses: at once, then once a minute, and when they are over.
#[derive(Debug, Default)]
struct Complaint {
    last: Option<Instant>,
    said_lost: u64,
}

impl Writer {
    pub(super) fn new(file: File, orders: Receiver<Order>, counts: Arc<RecordCounts>) -> Self {
        Self { file, orders, counts, complaint: Complaint::default(), is_torn: false }
    }

    /// Writes until nobody is left who takes records in, and everything has been tried.
    pub(in crate::control) async fn run(mut self, interim: Option<Interim>) {
        let mut orders = Vec::with_capacity(LINES_AT_ONCE);
        let mut ticks = interim.as_ref().map(Interim::ticks);
        loop {
            tokio::select! {
                count = self.orders.recv_many(&mut orders, LINES_AT_ONCE) => {
                    if count == 0 {
                        return;
                    }
                    self.obey(&mut orders).await;
                }
                () = tick(&mut ticks) => {
                    if let Some(interim) = &interim {
                        self.record_live(interim).await;
                    }
                }
            }
        }
    }

    async fn obey(&mut self, orders: &mut Vec<Order>) {
        let mut lines = Vec::new();
        for order in orders.drain(..) {
            match order {
                Order::Write(line) => lines.push(line),
                Order::Reopen => {
                    self.write(std::mem::take(&mut lines)).await;
                    self.reopen();
                }
            }
        }
        self.write(lines).await;
    }

    async fn record_live(&mut self, interim: &Interim) {
        let mut walk = Walk::new(&interim.workers, interim.count);
        while let Some(sessions) = walk.page().await {
            let lines = sessions.iter().map(|session| interim.names.interim(session)).collect();
            self.write(lines).await;
        }
    }

    async fn write(&mut self, lines: Vec<Vec<u8>>) {
        if lines.is_empty() {
            return;
        }
        let end_of_torn: &[u8] = if self.is_torn { b"\n" } else { b"" };
        let bytes = [end_of_torn, &lines.concat()].concat();
        let (written, outcome) = self.file.append(bytes).await;
        let whole = whole_lines(&lines, written.saturating_sub(end_of_torn.len()));
        if written > 0 {
            let whole_bytes: usize = lines[..whole].iter().map(Vec::len).sum();
            self.is_torn = written > end_of_torn.len() + whole_bytes;
        }
        let lost = lines.len() - whole;
        self.counts.written.fetch_add(whole as u64, Ordering::Relaxed);
        self.counts.lost.fetch_add(lost as u64, Ordering::Relaxed);
        self.complaint.note(&self.counts, outcome);
    }

    /// A file that cannot be opened again leaves the old one in use.
    fn reopen(&mut self) {
        match self.file.again() {
            Ok(file) => (self.file, self.is_torn) = (file, false),
            Err(error) => warn!("{error}; they go on in the old file"),
        }
    }
}

/// How many of the lines are in the file as a whole, with so many bytes of them written.
fn whole_lines(lines: &[Vec<u8>], written: usize) -> usize {
    let mut end = 0;
    let is_whole = |line: &&Vec<u8>| {
        end += line.len();
        end <= written
    };
    lines.iter().take_while(is_whole).count()
}

impl Complaint {
    fn note(&mut self, counts: &RecordCounts, outcome: io::Result<()>) {
        let lost = counts.lost();
        match outcome {
            Err(error) => {
                let is_due = self.last.is_none_or(|last| last.elapsed() >= COMPLAINT_EVERY);
                if is_due {
                    warn!(%error, lost = lost - self.said_lost, "usage records are lost");
                    (self.last, self.said_lost) = (Some(Instant::now()), lost);
                }
            }
            Ok(()) if lost > self.said_lost || self.last.is_some() => {
                info!(lost = lost - self.said_lost, "usage records are written again");
                (self.last, self.said_lost) = (None, lost);
            }
            Ok(()) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::whole_lines;

    #[test]
    fn a_torn_line_is_not_a_record() {
        let lines = [b"ab\n".to_vec(), b"cde\n".to_vec(), b"f\n".to_vec()];
        let whole: Vec<_> = (0..=9).map(|written| whole_lines(&lines, written)).collect();
        assert_eq!(whole, [0, 0, 0, 1, 1, 1, 1, 2, 2, 3]);
    }
}
