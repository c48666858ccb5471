//! Refresh and the end of an allocation, RFC 8656 §8: a deleted one is gone at once.

use std::time::Duration;

use crate::client::{Client, Peer, allocate, create_permission};
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, attribute, method};

#[test]
fn lifetimes_are_clamped() {
    let relay = Setup::new().with(&["--max-lifetime", "1800"]).start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    for (asked, granted) in [(700, 700), (1800, 1800), (1801, 1800), (u32::MAX, 1800)] {
        assert_eq!(client.refresh(asked).lifetime_s(), granted, "asked for {asked}");
    }
    let answer = client.succeed(Builder::request(method::REFRESH));
    assert_eq!(answer.lifetime_s(), 600, "asked for nothing");
}

#[test]
fn a_refresh_to_0_frees_the_five_tuple() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    assert_eq!(client.refresh(0).lifetime_s(), 0);
    assert_eq!(client.fail(Builder::request(method::REFRESH)), 437);
    client.allocate();
}

#[test]
fn a_refresh_to_0_silences_the_port_at_once() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    peer.send(relayed, b"before");
    assert_eq!(client.channel_data(), (0x4000, b"before".to_vec()));
    client.refresh(0);
    peer.send(relayed, b"after");
    client.expect_silence();
    client.send_channel(0x4000, b"after");
    client.send_indication(peer.address(), b"after");
    peer.expect_silence();
}

// A new allocation on the five-tuple must not inherit what the old one was allowed.
#[test]
fn nothing_is_inherited() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer.address());
    client.refresh(0);
    let relayed = client.allocate();
    peer.send(relayed, b"no permission");
    client.expect_silence();
    client.send_channel(0x4000, b"no channel");
    peer.expect_silence();
}

#[test]
fn the_port_can_be_had_again() {
    let relay = Setup::new().relay_port_count(2).start();
    for _ in 0..20 {
        let mut clients = [Client::new(relay.v4()), Client::new(relay.v4())];
        for client in &mut clients {
            client.allocate();
        }
        assert_eq!(Client::new(relay.v4()).fail(allocate()), 508);
        for client in &mut clients {
            client.refresh(0);
        }
    }
}

#[test]
fn an_allocation_ends_by_itself() {
    let relay = Setup::new().with(&["--max-lifetime", "2"]).start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(peer.address());
    std::thread::sleep(Duration::from_millis(1_000));
    client.refresh(2);
    std::thread::sleep(Duration::from_millis(1_300));
    peer.send(relayed, b"refreshed");
    assert_eq!(client.data_indication().1, b"refreshed");
    std::thread::sleep(Duration::from_millis(2_200));
    peer.send(relayed, b"expired");
    client.expect_silence();
    assert_eq!(client.fail(create_permission(peer.address())), 437);
    client.allocate();
}

// RFC 8489 §6.3.1 for Refresh: a copy of a Refresh to 0 finds no allocation, and says so.
#[test]
fn a_retransmitted_refresh_gets_its_answer() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let request = client.sign(Builder::request(method::REFRESH).lifetime(700));
    for _ in 0..3 {
        assert_eq!(client.request(&request).lifetime_s(), 700);
    }
    let end = client.sign(Builder::request(method::REFRESH).lifetime(0));
    assert_eq!(client.request(&end).lifetime_s(), 0);
    let again = client.request(&end);
    assert!(matches!(again.code(), None | Some(437)), "{:?}", again.code());
}

// RFC 8656 §8: of the same five-tuple, only the family named is refreshed or deleted, when there
// are two.
#[test]
fn a_family_can_be_named() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let named = Builder::request(method::REFRESH)
        .attribute(attribute::REQUESTED_ADDRESS_FAMILY, crate::client::V4);
    client.succeed(named.lifetime(600));
}
