//! Whole files, and what is tried of their parts.

mod coturn;
mod found;
mod law;
mod meaning;
mod model;
mod reading;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Translated, translated};
use crate::control::config::{Config, ConfigError, Machine, Options, Proof, Secret};

fn machine() -> Machine {
    let machine = Machine::with(&["10.0.0.5", "10.0.0.6", "2001:db8::5"]);
    Machine { cores: vec![0, 1], cpus: 2, ..machine }
}

/// Translates a file and settles what comes out, as `check-config` would.
fn settled(text: &str) -> (Config, String) {
    let (config, toml, notes) = loaded(text);
    (config.unwrap_or_else(|error| panic!("{error}\n{toml}")), notes)
}

fn loaded(text: &str) -> (Result<Config, ConfigError>, String, String) {
    let Translated { toml, notes, .. } = translated("conf", text.as_bytes(), None);
    (load(&file("toml"), &toml), toml, notes)
}

/// The same, with users that have a key in a file of theirs.
fn loaded_with_users(text: &str) -> (Result<Config, ConfigError>, String, String) {
    let users = file("users");
    let Translated { toml, notes, keyed_users } = translated("conf", text.as_bytes(), Some(&users));
    std::fs::write(&users, keyed_users.concat()).unwrap();
    let config = load(&file("toml"), &toml);
    std::fs::remove_file(&users).unwrap();
    (config, toml, notes)
}

fn load(path: &Path, toml: &str) -> Result<Config, ConfigError> {
    std::fs::write(path, toml).unwrap();
    let config = Config::load(Options::default(), Some(path), &machine());
    std::fs::remove_file(path).unwrap();
    config
}

/// A name for a file that no other test has.
fn file(extension: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("uturn-import-{}-{number}.{extension}", std::process::id());
    std::env::temp_dir().join(name)
}

fn relays(config: &Config) -> Vec<(String, String)> {
    let both =
        |relay: &crate::turn::RelayAddress| (relay.local.to_string(), relay.advertised.to_string());
    config.relays.iter().map(both).collect()
}

#[test]
fn nothing_said_is_a_default_server() {
    let (config, notes) = settled("# nothing\n\n   \n");
    assert!(config.secret_is_generated);
    assert!(notes.contains("anonymous"), "{notes}");
}

#[test]
fn every_listening_address_gets_the_port_and_auxiliary_servers_are_listeners() {
    let (config, _) = settled(
        "listening-port=3500\nlistening-ip=10.0.0.5\nlistening-ip=2001:db8::5\n\
         aux-server=10.0.0.6:33478\n",
    );
    let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
    assert_eq!(listen, ["10.0.0.5:3500", "10.0.0.6:33478", "[2001:db8::5]:3500"]);
    let same = |ip: &str| (ip.to_owned(), ip.to_owned());
    assert_eq!(relays(&config), [same("10.0.0.5"), same("2001:db8::5")]);
}

#[test]
fn an_external_address_alone_stands_for_the_one_relay_address_that_is_not_loopback() {
    let (config, _) =
        settled("listening-ip=127.0.0.1\nlistening-ip=10.0.0.5\nexternal-ip=198.51.100.7\n");
    assert_eq!(relays(&config), [("10.0.0.5".into(), "198.51.100.7".into())]);
    let (config, _) = settled("external-ip=198.51.100.7\n");
    assert_eq!(relays(&config)[0], ("10.0.0.5".into(), "198.51.100.7".into()));
}

#[test]
fn pairs_of_external_addresses_are_carried_where_there_is_a_relay_address_for_them() {
    let (config, notes) = settled(
        "relay-ip=10.0.0.5\nrelay-ip=10.0.0.6\nexternal-ip=198.51.100.7/10.0.0.5\n\
         external-ip=198.51.100.8/10.0.0.6\nexternal-ip=198.51.100.9/10.0.0.9\n",
    );
    assert_eq!(
        relays(&config),
        [("10.0.0.5".into(), "198.51.100.7".into()), ("10.0.0.6".into(), "198.51.100.8".into())]
    );
    assert!(notes.contains("conf:5: lost: external-ip: 10.0.0.9 is no relay address"), "{notes}");
}

