//! From the settled configuration to what the workers are made from.

use std::io;
use std::sync::Arc;

use tracing::level_filters::LevelFilter;
use zeroize::Zeroizing;

use super::streams::stream_rules;
use crate::control::config::{Config, ControlPath, Proof, User, Values};
use crate::control::server::connections::PLACES;
use crate::control::tls::load::Certificates;
use crate::io::{self as net, Facts};
use crate::turn::{
    Authenticator, Credentials, DEFAULT_NONCE_LIFETIME_S, Nonces, PeerPolicy, PortPlan, RateLimits,
    Settings,
};
use crate::worker::{DriverKind, Limits, ListenKind, Plan, SOCKETS_OF_A_LISTENER, StreamRules};

/// What SOFTWARE says, where it is not switched off: a name, never a version.
const SOFTWARE: &str = "uturn";
/// Lifetime of an allocation that asked for none (RFC 8656 §3.2), in seconds.
const DEFAULT_LIFETIME_S: u32 = 600;

/// Descriptors of one worker that are not sockets: its ring or its epoll instance, and its waker.
const BESIDE_SOCKETS: u64 = 4;
/// Descriptors of the control thread: standard streams, its runtime's, signals, listeners, the
/// usage records, and the files that it reads while it looks at the machine or reads the
/// configuration again.
const CONTROL_DESCRIPTORS: u64 = 64;
/// The most reserved ports (EVEN-PORT) of one worker at a time; each may be a descriptor of the
/// process.
const MOST_RESERVED: u32 = 1024;
/// Of too few descriptors of a worker, reserved ports get one in so many.
const RESERVED_PART: u32 = 4;
/// And connections get as many.
const STREAMS_PART: u32 = 4;

/// The rules that workers begin with.
pub(in crate::control) struct StartRules {
    /// For requests and packets.
    pub(in crate::control) settings: Arc<Settings>,
    /// For connections.
    pub(in crate::control) streams: Arc<StreamRules>,
}

impl StartRules {
    /// Makes those of a configuration.
    pub(in crate::control) fn of(
        config: &Config,
        nonces: &Nonces,
        certificates: &Certificates,
    ) -> Self {
        let settings = Arc::new(settings(config, nonces.clone()));
        Self { settings, streams: stream_rules(config, certificates) }
    }
}

/// Makes the plan of a server, with the rules and with sizes for a driver, in a process that may
/// have so many open files.
pub(in crate::control) fn plan(
    config: &Config,
    rules: &StartRules,
    driver: DriverKind,
    facts: &Facts,
    file_limit: u64,
) -> Plan {
    let ports = config.values.relay_ports;
    let share = Share::of(config, Holder::of(driver, facts), file_limit);
    let workers = u8::try_from(config.workers.len()).expect("the schema has 128 workers at most");
    Plan {
        listen: config.listeners(),
        relay_addresses: config.relays.clone(),
        ports: PortPlan::new(ports.low, ports.high, workers),
        cores: config.workers.iter().map(|place| place.core).collect(),
        settings: Arc::clone(&rules.settings),
        limits: limits(config),
        driver,
        steering: config.values.steer,
        io: facts.adapt(io_settings(config, share)),
        reserved_sockets: share.reserved,
        stream_rules: Arc::clone(&rules.streams),
    }
}

fn io_settings(config: &Config, share: Share) -> net::Settings {
    let Share { sockets, streams, .. } = share;
    let Values { batch_wait_us: hold_us, spin_us, busy_poll_us, .. } = config.values;
    net::Settings { sockets, streams, hold_us, spin_us, busy_poll_us, ..net::Settings::default() }
}

/// How many allocations there may be.
pub(in crate::control) fn limits(config: &Config) -> Limits {
    let Values { user_quota, total_quota, .. } = config.values;
    Limits { per_user: (user_quota > 0).then_some(user_quota), total: Some(total_quota) }
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
    let workers = config.workers.len() as u64;
    let (relays, reserved) = (u64::from(relay_ports(config)), u64::from(reserved(config)));
    let listening = listening(config) as u64;
    let always = (listening + u64::from(config.values.streams)) * workers + kept(config);
    match holder {
        Holder::Process => relays + always,
        Holder::Rings => (relays + listening).max(relays.min(reserved * workers) + always),
    }
}

