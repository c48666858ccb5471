//! From the settled configuration to what the workers are made from.

use std::io;
use std::sync::Arc;

use super::config::Config;
use crate::turn::{
    Authenticator, Counts, Credentials, DEFAULT_NONCE_LIFETIME_S, Nonces, PeerPolicy, PortPlan,
    Settings,
};
use crate::worker::{DriverKind, Plan};

/// What SOFTWARE says, where it is not switched off: a name, never a version.
const SOFTWARE: &str = "uturn";
/// Lifetime of an allocation that asked for none (RFC 8656 §3.2), in seconds.
const DEFAULT_LIFETIME_S: u32 = 600;

/// Makes the plan of a server that is moved by one driver or the other.
pub(super) fn plan(config: &Config, settings: &Arc<Settings>, driver: DriverKind) -> Plan {
    let ports = config.relay_ports;
    let workers = u8::try_from(config.workers.len()).expect("the schema has 128 workers at most");
    let total = config.quotas.total_allocations;
    Plan {
        listen: config.listen.clone(),
        relay_addresses: config.relays.clone(),
        ports: PortPlan::new(ports.low, ports.high, workers),
        cores: config.workers.iter().map(|place| place.core).collect(),
        settings: Arc::clone(settings),
        counts: Counts::new(config.quotas.user_allocations, Some(total)),
        driver,
        io: crate::io::Settings::default(),
    }
}

/// Makes the rules of a server, with a key of its own for nonces.
///
/// # Errors
/// The kernel gives no random bytes.
pub(super) fn settings(config: &Config) -> io::Result<Settings> {
    let mut nonce_key = [0; 32];
    getrandom::fill(&mut nonce_key)?;
    let nonces = Nonces::new(nonce_key, DEFAULT_NONCE_LIFETIME_S);
    let authenticator = Authenticator::new(credentials(config), nonces);
    let policy = PeerPolicy::new(&config.allow_peers, &config.deny_peers, &config.listen);
    Ok(Settings {
        software: config.software.then(|| SOFTWARE.into()),
        default_lifetime_s: DEFAULT_LIFETIME_S.min(config.max_lifetime_s),
        max_lifetime_s: config.max_lifetime_s,
        permissions_per_allocation: config.quotas.permissions,
        channels_per_allocation: config.quotas.channels,
        on_reallocate: config.on_reallocate,
        own_addresses: config.listen.clone(),
        ..Settings::new(authenticator, policy)
    })
}

fn credentials(config: &Config) -> Credentials {
    let mut credentials = Credentials::new(&config.realm);
    for user in &config.users {
        credentials = credentials.with_user(&user.name, user.password.reveal());
    }
    for secret in &config.secrets {
        let with = credentials.with_secret(secret.reveal().as_bytes());
        credentials = with.expect("there are MAX_SECRETS at most since the configuration settled");
    }
    credentials
}