#[test]
fn an_external_address_that_could_stand_for_several_is_given_to_the_first() {
    let (config, notes) =
        settled("relay-ip=10.0.0.6\nrelay-ip=10.0.0.5\nexternal-ip=198.51.100.7\n");
    assert_eq!(relays(&config)[0], ("10.0.0.6".into(), "198.51.100.7".into()));
    assert_eq!(relays(&config).len(), 1, "an address that nobody is told is not relayed on");
    assert!(notes.contains("10.0.0.5"), "{notes}");
}

#[test]
fn an_external_address_without_a_pair_is_for_the_relay_address_that_no_pair_names() {
    let (config, _) = settled(
        "relay-ip=10.0.0.6\nrelay-ip=10.0.0.5\nexternal-ip=198.51.100.7\n\
         external-ip=198.51.100.8/10.0.0.6\n",
    );
    assert_eq!(
        relays(&config),
        [("10.0.0.6".into(), "198.51.100.8".into()), ("10.0.0.5".into(), "198.51.100.7".into())]
    );
}

#[test]
fn either_end_of_the_port_range_may_be_left_out() {
    let ports = |text: &str| settled(text).0.values.relay_ports.to_string();
    assert_eq!(ports("min-port=50000\n"), "50000-65535");
    assert_eq!(ports("max-port=50000\n"), "49152-50000");
    assert_eq!(ports("min-port=20000\nmax-port=20999\n"), "20000-20999");
    let (config, notes) = settled("min-port=20999\nmax-port=20000\n");
    assert_eq!(config.values.relay_ports.to_string(), "49152-65535");
    assert!(notes.contains("min-port: 20999-20000 is reversed"), "{notes}");
}

#[test]
fn what_our_reader_refuses_is_lost_and_not_written() {
    let (config, notes) = settled(
        "static-auth-secret=north\nrealm=\"\"\nuser-quota=-3\nmax-allocate-lifetime=999999\n",
    );
    assert!(config.secret_is_generated);
    assert!(notes.contains("conf:1: lost: static-auth-secret: the secret has 5 bytes"));
    assert!(notes.contains("conf:2: lost: realm"), "{notes}");
    assert!(notes.contains("conf:3: lost: user-quota"), "{notes}");
    assert!(notes.contains("conf:4: lost: max-allocate-lifetime: 999999 is out of bounds"));
    assert!(!notes.contains("north"), "a secret is not repeated: {notes}");
}

#[test]
fn coturn_asks_for_one_kind_of_credentials_and_so_does_the_draft() {
    let both = "user=alice:wonderland\nstatic-auth-secret=looking-glass\n\
                static-auth-secret = through-the-looking-glass\n";
    let (config, notes) = settled(both);
    assert_eq!((config.values.user.len(), config.values.secret.len()), (0, 2));
    assert!(config.values.coturn_names.0, "names such as id:expiry are taken on");
    assert!(notes.contains("conf:1: lost: user"), "{notes}");
    let (config, _) = settled("lt-cred-mech\nuser=alice:wonder:land\nrealm=example.org\n");
    assert_eq!(config.values.user[0].proof, Proof::Password(Secret::new("wonder:land".into())));
    assert_eq!(config.values.realm.0, "example.org");
}

#[test]
fn a_flag_that_is_off_is_as_if_it_were_not_there() {
    for off in ["off", "0", "no", "false", "N", "f", "OFF"] {
        let (config, _) = settled(&format!("no-software-attribute={off}\n"));
        assert!(config.values.software.0, "{off}");
    }
    for on in ["", "=1", " yes", "=on", "=\"true\""] {
        let (config, _) = settled(&format!("no-software-attribute{on}\n"));
        assert!(!config.values.software.0, "{on}");
    }
}

#[test]
fn the_last_of_several_values_holds() {
    let (config, notes) = settled("relay-threads=2\nrelay-threads=0\n");
    assert_eq!(config.workers.len(), 1);
    assert!(notes.contains("conf:1: not needed: relay-threads: line 2"), "{notes}");
}

#[test]
fn a_deny_list_of_mapped_addresses_leaves_ipv4_peers_reachable() {
    let (config, notes) = settled(
        "denied-peer-ip=::ffff:0.0.0.0-::ffff:255.255.255.255\n\
         denied-peer-ip=64:ff9b::-64:ff9b::ffff:ffff\n",
    );
    let networks: Vec<String> = config.values.deny_peers.iter().map(ToString::to_string).collect();
    assert_eq!(networks, ["64:ff9b::/96"]);
    assert!(notes.contains("conf:1: not needed: denied-peer-ip"), "{notes}");
}

