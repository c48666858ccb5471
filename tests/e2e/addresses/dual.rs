//! Two relayed addresses on one five-tuple: ADDITIONAL-ADDRESS-FAMILY, RFC 8656 §7.

use std::net::SocketAddr;

use crate::client::{Client, Peer, V4, V6, allocate, channel_bind};
use crate::relay::{LOOPBACK4, Relay, Setup};
use crate::stun::{Answer, Builder, attribute, method};

fn dual() -> Builder {
    allocate().attribute(attribute::ADDITIONAL_ADDRESS_FAMILY, V6)
}

fn relayed(answer: &Answer) -> (SocketAddr, SocketAddr) {
    let addresses = answer.addresses(attribute::XOR_RELAYED_ADDRESS);
    let [first, second] = addresses.as_slice() else { panic!("two were due: {addresses:?}") };
    assert!(first.is_ipv4() != second.is_ipv4(), "one of each family: {addresses:?}");
    if first.is_ipv4() { (*first, *second) } else { (*second, *first) }
}

fn refresh(family: &[u8], lifetime_s: u32) -> Builder {
    Builder::request(method::REFRESH)
        .lifetime(lifetime_s)
        .attribute(attribute::REQUESTED_ADDRESS_FAMILY, family)
}

// RFC 8656 §7.3: "the server […] includes two XOR-RELAYED-ADDRESS attributes".
#[test]
fn one_request_gets_an_address_of_each_family() {
    let relay = Relay::start();
    for server in [relay.v4(), relay.v6()] {
        let answer = Client::new(server).succeed(dual());
        let (four, six) = relayed(&answer);
        assert!(four.ip().is_loopback() && six.ip().is_loopback());
        assert!(!answer.has(attribute::ADDRESS_ERROR_CODE));
    }
}

#[test]
fn both_families_relay() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let (four, six) = relayed(&client.succeed(dual()));
    let (peer4, peer6) = (Peer::new(), Peer::v6());
    client.permit(peer4.address());
    client.permit(peer6.address());
    peer4.send(four, b"four");
    assert_eq!(client.data_indication(), (peer4.address(), b"four".to_vec()));
    peer6.send(six, b"six");
    assert_eq!(client.data_indication(), (peer6.address(), b"six".to_vec()));
    client.send_indication(peer6.address(), b"to six");
    assert_eq!(peer6.receive(), (six, b"to six".to_vec()));
    client.bind(0x4000, peer4.address());
    client.bind(0x4001, peer6.address());
    client.send_channel(0x4000, b"to four");
    client.send_channel(0x4001, b"to six");
    assert_eq!(peer4.receive(), (four, b"to four".to_vec()));
    assert_eq!(peer6.receive(), (six, b"to six".to_vec()));
    peer6.send(six, b"on its channel");
    assert_eq!(client.channel_data(), (0x4001, b"on its channel".to_vec()));
}

// One five-tuple has one space of channel numbers.
#[test]
fn a_channel_number_is_taken_in_both_families() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.succeed(dual());
    client.bind(0x4000, Peer::new().address());
    assert_eq!(client.fail(channel_bind(0x4000, Peer::v6().address())), 400);
}

// RFC 8656 §8.2: Refresh with REQUESTED-ADDRESS-FAMILY concerns only that family.
#[test]
fn one_family_can_be_given_back() {
    let relay = Relay::start();
    let (peer4, peer6) = (Peer::new(), Peer::v6());
    let mut client = Client::new(relay.v4());
    let (four, six) = relayed(&client.succeed(dual()));
    client.permit(peer4.address());
    client.permit(peer6.address());
    client.succeed(refresh(V6, 0));
    peer6.send(six, b"gone");
    client.expect_silence();
    peer4.send(four, b"alive");
    assert_eq!(client.data_indication(), (peer4.address(), b"alive".to_vec()));
    assert_eq!(client.fail(refresh(V6, 600)), 443);
    client.succeed(refresh(V4, 600));
}

#[test]
fn a_refresh_without_a_family_concerns_both() {
    let relay = Relay::start();
    let (peer4, peer6) = (Peer::new(), Peer::v6());
    let mut client = Client::new(relay.v4());
    let (four, six) = relayed(&client.succeed(dual()));
    client.permit(peer4.address());
    client.permit(peer6.address());
    client.refresh(0);
    peer4.send(four, b"gone");
    peer6.send(six, b"gone");
    client.expect_silence();
    assert_eq!(client.fail(Builder::request(method::REFRESH)), 437);
}

// RFC 8656 §7.2: when only one of the two can be had, the request succeeds with that one, and
// ADDRESS-ERROR-CODE says why the other is missing.
#[test]
fn a_family_that_cannot_be_had_is_explained() {
    let relay = Setup::new().relay_ips(&[LOOPBACK4]).start();
    let mut client = Client::new(relay.v4());
    let answer = client.succeed(dual());
    let addresses = answer.addresses(attribute::XOR_RELAYED_ADDRESS);
    assert_eq!(addresses.len(), 1);
    assert_eq!(addresses[0].ip(), LOOPBACK4);
    // RFC 8656 §18.13: family, reserved bits, class, number.
    let value = answer.get(attribute::ADDRESS_ERROR_CODE).expect("ADDRESS-ERROR-CODE is there");
    assert_eq!(value[..4], [0x02, 0x00, 0x04, 40]);
}

// A dual allocation in a retransmission is still one, with the same two addresses.
#[test]
fn a_retransmitted_dual_allocate_gets_the_same_addresses() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.challenge();
    let request = client.sign(dual());
    let first = relayed(&client.request(&request));
    assert_eq!(relayed(&client.request(&request)), first);
}
