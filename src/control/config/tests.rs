//! The rules of the configuration, on a machine that never changes.

mod faults;
mod idle;
mod listeners;
mod public;
mod relays;

use std::net::{IpAddr, SocketAddr};

use clap::{CommandFactory, Parser};
use proptest::prelude::*;

use super::addresses::machine::{Asks, LooksUp};
use super::file::source::ConfigText;
use super::schema::{KEYS, Key, Options};
use super::settle::Settling;
use super::{Config, ConfigError, Machine, Remedy, Secret};
use crate::turn::{MAX_SECRETS, OnReallocate, RelayAddress};

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    options: Options,
}

const OWN: [&str; 5] = ["10.0.0.5", "10.0.0.6", "127.0.0.1", "::1", "2001:db8::5"];

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn machine() -> Machine {
    Machine {
        routed: vec![ip("10.0.0.6"), ip("2001:db8::5")],
        cores: vec![0, 1, 2, 3],
        cpus: 4,
        binds: |address: SocketAddr| OWN.into_iter().map(ip).any(|own| own == address.ip()),
        ..Machine::with(&OWN)
    }
}

pub(super) fn flags(words: &[&str]) -> Options {
    Line::try_parse_from([&["uturn"], words].concat()).unwrap().options
}

pub(super) fn settle(file: &str, words: &[&str]) -> Result<Config, ConfigError> {
    let source = ConfigText::of("uturn.toml", file);
    let options = flags(words).over(source.options()?);
    Settling { source: &source, machine: &machine() }.settle(&options)
}

/// Settling reads no certificate.
const PAIR: &str = "tls-certificate = ['/a']\ntls-key = ['/b']";

fn from_file(file: &str) -> Config {
    settle(file, &[]).unwrap()
}

fn from_flags(words: &[&str]) -> Config {
    settle("", words).unwrap()
}

/// The example of a key, or what a machine of tests has in its place.
pub(super) fn example(key: &Key) -> &'static str {
    match key.name {
        "listen" => "127.0.0.1:3478",
        "relay-ip" => "127.0.0.1",
        "external-ip" => "198.51.100.7/127.0.0.1",
        "users-file" => "/dev/null",
        "listen-tls" => "127.0.0.1:443",
        _ => key.example,
    }
}

fn line(key: &Key) -> String {
    let example = example(key);
    let bare = example.parse::<u32>().is_ok();
    let value = if bare { example.to_owned() } else { format!("\"{example}\"") };
    if key.is_list {
        format!("{} = [{value}]\n", key.name)
    } else {
        format!("{} = {value}\n", key.name)
    }
}

fn binds(config: &Config) -> Vec<IpAddr> {
    config.relays.iter().map(|relay| relay.local).collect()
}

#[test]
fn every_key_can_be_written_in_the_file() {
    for key in KEYS {
        let beside = "--relay-ip=127.0.0.1 --usage-records=/usage --tls-certificate=/a --tls-key=/b \
             --web-backend=unix:/w";
        let beside: Vec<&str> = beside.split(' ').collect();
        settle(&line(key), &beside).unwrap_or_else(|e| panic!("{e}"));
    }
}

#[test]
fn the_command_line_has_exactly_the_keys_of_the_schema() {
    let command = Line::command();
    let flags = command.get_arguments().filter(|arg| !arg.is_global_set());
    let mut names: Vec<_> = flags.filter_map(|arg| arg.get_long()).collect();
    let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    names.sort_unstable();
    keys.sort_unstable();
    assert_eq!(names, keys);
    for key in KEYS {
        let arg = command.get_arguments().find(|arg| arg.get_long() == Some(key.name)).unwrap();
        assert_eq!(arg.get_long_help().unwrap().to_string(), key.help());
        assert_eq!(
            matches!(arg.get_action(), clap::ArgAction::Append),
            key.is_list,
            "{}",
            key.name
        );
    }
}

#[test]
fn the_file_has_no_key_beside_the_schema() {
    for key in ["colour", "config", "relay_ports", "relay_ip", ""] {
        assert!(settle(&format!("'{key}' = 1"), &[]).is_err(), "{key}");
    }
}

