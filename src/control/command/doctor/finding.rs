//! One thing that could be better, and how.

use serde::Serialize;

/// How grave a finding is; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// The server does not start, or clients cannot use it.
    Error,
    /// It costs packets, speed or allocations.
    Warning,
    /// Worth knowing; nothing is lost.
    Hint,
}

/// What was found, for a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    /// Name of the check.
    pub(super) check: &'static str,
    /// How grave it is.
    pub(super) severity: Severity,
    /// What is so.
    pub(super) what: String,
    /// Why it matters.
    pub(super) why: &'static str,
    /// What to change.
    pub(super) change: String,
    /// The file of `tuning/`, or the command, that changes it.
    pub(super) with: String,
}
