//! Which addresses relays are on where nobody says.

use std::net::IpAddr;

use super::super::{Config, Machine};
use super::{binds, from_flags, ip, machine};

#[test]
fn a_relay_address_that_stood_in_for_that_of_the_default_route_makes_room_for_it() {
    let relays = |routed: &[&str], in_use: &Config| {
        let routed = routed.iter().copied().map(ip).collect();
        let addresses = in_use.addresses_on(&Machine { routed, ..machine() }).unwrap();
        let relays = addresses.relays.iter().map(|relay| relay.local);
        relays.filter(IpAddr::is_ipv4).collect::<Vec<_>>()
    };
    let mut config = from_flags(&["--listen=0.0.0.0"]);
    assert_eq!(config.relays[0].local, ip("10.0.0.6"));
    assert_eq!(relays(&[], &config), [ip("10.0.0.6")], "without a route it stays");
    assert_eq!(relays(&["10.0.0.5", "10.0.0.6"], &config), [ip("10.0.0.6")], "beside another");
    assert_eq!(relays(&["10.0.0.5"], &config), [ip("10.0.0.5")], "on another interface");
    config.relays[0].local = ip("10.0.0.5");
    assert_eq!(relays(&["192.0.2.1"], &config), [ip("10.0.0.5")], "nobody is heard there");
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
