//! From the settled configuration to what the workers are made from.

use std::io;
use std::sync::Arc;

use crate::control::config::{Config, Proof, User, Waiting};
use crate::io::{self as net, Batching, Facts};
use crate::turn::{
    Authenticator, Credentials, DEFAULT_NONCE_LIFETIME_S, Nonces, PeerPolicy, PortPlan, Settings,
};
use crate::worker::{DriverKind, Limits, Plan, SOCKETS_OF_A_LISTENER};

/// What SOFTWARE says, where it is not switched off: a name, never a version.
const SOFTWARE: &str = "uturn";
/// Lifetime of an allocation that asked for none (RFC 8656 §3.2), in seconds.
const DEFAULT_LIFETIME_S: u32 = 600;

/// Sockets beside a worker's own share: ports borrowed from other workers, and closed ones that the
/// kernel has not let go of.
const SPARE_SOCKETS: u32 = 1024;
/// Descriptors that are not sockets of workers: rings, wakers, standard streams, the control thread's.
const BESIDE_SOCKETS: u64 = 512;

/// Makes the plan of a server, with the rules and with sizes for a driver.
pub(in crate::control) fn plan(
    config: &Config,
    settings: &Arc<Settings>,
    driver: DriverKind,
    facts: &Facts,
) -> Plan {
    let ports = config.relay_ports;
    let workers = u8::try_from(config.workers.len()).expect("the schema has 128 workers at most");
    Plan {
        listen: config.listen.clone(),
        relay_addresses: config.relays.clone(),
        ports: PortPlan::new(ports.low, ports.high, workers),
        cores: config.workers.iter().map(|place| place.core).collect(),
        settings: Arc::clone(settings),
        limits: limits(config),
        driver,
        steering: config.steer,
        io: facts.adapt(io_settings(config)),
    }
}

fn io_settings(config: &Config) -> net::Settings {
    let Waiting { batch_us, spin_us, busy_poll_us } = config.waiting;
    let batching = Batching { longest_wait_us: batch_us, ..Batching::default() };
    let sockets = sockets(config);
    net::Settings { sockets, batching, spin_us, busy_poll_us, ..net::Settings::default() }
}

/// How many allocations there may be.
pub(in crate::control) fn limits(config: &Config) -> Limits {
    let quotas = &config.quotas;
    Limits { per_user: quotas.user_allocations, total: Some(quotas.total_allocations) }
}

/// Whose the relay sockets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::control) enum Holder {
    /// Each worker's ring has a table of its own.
    Rings,
    /// All are open files of the process.
    Process,
}

impl Holder {
    /// Who holds them with a driver on a kernel.
    pub(in crate::control) fn of(driver: DriverKind, facts: &Facts) -> Self {
        match driver {
            DriverKind::Uring if facts.direct_sockets => Self::Rings,
            DriverKind::Uring | DriverKind::Portable => Self::Process,
        }
    }
}

/// The limit of open files that the process needs. A ring's table can be no larger than the limit,
/// either, but there is one for each worker.
pub(in crate::control) fn open_files(config: &Config, holder: Holder) -> u64 {
    let (sockets, workers) = (u64::from(sockets(config)), config.workers.len() as u64);
    match holder {
        Holder::Process => sockets * workers + BESIDE_SOCKETS,
        Holder::Rings => sockets.max(listening(config) as u64 * workers + BESIDE_SOCKETS),
    }
}

/// Listening sockets of one worker.
fn listening(config: &Config) -> usize {
    config.listen.len() * SOCKETS_OF_A_LISTENER
}

/// Sockets one worker may have open at once: its slice of the ports on every relay address, and the
/// listening ones.
fn sockets(config: &Config) -> u32 {
    let size = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
    let relays = config.relay_ports.count() * size(config.relays.len());
    relays.div_ceil(size(config.workers.len())) + size(listening(config)) + SPARE_SOCKETS
}

/// What signs the nonces of this run. It outlives a change of the configuration, so that no client
/// has to ask for a nonce again.
///
/// # Errors
/// The kernel gives no random bytes.
pub(in crate::control) fn nonces() -> io::Result<Nonces> {
    let mut nonce_key = [0; 32];
    getrandom::fill(&mut nonce_key)?;
    Ok(Nonces::new(nonce_key, DEFAULT_NONCE_LIFETIME_S))
}

