//! Which addresses relays are on where nobody says.

use std::net::IpAddr;

use super::super::{Config, Machine};
use super::{ConfigText, Settling, binds, flags, from_flags, ip, machine};

/// What a configuration comes to after the default routes went over these, one after another.
fn after(config: &mut Config, routes: &[&[&str]]) -> Vec<IpAddr> {
    for routed in routes {
        let routed = routed.iter().copied().map(ip).collect();
        let addresses = config.addresses_on(&Machine { routed, ..machine() }).unwrap();
        config.take(addresses);
    }
    let relays = config.relays.iter().map(|relay| relay.local);
    relays.filter(IpAddr::is_ipv4).collect()
}

fn settled(routed: &[&str]) -> Config {
    let machine = Machine { routed: routed.iter().copied().map(ip).collect(), ..machine() };
    let source = ConfigText::default();
    Settling { source: &source, machine: &machine }.settle(&flags(&["--listen=0.0.0.0"])).unwrap()
}

#[test]
fn a_relay_address_that_stood_in_for_that_of_the_default_route_makes_room_for_it() {
    let stood_in = settled(&[]);
    assert_eq!(after(&mut stood_in.clone(), &[]), [ip("10.0.0.5")]);
    assert_eq!(after(&mut stood_in.clone(), &[&[]]), [ip("10.0.0.5")], "without a route it stays");
    assert_eq!(
        after(&mut stood_in.clone(), &[&["192.0.2.1"]]),
        [ip("10.0.0.5")],
        "not heard there"
    );
    assert_eq!(after(&mut stood_in.clone(), &[&["10.0.0.5", "10.0.0.6"]]), [ip("10.0.0.5")]);
    assert_eq!(after(&mut stood_in.clone(), &[&["10.0.0.6"]]), [ip("10.0.0.6")], "it makes room");
    assert_eq!(after(&mut stood_in.clone(), &[&[], &["10.0.0.6"]]), [ip("10.0.0.6")], "later, too");
}

// A tunnel takes all routes; of two uplinks now the one has the default route, now the other.
#[test]
fn a_relay_address_of_the_default_route_stays_when_another_interface_takes_the_route() {
    let routes: [&[&[&str]]; 3] = [
        &[&["10.0.0.5"]],
        &[&[], &["10.0.0.5"]],
        &[&["10.0.0.5"], &["10.0.0.6"], &["10.0.0.5"], &["192.0.2.1"]],
    ];
    for routes in routes {
        assert_eq!(after(&mut settled(&["10.0.0.6"]), routes), [ip("10.0.0.6")], "{routes:?}");
    }
    let made_room: &[&[&str]] = &[&["10.0.0.6"], &["10.0.0.5"]];
    assert_eq!(after(&mut settled(&[]), made_room), [ip("10.0.0.6")], "no stand-in any more");
    let came_to_it: &[&[&str]] = &[&["10.0.0.5"], &["10.0.0.6"]];
    assert_eq!(after(&mut settled(&[]), came_to_it), [ip("10.0.0.5")], "nor this one");
}

#[test]
fn a_server_on_loopback_relays_on_loopback() {
    assert_eq!(binds(&from_flags(&["--listen=127.0.0.1:3478"])), [ip("127.0.0.1"), ip("::1")]);
}

#[test]
fn external_addresses_stand_in_for_relay_addresses() {
    let words = ["--external-ip=198.51.100.1/10.0.0.5", "--external-ip=198.51.100.2/10.0.0.6"];
    let relays = from_flags(&words).relays;
    let told: Vec<_> = relays.iter().map(|relay| (relay.local, relay.advertised)).collect();
    assert_eq!(told[0], (ip("10.0.0.5"), ip("198.51.100.1")));
    assert_eq!(told[1], (ip("10.0.0.6"), ip("198.51.100.2")));
    assert_eq!(told[2], (ip("2001:db8::5"), ip("2001:db8::5")));
}
