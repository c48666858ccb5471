//! Binding, and how little a stranger gets out of the relay. Compared byte by byte.

use crate::client::{Client, allocate};
use crate::relay::Relay;
use crate::stun::{Builder, Class, attribute, method};

/// A Binding request as RFC 8489 §5 draws it: type, length 0, cookie, transaction.
const REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";

// RFC 8489 §14.2: "X-Port is computed by XOR'ing the mapped port with the most significant 16 bits
// of the magic cookie", X-Address with the cookie.
#[test]
fn binding_over_ipv4_is_answered_in_32_bytes() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.send(&REQUEST);
    let port = client.address().port() ^ 0x2112;
    let mut expected =
        b"\x01\x01\x00\x0c\x21\x12\xa4\x42abcdefghijkl\x00\x20\x00\x08\x00\x01".to_vec();
    expected.extend_from_slice(&port.to_be_bytes());
    expected.extend_from_slice(&[127 ^ 0x21, 0x12, 0xA4, 1 ^ 0x42]);
    assert_eq!(client.receive(), expected);
    assert_eq!(expected.len(), 32);
}

// RFC 8489 §14.2: for IPv6, X-Address is masked with "the concatenation of the magic cookie and the
// 96-bit transaction ID".
#[test]
fn binding_over_ipv6_is_answered_in_44_bytes() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v6());
    client.send(&REQUEST);
    let port = client.address().port() ^ 0x2112;
    let mut expected =
        b"\x01\x01\x00\x18\x21\x12\xa4\x42abcdefghijkl\x00\x20\x00\x14\x00\x02".to_vec();
    expected.extend_from_slice(&port.to_be_bytes());
    expected.extend_from_slice(b"\x21\x12\xa4\x42abcdefghijk");
    expected.push(b'l' ^ 1);
    assert_eq!(client.receive(), expected);
}

// RFC 8489 §6.3: a request with a fingerprint may be answered with one.
#[test]
fn binding_with_a_fingerprint_is_answered() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let answer = client.request(&Builder::request(method::BINDING).fingerprint().bytes());
    assert_eq!(answer.class, Class::Success);
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), client.address());
    assert!(!answer.has(attribute::SOFTWARE), "SOFTWARE for a stranger");
}

// RFC 8489 §14.13: comprehension-optional attributes "can be ignored".
#[test]
fn binding_ignores_what_may_be_ignored() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let request =
        Builder::request(method::BINDING).attribute(0x8022, b"someone").attribute(0xC0FE, &[7]);
    assert_eq!(client.request(&request.bytes()).class, Class::Success);
}

// RFC 8489 §6.3.1: "If the request contains one or more unknown comprehension-required attributes,
// the server replies with an error response with an error code of 420 […] and includes an
// UNKNOWN-ATTRIBUTES attribute in the response that lists" them.
#[test]
fn binding_with_unknown_attributes_gets_420_and_their_list() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let request =
        Builder::request(method::BINDING).attribute(0x7F01, &[]).attribute(0x7F02, b"abc");
    let answer = client.request(&request.bytes());
    assert_eq!(answer.code(), Some(420));
    assert_eq!(answer.get(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x7F, 0x01, 0x7F, 0x02][..]));
}

#[test]
fn the_answer_goes_to_the_port_that_asked() {
    let relay = Relay::start();
    let mut clients: Vec<_> = (0..20).map(|_| Client::new(relay.v4())).collect();
    for client in &mut clients {
        let answer = client.request(&Builder::request(method::BINDING).bytes());
        assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), client.address());
    }
}

// A relay must be of little use to someone who forges the source of requests.
#[test]
fn a_challenge_is_bounded() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let answer = client.request(&allocate().bytes());
    assert_eq!(answer.code(), Some(401));
    assert!(!answer.has(attribute::SOFTWARE), "SOFTWARE for a stranger");
    assert!(answer.raw.len() <= 160, "{} bytes for 28", answer.raw.len());
}

#[test]
fn the_largest_answer_to_unknown_attributes_is_bounded() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let unknown = (0..200).fold(Builder::request(method::BINDING), |request, number| {
        request.attribute(0x7000 + number, &[])
    });
    let request = unknown.bytes();
    let answer = client.request(&request);
    assert_eq!(answer.code(), Some(420));
    assert!(answer.raw.len() <= request.len(), "{} bytes for {}", answer.raw.len(), request.len());
}
