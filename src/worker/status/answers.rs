//! What a worker answers to the questions of the control thread.

use crate::worker::{reactor::Worker, status::questions::Question};
use crate::{io::Driver, turn::Now};

impl<D: Driver> Worker<D> {
    pub(in crate::worker) fn on_question(&mut self, now: Now, question: Question) {
        match question {
            Question::Sessions { from, user, answer } => {
                answer.give(self.server.sessions(now, from, user.as_deref()));
            }
            Question::Loads { from, answer } => answer.give(self.server.loads(from)),
            Question::Session(id, answer) => answer.give(self.server.session(now, id)),
            Question::Kill(id, answer) => {
                let killed = self.server.kill(now, id);
                self.carry_out(now);
                answer.give(killed);
            }
        }
    }
}