/// What one worker may open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Share {
    /// Sockets of its driver.
    sockets: u32,
    /// Reserved ports, whose descriptors the process holds with either driver.
    reserved: u32,
    /// Connections, whose descriptors the process holds likewise.
    streams: u32,
}

impl Share {
    /// Divides the descriptors that a process may have, where they are too few for every relay
    /// port: otherwise any worker may come to have all ports. What the control thread needs is not
    /// for clients, however many come: a server whose relay sockets have used up their share
    /// answers 508, and its health checks are answered.
    fn of(config: &Config, holder: Holder, file_limit: u64) -> Self {
        if file_limit >= open_files(config, holder) {
            let (sockets, reserved) = (sockets(config), reserved(config));
            return Self { sockets, reserved, streams: config.values.streams };
        }
        let for_workers = file_limit - kept(config).min(file_limit / 2);
        let each = for_workers / config.workers.len() as u64;
        let each = u32::try_from(each).unwrap_or(u32::MAX);
        let (sockets, reserved) = (sockets(config), reserved(config));
        let streams = config.values.streams.min(each / STREAMS_PART);
        match holder {
            Holder::Process => {
                let reserved = reserved.min(each / RESERVED_PART);
                Self { sockets: sockets.min(each - reserved - streams), reserved, streams }
            }
            Holder::Rings => {
                let taken = size(listening(config)).saturating_add(streams);
                Self { sockets, reserved: reserved.min(each.saturating_sub(taken)), streams }
            }
        }
    }
}

/// Descriptors that are no client's: the control thread's, and those that every worker begins with,
/// the listeners for connections among them.
fn kept(config: &Config) -> u64 {
    let acceptors = config.listeners_for(|kind| kind != ListenKind::Datagrams) as u64;
    let listeners =
        config.metrics.len() + usize::from(config.values.control != Some(ControlPath::Off));
    let connections = listeners * (PLACES + 1);
    let of_a_worker = BESIDE_SOCKETS + acceptors;
    CONTROL_DESCRIPTORS + connections as u64 + config.workers.len() as u64 * of_a_worker
}

/// Listening sockets of one worker for datagrams.
fn listening(config: &Config) -> usize {
    config.listeners_for(|kind| kind == ListenKind::Datagrams) * SOCKETS_OF_A_LISTENER
}

/// Sockets one worker may have open at once: all clients may come to it, so that it has every relay
/// port of every address, and the listening ones. The port of a closed socket is taken until the
/// kernel has let go of it, so that there is never a socket more.
fn sockets(config: &Config) -> u32 {
    relay_ports(config).saturating_add(size(listening(config)))
}

/// Reserved ports that one worker may have at once.
fn reserved(config: &Config) -> u32 {
    MOST_RESERVED.min(relay_ports(config))
}

/// Relay ports of all addresses, those that are still to come among them.
fn relay_ports(config: &Config) -> u32 {
    config.values.relay_ports.count().saturating_mul(size(config.most_relays()))
}

fn size(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// What signs the nonces of this run. It outlives a change of the configuration, so that no client
/// has to ask for a nonce again.
///
/// # Errors
/// The kernel gives no random bytes.
pub(in crate::control) fn nonces() -> io::Result<Nonces> {
    let mut nonce_key = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *nonce_key)?;
    Ok(Nonces::new(*nonce_key, DEFAULT_NONCE_LIFETIME_S))
}

