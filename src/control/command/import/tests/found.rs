//! Lines that once did something else than in coturn, each kind by itself.

use super::{loaded_with_users, relays, settled};
use crate::control::command::import::import_coturn;

/// The notes of a file, and what of it is carried.
fn imported(text: &str) -> (String, String) {
    import_coturn(text.as_bytes())
}

fn lists(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[test]
fn a_flag_is_as_its_last_line_has_it() {
    let (config, notes) = settled("no-tcp\nno-tcp=off\n");
    assert!(config.values.tcp.0);
    assert!(notes.contains("conf:1: not needed: no-tcp: line 2 holds in its place"), "{notes}");
    assert!(notes.contains("conf:2: not needed: no-tcp: it is off"), "{notes}");
    let (config, _) = settled("no-tcp=off\nno-tcp\n");
    assert!(!config.values.tcp.0);
    let (config, _) = settled("Verbose\nVerbose=off\n");
    assert_eq!(config.values.log.to_string(), "debug", "no line switches it off again");
}

#[test]
fn the_software_is_named_as_the_last_of_three_flags_has_it() {
    let is_named = |text: &str| settled(text).0.values.software.0;
    assert!(!is_named("software-attribute=off\n"));
    assert!(is_named("software-attribute=off\nno-software-attribute=off\n"));
    assert!(!is_named("software-attribute\nprod\n"));
}

#[test]
fn what_is_on_by_its_name_alone_is_on_with_any_value() {
    let (config, notes) = settled("prometheus=off\nuse-auth-secret=0\nuser=alice:wonderland\n");
    assert!(!config.metrics.is_empty());
    assert!(config.values.user.is_empty(), "coturn takes secrets alone");
    for line in ["conf:1: differs: prometheus", "conf:2: differs: use-auth-secret"] {
        assert!(notes.contains(&format!("{line}: to coturn it is on, whatever")), "{notes}");
    }
}

#[test]
fn a_line_that_has_coturn_ask_for_no_credentials_is_noted() {
    for (text, note) in [
        ("static-auth-secret=looking-glass\nlt-cred-mech=off\n", "2: differs: lt-cred-mech"),
        ("user=alice:wonderland\nlt-cred-mech\nno-auth=off\n", "3: differs: no-auth"),
        ("lt-cred-mech=off\n", "1: differs: lt-cred-mech"),
    ] {
        let note = format!(":{note}: though it is off, coturn asks nobody");
        let notes = imported(text).1;
        assert!(notes.contains(&note), "{notes}");
    }
    let notes = imported("no-auth\nuser=alice:wonderland\n").1;
    assert!(notes.contains(":1: lost: no-auth: there is no anonymous access: whoever"), "{notes}");
    for text in ["lt-cred-mech=off\nuser=alice:wonderland\n", "no-auth=off\nuser=a:b\n"] {
        let notes = imported(text).1;
        assert!(!notes.contains("anonymous") && !notes.contains("asks nobody"), "{notes}");
    }
}

#[test]
fn a_user_whose_later_line_is_broken_keeps_the_one_before() {
    let (config, notes) = settled("user=alice:wonderland\nuser=alice:\n");
    assert_eq!(config.values.user[0].name, "alice");
    assert!(notes.contains("conf:2: lost: user"), "{notes}");
}

#[test]
fn a_secret_that_asks_uturn_for_another_one_is_lost() {
    let (config, notes) = settled("static-auth-secret=generate\n");
    assert!(!config.secret_is_asked_for);
    assert!(notes.contains("conf:1: lost: static-auth-secret: to uturn it asks"), "{notes}");
}

#[test]
fn a_name_that_a_file_of_users_has_no_place_for_is_lost() {
    let (config, _, notes) =
        loaded_with_users("user=#dan:0x5dc2ec4ddfc0a5a8b80c1f0c3dcb8d2f\nuser=#dan2:x\n");
    assert_eq!(
        lists(&config.unwrap().users().map(|user| user.name).collect::<Vec<_>>()),
        ["#dan2"]
    );
    assert!(notes.contains("conf:1: lost: user: in a file of users '#dan'"), "{notes}");
}

#[test]
fn an_auxiliary_server_without_a_port_is_lost() {
    let (config, notes) = settled("aux-server=10.0.0.6\nlistening-ip=10.0.0.5\n");
    assert_eq!(lists(&config.listen), ["10.0.0.5:3478"]);
    assert!(notes.contains("conf:1: lost: aux-server: it has no port"), "{notes}");
}

#[test]
fn an_address_that_is_none_takes_no_other_port_with_it() {
    let (config, notes) = settled("listening-ip=10.0.0.5 # eth0\ntcp-proxy-port=5555\n");
    assert_eq!(config.listen.iter().filter(|at| at.port() == 5555).count(), 3);
    assert!(notes.contains("listening-ip: '10.0.0.5 # eth0' is not an IP address"), "{notes}");
    let (config, _) = settled("listening-ip=eth0\ncert=/a\npkey=/b\ntls-listening-port=443\n");
    assert_eq!(config.listen_tls.len(), 3);
}

#[test]
fn all_of_ipv6_is_all_of_ipv4_too_however_it_is_written() {
    let (config, _) = settled("listening-ip=0:0::0\n");
    assert_eq!(lists(&config.listen), ["10.0.0.5:3478", "10.0.0.6:3478", "[2001:db8::5]:3478"]);
}

#[test]
fn an_external_address_is_for_what_the_pairs_leave_and_never_for_loopback() {
    let (config, _) = settled("external-ip=198.51.100.7\nexternal-ip=198.51.100.8/10.0.0.5\n");
    assert_eq!(relays(&config)[0], ("10.0.0.5".into(), "198.51.100.8".into()));
    let (config, notes) = settled("listening-ip=127.0.0.1\nexternal-ip=198.51.100.7\n");
    assert_eq!(relays(&config), [("127.0.0.1".into(), "127.0.0.1".into())]);
    assert!(notes.contains("conf:2: lost: external-ip: there is no relay address"), "{notes}");
    let (_, notes) = settled("external-ip=198.51.100.7\nexternal-ip=2001:db8::7\n");
    assert!(notes.contains("conf:2: differs: external-ip: coturn takes the first such"), "{notes}");
}

#[test]
fn what_coturn_never_reaches_is_not_opened() {
    for closed in ["0.1.2.3", "127.0.0.1", "::1"] {
        let (toml, notes) = imported(&format!("allowed-peer-ip={closed}\n"));
        assert!(!toml.contains("allow-peers"), "{toml}");
        assert!(notes.contains("allowed-peer-ip: coturn reaches none of it"), "{notes}");
    }
    let (toml, _) = imported("allowed-peer-ip=223.255.255.255-255.0.0.0\nno-multicast-peers\n");
    assert!(toml.contains("allow-peers = [\"223.255.255.255/32\"]"), "{toml}");
}

#[test]
fn a_private_address_that_coturn_opens_in_spite_of_its_lists_is_noted() {
    let pair = "external-ip=198.51.100.7/10.0.0.5\n";
    let notes = imported(&format!("{pair}denied-peer-ip=10.0.0.0-10.255.255.255\n")).1;
    assert!(notes.contains(":1: differs: external-ip: coturn reaches every service at 10.0.0.5"));
    for open in ["", "denied-peer-ip=10.1.0.0-10.255.255.255\n"] {
        assert!(!imported(&format!("{pair}{open}")).1.contains("every service"), "{open}");
    }
}

#[test]
fn a_port_of_metrics_that_is_none_is_noted_with_its_own_line() {
    let (config, notes) = settled("prometheus\nprometheus-port=70000\n");
    assert_eq!(config.metrics[0].port(), 9641);
    assert!(notes.contains("conf:2: lost: prometheus-port: 70000 is out of bounds"), "{notes}");
}

#[test]
fn options_that_coturn_has_given_up_are_known() {
    let (_, notes) = imported("secret-ts-exp-time=60\nno-http\ndh2066\nno-sslv3\n");
    assert!(!notes.contains("unknown"), "{notes}");
}

#[test]
fn the_rest_of_a_line_that_is_too_long_is_not_shown() {
    let (toml, notes) = imported(&format!("static-auth-secret={}tail\n", "s".repeat(1_004)));
    assert!(!toml.contains("secret ="), "{toml}");
    assert!(
        notes.contains(":1: unknown: the rest of a line: coturn has no such option"),
        "{notes}"
    );
    assert!(!notes.contains("tail"), "{notes}");
}
