//! The supervisor has the configuration read again, and hands out what came of it.

use std::mem;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::{error, info, warn};

use super::reload::{Asker, Reading, Reread};
use crate::control::config::Change;
use crate::control::server::background::{BackgroundOutcome, RulesCause};
use crate::control::server::start::plan::limits;
use crate::control::server::supervisor::{Supervisor, WorkerControl};
use crate::turn::Settings;

/// How long workers have to take other rules.
const RULES_WITHIN: Duration = Duration::from_secs(2);
/// How long the files may take to be read before whoever asked is told that they hang.
const READ_WITHIN: Duration = Duration::from_secs(30);

impl<W: WorkerControl> Supervisor<W> {
    /// Has the configuration read again; whoever asked is told what came of it.
    pub(in crate::control) fn begin_reload(&mut self, asker: Option<Asker>) {
        self.events.reopen();
        match &mut self.reading {
            Some(reading) if reading.is_late => {
                let problem = "the files are still being read for the last reload".to_owned();
                asker.into_iter().for_each(|asker| answer(asker, Err(problem.clone())));
            }
            None => self.read(asker.into_iter().collect()),
            Some(reading) => reading.next.get_or_insert_default().extend(asker),
        }
    }

    fn read(&mut self, askers: Vec<Asker>) {
        self.service.reloading();
        let late_at = Some(Instant::now() + READ_WITHIN);
        self.reading = Some(Reading { askers, late_at, ..Reading::default() });
        let reload = self.reload.clone();
        let work = move || BackgroundOutcome::Reread(reload.read().map(Box::new));
        if let Err(error) = self.background.run("reload", work) {
            self.reloaded(&Err(format!("no thread to read it with: {error}")));
        }
    }

    /// Says that the files take too long. They are still read, and hold once they have been.
    pub(in crate::control) fn reading_is_late(&mut self) {
        let Some(reading) = &mut self.reading else { return };
        (reading.late_at, reading.is_late) = (None, true);
        let late = format!("it is still being read after {} s", READ_WITHIN.as_secs());
        error!("the configuration stays as it was: {late}");
        self.service.ready();
        let askers = mem::take(&mut reading.askers);
        askers.into_iter().for_each(|asker| answer(asker, Err(late.clone())));
    }

    /// When the files will have taken too long.
    pub(in crate::control) fn reading_late_at(&self) -> Option<Instant> {
        self.reading.as_ref().and_then(|reading| reading.late_at)
    }

    /// Hands what was read to the workers. What goes wrong is logged, and everything stays as it
    /// was.
    pub(in crate::control) fn on_reread(&mut self, reread: Result<Box<Reread>, String>) {
        let mut reread = match reread {
            Ok(reread) => reread,
            Err(problem) => return self.reloaded(&Err(problem)),
        };
        if self.reload.adopt(&reread) {
            if let Some(reading) = &mut self.reading {
                (reading.late_at, reading.is_late) = (None, false);
            }
            let certificates = reread.certificates.take();
            let taken = certificates.map(|renewed| self.take_certificates(renewed));
            if let Some(Err(problem)) = taken {
                reread.change.refuse_certificates(problem);
            }
            self.hand_out_streams();
            self.hand_out(RulesCause::Reload(reread.change.clone()), &reread.settings);
            // The users that held until now are in it.
            return self.background.free(reread);
        }
        // The machine's addresses have changed meanwhile.
        let Some(Reading { askers, next, .. }) = self.reading.take() else { return };
        self.read(askers.into_iter().chain(next.into_iter().flatten()).collect());
    }

    /// Ends a reload: tells everybody, and begins the one that was asked for meanwhile.
    pub(in crate::control) fn reloaded(&mut self, outcome: &Result<Change, String>) {
        match outcome {
            Ok(change) => {
                let config = self.reload.config();
                self.status.send_modify(|status| status.follow(config));
                log_change(change);
                self.listen_as_asked();
                self.tell_what_is_served();
            }
            Err(problem) => error!("the configuration stays as it was: {problem}"),
        }
        self.service.ready();
        let Some(Reading { askers, next, .. }) = self.reading.take() else { return };
        askers.into_iter().for_each(|asker| answer(asker, outcome.clone()));
        if let Some(next) = next {
            self.read(next);
        }
    }

    /// Gives every worker other rules.
    pub(in crate::control) fn hand_out(&mut self, cause: RulesCause, rules: &Arc<Settings>) {
        self.rules.replace(rules);
        let limits = limits(self.reload.config());
        let answers = self.workers.reconfigure(rules, limits);
        let outcome = move |told: Vec<_>| BackgroundOutcome::Ruled(cause, told.len());
        self.background.gather(answers, RULES_WITHIN, outcome);
    }

    /// Has rules freed that no worker has any more.
    pub(in crate::control) fn free_rules(&mut self) {
        let unused = self.rules.take_unused();
        if !unused.is_empty() {
            self.background.free(unused);
        }
    }

    /// The workers have had their time to take other rules.
    pub(in crate::control) fn on_ruled(&mut self, cause: RulesCause, answered: usize) {
        self.free_rules();
        if answered < self.alive {
            error!(workers = self.alive, answered, "not every worker has the new rules");
        }
        match cause {
            RulesCause::Reload(change) => self.reloaded(&Ok(change)),
            RulesCause::Machine => {}
        }
    }
}

/// Whoever asked may have gone away.
fn answer(asker: Asker, outcome: Result<Change, String>) {
    drop(asker.send(outcome));
}

fn log_change(change: &Change) {
    let Change { applied, restart, certificates: _ } = change;
    info!(applied = applied.join(", "), "configuration read again");
    if !restart.is_empty() {
        warn!(keys = restart.join(", "), "changed in the file, and held after a restart only");
    }
}