#[test]
fn a_list_of_one_can_be_written_without_brackets() {
    let config = from_file("secret = 'north-and-south'\nmetrics = 9641\nlisten = '10.0.0.5:1'");
    assert_eq!(config.values.secret[0].reveal(), "north-and-south");
    assert_eq!(config.metrics, ["127.0.0.1:9641".parse().unwrap()]);
    assert_eq!(config.listen, ["10.0.0.5:1".parse().unwrap()]);
    let error = settle("realm = 'a'\nsecret = 'north'", &[]).unwrap_err();
    assert_eq!((error.origin.as_str(), error.key.as_str()), ("uturn.toml:2", "secret"));
    assert!(error.problem.contains("the secret has 5 bytes"), "{error}");
}

#[test]
fn the_command_line_wins_for_every_key() {
    let wins = [
        ("listen = ['10.0.0.5:1']", "--listen=10.0.0.6:2", "listen = [\"10.0.0.6:2\"]"),
        ("relay-ip = ['10.0.0.5']", "--relay-ip=10.0.0.6", "relay-ip = [\"10.0.0.6\"]"),
        ("relay-ports = '5000-6000'", "--relay-ports=7000-8000", "relay-ports = \"7000-8000\""),
        ("realm = 'a'", "--realm=b", "realm = \"b\""),
        ("user = ['a:1', 'b:1']", "--user=c:1", "user = [\"c:***\"]"),
        ("coturn-names = false", "--coturn-names=on", "coturn-names = \"on\""),
        ("workers = 1", "--workers=2", "workers = 2 # on cores 0, 1"),
        ("allow-peers = ['10.0.0.0/8']", "--allow-peers=::1", "allow-peers = [\"::1/128\"]"),
        ("deny-peers = ['10.0.0.0/8']", "--deny-peers=::1", "deny-peers = [\"::1/128\"]"),
        ("user-quota = 1", "--user-quota=2", "user-quota = 2"),
        ("total-quota = 1", "--total-quota=2", "total-quota = 2"),
        ("permission-quota = 1", "--permission-quota=2", "permission-quota = 2"),
        ("channel-quota = 1", "--channel-quota=2", "channel-quota = 2"),
        ("max-bps = 1", "--max-bps=2", "max-bps = 2"),
        ("max-pps = 1", "--max-pps=2", "max-pps = 2"),
        ("stranger-reply-bytes = 1", "--stranger-reply-bytes=2", "stranger-reply-bytes = 2"),
        ("max-lifetime = 1", "--max-lifetime=2", "max-lifetime = 2"),
        ("software = true", "--software=off", "software = \"off\""),
        (
            "channel-numbers = 'rfc8656'",
            "--channel-numbers=rfc5766",
            "channel-numbers = \"rfc5766\"",
        ),
        ("on-reallocate = 'refuse'", "--on-reallocate=replace", "on-reallocate = \"replace\""),
        ("io = 'uring'", "--io=portable", "io = \"portable\""),
        ("steer = 'hash'", "--steer=cpu", "steer = \"cpu\""),
        ("batch-wait-us = 1", "--batch-wait-us=2", "batch-wait-us = 2"),
        ("spin-us = 1", "--spin-us=2", "spin-us = 2"),
        ("busy-poll-us = 1", "--busy-poll-us=2", "busy-poll-us = 2"),
        ("metrics = [1]", "--metrics=10.0.0.5:2", "metrics = [\"10.0.0.5:2\"]"),
        (
            "alternate-server = ['192.0.2.1:1']",
            "--alternate-server=192.0.2.2:2",
            "alternate-server = [\"192.0.2.2:2\"]",
        ),
        ("drain-deadline = 1", "--drain-deadline=2", "drain-deadline = 2"),
        ("control = '/a'", "--control=/b", "control = \"/b\""),
        (
            "users-file = '/nowhere'",
            "--users-file=/dev/null",
            "users-file = \"/dev/null\" # 0 users",
        ),
        ("usage-records = '/a'", "--usage-records=/b", "usage-records = \"/b\""),
        ("usage-records = '/a'\nusage-interval = 1", "--usage-interval=2", "usage-interval = 2"),
        ("log = 'info'", "--log=warn", "log = \"warn\""),
        ("log-format = 'text'", "--log-format=json", "log-format = \"json\""),
        ("core-dumps = false", "--core-dumps=on", "core-dumps = \"on\""),
        ("tcp = true", "--tcp=off", "tcp = \"off\""),
        (
            "proxy-from = ['10.0.0.0/8']",
            "--proxy-from=10.1.0.0/16",
            "proxy-from = [\"10.1.0.0/16\"]",
        ),
        ("tcp-relay = false", "--tcp-relay=on", "tcp-relay = \"on\""),
        ("streams = 16", "--streams=17", "streams = 17"),
        ("streams-per-source = 1", "--streams-per-source=2", "streams-per-source = 2"),
        ("strangers-per-source = 1", "--strangers-per-source=2", "strangers-per-source = 2"),
        ("connects-per-source = 1", "--connects-per-source=2", "connects-per-source = 2"),
        (
            "web-backend = '127.0.0.1:80'",
            "--web-backend=unix:/run/web",
            "web-backend = \"unix:/run/web\"",
        ),
        (
            "web-backend = '[::1]:1'\nweb-names = ['a.example']",
            "--web-names=*.b.example",
            "web-names = [\"*.b.example\"]",
        ),
        ("web-backend = '[::1]:1'\nweb-proxy = false", "--web-proxy=on", "web-proxy = \"on\""),
        ("stream-delay = 50", "--stream-delay=60", "stream-delay = 60"),
        (
            &format!("{PAIR}\nlisten-tls = ['10.0.0.5']"),
            "--listen-tls=10.0.0.6:443",
            "listen-tls = [\"10.0.0.6:443\"]",
        ),
        (PAIR, "--tls-certificate=/c", "tls-certificate = [\"/c\"]"),
        (PAIR, "--tls-key=/c", "tls-key = [\"/c\"]"),
    ];
    for (file, flag, holds) in wins {
        let summary = settle(file, &[flag]).unwrap().summary();
        assert!(summary.lines().any(|line| line == holds), "{flag} over {file}:\n{summary}");
    }
    let external = settle("external-ip = ['198.51.100.1']", &["--external-ip=198.51.100.2"]);
    assert_eq!(external.unwrap().relays[0].advertised, ip("198.51.100.2"));
    let secrets =
        settle("secret = ['in-the-file']", &["--secret=on-the-line"]).unwrap().values.secret;
    assert_eq!(secrets.iter().map(Secret::reveal).collect::<Vec<_>>(), ["on-the-line"]);
    for key in KEYS.iter().filter(|key| !["external-ip", "secret"].contains(&key.name)) {
        let is_tried =
            wins.iter().any(|(_, flag, _)| flag.starts_with(&format!("--{}=", key.name)));
        assert!(is_tried, "{}", key.name);
    }
}

