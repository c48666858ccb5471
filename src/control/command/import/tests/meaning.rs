//! What comes out of a file does what coturn would have done, as the model says; where it does not,
//! a line is noted as lost, and only for the reasons that are listed here.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;
use proptest::sample::select;

use super::coturn::{Access, Coturn, Told};
use super::loaded_with_users;
use super::model;
use crate::control::config::{Config, PairFiles, Proof, User, UserKey};
use crate::turn::{Judgement, PeerPolicy};
use crate::wire::ChannelRange;

const PORTS: &[&str] =
    &["listening-port", "tls-listening-port", "tcp-proxy-port", "prometheus-port"];
const RELAY_PORTS: &[&str] = &["min-port", "max-port"];
const NUMBERS: &[&str] =
    &["user-quota", "total-quota", "max-bps", "max-allocate-lifetime", "relay-threads"];
const FLAGS: &[&str] = &[
    "no-tcp",
    "no-tls",
    "no-tcp-relay",
    "allow-loopback-peers",
    "no-multicast-peers",
    "no-software-attribute",
    "prod",
    "software-attribute",
    "Verbose",
    "rfc5766-channel-numbers",
    "prometheus",
];
const CREDENTIAL_FLAGS: &[&str] = &["no-auth", "lt-cred-mech", "use-auth-secret"];

/// Options, and values of which they take some.
const KINDS: &[(&[&str], &[&str])] = &[
    (PORTS, &["3478", "443", "5349", "1", "0", "70000", "-1", "low", "", " 80", "+81", "82;"]),
    (RELAY_PORTS, &["20000", "29999", "65535", "1023", "65536", "", "+30000", "40000 # high"]),
    (NUMBERS, &["0", "1", "12", "12 # few", "7200", "+5", "\t7", "-3", "many", "", "500"]),
    (NUMBERS, &["99999999999", "4000000001", "86401", "10000001"]),
    (FLAGS, &["", "on", "off", "OFF", "0", "yes", "No", "true", "oN", "maybe", "off # not"]),
    (CREDENTIAL_FLAGS, &["", "on", "off", "maybe"]),
    (&["listening-ip"], &["10.0.0.5", "10.0.0.6", "127.0.0.1", "2001:db8::5", "0.0.0.0", "::"]),
    (&["listening-ip", "relay-ip"], &["", "0:0::0", "10.0.0", "10.0.0.5 # eth0", "10.0.0.5"]),
    (&["relay-ip"], &["10.0.0.5", "10.0.0.6", "2001:db8::5", "127.0.0.1"]),
    (&["external-ip"], &["198.51.100.7", "198.51.100.8", "2001:db8::7", "", "example.org"]),
    (&["external-ip"], &["198.51.100.8/10.0.0.5", "198.51.100.9/10.0.0.6", "2001:db8::8/10.0.0.5"]),
    (&["aux-server"], &["10.0.0.6:33478", "[2001:db8::5]:33478", "10.0.0.6", "10.0.0.6:0"]),
    (&["allowed-peer-ip", "denied-peer-ip"], &["10.0.0.0-10.255.255.255", "10.1.2.3", "::1"]),
    (
        &["allowed-peer-ip", "denied-peer-ip"],
        &["0.0.0.0-0.255.255.255", "224.0.0.0-255.255.255.255"],
    ),
    (&["allowed-peer-ip", "denied-peer-ip"], &["fd00::-fd00::ffff", "2a00::1-2a00::9", "8.8.8.8"]),
    (
        &["allowed-peer-ip", "denied-peer-ip"],
        &["127.0.0.1-127.0.0.9", "0.0.0.0", "::-2a00::", "::"],
    ),
    (
        &["allowed-peer-ip", "denied-peer-ip"],
        &["10.0.0.9-10.0.0.1", "10.0.0.0/8", "", "10.1.2.3-::1"],
    ),
    (
        &["user"],
        &["alice:wonderland", "bob: padded", "alice:", ":x", "alice:a:b", "carol", "#dan:x"],
    ),
    (&["user"], &["alice:0x5dc2ec4ddfc0a5a8b80c1f0c3dcb8d2f", "bob:0xabc", " bob:x"]),
    (&["user"], &["#dan:0x5dc2ec4ddfc0a5a8b80c1f0c3dcb8d2f", "alice:0X12", "\u{E9}ve:\u{FC}"]),
    (&["static-auth-secret"], &["looking-glass", "north", "", "generate", "a \"quoted\" one"]),
    (&["realm"], &["example.org", "a b", "", "\u{E9}cole"]),
    (&["cert", "pkey"], &["/a.pem", "/b.pem", ""]),
    (&["log-min-level"], &["debug", "Info", "warning", "error", "loud", ""]),
    (&["prometheus-address"], &["127.0.0.1", "::1", "here", ""]),
];

