//! The name of an allocation, by which operators speak of it.
//!
//! `<worker>-<serial>`: the worker that owns it, and the how-manieth allocation of that worker it
//! is. A name is never used again while the process lives, and it says nothing that a client could
//! make use of.

use std::{fmt, str::FromStr};

use crate::turn::api::names::identity::WorkerIndex;

/// Names one allocation among all that this process has ever made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId {
    /// Who owns it.
    pub worker: WorkerIndex,
    /// Counts the allocations of that worker, from 1.
    pub serial: u64,
}

/// The text is not `<worker>-<serial>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotASession;

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.worker.0, self.serial)
    }
}

impl FromStr for SessionId {
    type Err = NotASession;

    /// Takes what [`fmt::Display`] writes, and nothing else: one session has one name.
    fn from_str(text: &str) -> Result<SessionId, NotASession> {
        let (worker, serial) = text.split_once('-').ok_or(NotASession)?;
        let worker = WorkerIndex(worker.parse().map_err(|_| NotASession)?);
        let session = SessionId { worker, serial: serial.parse().map_err(|_| NotASession)? };
        if session.to_string() == text { Ok(session) } else { Err(NotASession) }
    }
}

impl fmt::Display for NotASession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not the name of a session: write it as it is listed, such as 0-17")
    }
}

impl std::error::Error for NotASession {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_name_is_read_as_it_was_written(worker: u8, serial: u64) {
            let session = SessionId { worker: WorkerIndex(worker), serial };
            prop_assert_eq!(session.to_string().parse(), Ok(session));
        }
    }

    #[test]
    fn a_session_has_one_name() {
        for text in
            ["", "-", "0", "0-", "-7", "+0-7", "0-+7", "00-7", "0-07", "256-1", "0-7 ", "0--7"]
        {
            assert_eq!(text.parse::<SessionId>(), Err(NotASession), "{text}");
        }
    }
}
