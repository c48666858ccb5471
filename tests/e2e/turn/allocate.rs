//! Allocate, RFC 8656 §7: lifetimes, retransmissions, the port, and a client that starts again.

use crate::client::{Client, Peer, allocate};
use crate::relay::{LOOPBACK4, Relay, Setup};
use crate::stun::{Class, attribute};

#[test]
fn an_allocation_has_a_port_of_the_range_on_the_relay_address() {
    let relay = Relay::start();
    let mut ports = Vec::new();
    for _ in 0..20 {
        let relayed = Client::new(relay.v4()).allocate();
        assert_eq!(relayed.ip(), LOOPBACK4);
        let (low, high) = relay.relay_range;
        assert!((low..=high).contains(&relayed.port()), "{relayed} outside {low}-{high}");
        ports.push(relayed.port());
    }
    let drawn = ports.clone();
    ports.sort_unstable();
    assert_ne!(drawn, ports, "ports are drawn, not counted");
    ports.dedup();
    assert_eq!(ports.len(), 20, "two clients with one port");
}

// RFC 8656 §3.2: the default lifetime is 10 minutes; §7.2: the server may lower what was asked, and
// never goes below the default because less was asked, except by its own maximum.
#[test]
fn lifetimes_are_clamped() {
    let relay = Setup::new().with(&["--max-lifetime", "1800"]).start();
    for (asked, granted) in [
        (None, 600),
        (Some(700), 700),
        (Some(1800), 1800),
        (Some(1801), 1800),
        (Some(u32::MAX), 1800),
    ] {
        let request = asked.into_iter().fold(allocate(), crate::stun::Builder::lifetime);
        let answer = Client::new(relay.v4()).succeed(request);
        assert_eq!(answer.lifetime_s(), granted, "asked for {asked:?}");
    }
}

#[test]
fn a_maximum_below_the_default_holds() {
    let relay = Setup::new().with(&["--max-lifetime", "300"]).start();
    for request in [allocate(), allocate().lifetime(600)] {
        assert_eq!(Client::new(relay.v4()).succeed(request).lifetime_s(), 300);
    }
}

// RFC 8489 §6.3.1: a retransmission gets the same answer; Allocate with the same transaction must
// not end in 437 because its first answer was lost.
#[test]
fn a_retransmitted_allocate_gets_the_same_answer() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let request = client.sign(allocate());
    let first = client.request(&request);
    assert_eq!(first.class, Class::Success);
    for _ in 0..3 {
        let again = client.request(&request);
        assert_eq!(again.class, Class::Success);
        let relayed = |answer: &crate::stun::Answer| answer.address(attribute::XOR_RELAYED_ADDRESS);
        assert_eq!(relayed(&again), relayed(&first));
    }
}

// The second copy may come before the first one's socket is open.
#[test]
fn a_burst_of_copies_makes_one_allocation() {
    let relay = Setup::new().with(&["--user-quota", "1"]).start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let request = client.sign(allocate());
    for _ in 0..5 {
        client.send(&request);
    }
    let first = client.message();
    assert_eq!(first.class, Class::Success);
    while let Some(again) = client.reaction(&request) {
        assert_eq!(again.class, Class::Success);
        let relayed = again.address(attribute::XOR_RELAYED_ADDRESS);
        assert_eq!(relayed, first.address(attribute::XOR_RELAYED_ADDRESS));
        if again.raw == first.raw {
            break;
        }
    }
}

// RFC 8656 §7.2: "a server MUST NOT allocate an odd port" for EVEN-PORT.
#[test]
fn an_even_port_is_even() {
    let relay = Relay::start();
    for _ in 0..20 {
        let mut client = Client::new(relay.v4());
        let answer = client.succeed(allocate().attribute(attribute::EVEN_PORT, &[0]));
        assert_eq!(answer.address(attribute::XOR_RELAYED_ADDRESS).port() % 2, 0);
        assert!(!answer.has(attribute::RESERVATION_TOKEN), "nothing was to be reserved");
    }
}

#[test]
fn dont_fragment_is_understood() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.succeed(allocate().attribute(attribute::DONT_FRAGMENT, &[]));
}

#[test]
fn the_advertised_address_is_the_external_one() {
    let relay = Setup::new().with(&["--external-ip", "198.51.100.7/127.0.0.1"]).start();
    let relayed = Client::new(relay.v4()).allocate();
    assert_eq!(relayed.ip().to_string(), "198.51.100.7");
    let (low, high) = relay.relay_range;
    assert!((low..=high).contains(&relayed.port()));
}

// A success before the port is open would be a promise the relay may have to break.
#[test]
fn the_port_is_open_when_the_answer_is_there() {
    let relay = Relay::start();
    let peer = Peer::new();
    // Kept: the socket of a dropped one would be another's, and its five-tuple is still taken.
    let mut clients: Vec<_> = (0..50).map(|_| Client::new(relay.v4())).collect();
    for (round, client) in (0_u8..).zip(&mut clients) {
        let relayed = client.allocate();
        client.permit(peer.address());
        peer.send(relayed, &[round]);
        assert_eq!(client.data_indication(), (peer.address(), vec![round]));
    }
}

// By default the RFC's 437 holds; `replace` is for clients that restart on the same port.
#[test]
fn a_client_that_starts_again_can_be_let_in() {
    let relay = Setup::new().with(&["--on-reallocate", "replace"]).start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let old = client.allocate();
    client.permit(peer.address());
    let new = client.allocate();
    peer.send(new, b"too early");
    client.expect_silence();
    client.permit(peer.address());
    peer.send(new, b"new");
    assert_eq!(client.data_indication(), (peer.address(), b"new".to_vec()));
    if old != new {
        peer.send(old, b"old");
        client.expect_silence();
    }
}

#[test]
fn only_the_same_user_can_start_again() {
    let setup = Setup::new().with(&["--on-reallocate", "replace", "--user", "bob:builder"]);
    let relay = setup.start();
    let mut alice = Client::new(relay.v4());
    alice.allocate();
    let socket = alice.socket.try_clone().expect("a second handle");
    let mut bob = Client::on(socket, relay.v4(), "bob", "builder");
    let code = bob.fail(allocate());
    assert!(matches!(code, 437 | 441), "{code}");
    alice.refresh(600);
}