#[test]
fn a_number_with_a_comment_behind_it_is_the_number() {
    let (config, notes) = settled("user-quota=12 # a few\nmin-port=20000;\n");
    assert_eq!(config.values.user_quota, 12);
    assert_eq!(config.values.relay_ports.to_string(), "20000-65535");
    assert!(notes.contains("conf:1: differs: user-quota: coturn takes the number 12"), "{notes}");
}

#[test]
fn one_bad_end_of_the_port_range_leaves_the_other() {
    let (config, notes) = settled("min-port=low\nmax-port=60000\n");
    assert_eq!(config.values.relay_ports.to_string(), "49152-60000");
    assert!(notes.contains("conf:1: lost: min-port"), "{notes}");
    let (config, notes) = settled("min-port=50000\nmax-port=70000\n");
    assert_eq!(config.values.relay_ports.to_string(), "50000-65535");
    assert!(notes.contains("conf:2: lost: max-port: 70000 is out of bounds"), "{notes}");
}

#[test]
fn an_address_that_stands_for_all_is_one_of_both_families_where_coturn_hears_both() {
    let listen = |text: &str| {
        let (config, _) = settled(text);
        let listen: Vec<String> = config.listen.iter().map(ToString::to_string).collect();
        (listen, relays(&config).len())
    };
    let v4 = ["10.0.0.5:3478", "10.0.0.6:3478"];
    let both = ["10.0.0.5:3478", "10.0.0.6:3478", "[2001:db8::5]:3478"];
    assert_eq!(listen("listening-ip=\n").0, v4);
    assert_eq!(listen("listening-ip=0.0.0.0\n").0, v4);
    assert_eq!(listen("listening-ip=::\n").0, both);
    assert_eq!(
        listen("listening-ip=::\nlistening-ip=0.0.0.0\n"),
        (both.map(str::to_owned).to_vec(), 2)
    );
}

#[test]
fn blanks_in_front_of_a_password_are_no_part_of_it() {
    let (config, _) = settled("lt-cred-mech\nuser=alice: \twonder land\n");
    assert_eq!(config.values.user[0].proof, Proof::Password(Secret::new("wonder land".into())));
}

#[test]
fn options_of_newer_versions_are_carried_where_they_have_a_counterpart() {
    let (config, notes) = settled("rfc5766-channel-numbers\nlog-min-level=Warning\n");
    assert_eq!(config.values.channel_numbers, crate::wire::ChannelRange::Rfc5766);
    assert_eq!(config.values.log, tracing::level_filters::LevelFilter::WARN);
    assert!(!notes.contains("conf:1") && !notes.contains("conf:2"), "{notes}");
}

#[test]
fn relaying_over_tcp_is_noted_as_different_unless_it_is_off_there_too() {
    let (_, notes) = settled("realm=a\n");
    assert!(notes.contains("conf: differs: tcp-relay: coturn relays TCP unless"), "{notes}");
    let (_, notes) = settled("no-tcp-relay\n");
    assert!(notes.contains("conf:1: not needed: no-tcp-relay: tcp-relay is off"), "{notes}");
    assert!(!notes.contains("differs: tcp-relay"), "{notes}");
}

#[test]
fn a_port_for_tls_that_is_listened_on_anyway_is_left_out() {
    let pair = "cert=/a\npkey=/b\n";
    let shared = format!("{pair}listening-port=443\ntls-listening-port=443\n");
    let (config, notes) = settled(&shared);
    assert_eq!(config.listen_tls, []);
    assert!(notes.contains("conf:4: not needed: tls-listening-port"), "{notes}");
    let tls = |text: &str| {
        let listen_tls = settled(&format!("{pair}{text}")).0.listen_tls;
        listen_tls.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(tls("tls-listening-port=3478\n"), [""; 0]);
    assert_eq!(tls("tcp-proxy-port=5349\n"), [""; 0]);
    let both = "listening-ip=10.0.0.5\nlistening-ip=10.0.0.6\naux-server=10.0.0.6:5349\n";
    assert_eq!(tls(both), ["10.0.0.5:5349"]);
    assert!(settled(&format!("{shared}no-tcp\n")).0.listen_tls.iter().all(|at| at.port() == 443));
}

#[test]
fn unknown_words_are_told() {
    let (_, notes) = settled("colour=blue\n");
    assert!(notes.contains("conf:1: unknown: colour"), "{notes}");
}
