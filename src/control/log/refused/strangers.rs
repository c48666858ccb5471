//! Log lines of strangers that are not answered: who asked for more than `stranger-reply-bytes`. A
//! worker tells of one every ten seconds, and there may be many workers.

use std::time::Instant;

use tracing::warn;

use crate::control::log::rate::{LineAdmission, Rate};
use crate::turn::{StrangersRefused, WorkerIndex};

/// Lines about strangers that are logged each second; the rest is one more line.
const STRANGER_LINES_PER_SECOND: u32 = 2;

/// Logs strangers that are not answered.
#[derive(Debug)]
pub(in crate::control) struct Strangers {
    rate: Rate,
}

impl Strangers {
    /// Starts with a full budget.
    pub(in crate::control) fn new(now: Instant) -> Self {
        Self { rate: Rate::new(STRANGER_LINES_PER_SECOND, now) }
    }

    /// Logs which network asks for too much, or counts the line.
    pub(in crate::control) fn refused(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        refused: &StrangersRefused,
    ) {
        self.settle(now);
        if self.rate.admit(now) == LineAdmission::Log {
            let StrangersRefused { network, kind, answers, others } = refused;
            warn!(
                %network,
                kind = kind.name(),
                answers,
                others,
                worker = worker.0,
                "strangers ask for more answers than stranger-reply-bytes lets them have"
            );
        }
    }

    /// Logs how many lines were left out, if a second with such lines is over.
    pub(in crate::control) fn settle(&mut self, now: Instant) {
        if let Some(lines) = self.rate.left_out(now) {
            warn!(lines, "lines about strangers left out");
        }
    }

    /// Says when [`Strangers::settle`] has something to log.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.rate.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::log::output::written;
    use crate::turn::ReplyKind;

    #[test]
    fn a_line_names_the_network_and_a_flood_is_few_lines_and_one_count() {
        let refused = StrangersRefused {
            network: "192.0.2.0/24".parse().unwrap(),
            kind: ReplyKind::Challenge,
            answers: 70_000,
            others: 12,
        };
        let text = written(false, || {
            let now = Instant::now();
            let mut strangers = Strangers::new(now);
            (0..128).for_each(|worker| strangers.refused(now, WorkerIndex(worker), &refused));
            strangers.settle(strangers.due().unwrap());
        });
        assert_eq!(text.lines().count(), STRANGER_LINES_PER_SECOND as usize + 1, "{text}");
        let first = text.lines().next().unwrap();
        for words in ["network=192.0.2.0/24", "challenge", "answers=70000", "others=12", "worker=0"]
        {
            assert!(first.contains(words), "{first}");
        }
        assert!(text.lines().last().unwrap().contains("left out lines=126"), "{text}");
    }
}