#[test]
fn a_password_never_stands_in_an_error_nor_in_the_summary() {
    let long = "x".repeat(600);
    for file in [format!("user = ['a:hidden{long}']"), format!("secret = ['hidden{long}']")] {
        assert!(!settle(&file, &[]).unwrap_err().to_string().contains("hidden"));
    }
    let config = from_file("user = ['a:hidden-1']\nsecret = ['hidden-2']");
    assert!(!config.summary().contains("hidden"));
    assert!(!format!("{config:?}").contains("hidden"));
}

#[test]
fn a_realm_has_127_characters_at_most() {
    let realm = |length: usize| settle(&format!("realm = '{}'", "ä".repeat(length)), &[]);
    assert!(realm(127).is_ok());
    assert!(realm(128).is_err());
}

#[test]
fn listening_everywhere_means_a_socket_on_every_address() {
    let everywhere: Vec<_> = OWN.into_iter().map(|own| SocketAddr::new(ip(own), 3478)).collect();
    assert_eq!(from_flags(&[]).listen, everywhere);
    assert_eq!(from_flags(&["--listen=0.0.0.0:3478", "--listen=[::]:3478"]).listen, everywhere);
    let v4 = from_flags(&["--listen=0.0.0.0:5000", "--listen=127.0.0.1:5000"]).listen;
    assert_eq!(
        v4,
        everywhere[..3].iter().map(|a| (a.ip(), 5000).into()).collect::<Vec<SocketAddr>>()
    );
}

#[test]
fn tls_clients_are_heard_at_their_port_of_every_listening_address_once_there_is_a_certificate() {
    let heard = |words: &[&str]| {
        let pair = ["--tls-certificate=/a", "--tls-key=/b"];
        let tls = from_flags(&[&pair[..], words].concat()).listen_tls;
        tls.iter().map(SocketAddr::to_string).collect::<Vec<_>>()
    };
    assert_eq!(from_flags(&[]).listen_tls, []);
    assert_eq!(heard(&["--listen=10.0.0.5:5000", "--listen=10.0.0.5"]), ["10.0.0.5:5349"]);
    assert_eq!(heard(&["--listen-tls=[::]:443"]), ["[::1]:443", "[2001:db8::5]:443"]);
    assert_eq!(heard(&["--listen-tls=10.0.0.6"]), ["10.0.0.6:5349"]);
    let shared = ["--listen=10.0.0.5:443", "--listen-tls=10.0.0.5:443"];
    assert_eq!(heard(&[&shared[..], &["--tcp=off"]].concat()), ["10.0.0.5:443"], "UDP and TLS");
}

