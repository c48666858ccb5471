//! Log lines of connections that are refused or closed for a fault: who, and why. A worker tells a
//! few each second, and once a minute whom it refuses most; and there may be many workers.

use std::time::Instant;

use tracing::{info, warn};

use crate::control::log::rate::{LineAdmission, Rate};
use crate::turn::WorkerIndex;
use crate::worker::{SourceRefused, StreamRefused};

/// Lines about connections that are logged each second; the rest is one more line.
const STREAM_LINES_PER_SECOND: u32 = 10;

/// Logs connections that are refused or closed for a fault.
#[derive(Debug)]
pub(in crate::control) struct StreamLog {
    rate: Rate,
}

impl StreamLog {
    /// Starts with a full budget.
    pub(in crate::control) fn new(now: Instant) -> Self {
        Self { rate: Rate::new(STREAM_LINES_PER_SECOND, now) }
    }

    /// Logs whose connection is no more, or counts the line.
    pub(in crate::control) fn refused(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        refused: &StreamRefused,
    ) {
        self.settle(now);
        if self.rate.admit(now) == LineAdmission::Log {
            let StreamRefused { client, transport, reason, left_out } = refused;
            info!(
                %client,
                transport = transport.name(),
                reason = reason.name(),
                left_out,
                worker = worker.0,
                "connection refused or closed"
            );
        }
    }

    /// Logs who opens more connections than he may; at most once a minute from each worker.
    pub(in crate::control) fn source_refused(worker: WorkerIndex, refused: &SourceRefused) {
        let SourceRefused { network, at_least, refused } = refused;
        warn!(
            %network,
            at_least,
            refused,
            worker = worker.0,
            "a source opens more connections than it may have, or faster"
        );
    }

    /// Logs how many lines were left out, if a second with such lines is over.
    pub(in crate::control) fn settle(&mut self, now: Instant) {
        if let Some(lines) = self.rate.left_out(now) {
            info!(lines, "lines about refused connections left out");
        }
    }

    /// Says when [`StreamLog::settle`] has something to log.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.rate.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::log::output::written;
    use crate::stream::HangUp;
    use crate::turn::Transport;

    #[test]
    fn a_line_says_who_and_why_and_many_are_few_lines_and_one_count() {
        let refused = StreamRefused {
            client: "192.0.2.7:5000".parse().unwrap(),
            transport: Transport::Tls,
            reason: HangUp::BadHello,
            left_out: 7,
        };
        let text = written(false, || {
            let now = Instant::now();
            let mut log = StreamLog::new(now);
            (0..128).for_each(|worker| log.refused(now, WorkerIndex(worker), &refused));
            log.settle(log.due().unwrap());
        });
        assert_eq!(text.lines().count(), STREAM_LINES_PER_SECOND as usize + 1, "{text}");
        let first = text.lines().next().unwrap();
        for words in ["client=192.0.2.7:5000", "tls", "bad_hello", "left_out=7", "worker=0"] {
            assert!(first.contains(words), "{first}");
        }
        assert!(text.lines().last().unwrap().contains("left out lines=118"), "{text}");
    }

    #[test]
    fn a_line_names_the_source_that_is_refused_most() {
        let network = "192.0.2.7/32".parse().unwrap();
        let refused = SourceRefused { network, at_least: 900, refused: 1_000 };
        let text = written(false, || StreamLog::source_refused(WorkerIndex(3), &refused));
        for words in ["network=192.0.2.7/32", "at_least=900", "refused=1000", "worker=3"] {
            assert!(text.contains(words), "{text}");
        }
    }
}
