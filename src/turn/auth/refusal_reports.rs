//! How many refusals the log hears of in a second: of requests here, of connections in the worker.

/// Refusals that one worker tells each second.
const TOLD_PER_SECOND: u32 = 10;

/// What was told this second, and what was left out since the last report.
#[derive(Debug, Default)]
pub(crate) struct RefusalReports {
    second: u64,
    told: u32,
    left_out: u64,
}

impl RefusalReports {
    /// Lets one report pass, with the number of those that were left out before it.
    pub(crate) fn admit(&mut self, now_ms: u64) -> Option<u64> {
        let second = now_ms / 1000;
        if self.second != second {
            (self.second, self.told) = (second, 0);
        }
        if self.told == TOLD_PER_SECOND {
            self.left_out += 1;
            return None;
        }
        self.told += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}
