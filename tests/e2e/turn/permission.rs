//! Permissions, RFC 8656 §9 and §10: by IP address, and nothing passes without one.

use std::net::SocketAddr;

use crate::client::{Client, Peer, create_permission};
use crate::relay::{Relay, Setup};
use crate::stun::Builder;

fn at(ip: &str) -> Peer {
    Peer::at(ip.parse().expect("an address"))
}

#[test]
fn nothing_passes_without_a_permission() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    peer.send(relayed, b"in");
    client.expect_silence();
    client.send_indication(peer.address(), b"out");
    peer.expect_silence();
}

// RFC 8656 §9: "only the IP address […] the port is not considered".
#[test]
fn a_permission_is_for_an_address_with_all_its_ports() {
    let relay = Relay::start();
    let (first, second) = (Peer::new(), Peer::new());
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(first.address());
    second.send(relayed, b"in");
    assert_eq!(client.data_indication(), (second.address(), b"in".to_vec()));
    client.send_indication(second.address(), b"out");
    assert_eq!(second.receive(), (relayed, b"out".to_vec()));
}

#[test]
fn a_permission_is_for_no_other_address() {
    let relay = Relay::start();
    let (friend, stranger) = (at("127.0.0.1"), at("127.0.0.2"));
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(friend.address());
    stranger.send(relayed, b"in");
    client.expect_silence();
    client.send_indication(stranger.address(), b"out");
    stranger.expect_silence();
}

// RFC 8656 §10.1: one request may name several peers; §10.2: all of them or none.
#[test]
fn one_request_may_name_several_peers() {
    let relay = Relay::start();
    let peers = [at("127.0.0.1"), at("127.0.0.2"), at("127.0.0.3")];
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    let request = peers
        .iter()
        .fold(Builder::request(crate::stun::method::CREATE_PERMISSION), |request, peer| {
            request.peer(peer.address())
        });
    client.succeed(request);
    for peer in &peers {
        peer.send(relayed, b"in");
        assert_eq!(client.data_indication().0, peer.address());
    }
}

#[test]
fn a_request_with_one_forbidden_peer_installs_none() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    let forbidden: SocketAddr = "10.0.0.1:9".parse().expect("an address");
    assert_eq!(client.fail(create_permission(peer.address()).peer(forbidden)), 403);
    peer.send(relayed, b"in");
    client.expect_silence();
}

#[test]
fn a_permission_belongs_to_one_allocation() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut permitted = Client::new(relay.v4());
    permitted.allocate();
    permitted.permit(peer.address());
    let mut other = Client::new(relay.v4());
    let relayed = other.allocate();
    peer.send(relayed, b"in");
    other.expect_silence();
    other.send_indication(peer.address(), b"out");
    peer.expect_silence();
}

// RFC 8656 §11.1: sending does not install a permission.
#[test]
fn sending_is_no_permission() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.send_indication(peer.address(), b"out");
    peer.expect_silence();
    peer.send(relayed, b"in");
    client.expect_silence();
}

#[test]
fn a_permission_can_be_refreshed_and_asked_for_twice() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    for _ in 0..3 {
        client.permit(peer.address());
    }
    let request = client.sign(create_permission(peer.address()));
    for _ in 0..3 {
        assert_eq!(client.request(&request).code(), None);
    }
    peer.send(relayed, b"in");
    assert_eq!(client.data_indication().1, b"in");
}

// Each permission is memory: an allocation has only so many.
#[test]
fn an_allocation_has_only_so_many_permissions() {
    let relay = Setup::new().with(&["--permission-quota", "3"]).start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let peer = |host: u8| SocketAddr::from(([127, 0, 0, host], 9));
    for host in 1..=3 {
        client.permit(peer(host));
    }
    assert_eq!(client.fail(create_permission(peer(4))), 508);
    client.permit(peer(3));
    client.refresh(600);
}
