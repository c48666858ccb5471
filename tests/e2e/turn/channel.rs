//! Channels, RFC 8656 §12: numbers, bindings, and frames to the byte.

use std::net::SocketAddr;

use crate::client::{Client, Peer, channel_bind, channel_data};
use crate::relay::{Relay, Setup};

#[test]
fn a_channel_carries_both_ways() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    client.send_channel(0x4000, b"hello");
    assert_eq!(peer.receive(), (relayed, b"hello".to_vec()));
    peer.send(relayed, b"hi");
    // RFC 8656 §12.4: number, length, data; over UDP the padding is optional.
    let frame = client.receive();
    assert_eq!(frame[..6], *b"\x40\x00\x00\x02hi");
    assert!(frame.len() == 6 || frame.len() == 8, "{frame:02x?}");
}

// RFC 8656 §12.2: binding installs or refreshes a permission for the peer's address.
#[test]
fn a_channel_brings_a_permission() {
    let relay = Relay::start();
    let (bound, other) = (Peer::new(), Peer::new());
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.bind(0x4000, bound.address());
    other.send(relayed, b"same address, other port");
    assert_eq!(client.data_indication(), (other.address(), b"same address, other port".to_vec()));
    client.send_indication(bound.address(), b"out");
    assert_eq!(bound.receive().1, b"out");
}

// RFC 8656 §12.7: once bound, what the peer sends arrives as ChannelData, not as an indication.
#[test]
fn a_bound_peer_arrives_on_its_channel() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(peer.address());
    peer.send(relayed, b"one");
    assert_eq!(client.data_indication().1, b"one");
    client.bind(0x4ABC, peer.address());
    peer.send(relayed, b"two");
    assert_eq!(client.channel_data(), (0x4ABC, b"two".to_vec()));
}

// RFC 8656 §12: 0x4000 through 0x4FFF are the channel numbers.
#[test]
fn first_and_last_number_are_channels() {
    let relay = Relay::start();
    let (first, last) = (Peer::new(), Peer::new());
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.bind(0x4000, first.address());
    client.bind(0x4FFF, last.address());
    client.send_channel(0x4000, b"first");
    client.send_channel(0x4FFF, b"last");
    assert_eq!(first.receive(), (relayed, b"first".to_vec()));
    assert_eq!(last.receive(), (relayed, b"last".to_vec()));
}

// RFC 5766 §11: 0x4000 through 0x7FFF, for clients that were written by it.
#[test]
fn numbers_of_the_older_rfc_are_channels_where_they_are_allowed() {
    let relay = Setup::new().with(&["--channel-numbers", "rfc5766"]).start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.bind(0x7FFF, peer.address());
    client.send_channel(0x7FFF, b"out");
    assert_eq!(peer.receive(), (relayed, b"out".to_vec()));
    peer.send(relayed, b"back");
    assert_eq!(client.channel_data(), (0x7FFF, b"back".to_vec()));
}

// RFC 8656 §12.5: over UDP, padding may be there or not; the payload is exactly `length` bytes.
#[test]
fn the_relayed_payload_is_never_the_padding() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer.address());
    for length in 0..=9_usize {
        let payload = vec![0xAB; length];
        let mut frame = channel_data(0x4000, &payload);
        client.send(&frame);
        assert_eq!(peer.receive().1, payload, "{length} bytes, not padded");
        frame.resize(frame.len().next_multiple_of(4), 0xEE);
        client.send(&frame);
        assert_eq!(peer.receive().1, payload, "{length} bytes, padded");
    }
}

// RFC 8656 §12.6: a frame shorter than its length field says is discarded.
#[test]
fn a_frame_that_lies_about_its_length_is_dropped() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer.address());
    let mut frame = channel_data(0x4000, b"hello");
    frame[3] = 6;
    client.send(&frame);
    client.send(&[0x40, 0x00, 0x00]);
    peer.expect_silence();
    client.send_channel(0x4000, b"honest");
    assert_eq!(peer.receive().1, b"honest");
}

#[test]
fn an_unbound_number_carries_nothing() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer.address());
    client.send_channel(0x4001, b"not bound");
    peer.expect_silence();
}

// RFC 8656 §12.2: binding the same pair again refreshes it.
#[test]
fn the_same_pair_can_be_bound_again() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    client.allocate();
    for _ in 0..3 {
        client.bind(0x4000, peer.address());
    }
    client.send_channel(0x4000, b"out");
    assert_eq!(peer.receive().1, b"out");
}

// RFC 8656 §12.2: a number or a peer that is bound elsewhere gets 400, and what is bound stays.
#[test]
fn a_refused_binding_changes_nothing() {
    let relay = Relay::start();
    let (peer, other) = (Peer::new(), Peer::new());
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer.address());
    assert_eq!(client.fail(channel_bind(0x4000, other.address())), 400);
    assert_eq!(client.fail(channel_bind(0x4001, peer.address())), 400);
    client.send_channel(0x4000, b"still");
    assert_eq!(peer.receive().1, b"still");
    client.send_channel(0x4001, b"never");
    peer.expect_silence();
    other.expect_silence();
}

#[test]
fn numbers_are_per_allocation() {
    let relay = Relay::start();
    let peers = [Peer::new(), Peer::new()];
    let mut clients = [Client::new(relay.v4()), Client::new(relay.v4())];
    for (client, peer) in clients.iter_mut().zip(&peers) {
        client.allocate();
        client.bind(0x4000, peer.address());
    }
    clients[1].send_channel(0x4000, b"two");
    clients[0].send_channel(0x4000, b"one");
    assert_eq!(peers[0].receive().1, b"one");
    assert_eq!(peers[1].receive().1, b"two");
}

#[test]
fn an_allocation_has_only_so_many_channels() {
    let relay = Setup::new().with(&["--channel-quota", "3"]).start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let peer = |port| SocketAddr::from(([127, 0, 0, 1], port));
    for number in 0..3 {
        client.bind(0x4000 + number, peer(40_000 + number));
    }
    assert_eq!(client.fail(channel_bind(0x4003, peer(40_003))), 508);
    client.bind(0x4000, peer(40_000));
}
