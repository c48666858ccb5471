//! What the control thread asks a worker about its allocations, and has it do.

use std::{fmt, sync::Arc};

use crate::turn::{Detail, Page, Session, SessionId, Traffic};

/// A question; each is answered at the worker's next turn, or never when the worker has ended.
#[derive(Debug)]
pub enum Question {
    /// A page of the list of sessions, of one user or of all.
    Sessions {
        /// Where the page begins: 0, or what the page before it says.
        from: u32,
        /// Whose are wanted.
        user: Option<Arc<str>>,
        /// Where the page goes.
        answer: AnswerTo<Page<Session>>,
    },
    /// A page of what sessions have relayed.
    Loads {
        /// As of a page of sessions.
        from: u32,
        /// Where the page goes.
        answer: AnswerTo<Page<(SessionId, Traffic)>>,
    },
    /// Everything about one session.
    Session(SessionId, AnswerTo<Option<Detail>>),
    /// A session is to end; the answer says whether it was there.
    Kill(SessionId, AnswerTo<bool>),
}

/// Takes an answer to whoever asked. Called on the worker's thread; it must not wait.
pub struct AnswerTo<T>(Box<dyn FnOnce(T) + Send>);

impl<T> AnswerTo<T> {
    /// Wraps the way back.
    pub fn new(take: impl FnOnce(T) + Send + 'static) -> AnswerTo<T> {
        AnswerTo(Box::new(take))
    }

    pub(super) fn give(self, answer: T) {
        (self.0)(answer);
    }
}

impl<T> fmt::Debug for AnswerTo<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answer")
    }
}
