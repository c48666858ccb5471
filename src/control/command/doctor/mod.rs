//! What keeps this machine from being a good relay node: what `uturn doctor` says.
//!
//! ```text
//! /proc, /sys, ethtool, the probe ── facts: the machine ─┐
//!                                                        ├─ checks: pure ── findings ── report
//! configuration ── need: what the server would want ─────┘
//! ```
//!
//! Law: a check looks at nothing but the [`MachineFacts`] and the [`Need`], so that each can be
//! tried on a machine that is made up; and what a finding tells to do silences it.

mod checks;
mod facts;
mod finding;
mod need;
mod report;
#[cfg(test)]
mod tests;

use std::io::stdout;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clap::Args;

use crate::control::config::{Config, ConfigError, IoChoice, Origin, environment};
use crate::control::server::start::plan::{Holder, open_files};
use crate::control::terminal::has_colours;
use crate::control::tls::load::{facts as facts_of, load};
use crate::io::Facts;
use crate::worker::DriverKind;
use checks::CHECKS;
use facts::machine::MachineFacts;
use finding::{Finding, Severity};
use need::Need;

/// Arguments of `uturn doctor`.
#[derive(Args, Clone, Debug)]
pub(super) struct DoctorArgs {
    /// TOML file with options: what the server would be started with
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Prints one JSON object in place of text
    #[arg(long)]
    json: bool,
}

/// What was found.
pub(super) struct Diagnosis {
    /// For standard output.
    pub(super) text: String,
    /// Whether there is something that costs packets, speed or the start.
    pub(super) has_weight: bool,
}

/// Looks at the machine as a server with this configuration would find it.
///
/// # Errors
/// The configuration cannot be settled.
pub(super) fn diagnose(args: &DoctorArgs) -> Result<Diagnosis, ConfigError> {
    let config = Origin { flags: environment::options()?, file: args.config.clone() }.load()?;
    let facts = Facts::probe();
    let need = Need::of(&config, &facts, args.config.as_deref());
    let machine = MachineFacts::read(Path::new("/"), facts, &need.files);
    let findings = findings(&machine, &need);
    let text = if args.json {
        report::json(&findings)
    } else {
        report::text(&findings, has_colours(&stdout()))
    };
    let has_weight = findings.iter().any(|finding| finding.severity != Severity::Hint);
    Ok(Diagnosis { text, has_weight })
}

/// Asks every check; the gravest findings first.
fn findings(machine: &MachineFacts, need: &Need) -> Vec<Finding> {
    let mut findings: Vec<Finding> =
        CHECKS.iter().flat_map(|check| (check.ask)(machine, need)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}

impl Need {
    fn of(config: &Config, facts: &Facts, file: Option<&Path>) -> Self {
        let driver = match (config.values.io, facts.uring) {
            (IoChoice::Portable, _) | (IoChoice::Auto, Err(_)) => DriverKind::Portable,
            (IoChoice::Uring, _) | (IoChoice::Auto, Ok(())) => DriverKind::Uring,
        };
        let files = config.tls_files();
        let plain = if config.values.tcp.0 { &config.listen[..] } else { &[] };
        Self {
            io: config.values.io,
            listen: config.listen.clone(),
            listen_tcp: plain.iter().chain(&config.listen_tls).copied().collect(),
            relays: config.relays.clone(),
            ports: (config.values.relay_ports.low, config.values.relay_ports.high),
            cores: config.workers.iter().map(|place| place.core).collect(),
            descriptors: open_files(config, Holder::of(driver, facts)),
            allocations: config.values.total_quota,
            exposed: config.exposed.clone(),
            files: read_by_the_server(config, file),
            has_secret: !config.values.secret.is_empty(),
            certificates: facts_of(&files).unwrap_or_default(),
            unfit_certificate: load(&files, SystemTime::now())
                .err()
                .filter(|unfit| !unfit.is_old())
                .map(|unfit| unfit.to_string()),
            now: SystemTime::now(),
        }
    }
}

/// The files that a server with this configuration opens, the configuration itself among them.
fn read_by_the_server(config: &Config, file: Option<&Path>) -> Vec<PathBuf> {
    let users = config.users_file.as_ref().map(|users| users.path.clone());
    let pairs = config.tls_files();
    let pairs = pairs.iter().flat_map(|pair| [pair.certificate.clone(), pair.key.clone()]);
    let mut files: Vec<PathBuf> =
        file.map(Path::to_owned).into_iter().chain(users).chain(pairs).collect();
    files.dedup();
    files
}
