//! Which refusals the log hears of: those of people who claim to be users, a few each second.
//!
//! A request without credentials is the first of every client, and a nonce that has expired is
//! renewed once an hour; neither is news. All refusals are counted, told or not.

use std::sync::Arc;

use crate::turn::{Now, Path, Refusal, Report, RequestRefused, Server, method::answer::Answer};
use crate::wire::{Message, Method};

/// Refusals that one worker tells each second.
const TOLD_PER_SECOND: u32 = 10;

/// What was told this second, and what was left out since the last report.
#[derive(Debug, Default)]
pub(in crate::turn) struct RefusalReports {
    second: u64,
    told: u32,
    left_out: u64,
}

impl RefusalReports {
    /// Lets one report pass, with the number of those that were left out before it.
    fn admit(&mut self, now: Now) -> Option<u64> {
        let second = now.mono_ms / 1000;
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

impl Server {
    /// Tells that credentials were refused.
    pub(in crate::turn) fn tell_refusal(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        refusal: Refusal,
    ) {
        match refusal {
            Refusal::NoCredentials | Refusal::StaleNonce => return,
            Refusal::Incomplete | Refusal::ForeignNonce | Refusal::WrongCredentials => {}
        }
        let Some(left_out) = self.refusals.admit(now) else { return };
        let user = String::from_utf8_lossy(message.username().unwrap_or_default());
        self.reports.push_back(Report::RequestRefused(RequestRefused {
            path,
            user: user.into(),
            method: message.method(),
            code: refusal.code(),
            reason: refusal.name(),
            left_out,
        }));
    }

    /// Tells that a user did not get what was asked for, if the answer is an error.
    pub(in crate::turn) fn tell_error(
        &mut self,
        now: Now,
        path: Path,
        user: &str,
        method: Method,
        answer: &Answer,
    ) {
        let Some(code) = answer.error_code() else { return };
        let Some(left_out) = self.refusals.admit(now) else { return };
        self.reports.push_back(Report::RequestRefused(RequestRefused {
            path,
            user: Arc::from(user),
            method,
            code,
            reason: code.reason(),
            left_out,
        }));
    }
}