#[test]
fn what_the_machine_lacks_is_named_and_the_rest_is_served() {
    let config = from_flags(&["--listen=10.0.0.5:3478", "--listen=192.0.2.9:3478"]);
    let listen = ["10.0.0.5:3478", "192.0.2.9:3478"].map(|at| at.parse().unwrap());
    assert_eq!((&config.listen[..], &config.missing[..]), (&listen[..], &[ip("192.0.2.9")][..]));
    assert_eq!(binds(&config), [ip("10.0.0.5"), ip("2001:db8::5")]);
    let config = from_flags(&["--relay-ip=192.0.2.9", "--relay-ip=2001:db8::5"]);
    assert_eq!((binds(&config), config.missing), (vec![ip("2001:db8::5")], vec![ip("192.0.2.9")]));
    let config = from_flags(&["--external-ip=198.51.100.1/192.0.2.9"]);
    assert_eq!((binds(&config), config.missing), (vec![ip("2001:db8::5")], vec![ip("192.0.2.9")]));
}

#[test]
fn time_may_mend_what_the_machine_lacks_and_nothing_that_was_written() {
    let only_v4 =
        Machine { binds: |address| address.ip() == ip("10.0.0.5"), ..Machine::with(&["10.0.0.5"]) };
    let remedy = |file: &str, machine: &Machine| {
        let source = ConfigText::of("uturn.toml", file);
        let settled = Settling { source: &source, machine }.settle(&source.options().unwrap());
        settled.map(|config| binds(&config)).map_err(|error| error.remedy)
    };
    for file in [
        "listen = ['192.0.2.9']",
        "listen = ['[::]:3478']",
        "relay-ip = ['192.0.2.9']",
        "external-ip = ['198.51.100.1/192.0.2.9']",
    ] {
        assert_eq!(remedy(file, &only_v4), Err(Remedy::Time), "{file}");
    }
    let bare = Machine { binds: |_| false, ..Machine::with(&[]) };
    assert_eq!(remedy("", &bare), Err(Remedy::Time));
    // An external address without an internal one waits for whatever the machine gets.
    assert_eq!(remedy("external-ip = ['2001:db8:1::9']", &only_v4), Ok(vec![ip("10.0.0.5")]));
    for file in ["relay-ip = []", "external-ip = ['198.51.100.1', '198.51.100.2']", "colours = 1"] {
        let remedy = settle(file, &[]).unwrap_err().remedy;
        assert_eq!(remedy, Remedy::Operator, "{file}");
    }
}

#[test]
fn metrics_are_off_and_a_port_alone_is_on_loopback() {
    let own = |words: &[&str]| from_flags(words).metrics;
    assert_eq!(own(&[]), []);
    assert_eq!(own(&["--metrics=9641"]), [SocketAddr::from(([127, 0, 0, 1], 9641))]);
    let everywhere = own(&["--metrics=0.0.0.0:9641", "--metrics=9641", "--metrics=9641"]);
    let everywhere: Vec<_> = everywhere.iter().map(SocketAddr::to_string).collect();
    assert_eq!(everywhere, ["0.0.0.0:9641", "127.0.0.1:9641"]);
}

#[test]
fn the_relay_addresses_come_from_the_default_route_among_those_listened_on() {
    assert_eq!(binds(&from_flags(&[])), [ip("10.0.0.6"), ip("2001:db8::5")]);
    let one = from_flags(&["--listen=10.0.0.5:3478"]);
    assert_eq!(binds(&one), [ip("10.0.0.5"), ip("2001:db8::5")]);
}

fn from_flags_error(words: &[&str]) -> String {
    settle("", words).unwrap_err().to_string()
}

#[test]
fn only_relays_that_nobody_can_reach_are_private() {
    let private = from_flags(&["--relay-ip=10.0.0.5", "--relay-ip=2001:db8::5"]);
    assert_eq!(private.private_relays().collect::<Vec<_>>(), [ip("10.0.0.5")]);
    let mapped = from_flags(&["--relay-ip=10.0.0.5", "--external-ip=198.51.100.1"]);
    assert_eq!(mapped.private_relays().count(), 0);
}

