//! Lines on their way to the log's reader, written by a thread of their own.
//!
//! ```text
//! whoever logs ── a bounded queue ──▶ this thread ── standard error ──▶ a pipe, a terminal
//! ```
//!
//! A pipe holds 64 KiB, and a reader that stops would stop whoever writes into a full one: health
//! checks, signals, the watchdog. So whoever logs never waits. What does not fit into the queue is
//! lost and counted, and the log says how much once its reader goes on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use tracing::warn;

/// Lines that wait at most.
const MOST_LINES: usize = 8192;
/// Bytes of all lines that wait, at most: some 4,000 lines about allocations.
const MOST_BYTES: usize = 1 << 20;
/// How often the log says that lines were lost while its reader is slow.
const COMPLAINT_EVERY: Duration = Duration::from_secs(1);
/// How soon a full pipe is tried again that somebody has made non-blocking.
const RETRY: Duration = Duration::from_millis(10);

/// Takes lines in. All of its clones are one queue.
#[derive(Clone, Debug)]
pub(super) struct Queue {
    orders: Sender<Order>,
    waiting_bytes: Arc<AtomicUsize>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Order {
    /// A line with its end.
    Write(Vec<u8>),
    /// Everything before this is written.
    Tell(Sender<()>),
}

impl Queue {
    /// Starts the thread, which lives as long as the process.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (orders, taken) = bounded(MOST_LINES);
        let queue = Self { orders, waiting_bytes: Arc::default(), lost: Arc::default() };
        let (waiting_bytes, lost) = (Arc::clone(&queue.waiting_bytes), Arc::clone(&queue.lost));
        let thread = thread::Builder::new().name("uturn-log".to_owned());
        thread.spawn(move || run(&taken, out, &waiting_bytes, &lost))?;
        Ok(queue)
    }

    /// Takes a line, or counts it as lost.
    pub(super) fn put(&self, line: Vec<u8>) {
        let bytes = line.len();
        let waiting = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let has_room = waiting + bytes <= MOST_BYTES;
        if !has_room || self.orders.try_send(Order::Write(line)).is_err() {
            self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Waits until every line so far is written, but no longer than this.
    pub(super) fn wait_until_written(&self, within: Duration) {
        let deadline = Instant::now() + within;
        let (tell, written) = bounded(1);
        // A reader that does not read has its lines lost.
        if self.orders.send_timeout(Order::Tell(tell), within).is_ok() {
            written.recv_deadline(deadline).unwrap_or_default();
        }
    }

    /// Counts the lines that were lost.
    pub(super) fn lost(&self) -> &Arc<AtomicU64> {
        &self.lost
    }
}

fn run(
    orders: &Receiver<Order>,
    mut out: impl Write,
    waiting_bytes: &AtomicUsize,
    lost: &AtomicU64,
) {
    let (mut said_lost, mut said_at) = (0, Instant::now());
    for order in orders {
        match order {
            Order::Write(line) => {
                let written = write(&mut out, &line);
                waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                if written.is_err() {
                    lost.fetch_add(1, Ordering::Relaxed);
                    continue;
                }
                let lines = lost.load(Ordering::Relaxed) - said_lost;
                let is_due = orders.is_empty() || said_at.elapsed() >= COMPLAINT_EVERY;
                if lines > 0 && is_due {
                    (said_lost, said_at) = (said_lost + lines, Instant::now());
                    warn!(lines, "log lines were lost: nobody read them in time");
                }
            }
            // Whoever asked may no longer wait.
            Order::Tell(tell) => tell.try_send(()).unwrap_or_default(),
        }
    }
}

fn write(out: &mut impl Write, line: &[u8]) -> io::Result<()> {
    let mut rest = line;
    while !rest.is_empty() {
        match out.write(rest) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => rest = &rest[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(RETRY),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::{PipeReader, Read, pipe};

    use super::*;

    const LINE: &[u8] = b"a line of the log that is as long as many others are, with an end\n";

    fn queue() -> (Queue, PipeReader) {
        let (reader, writer) = pipe().unwrap();
        (Queue::start(writer).unwrap(), reader)
    }

    #[test]
    fn a_reader_that_stops_costs_lines_and_nobody_waits() {
        let (queue, _reader) = queue();
        let begun = Instant::now();
        // The pipe holds 64 KiB and the queue as much as it does.
        (0..100_000).for_each(|_| queue.put(LINE.to_vec()));
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
        let kept = 100_000 - queue.lost().load(Ordering::Relaxed);
        let most = MOST_LINES as u64 + 65_536 / LINE.len() as u64 + 1;
        assert!((MOST_LINES as u64..=most).contains(&kept), "{kept} lines were kept");
        let begun = Instant::now();
        queue.wait_until_written(Duration::from_millis(100));
        assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    }

    #[test]
    fn long_lines_are_bounded_by_their_bytes() {
        let (queue, _reader) = queue();
        (0..1000).for_each(|_| queue.put(vec![b'x'; 65_536]));
        let kept = 1000 - queue.lost().load(Ordering::Relaxed);
        assert!((15..=18).contains(&kept), "{kept} lines of 64 KiB");
    }

    #[test]
    fn a_reader_that_goes_on_has_every_line_that_was_not_counted_as_lost() {
        let (queue, mut reader) = queue();
        (0..20_000).for_each(|_| queue.put(LINE.to_vec()));
        let lost = queue.lost().load(Ordering::Relaxed);
        let reading = thread::spawn(move || {
            let mut text = vec![0; (20_000 - lost as usize) * LINE.len()];
            reader.read_exact(&mut text).unwrap();
            text
        });
        let text = reading.join().unwrap();
        assert!(lost > 0 && text.chunks(LINE.len()).all(|line| line == LINE));
    }

    #[test]
    fn everything_is_written_when_the_wait_is_over() {
        let (queue, mut reader) = queue();
        (0..100).for_each(|_| queue.put(LINE.to_vec()));
        queue.wait_until_written(Duration::from_secs(5));
        let mut text = vec![0; 100 * LINE.len()];
        reader.read_exact(&mut text).unwrap();
        assert_eq!(queue.lost().load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_reader_that_has_gone_has_its_lines_counted_as_lost() {
        let (queue, reader) = queue();
        drop(reader);
        (0..10).for_each(|_| queue.put(LINE.to_vec()));
        queue.wait_until_written(Duration::from_secs(5));
        assert_eq!(queue.lost().load(Ordering::Relaxed), 10);
    }
}