/// Peers of every sort; none in which IPv4 hides in IPv6.
const PEERS: [&str; 15] = [
    "10.0.0.5",
    "8.8.8.8",
    "9.9.9.9",
    "10.0.0.9",
    "10.1.2.3",
    "127.0.0.1",
    "127.0.0.200",
    "0.1.2.3",
    "224.0.0.5",
    "240.0.0.1",
    "::1",
    "2a00::1",
    "2a00::7:7",
    "fd00::1",
    "ff02::1",
];

fn line() -> impl Strategy<Value = String> {
    let pair = select(KINDS).prop_flat_map(|(names, values)| (select(names), select(values)));
    (pair, select(vec!["=", " ", " = ", "\t"]), any::<bool>()).prop_map(
        |((name, value), separator, is_quoted)| match is_quoted || value.starts_with([' ', '\t']) {
            true => format!("{name}{separator}\"{value}\"\n"),
            false => format!("{name}{separator}{value}\n"),
        },
    )
}

/// Some lines, among which there may be more of one kind than chance would have.
fn file() -> impl Strategy<Value = String> {
    let some = prop::collection::vec(line(), 0..8);
    let kin = select(KINDS).prop_flat_map(|(names, _)| {
        let values: Vec<&str> = KINDS
            .iter()
            .filter(|(others, _)| others.contains(&names[0]))
            .flat_map(|(_, values)| *values)
            .copied()
            .collect();
        let line = (select(names), select(values))
            .prop_map(|(name, value)| format!("{name}=\"{value}\"\n"));
        prop::collection::vec(line, 0..5)
    });
    (some, kin).prop_map(|(some, kin)| some.concat() + &kin.concat())
}

/// What a file came to.
struct Outcome {
    config: Config,
    notes: String,
    /// coturn with every line, and without those that are noted as lost.
    whole: Coturn,
    kept: Coturn,
}

impl Outcome {
    fn of(file: &str) -> Result<Option<Self>, TestCaseError> {
        let (config, toml, notes) = loaded_with_users(file);
        let config = match config {
            Ok(config) => config,
            // Whether a range is wide enough is a matter of how many workers there are.
            Err(error) if error.problem.contains("workers need") => return Ok(None),
            Err(error) => return Err(TestCaseError::fail(format!("{error}\n{toml}"))),
        };
        let whole = Coturn::read(file.as_bytes());
        let kept = whole.without(|told| is_lost(&notes, told.line));
        Ok(Some(Self { config, notes, whole, kept }))
    }

    /// The last line about something, unless it is lost.
    fn last(&self, name: &str) -> Option<&Told> {
        self.whole.last(name).filter(|told| !is_lost(&self.notes, told.line))
    }

    fn number(&self, name: &str, default: i64) -> i64 {
        self.last(name).map_or(default, |told| model::number(&told.value))
    }
}

fn is_lost(notes: &str, line: usize) -> bool {
    notes.contains(&format!("conf:{line}: lost: "))
}

