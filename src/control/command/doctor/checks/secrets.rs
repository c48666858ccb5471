//! Who else may read or change what lets people in.

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::config::Exposure;

/// Whether the configuration and the file of users are closed to others.
pub(super) fn file_modes(_: &MachineFacts, need: &Need) -> Vec<Finding> {
    let finding = |exposure: &Exposure| Finding {
        check: "file-modes",
        severity: Severity::Warning,
        what: exposure.what(),
        why: "whoever reads a password is let in, and whoever changes the file lets in whom he likes",
        change: "nobody but the owner, and the server's own group, may read or change it"
            .to_owned(),
        with: exposure.remedy(),
    };
    need.exposed.iter().map(finding).collect()
}
