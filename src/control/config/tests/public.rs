//! What private relay addresses are called outside, where nobody has told.

use super::*;

#[test]
fn a_stun_server_says_what_private_relay_addresses_are_called() {
    let on = |asks, words: &[&str], in_use: Option<&Config>| {
        let machine = Machine { asks, ..machine() };
        let source = ConfigText::default();
        let settled = Settling { source: &source, machine: &machine }.settle(&flags(words));
        match in_use {
            Some(config) => config.addresses_on(&machine).map(|addresses| addresses.relays),
            None => settled.map(|it| it.relays).map_err(|it| format!("{:?} {it}", it.remedy)),
        }
    };
    let told = |relays: Result<Vec<RelayAddress>, String>| -> Vec<String> {
        relays.unwrap().iter().map(|relay| relay.advertised.to_string()).collect()
    };
    let words = ["--external-ip=stun:stun.example.org", "--external-ip=198.51.100.1/10.0.0.5"];
    let both = [&words[..], &["--relay-ip=10.0.0.5", "--relay-ip=10.0.0.6"]].concat();
    let seen: Asks = |server, local| {
        assert_eq!(
            (server.to_string().as_str(), local),
            ("stun:stun.example.org:3478", ip(OWN[1]))
        );
        Ok(Some(ip("198.51.100.2")))
    };
    assert_eq!(told(on(seen, &both, None)), ["198.51.100.1", "198.51.100.2"]);
    let public = ["--relay-ip=2001:db8::5", words[0]];
    assert_eq!(told(on(seen, &public, None)), ["2001:db8::5"], "nobody is asked");
    assert_eq!(told(on(|_, _| Ok(None), &both, None))[1], "10.0.0.6");
    let silent: Asks = |_, _| Err("it does not answer".to_owned());
    let error = on(silent, &both, None).unwrap_err();
    let words = "Time command line: external-ip: stun:stun.example.org:3478: it does not answer";
    assert_eq!(error, words);
    let machine = Machine { asks: seen, ..machine() };
    let source = ConfigText::default();
    let config = Settling { source: &source, machine: &machine }.settle(&flags(&both)).unwrap();
    assert_eq!(told(on(silent, &both, Some(&config))), ["198.51.100.1", "198.51.100.2"]);
    let moved: Asks = |_, _| Ok(Some(ip("198.51.100.3")));
    assert_eq!(told(on(moved, &both, Some(&config))), ["198.51.100.1", "198.51.100.3"]);
    let two = from_flags_error(&["--external-ip=stun:a", "--external-ip=stun:b"]);
    assert!(two.contains("stun:a:3478 and stun:b:3478 are two: write one"), "{two}");
}

#[test]
fn a_name_says_what_private_relay_addresses_of_its_families_are_called() {
    let on = |looks_up, words: &[&str]| {
        let machine = Machine { looks_up_own: looks_up, ..machine() };
        let source = ConfigText::default();
        Settling { source: &source, machine: &machine }.settle(&flags(words))
    };
    let words = ["--relay-ip=10.0.0.5", "--relay-ip=2001:db8::5", "--external-ip=turn.example.org"];
    let config = on(
        |host, port| {
            assert_eq!(host, "turn.example.org");
            let found = ["2001:db8::99", "198.51.100.9", "198.51.100.9"];
            Ok(found.map(|it| SocketAddr::new(ip(it), port)).to_vec())
        },
        &words,
    );
    let told = |config: Config| config.relays.iter().map(|it| it.advertised).collect::<Vec<_>>();
    assert_eq!(told(config.unwrap()), [ip("198.51.100.9"), ip("2001:db8::5")], "public stays");
    let none = on(|_, _| Ok(Vec::new()), &words);
    assert_eq!(told(none.unwrap()), [ip("10.0.0.5"), ip("2001:db8::5")]);
    let error = on(|host, _| Err(format!("{host} cannot be resolved: no")), &words).unwrap_err();
    assert_eq!(error.remedy, Remedy::Time);
    let words = "command line: external-ip: turn.example.org: cannot be resolved: no";
    assert_eq!(error.to_string(), words);
}

/// Names that resolve to these, whatever they are.
const SEVERAL: LooksUp = |_, port| named(&["198.51.100.10", "198.51.100.9"], port);
const SEVERAL_TURNED: LooksUp = |_, port| named(&["198.51.100.9", "198.51.100.10"], port);
const OTHERS: LooksUp = |_, port| named(&["198.51.100.8", "198.51.100.7"], port);
const ONE: LooksUp = |_, port| named(&["198.51.100.10"], port);

fn named(found: &[&str], port: u16) -> Result<Vec<SocketAddr>, String> {
    Ok(found.iter().map(|it| SocketAddr::new(ip(it), port)).collect())
}

fn by_name(looks_up: LooksUp) -> Result<Config, ConfigError> {
    let machine = Machine { looks_up_own: looks_up, ..machine() };
    let source = ConfigText::default();
    let words = ["--relay-ip=10.0.0.5", "--external-ip=turn.example.org"];
    Settling { source: &source, machine: &machine }.settle(&flags(&words))
}

#[test]
fn a_name_with_several_addresses_is_refused_at_the_start_and_keeps_the_one_in_use_later() {
    let error = by_name(SEVERAL).unwrap_err();
    assert_eq!(error.remedy, Remedy::Operator);
    let words = "command line: external-ip: turn.example.org: it has several addresses \
                 (198.51.100.9, 198.51.100.10): write the one of this server";
    assert_eq!(error.to_string(), words);
    let config = by_name(ONE).unwrap();
    for looks_up in [SEVERAL, SEVERAL_TURNED, OTHERS, ONE] {
        let machine = Machine { looks_up_own: looks_up, ..machine() };
        let addresses = config.addresses_on(&machine).unwrap();
        assert_eq!(addresses.relays[0].advertised, ip("198.51.100.10"));
    }
}

// Debian writes the machine's own name beside 127.0.1.1.
#[test]
fn a_name_that_leads_nowhere_is_refused_and_said() {
    let all: [(LooksUp, &str); 4] = [
        (|_, port| named(&["127.0.1.1"], port), "127.0.1.1"),
        (|_, port| named(&["198.51.100.9", "127.0.1.1"], port), "127.0.1.1"),
        (|_, port| named(&["0.0.0.0"], port), "0.0.0.0"),
        (|_, port| named(&["224.0.0.1"], port), "224.0.0.1"),
    ];
    let config = by_name(ONE).unwrap();
    for (looks_up, found) in all {
        let error = by_name(looks_up).unwrap_err();
        assert_eq!(error.remedy, Remedy::Operator);
        let words = format!("turn.example.org: it is {found} here, where no client finds");
        assert!(error.to_string().contains(&words), "{error}");
        let machine = Machine { looks_up_own: looks_up, ..machine() };
        let addresses = config.addresses_on(&machine).unwrap();
        assert_eq!(addresses.relays[0].advertised, ip("198.51.100.10"), "the last answer holds");
    }
}