#[test]
fn workers_share_the_cores_in_order() {
    let cores = |words: &[&str]| {
        from_flags(words).workers.iter().map(|place| place.core).collect::<Vec<_>>()
    };
    assert_eq!(cores(&[]), [0, 1, 2, 3]);
    assert_eq!(cores(&["--workers=6"]), [0, 1, 2, 3, 0, 1]);
}

#[test]
fn workers_are_as_many_as_cpus_and_ports_let_be_useful_unless_a_number_is_given() {
    let workers = |cpus: usize, words: &[&str]| {
        let machine = Machine { cpus, ..machine() };
        Config::load(flags(words), None, &machine).unwrap().workers.len()
    };
    assert_eq!(workers(4, &[]), 4);
    assert_eq!(workers(1, &[]), 1);
    let relay = ["--relay-ip=10.0.0.5", "--relay-ports=5000-5002"];
    assert_eq!(workers(4, &relay), 3);
    assert_eq!(workers(2, &relay), 2);
    assert_eq!(workers(4, &[&relay[..], &["--relay-ip=10.0.0.6"]].concat()), 4);
    assert_eq!(workers(1, &[&relay[..], &["--workers=8"]].concat()), 8);
}

#[test]
fn a_secret_is_made_only_when_nobody_could_log_in_otherwise() {
    let made = from_flags(&[]);
    assert!(made.secret_is_generated && made.values.secret[0].reveal().len() == 32);
    assert_ne!(made.values.secret, from_flags(&[]).values.secret);
    assert!(from_flags(&["--user=a:b"]).values.secret.is_empty());
    assert!(!from_flags(&["--secret=long-enough"]).secret_is_generated);
    assert!(!made.secret_is_asked_for);
    let asked = from_flags(&["--user=a:b", "--secret=long-enough", "--secret=generate"]);
    assert!(asked.secret_is_generated && asked.secret_is_asked_for);
    let lengths: Vec<_> = asked.values.secret.iter().map(|it| it.reveal().len()).collect();
    assert_eq!(lengths, [32, "long-enough".len()], "the one that is made comes first");
}

#[test]
fn so_many_secrets_and_no_more() {
    let secrets =
        |count: usize| settle(&format!("secret = [{}]", "'long-enough', ".repeat(count)), &[]);
    assert_eq!(secrets(MAX_SECRETS).unwrap().values.secret.len(), MAX_SECRETS);
    assert_eq!(secrets(MAX_SECRETS + 1).unwrap_err().key, "secret");
    assert!(
        super::schema::SECRET.bounds_words().ends_with(&format!("{MAX_SECRETS} secrets at most"))
    );
}

#[test]
fn a_quota_of_nothing_means_no_quota_and_never_more_than_the_ports() {
    let values = from_flags(&["--user-quota=0", "--relay-ports=5000-5099"]).values;
    assert_eq!((values.user_quota, values.total_quota), (0, 200));
    let above = from_flags(&["--total-quota=5000", "--relay-ports=5000-5099"]).values;
    assert_eq!(above.total_quota, 200);
}

#[test]
fn peer_lists_may_repeat_and_name_single_addresses() {
    let config = from_flags(&["--deny-peers=10.1.2.3/8", "--deny-peers=10.0.0.0/8"]);
    assert_eq!(config.values.deny_peers[0], config.values.deny_peers[1]);
    let single = from_flags(&["--allow-peers=::1"]);
    assert_eq!(single.values.allow_peers[0].to_string(), "::1/128");
}

#[test]
fn defaults_are_those_of_the_schema() {
    let config = from_flags(&[]);
    assert_eq!(config.values.relay_ports.to_string(), "49152-65535");
    assert_eq!(config.values.max_lifetime, 3600);
    assert_eq!(config.values.on_reallocate, OnReallocate::Refuse);
    assert!(config.values.software.0);
}

proptest! {
    #[test]
    fn no_text_at_all_makes_the_file_panic(text in "\\PC{0,80}|[a-z-]{1,12} = [\\PC\\n]{0,40}") {
        if let Err(error) = settle(&text, &[]) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }

    #[test]
    fn a_port_range_is_taken_or_refused_as_a_whole(low: u16, high: u16) {
        // However few there are: there are as many workers as they suffice for.
        let valid = low <= high && low >= 1024;
        let settled = settle(&format!("relay-ports = '{low}-{high}'"), &[]);
        prop_assert_eq!(settled.is_ok(), valid);
    }
}