/// The reasons for which a line may be lost.
fn may_be_lost(told: &Told, whole: &Coturn) -> bool {
    let (name, value) = (told.name.as_str(), told.value.as_str());
    let number = model::number(value);
    let has_number = value.contains(|letter: char| letter.is_ascii_digit()) && number >= 0;
    let is_by_secret = whole.0.iter().any(|told| told.name.ends_with("-auth-secret"));
    let ip = value.parse::<IpAddr>().ok();
    match name {
        _ if PORTS.contains(&name) => !(1..=65_535).contains(&number),
        _ if RELAY_PORTS.contains(&name) => {
            let is_port = |number: &i64| (1_024..=65_535).contains(number);
            let end = |name: &str, default: i64| {
                let told = whole.last(name).map(|told| model::number(&told.value));
                told.filter(is_port).unwrap_or(default)
            };
            !is_port(&number) || end("min-port", 49_152) > end("max-port", 65_535)
        }
        "max-allocate-lifetime" => !has_number || !(1..=86_400).contains(&number),
        "max-bps" => !has_number || number > 4_000_000_000,
        "user-quota" | "total-quota" => !has_number || number > 10_000_000,
        "relay-threads" => !has_number || number > i64::from(u32::MAX),
        "no-auth" => model::flag(value) != Some(false),
        "use-auth-secret" => whole.last("static-auth-secret").is_none(),
        _ if FLAGS.contains(&name) || CREDENTIAL_FLAGS.contains(&name) => {
            model::flag(value).is_none()
        }
        "listening-ip" => ip.is_none() && !value.is_empty(),
        "relay-ip" => ip.is_none_or(|ip| ip.is_unspecified()),
        "aux-server" => value.parse().ok().is_none_or(|at: SocketAddr| at.port() == 0),
        // What clients are told is looked at elsewhere.
        "external-ip" => true,
        "allowed-peer-ip" | "denied-peer-ip" => {
            let (low, high) = value.split_once('-').unwrap_or((value, value));
            let (Ok(low), Ok(high)) = (low.parse::<IpAddr>(), high.parse::<IpAddr>()) else {
                return true;
            };
            let is_no_end = high.is_unspecified() || (low.is_unspecified() && low.is_ipv6());
            is_no_end || low > high || low.is_ipv4() != high.is_ipv4()
        }
        "user" => {
            let (name, password) = value.split_once(':').unwrap_or_default();
            let is_key_broken =
                password.strip_prefix("0x").is_some_and(|digits| UserKey::read(digits).is_none());
            let is_comment = name.starts_with('#') && password.starts_with("0x");
            is_by_secret || name.is_empty() || password.is_empty() || is_key_broken || is_comment
        }
        "static-auth-secret" => value.len() < 8 || value == "generate",
        "realm" | "cert" | "pkey" => value.is_empty(),
        "log-min-level" => !["debug", "info", "warning", "error"]
            .iter()
            .any(|level| level.eq_ignore_ascii_case(value)),
        "prometheus-address" => ip.is_none(),
        _ => false,
    }
}

fn sorted<T: Ord>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut values: Vec<T> = values.into_iter().collect();
    values.sort();
    values.dedup();
    values
}

