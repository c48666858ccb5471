//! Questions for workers, as futures. A worker that does not answer is named.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::timeout;

use super::handler::Handler;
use crate::turn::{Detail, Page, Session, SessionId, Traffic, WorkerIndex};
use crate::worker::{AnswerTo, Question};

/// How long a worker has; one that serves answers at its next turn.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

impl Handler {
    /// A page of a worker's sessions.
    pub(super) async fn sessions(
        &self,
        worker: WorkerIndex,
        from: u32,
        user: Option<&str>,
    ) -> Result<Page<Session>, String> {
        let user = user.map(Into::into);
        self.ask(worker, |answer| Question::Sessions { from, user, answer }).await
    }

    /// A page of what a worker's sessions have relayed.
    pub(super) async fn loads(
        &self,
        worker: WorkerIndex,
        from: u32,
    ) -> Result<Page<(SessionId, Traffic)>, String> {
        self.ask(worker, |answer| Question::Loads { from, answer }).await
    }

    /// Everything about one session.
    pub(super) async fn session(&self, id: SessionId) -> Result<Option<Detail>, String> {
        self.ask(id.worker, |answer| Question::Session(id, answer)).await
    }

    /// Ends a session; says whether it was there.
    pub(super) async fn kill(&self, id: SessionId) -> Result<bool, String> {
        self.ask(id.worker, |answer| Question::Kill(id, answer)).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        worker: WorkerIndex,
        question: impl FnOnce(AnswerTo<T>) -> Question,
    ) -> Result<T, String> {
        let silent = || format!("worker {} does not answer", worker.0);
        let (sender, answer) = oneshot::channel();
        // Who asked may have gone away meanwhile.
        let question = question(AnswerTo::new(move |answer| drop(sender.send(answer))));
        if !self.workers.ask(worker, question) {
            return Err(silent());
        }
        let answer = timeout(ANSWER_WITHIN, answer).await.map_err(|_| silent())?;
        answer.map_err(|_| silent())
    }
}
