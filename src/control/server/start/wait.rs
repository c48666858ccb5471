//! Before there is anything to serve: a machine whose addresses are still to come.
//!
//! An interface without a lease, a bridge without a port, a tunnel that is not up: the
//! configuration is right and the machine is late. A server that gave up here would need somebody
//! to start it again.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;
use tracing::debug;

use crate::control::config::{Config, ConfigError, Machine, Origin, Remedy};
use crate::control::escape;
use crate::control::server::service::Service;

/// How often it is looked whether the machine has changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is said what is waited for, and everything read again although nothing has changed.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// Reads and settles everything, as soon as the machine has the addresses for it. Says once a
/// minute what is waited for. SIGHUP has everything read again at once; from here on it ends no
/// process.
///
/// # Errors
/// What time does not mend.
pub(in crate::control) fn settled(origin: &Origin) -> Result<Config, ConfigError> {
    let service = Service::of_this_process();
    let mut pause = Pause::new();
    loop {
        // Looked at first, so that what comes while the configuration is read counts as a change.
        let before = Machine::this().addresses;
        match origin.load() {
            Err(error) if error.remedy == Remedy::Time => {
                eprintln!("uturn: {}; waiting for it", escape::text(&error.to_string()));
                pause.until_others_than(&before, &service, &error);
            }
            outcome => return outcome,
        }
    }
}

/// What a start sleeps with: it is woken by SIGHUP.
struct Pause {
    /// `None` where the system gives no runtime or takes no handler; SIGHUP ends the process then.
    reloads: Option<(Runtime, Signal)>,
}

impl Pause {
    fn new() -> Self {
        let reloads = || -> io::Result<_> {
            let runtime = Builder::new_current_thread().enable_all().build()?;
            let reloads = runtime.block_on(async { signal(SignalKind::hangup()) })?;
            Ok((runtime, reloads))
        };
        let reloads = reloads().map_err(|error| debug!(%error, "SIGHUP is not listened to yet"));
        Self { reloads: reloads.ok() }
    }

    /// Returns when the machine's addresses are others than before, at SIGHUP, or after a while.
    fn until_others_than(&mut self, before: &[IpAddr], service: &Service, error: &ConfigError) {
        let begun = Instant::now();
        while begun.elapsed() < SAY_EVERY {
            service.waiting(&error.problem);
            if self.is_woken() || Machine::this().addresses != before {
                return;
            }
        }
    }

    /// Sleeps until the machine is looked at again; true if SIGHUP came.
    fn is_woken(&mut self) -> bool {
        let Some((runtime, reloads)) = &mut self.reloads else {
            std::thread::sleep(LOOK_EVERY);
            return false;
        };
        runtime.block_on(async { timeout(LOOK_EVERY, reloads.recv()).await.is_ok() })
    }
}