/// Makes the rules of a server.
pub(in crate::control) fn settings(config: &Config, nonces: Nonces) -> Settings {
    let credentials = |realm: &String| credentials(config, realm);
    let former = config.former_realms.iter().map(credentials).collect();
    let authenticator =
        Authenticator::new(credentials(&config.values.realm.0), nonces).with_former(former);
    Settings {
        software: config.values.software.0.then(|| SOFTWARE.into()),
        default_lifetime_s: DEFAULT_LIFETIME_S.min(config.values.max_lifetime),
        max_lifetime_s: config.values.max_lifetime,
        permissions_per_allocation: small(config.values.permission_quota),
        channels_per_allocation: small(config.values.channel_quota),
        limits: RateLimits {
            bytes_per_s: config.values.max_bps,
            packets_per_s: config.values.max_pps,
        },
        stranger_bytes_per_s: stranger_bytes_per_s(config),
        tells_every_refusal: config.values.log >= LevelFilter::DEBUG,
        channel_numbers: config.values.channel_numbers,
        on_reallocate: config.values.on_reallocate,
        own_sockets: config.own_sockets(),
        own_services: config.own_services(),
        tcp_relay: config.values.tcp_relay.0,
        ..Settings::new(authenticator, policy(config))
    }
}

/// A number whose upper bound fits 16 bits.
fn small(number: u32) -> u16 {
    u16::try_from(number).expect("the bounds of the schema are below 65536")
}

/// A worker's part of what the strangers of one network are answered with: clients are spread over
/// the workers, and so are strangers.
fn stranger_bytes_per_s(config: &Config) -> u32 {
    let workers = u32::try_from(config.workers.len()).unwrap_or(u32::MAX);
    config.values.stranger_reply_bytes.div_ceil(workers.max(1))
}

/// Makes the rules about peers.
pub(in crate::control) fn policy(config: &Config) -> PeerPolicy {
    PeerPolicy::new(&config.values.allow_peers, &config.values.deny_peers, &config.own())
}

