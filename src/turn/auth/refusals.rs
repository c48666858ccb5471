//! Which refusals the log hears of: those of people who claim to be users, a few each second or,
//! where the operator looks for one, all of them.
//!
//! A request without credentials is the first of every client, and a nonce that has expired is
//! renewed once an hour; neither is news. All refusals are counted, told or not.

use std::sync::Arc;

use crate::turn::{
    api::{
        names::path::Path,
        now::Now,
        report::{Report, RequestRefused},
    },
    auth::authenticator::Refusal,
    method::request::answer::Answer,
    server::Server,
};
use crate::wire::{Message, Method};

impl Server {
    /// Lets one be told, with the number of those that were left out before it.
    fn admit_refusal(&mut self, now: Now) -> Option<u64> {
        if self.settings.tells_every_refusal { Some(0) } else { self.refusals.admit(now.mono_ms) }
    }

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
        let Some(left_out) = self.admit_refusal(now) else { return };
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
        let Some(left_out) = self.admit_refusal(now) else { return };
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
