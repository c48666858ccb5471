//! Asks the workers for their counters, one question at a time, and does not wait for ever.
//!
//! A worker that does not answer in time is left out of what is told for each worker. Where the
//! workers are summed its last answer stands in for it: a sum that falls would look to Prometheus
//! like a restart.

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::sync::Mutex;

use crate::control::server::answers::gather;
use crate::turn::WorkerIndex;
use crate::worker::Snapshot;

/// How long workers have to answer; one that serves does so at its next turn.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

type Ask = Box<dyn Fn() -> Receiver<Snapshot> + Send + Sync>;

/// Whom to ask, and what was answered last.
pub(in crate::control) struct Sampler {
    ask: Ask,
    last: Mutex<BTreeMap<WorkerIndex, Snapshot>>,
}

/// The counters of one moment, in the order of the workers.
pub(in crate::control) struct Sample {
    /// Of the workers that answered.
    pub(in crate::control) answered: Vec<Snapshot>,
    /// Of every worker that has ever answered, as of its last answer.
    pub(in crate::control) known: Vec<Snapshot>,
}

impl Sampler {
    /// Takes what asks every worker at once; the channel closes when the last has answered.
    pub(in crate::control) fn new(
        ask: impl Fn() -> Receiver<Snapshot> + Send + Sync + 'static,
    ) -> Self {
        Self { ask: Box::new(ask), last: Mutex::default() }
    }

    /// Asks every worker. Whoever looks meanwhile waits for its turn: however many look, a worker
    /// answers one of them at a time.
    pub(in crate::control) async fn sample(&self) -> Sample {
        let mut last = self.last.lock().await;
        let answered = collect((self.ask)()).await;
        last.extend(answered.iter().map(|snapshot| (snapshot.index, snapshot.clone())));
        Sample { answered, known: last.values().cloned().collect() }
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
    use std::sync::atomic::{AtomicU64, Ordering};

    use crossbeam_channel::{Sender, bounded};

    use super::*;

    fn block_on<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        runtime.unwrap().block_on(future)
    }

    /// Two workers; the first is stuck from the second question on and keeps its end open.
    fn half_stuck() -> Sampler {
        let (asked, stuck) = (AtomicU64::new(0), std::sync::Mutex::new(Vec::<Sender<_>>::new()));
        Sampler::new(move || {
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
}