/// Who is let in, as they sign in one realm. A long-term key is good for the realm that holds
/// alone.
fn credentials(config: &Config, realm: &str) -> Credentials {
    let mut credentials = Credentials::new(realm)
        .with_room(config.user_count(), config.users().map(|user| user.name.len()).sum())
        .with_coturn_names(config.values.coturn_names.0);
    for User { name, proof } in config.users() {
        credentials = match proof {
            Proof::Password(password) => credentials.with_user(&name, password.reveal()),
            Proof::Key(key) if realm == config.values.realm.0 => {
                credentials.with_key(&name, key.reveal())
            }
            Proof::Key(_) => credentials,
        };
    }
    for secret in &config.values.secret {
        let with = credentials.with_secret(secret.reveal().as_bytes());
        credentials = with.expect("there are MAX_SECRETS at most since the configuration settled");
    }
    credentials
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use clap::Parser;

    use super::{
        Holder, MOST_RESERVED, SOCKETS_OF_A_LISTENER, Share, kept, nonces, open_files, relay_ports,
        settings,
    };
    use crate::control::config::{Config, Machine, Options};
    use crate::turn::{Judgement, Settings};

    /// Four workers with 16,384 relay ports, and metrics on one address.
    fn four_workers() -> Config {
        let machine = Machine { cores: vec![0, 1, 2, 3], cpus: 4, ..Machine::with(&["8.8.8.8"]) };
        let config = config("--listen=8.8.8.8", &machine);
        Config { metrics: vec!["127.0.0.1:9641".parse().unwrap()], ..config }
    }

    const LISTENING: u64 = SOCKETS_OF_A_LISTENER as u64;

    #[test]
    fn a_ring_has_room_for_every_port_and_a_process_for_what_all_workers_have() {
        let config = four_workers();
        let all = open_files(&config, Holder::Process);
        let always = 4 * (LISTENING + u64::from(config.values.streams)) + kept(&config);
        assert_eq!(all, 16_384 + always);
        let reserved = 4 * u64::from(MOST_RESERVED);
        assert_eq!(open_files(&config, Holder::Rings), reserved + always);
    }

    #[test]
    fn no_limit_leaves_the_descriptors_of_the_control_thread_to_clients() {
        let config = four_workers();
        let kept = kept(&config);
        assert!(kept > 64, "the places of the metrics address are among them");
        for limit in [256, 1024, 4096, 16_384, open_files(&config, Holder::Process) - 1] {
            let Share { sockets, reserved, streams } = Share::of(&config, Holder::Process, limit);
            let taken = 4 * u64::from(sockets + reserved + streams);
            assert!(taken + kept.min(limit / 2) <= limit, "{taken} of {limit}");
            let Share { reserved, streams, .. } = Share::of(&config, Holder::Rings, limit);
            let taken = 4 * (LISTENING + u64::from(reserved + streams));
            assert!(taken + kept.min(limit / 2) <= limit, "{taken} of {limit}");
        }
    }

    #[test]
    fn enough_open_files_are_enough_for_every_port() {
        let config = four_workers();
        for holder in [Holder::Process, Holder::Rings] {
            let share = Share::of(&config, holder, open_files(&config, holder));
            let all = 16_384 + SOCKETS_OF_A_LISTENER as u32;
            let whole =
                Share { sockets: all, reserved: MOST_RESERVED, streams: config.values.streams };
            assert_eq!(share, whole, "{holder:?}");
        }
    }

    // A router's advertisement may come a second after the start.
    #[test]
    fn there_is_room_for_the_relays_of_a_family_that_comes_later() {
        let machine = Machine::with(&["8.8.8.8"]);
        let ports = |words: &str| relay_ports(&config(words, &machine));
        assert_eq!(ports("--listen=8.8.8.8"), 16_384);
        assert_eq!(ports("--listen=0.0.0.0 --listen=::"), 2 * 16_384);
        assert_eq!(ports("--relay-ip=8.8.8.8"), 16_384);
    }

    #[test]
    fn no_client_reaches_the_machine_under_any_of_its_names() {
        let machine = Machine::with(&["8.8.4.4", "10.0.0.5"]);
        let written = "--external-ip=8.8.8.8/10.0.0.5 --listen=9.9.9.9";
        let config = config(written, &machine);
        let settings = settings(&config, nonces().unwrap());
        for own in ["8.8.8.8", "8.8.4.4", "9.9.9.9", "10.0.0.5", "64:ff9b::8.8.8.8"] {
            let judgement = settings.policy.judge(own.parse().unwrap());
            assert_eq!(judgement, Judgement::DeniedByDefault, "{own}");
        }
        let other = settings.policy.judge("8.8.8.9".parse().unwrap());
        assert_eq!(other, Judgement::Allowed);
    }

    // It trusts this machine, and what a client sends through a relay comes from here.
    #[test]
    fn no_client_reaches_the_web_backend() {
        let machine = Machine::with(&["10.0.0.5"]);
        let words = "--external-ip=8.8.8.8 --allow-peers=127.0.0.0/8 --web-backend=";
        let settings = |backend: &str| {
            settings(&config(&format!("{words}{backend}"), &machine), nonces().unwrap())
        };
        let elsewhere = settings("9.9.9.9:8443");
        let judgement = elsewhere.policy.judge("9.9.9.9".parse().unwrap());
        assert_eq!(judgement, Judgement::DeniedByDefault);
        let is_named = |settings: &Settings, socket: &str| {
            let socket: SocketAddr = socket.parse().unwrap();
            let services = settings.own_services.iter();
            services.filter(|(net, _)| net.contains(&socket.ip())).any(|it| it.1 == socket.port())
        };
        assert!(is_named(&elsewhere, "9.9.9.9:8443") && !is_named(&elsewhere, "9.9.9.9:8444"));
        let here = settings("[::ffff:127.0.0.1]:8443");
        for name in ["127.0.0.1", "127.0.0.2", "10.0.0.5", "8.8.8.8", "[::1]"] {
            assert!(is_named(&here, &format!("{name}:8443")), "{name}");
        }
        assert!(!is_named(&here, "127.0.0.1:8444"));
    }

    // Two servers that answer each other would do so for ever.
    #[test]
    fn no_packet_from_an_own_socket_is_a_clients_under_either_name() {
        let machine = Machine::with(&["10.0.0.5"]);
        let config = config("--external-ip=8.8.8.8", &machine);
        let own = settings(&config, nonces().unwrap()).own_sockets;
        for (socket, is_own) in
            [("10.0.0.5:3478", true), ("8.8.8.8:3478", true), ("10.0.0.5:3479", false)]
        {
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
