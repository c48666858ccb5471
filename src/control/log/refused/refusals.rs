//! Log lines of users whose requests are refused: who, from where, what and why. A worker tells a
//! few each second, and there may be many workers. At the level debug workers tell all, and all are
//! lines.

use std::time::Instant;

use tracing::{Level, debug, enabled, info};

use crate::control::log::rate::{LineAdmission, Rate};
use crate::turn::{RequestRefused, WorkerIndex};

/// Refusals that are logged each second; the rest is one more line.
const REFUSAL_LINES_PER_SECOND: u32 = 10;

/// Logs requests that are refused.
#[derive(Debug)]
pub(in crate::control) struct Refusals {
    rate: Rate,
}

impl Refusals {
    /// Starts with a full budget.
    pub(in crate::control) fn new(now: Instant) -> Self {
        Self { rate: Rate::new(REFUSAL_LINES_PER_SECOND, now) }
    }

    /// Logs what was refused, or counts the line.
    pub(in crate::control) fn refused(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        refused: &RequestRefused,
    ) {
        self.settle(now);
        let RequestRefused { path, user, method, code, reason, left_out } = refused;
        macro_rules! tell {
            ($level:ident) => {
                $level!(
                    user = &**user,
                    client = %path.client(),
                    method = ?method,
                    code = code.number(),
                    reason,
                    left_out,
                    worker = worker.0,
                    "request refused"
                )
            };
        }
        match self.rate.admit(now) {
            LineAdmission::Log => tell!(info),
            LineAdmission::Count => tell!(debug),
        }
    }

    /// Logs how many lines were left out, if a second with such lines is over.
    pub(in crate::control) fn settle(&mut self, now: Instant) {
        if let Some(lines) = self.rate.left_out(now).filter(|_| !enabled!(Level::DEBUG)) {
            info!(lines, "lines about refused requests left out");
        }
    }

    /// Says when [`Refusals::settle`] has something to log.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.rate.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::log::output::written;
    use crate::turn::{FiveTuple, ListenerId, Path};
    use crate::wire::{ErrorCode, Method};

    #[test]
    fn a_line_says_who_from_where_what_and_why_and_many_are_few_lines_and_one_count() {
        let client = "192.0.2.7:5000".parse().unwrap();
        let refused = RequestRefused {
            path: Path::udp(FiveTuple { listener: ListenerId(0), client }),
            user: "al\nice".into(),
            method: Method::Allocate,
            code: ErrorCode::Unauthenticated,
            reason: "wrong_credentials",
            left_out: 7,
        };
        let text = written(false, || {
            let now = Instant::now();
            let mut refusals = Refusals::new(now);
            (0..128).for_each(|worker| refusals.refused(now, WorkerIndex(worker), &refused));
            refusals.settle(refusals.due().unwrap());
        });
        assert_eq!(text.lines().count(), REFUSAL_LINES_PER_SECOND as usize + 1, "{text}");
        let first = text.lines().next().unwrap();
        for words in [
            "user=\"al\\nice\"",
            "client=192.0.2.7:5000",
            "method=Allocate",
            "code=401",
            "wrong_credentials",
            "left_out=7",
            "worker=0",
        ] {
            assert!(first.contains(words), "{first}");
        }
        assert!(text.lines().last().unwrap().contains("left out lines=118"), "{text}");
    }
}