fn check_listeners(outcome: &Outcome) -> Result<(), TestCaseError> {
    let Outcome { config, kept, .. } = outcome;
    let port = |name: &str, default: i64| outcome.number(name, default) as u16;
    let everywhere = |port: u16| kept.ips().into_iter().map(move |ip| SocketAddr::new(ip, port));
    let mut listen: Vec<SocketAddr> = everywhere(port("listening-port", 3478)).collect();
    listen.extend(kept.auxiliary());
    if outcome.last("tcp-proxy-port").is_some() && !kept.is_on("no-tcp") {
        listen.extend(everywhere(port("tcp-proxy-port", 0)));
    }
    let default = || ["0.0.0.0:3478", "[::]:3478"].map(|at| at.parse().unwrap());
    let ours = config.values.listen.clone();
    let ours = if ours.is_empty() { default().to_vec() } else { ours };
    prop_assert_eq!(sorted(ours.clone()), sorted(listen));
    prop_assert_eq!(config.values.tcp.0, !kept.is_on("no-tcp"));
    let file = |name: &str| outcome.last(name).map(|told| told.value.clone());
    let pair = file("cert").zip(file("pkey")).filter(|_| !kept.is_on("no-tls"));
    let paths = |files: &PairFiles| {
        (files.certificate.display().to_string(), files.key.display().to_string())
    };
    prop_assert_eq!(config.tls_files().first().map(paths), pair.clone());
    if pair.is_some() {
        let told: Vec<SocketAddr> = config.values.listen_tls.iter().map(|at| at.0).collect();
        let is_heard = |at: &SocketAddr| {
            let is_in = |others: &[SocketAddr]| {
                others.iter().any(|other| {
                    let is_all = other.ip().is_unspecified() && other.is_ipv4() == at.is_ipv4();
                    other == at || (is_all && other.port() == at.port())
                })
            };
            // On its own port TLS is heard on every address of `listen` unless something is told.
            is_in(&told)
                || (config.values.tcp.0 && is_in(&ours))
                || (told.is_empty() && at.port() == 5349)
        };
        let port = port("tls-listening-port", 5349);
        prop_assert!(config.listen_tls.iter().all(|at| at.port() == port));
        for at in everywhere(port) {
            prop_assert!(is_heard(&at), "{at} of {told:?} and {ours:?}");
        }
    }
    Ok(())
}

fn check_relays(outcome: &Outcome) -> Result<(), TestCaseError> {
    let Outcome { config, kept, whole, notes } = outcome;
    for relay in &config.relays {
        let external = whole.advertised(relay.local);
        // Of several without a pair coturn takes the first, which may be of the other family.
        let is_second = notes.contains("differs: external-ip: coturn takes the first such line");
        prop_assert!(is_second || relay.advertised == external, "{relay:?}: {external}");
    }
    let told = kept.relays();
    let told = told.iter().filter(|ip| !ip.is_unspecified());
    let has_other = told.clone().any(|ip| !ip.is_loopback());
    for ip in told.filter(|ip| !(has_other && ip.is_loopback())) {
        let is_there = config.relays.iter().any(|relay| relay.local == *ip);
        prop_assert!(is_there || notes.contains(&ip.to_string()), "{ip} is no relay address");
    }
    let (low, high) = (outcome.number("min-port", 49_152), outcome.number("max-port", 65_535));
    prop_assert_eq!(config.values.relay_ports.to_string(), format!("{low}-{high}"));
    Ok(())
}

fn check_access(outcome: &Outcome) -> Result<(), TestCaseError> {
    let Outcome { config, kept, whole, notes } = outcome;
    let user = |user: User| match user.proof {
        Proof::Password(password) => (user.name, password.reveal().to_owned()),
        Proof::Key(key) => {
            let digits = key.reveal().iter().map(|byte| format!("{byte:02x}"));
            (user.name, format!("0x{}", digits.collect::<String>()))
        }
    };
    let users = sorted(config.users().map(user));
    let given = config.values.secret.iter().map(|secret| secret.reveal().to_owned());
    let secrets: Vec<String> =
        if config.secret_is_generated { Vec::new() } else { given.collect() };
    prop_assert!(!config.secret_is_asked_for);
    // Whether there are users or secrets is what coturn was told, lost or not.
    match whole.access() {
        Access::Open => {
            let is_named = notes.contains("no anonymous access") || notes.contains("asks nobody");
            prop_assert!(is_named, "it is open to all");
        }
        Access::Users(_) => {
            let Access::Users(expected) = kept.access() else { return Ok(()) };
            prop_assert_eq!(users, sorted(expected));
            prop_assert!(secrets.is_empty());
        }
        Access::Secrets(_) => {
            let expected: Vec<String> =
                kept.all("static-auth-secret").map(|told| told.value.clone()).collect();
            prop_assert_eq!(secrets, expected);
            prop_assert!(users.is_empty());
        }
    }
    let realm = outcome.last("realm").map_or("uturn", |told| &told.value);
    prop_assert_eq!(&config.values.realm.0, realm);
    Ok(())
}

