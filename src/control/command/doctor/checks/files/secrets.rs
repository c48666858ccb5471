//! Who else may read or change what lets people in, and whether the server may.

use std::path::PathBuf;

use crate::control::command::doctor::facts::machine::MachineFacts;
use crate::control::command::doctor::finding::{Finding, Severity};
use crate::control::command::doctor::need::Need;
use crate::control::config::Exposure;

/// Whether the configuration and the file of users are closed to others.
pub(in crate::control::command::doctor) fn file_modes(
    _: &MachineFacts,
    need: &Need,
) -> Vec<Finding> {
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

/// Whether the user of the service may read what the server needs; root, who looks, may.
pub(in crate::control::command::doctor) fn closed_to_the_service(
    machine: &MachineFacts,
    _: &Need,
) -> Vec<Finding> {
    let Some(service) = &machine.service else { return Vec::new() };
    let finding = |path: &PathBuf| Finding {
        check: "service-user",
        severity: Severity::Error,
        what: format!("the service's user {} may not read {}", service.name, path.display()),
        why: "the server does not start without it",
        change: "a group of the service on the file, and on the folders above it".to_owned(),
        with: format!("chgrp {} {path} && chmod 0640 {path}", service.name, path = path.display()),
    };
    service.unreadable.iter().map(finding).collect()
}
