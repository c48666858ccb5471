//! Asks the workers for their counters, one question at a time, and does not wait for ever.
//!
//! Whoever asks while a question is under way waits for the next one, and all who wait share its
//! answers: a sample is never older than the question, and nobody waits for more than two.
//!
//! A worker that does not answer in time is left out of what is told for each worker. Where the
//! workers are summed its last answer stands in for it: a sum that falls would look to Prometheus
//! like a restart.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use tokio::sync::Mutex;

use super::history::{History, Point};
use super::process::worker_cpu_us;
use crate::control::server::answers::gather;
use crate::turn::WorkerIndex;
use crate::worker::Snapshot;

/// How long workers have to answer; one that serves does so at its next turn.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

type Ask = Box<dyn Fn() -> Receiver<Snapshot> + Send + Sync>;

/// Whom to ask, and what was answered last.
pub(in crate::control) struct SnapshotSampler {
    ask: Ask,
    /// Questions begun so far.
    begun: AtomicU64,
    last: Mutex<Last>,
    /// When the first question could have been asked.
    since: Instant,
}

#[derive(Default)]
struct Last {
    /// The last answer of each worker.
    known: BTreeMap<WorkerIndex, Snapshot>,
    /// What the last question brought, and how many had begun before it.
    sample: Option<(u64, Arc<Sample>)>,
    history: History,
}

/// The counters of one moment, in the order of the workers.
pub(in crate::control) struct Sample {
    /// Of the workers that answered.
    pub(in crate::control) answered: Vec<Snapshot>,
    /// Of every worker that has ever answered, as of its last answer.
    pub(in crate::control) known: Vec<Snapshot>,
    /// CPU time of each worker's thread, as far as the kernel tells it.
    pub(in crate::control) cpu_us: BTreeMap<WorkerIndex, u64>,
}

impl SnapshotSampler {
    /// Takes when the server was started, and what asks every worker at once; the channel closes
    /// when the last has answered.
    pub(in crate::control) fn new(
        since: Instant,
        ask: impl Fn() -> Receiver<Snapshot> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Box::new(ask), begun: AtomicU64::new(0), last: Mutex::default(), since }
    }

    /// Asks every worker, or shares a question that begins after this call.
    pub(in crate::control) async fn sample(&self) -> Arc<Sample> {
        let before = self.begun.load(Ordering::Relaxed);
        let mut last = self.last.lock().await;
        if let Some((begun, sample)) = &last.sample
            && *begun >= before
        {
            return Arc::clone(sample);
        }
        let begun = self.begun.fetch_add(1, Ordering::Relaxed);
        let answered = collect((self.ask)()).await;
        last.known.extend(answered.iter().map(|snapshot| (snapshot.index, snapshot.clone())));
        let known: Vec<_> = last.known.values().cloned().collect();
        last.history.record(Point::of(self.since.elapsed(), &known));
        let sample = Arc::new(Sample { answered, known, cpu_us: worker_cpu_us() });
        last.sample = Some((begun, Arc::clone(&sample)));
        sample
    }

    /// What the last hour was like, the oldest first.
    pub(super) async fn history(&self) -> Vec<Point> {
        self.last.lock().await.history.points()
    }
}

async fn collect(answers: Receiver<Snapshot>) -> Vec<Snapshot> {
    let mut answered = gather(answers, ANSWERS_WITHIN).await;
    answered.sort_by_key(|snapshot| snapshot.index);
    answered
}

#[cfg(test)]
pub(super) fn snapshot(index: u8, opened: u64) -> Snapshot {
    let mut snapshot = Snapshot::blank(WorkerIndex(index));
    snapshot.turn.opened = opened;
    snapshot
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use crossbeam_channel::{Sender, bounded};

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(future)
    }

    /// Two workers; the first is stuck from the second question on and keeps its end open.
    fn half_stuck() -> SnapshotSampler {
        let (asked, stuck) = (AtomicU64::new(0), std::sync::Mutex::new(Vec::<Sender<_>>::new()));
        SnapshotSampler::new(Instant::now(), move || {
            let (answer, answers) = bounded(2);
            let question = asked.fetch_add(1, Ordering::Relaxed) + 1;
            answer.send(snapshot(1, 10 * question)).unwrap();
            match question {
                1 => answer.send(snapshot(0, 1)).unwrap(),
                _ => stuck.lock().unwrap().push(answer),
            }
            answers
        })
    }

    #[test]
    fn a_worker_that_is_stuck_is_left_out_but_no_sum_falls() {
        let sampler = half_stuck();
        let opened = |snapshots: &[Snapshot]| {
            snapshots.iter().map(|it| (it.index.0, it.turn.opened)).collect::<Vec<_>>()
        };
        let first = block_on(sampler.sample());
        assert_eq!(opened(&first.answered), [(0, 1), (1, 10)]);
        let second = block_on(sampler.sample());
        assert_eq!(opened(&second.answered), [(1, 20)]);
        assert_eq!(opened(&second.known), [(0, 1), (1, 20)]);
    }

    #[test]
    fn those_who_ask_while_a_question_is_under_way_share_the_next_one() {
        let sampler = half_stuck();
        block_on(sampler.sample());
        let begun = Instant::now();
        block_on(async {
            let all = (0..50).map(|_| sampler.sample());
            let mut all: Vec<_> = all.map(Box::pin).collect();
            std::future::poll_fn(|context| {
                all.retain_mut(|one| one.as_mut().poll(context).is_pending());
                if all.is_empty() { Poll::Ready(()) } else { Poll::Pending }
            })
            .await;
        });
        let took = begun.elapsed();
        assert!(took < 2 * ANSWERS_WITHIN + ANSWERS_WITHIN / 2, "{took:?} for two questions");
        assert_eq!(sampler.begun.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn whoever_asks_after_a_question_began_does_not_get_its_answers() {
        let sampler = half_stuck();
        let first = block_on(sampler.sample());
        let second = block_on(sampler.sample());
        assert_eq!((first.answered.len(), second.answered.len()), (2, 1));
    }
}