fn check_limits(outcome: &Outcome) -> Result<(), TestCaseError> {
    let Outcome { config, kept, whole, .. } = outcome;
    let values = &config.values;
    let threads = outcome.last("relay-threads").map(|told| model::number(&told.value));
    prop_assert_eq!(values.workers.map(i64::from), threads.map(|threads| threads.clamp(1, 128)));
    for (name, ours, default) in [
        ("user-quota", values.user_quota, 1_000),
        ("max-bps", values.max_bps, 0),
        ("max-allocate-lifetime", values.max_lifetime, 3_600),
    ] {
        prop_assert_eq!(i64::from(ours), outcome.number(name, default), "{}", name);
    }
    // No more than there are relay ports.
    let most = i64::from(values.relay_ports.count()) * config.relays.len() as i64;
    let total = outcome.number("total-quota", 0);
    let expected = if total == 0 { most } else { total.min(most) };
    prop_assert_eq!(i64::from(values.total_quota), expected);
    prop_assert_eq!(values.software.0, kept.names_software().unwrap_or(true));
    let is_old = values.channel_numbers == ChannelRange::Rfc5766;
    prop_assert_eq!(is_old, kept.is_on("rfc5766-channel-numbers"));
    let is_verbose = kept.all("Verbose").any(|told| model::flag(&told.value) == Some(true));
    let level =
        outcome.last("log-min-level").map_or("info".into(), |told| told.value.to_lowercase());
    let level = if is_verbose { "debug" } else { level.trim_end_matches("ing") };
    prop_assert_eq!(values.log.to_string().to_lowercase(), level);
    let has_address =
        whole.last("prometheus-address").is_none_or(|told| told.value.parse::<IpAddr>().is_ok());
    let has_metrics = kept.last("prometheus").is_some() && has_address;
    prop_assert_eq!(!values.metrics.is_empty(), has_metrics);
    let port = outcome.number("prometheus-port", 9_641);
    prop_assert!(values.metrics.iter().all(|at| i64::from(at.0.port()) == port));
    Ok(())
}

fn check_peers(outcome: &Outcome) -> Result<(), TestCaseError> {
    let Outcome { config, kept, notes, .. } = outcome;
    let values = &config.values;
    let policy = PeerPolicy::new(&values.allow_peers, &values.deny_peers, &config.own());
    for peer in PEERS {
        let ip: IpAddr = peer.parse().unwrap();
        let (is_reached, is_listed) = kept.reaches(ip);
        // That the server's own addresses are closed is said of the whole file.
        let is_own = kept.is_behind_nat(ip);
        let is_noted = notes.contains(&format!("every service at {peer} although"));
        match policy.judge(ip) {
            Judgement::Allowed => prop_assert!(is_reached, "{peer} is reached"),
            Judgement::DeniedExplicitly if is_own => prop_assert!(is_noted, "{peer} is denied"),
            Judgement::DeniedExplicitly => prop_assert!(!is_reached, "{peer} is denied"),
            Judgement::DeniedByDefault => prop_assert!(!is_listed || is_own, "{peer} is closed"),
        }
    }
    Ok(())
}

proptest! {
    #[test]
    fn what_is_carried_does_what_coturn_would_have_done(file in file()) {
        let Some(outcome) = Outcome::of(&file)? else { return Ok(()) };
        let checked = outcome.whole.0.iter().try_for_each(|told| {
            let is_fair = !is_lost(&outcome.notes, told.line) || may_be_lost(told, &outcome.whole);
            prop_assert!(is_fair, "{told:?} is lost");
            Ok(())
        });
        let checked = checked
            .and_then(|()| check_listeners(&outcome))
            .and_then(|()| check_relays(&outcome))
            .and_then(|()| check_access(&outcome))
            .and_then(|()| check_limits(&outcome))
            .and_then(|()| check_peers(&outcome));
        prop_assert!(checked.is_ok(), "{}\n{file}\n{}", checked.unwrap_err(), outcome.notes);
    }
}
