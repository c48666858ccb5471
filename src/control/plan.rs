//! From the settled configuration to what the workers are made from.

use std::sync::Arc;

use super::config::Config;
use crate::io;
use crate::turn::{Counts, PortPlan, Settings};
use crate::worker::{DriverKind, Plan};

/// Lifetime of an allocation that asked for none (RFC 8656 §3.2), in seconds.
const DEFAULT_LIFETIME_S: u32 = 600;
/// What SOFTWARE says, where it is not switched off: a name, never a version.
const SOFTWARE: &str = "uturn";

/// Makes the plan of a server that is moved by one driver or the other.
pub(super) fn plan(config: &Config, driver: DriverKind) -> Plan {
    let ports = config.relay_ports;
    let workers = u8::try_from(config.workers.len()).expect("the schema has 128 workers at most");
    let total = config.quotas.total_allocations;
    Plan {
        listen: config.listen.clone(),
        relay_addresses: config.relays.clone(),
        ports: PortPlan::new(ports.low, ports.high, workers),
        cores: config.workers.iter().map(|place| place.core).collect(),
        settings: Arc::new(settings(config)),
        counts: Counts::new(config.quotas.user_allocations, Some(total)),
        driver,
        io: io::Settings::default(),
    }
}

fn settings(config: &Config) -> Settings {
    Settings {
        software: config.software.then(|| SOFTWARE.into()),
        default_lifetime_s: DEFAULT_LIFETIME_S.min(config.max_lifetime_s),
        max_lifetime_s: config.max_lifetime_s,
        permissions_per_allocation: config.quotas.permissions,
        channels_per_allocation: config.quotas.channels,
        on_reallocate: config.on_reallocate,
        own_addresses: config.listen.clone(),
    }
}
