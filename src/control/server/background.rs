//! What takes long, beside the control loop: on a thread of its own, or as a task with a deadline.
//!
//! Law: the loop waits in its `select!` and nowhere else. What it began comes back as a
//! [`BackgroundOutcome`]; until then signals are taken, health checks answered and the watchdog
//! fed.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam_channel::Receiver;
use tokio::sync::mpsc;

use super::answers::gather;
use super::change::reload::{Looked, Reread};
use super::change::renewal::Renewed;
use crate::control::config::Change;
use crate::worker::Snapshot;

/// Outcomes that the loop has not taken yet. Whoever brings one more waits beside the loop.
const OUTCOMES: usize = 16;

/// What came of work beside the loop.
#[derive(Debug)]
pub(in crate::control) enum BackgroundOutcome {
    /// The workers that said in time how they are.
    Beat(Vec<Snapshot>),
    /// The workers that said in time what they dropped.
    Drops(Vec<Snapshot>),
    /// The files were read again, or an error names what is wrong with them.
    Reread(Result<Box<Reread>, String>),
    /// The certificates were read again.
    Renewed(Box<Renewed>),
    /// The machine's addresses were looked at, or the kernel does not say what they are.
    Looked(io::Result<Box<Looked>>),
    /// Others were asked about them, too, unless the kernel does not say what they are.
    Asked(Option<Box<Looked>>),
    /// So many workers have the other rules, in time; and why they were given them.
    Ruled(RulesCause, usize),
}

/// Why workers were given other rules.
#[derive(Debug)]
pub(in crate::control) enum RulesCause {
    /// The configuration was read again.
    Reload(Change),
    /// The machine has other addresses.
    Machine,
}

/// Begins work beside the loop, and hands its outcomes to the loop.
#[derive(Debug)]
pub(in crate::control) struct Background {
    sender: mpsc::Sender<BackgroundOutcome>,
    outcomes: mpsc::Receiver<BackgroundOutcome>,
}

impl Background {
    /// Begins with nothing under way.
    pub(in crate::control) fn new() -> Self {
        let (sender, outcomes) = mpsc::channel(OUTCOMES);
        Self { sender, outcomes }
    }

    /// Waits for the next outcome. Nothing is lost when the wait is given up.
    pub(super) async fn next(&mut self) -> BackgroundOutcome {
        // The loop's own side keeps the channel open.
        let outcome = self.outcomes.recv().await;
        outcome.expect("the channel is as old as its receiver")
    }

    /// Collects what workers answer within a time. Has to be called on a runtime.
    pub(super) fn gather<T: Send + 'static>(
        &self,
        answers: Receiver<T>,
        within: Duration,
        outcome: impl FnOnce(Vec<T>) -> BackgroundOutcome + Send + 'static,
    ) {
        let sender = self.sender.clone();
        tokio::spawn(async move {
            let outcome = outcome(gather(answers, within).await);
            // A loop that has ended wants nothing any more.
            drop(sender.send(outcome).await);
        });
    }

    /// Frees on a thread of its own what takes long to free, and gives its memory back: a server
    /// with a million users kept 380 MiB more from its first reload on.
    pub(super) fn free(&self, what: impl Send + 'static) {
        let thread = thread::Builder::new().name("uturn-free".to_owned());
        // Where there is no thread, it is freed here and now.
        drop(thread.spawn(move || {
            drop(what);
            crate::io::give_memory_back();
        }));
    }

    /// Does on a thread of its own what the kernel or a disk may take long for.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(super) fn run(
        &self,
        name: &str,
        work: impl FnOnce() -> BackgroundOutcome + Send + 'static,
    ) -> io::Result<()> {
        let sender = self.sender.clone();
        let thread = thread::Builder::new().name(format!("uturn-{name}"));
        // The loop may end first; the process does not wait for this thread.
        thread.spawn(move || drop(sender.blocking_send(work()))).map(drop)
    }
}
