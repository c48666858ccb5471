//! Before there is anything to serve: a machine whose addresses are still to come.
//!
//! An interface without a lease, a bridge without a port, a tunnel that is not up: the configuration
//! is right and the machine is late. Whoever gave up here would need somebody to start him again.

use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::service::Service;
use crate::control::config::{Config, ConfigError, Machine, Origin, Remedy};
use crate::control::escape;

/// How often it is looked whether the machine has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is said what is waited for, and everything read again although nothing has changed.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Reads and settles everything, as soon as the machine has the addresses for it. Says once a minute
/// what is waited for.
///
/// # Errors
/// What time does not mend.
pub(in crate::control) fn settled(origin: &Origin) -> Result<Config, ConfigError> {
    let service = Service::of_this_process();
    loop {
        // Looked at first, so that what comes while the configuration is read counts as a change.
        let before = Machine::this().addresses;
        match origin.load() {
            Err(error) if error.remedy == Remedy::Time => {
                eprintln!("uturn: {}; waiting for it", escape::text(&error.to_string()));
                until_others_than(&before, &service, &error);
            }
            outcome => return outcome,
        }
    }
}

/// Returns when the machine's addresses are others than before, or after a while.
fn until_others_than(before: &[IpAddr], service: &Service, error: &ConfigError) {
    let begun = Instant::now();
    while begun.elapsed() < SAY_EVERY {
        service.waiting(&error.problem);
        thread::sleep(LOOK_EVERY);
        if Machine::this().addresses != before {
            return;
        }
    }
}