/// Makes the rules of a server.
pub(in crate::control) fn settings(config: &Config, nonces: Nonces) -> Settings {
    let authenticator = Authenticator::new(credentials(config), nonces);
    Settings {
        software: config.software.then(|| SOFTWARE.into()),
        default_lifetime_s: DEFAULT_LIFETIME_S.min(config.max_lifetime_s),
        max_lifetime_s: config.max_lifetime_s,
        permissions_per_allocation: config.quotas.permissions,
        channels_per_allocation: config.quotas.channels,
        limits: config.limits,
        channel_numbers: config.channel_numbers,
        on_reallocate: config.on_reallocate,
        own_sockets: config.own_sockets(),
        ..Settings::new(authenticator, policy(config))
    }
}

/// Makes the rules about peers.
pub(super) fn policy(config: &Config) -> PeerPolicy {
    PeerPolicy::new(&config.allow_peers, &config.deny_peers, &config.own())
}

fn credentials(config: &Config) -> Credentials {
    let mut credentials = Credentials::new(&config.realm);
    for User { name, proof } in config.users() {
        credentials = match proof {
            Proof::Password(password) => credentials.with_user(name, password.reveal()),
            Proof::Key(key) => credentials.with_key(name, key.reveal()),
        };
    }
    for secret in &config.secrets {
        let with = credentials.with_secret(secret.reveal().as_bytes());
        credentials = with.expect("there are MAX_SECRETS at most since the configuration settled");
    }
    credentials
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{
        BESIDE_SOCKETS, Holder, SOCKETS_OF_A_LISTENER, SPARE_SOCKETS, nonces, open_files, settings,
    };
    use crate::control::config::{Config, Machine, Options};
    use crate::turn::Judgement;

    #[test]
    fn rings_divide_what_a_process_has_to_hold_as_a_whole() {
        let machine = Machine { cores: vec![0, 1, 2, 3], ..Machine::with(&["8.8.8.8"]) };
        let config = Config::load(Options::default(), None, &machine).unwrap();
        let listening = SOCKETS_OF_A_LISTENER as u64;
        let (beside, one) = (BESIDE_SOCKETS, 16_384 / 4 + listening + u64::from(SPARE_SOCKETS));
        assert_eq!(open_files(&config, Holder::Process), 4 * one + beside);
        assert_eq!(open_files(&config, Holder::Rings), one);
    }

    #[test]
    fn no_client_reaches_the_machine_under_any_of_its_names() {
        let machine = Machine::with(&["8.8.4.4", "10.0.0.5"]);
        let written = "--external-ip=8.8.8.8/10.0.0.5 --metrics=10.0.0.5:9641 --listen=9.9.9.9";
        let config = config(written, &machine);
        let settings = settings(&config, nonces().unwrap());
        for own in ["8.8.8.8", "8.8.4.4", "9.9.9.9", "10.0.0.5", "64:ff9b::8.8.8.8"] {
            let judgement = settings.policy.judge(own.parse().unwrap());
            assert_eq!(judgement, Judgement::DeniedByDefault, "{own}");
        }
        let other = settings.policy.judge("8.8.8.9".parse().unwrap());
        assert_eq!(other, Judgement::Allowed);
    }

    // Two servers that answer each other would do so for ever.
    #[test]
    fn no_packet_from_an_own_socket_is_a_clients_under_either_name() {
        let machine = Machine::with(&["10.0.0.5"]);
        let config = config("--external-ip=8.8.8.8 --metrics=10.0.0.5:9641", &machine);
        let own = settings(&config, nonces().unwrap()).own_sockets;
        for (socket, is_own) in [
            ("10.0.0.5:3478", true),
            ("8.8.8.8:3478", true),
            ("10.0.0.5:9641", true),
            ("10.0.0.5:9642", false),
        ] {
            assert_eq!(own.contains(&socket.parse().unwrap()), is_own, "{socket}");
        }
    }

    fn config(words: &str, machine: &Machine) -> Config {
        let words = std::iter::once("uturn").chain(words.split(' '));
        let options = Line::try_parse_from(words).unwrap().options;
        Config::load(options, None, machine).unwrap()
    }

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        options: Options,
    }
}
