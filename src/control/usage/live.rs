//! Asks the workers for the allocations that live, a page at a time, so that they relay meanwhile.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::turn::{Page, Session, WorkerIndex};
use crate::worker::{AnswerTo, Question, Workers};

/// How long a worker has to answer; one that serves does so at its next turn.
const ANSWERS_WITHIN: Duration = Duration::from_secs(1);

/// One walk over all allocations.
pub(super) struct Walk {
    workers: Arc<Workers>,
    /// Where the next page begins, at the first worker of those that are left.
    next: Option<(WorkerIndex, u32)>,
    last: WorkerIndex,
}

impl Walk {
    /// Begins at the first worker of `count`, at least one.
    pub(super) fn new(workers: &Arc<Workers>, count: usize) -> Self {
        let last = u8::try_from(count.saturating_sub(1)).unwrap_or(u8::MAX);
        let next = Some((WorkerIndex(0), 0));
        Self { workers: Arc::clone(workers), next, last: WorkerIndex(last) }
    }

    /// The next page, perhaps empty; `None` after the last. A worker that does not answer is left
    /// out from there on.
    pub(super) async fn page(&mut self) -> Option<Vec<Session>> {
        let (worker, from) = self.next?;
        let page = self.ask(worker, from).await.unwrap_or(Page { items: Vec::new(), next: None });
        self.next = match page.next {
            Some(from) => Some((worker, from)),
            None => (worker < self.last).then_some((WorkerIndex(worker.0.saturating_add(1)), 0)),
        };
        Some(page.items)
    }

    async fn ask(&self, worker: WorkerIndex, from: u32) -> Option<Page<Session>> {
        let (way, back) = oneshot::channel();
        // Nobody misses an answer that comes too late.
        let answer = AnswerTo::new(move |page| drop(way.send(page)));
        let asked = self.workers.ask(worker, Question::Sessions { from, user: None, answer });
        if !asked {
            return None;
        }
        timeout(ANSWERS_WITHIN, back).await.ok()?.ok()
    }
}
