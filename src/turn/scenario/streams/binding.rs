//! ConnectionBind, and the bytes of what it has joined (RFC 6062 §5.4, §5.5).

use super::{ANN, DATA, tcp_world};
use crate::turn::allocation::{Way, meter::RateLimits};
use crate::turn::api::{names::connection::ConnectionId, report::Load, settings::Settings};
use crate::turn::scenario::*;
use crate::wire::{ErrorCode, Method};

// RFC 6062 §5.4: "Otherwise, the client connection is now called a client data connection. Data
// received on it MUST be sent as-is to the associated peer data connection."
#[test]
fn a_connection_is_bound_once() {
    let mut world = tcp_world(1);
    let id = world.waiting_connection(ANN);
    world.bind_connection(DATA, id).expect_success();
    assert_eq!(world.streams.joined, [(0, id, DATA.path())]);
    assert_eq!(world.counters().connections_bound, 1);
    let third = DATA.at("198.51.100.1:5002");
    world.bind_connection(third, id).expect_error(ErrorCode::BadRequest);
    world.at(400);
    assert!(world.streams.closed.is_empty(), "what is bound waits for nothing");
    assert_eq!(world.streams.joined.len(), 1);
}

#[test]
fn a_connection_that_a_peer_made_is_bound_like_one_to_a_peer() {
    let mut world = tcp_world(1);
    let relayed = world.allocate_tcp(ANN).expect_success().relayed();
    world.permit(ANN, &[PEER]).expect_success();
    let id = world.peer_connects(relayed, PEER).unwrap();
    world.bind_connection(DATA, id).expect_success();
    assert_eq!(world.streams.joined, [(0, id, DATA.path())]);
}

// RFC 6062 §5.4: "If the client connection transport is not TCP or TLS, the server MUST return a
// 400 (Bad Request) error."
#[test]
fn no_connection_is_bound_to_udp() {
    let mut world = tcp_world(1);
    let id = world.waiting_connection(ANN);
    world.bind_connection(Client::ANN, id).expect_error(ErrorCode::BadRequest);
    world.bind_connection(DATA, id).expect_success();
}

// RFC 6062 §5.4: "If the request does not contain the CONNECTION-ID attribute, or if this attribute
// does not refer to an existing pending connection, the server MUST return a 400 (Bad Request)
// error."
#[test]
fn what_names_no_waiting_connection_is_400() {
    let mut world = tcp_world(1);
    world.allocate_tcp(ANN).expect_success();
    world.ask(DATA, Method::ConnectionBind, |_| {}).expect_error(ErrorCode::BadRequest);
    world.bind_connection(DATA, ConnectionId(7)).expect_error(ErrorCode::BadRequest);
    world.connect(ANN, PEER);
    let connecting = world.streams.connects[0].1.id;
    world.bind_connection(DATA, connecting).expect_error(ErrorCode::BadRequest);
    let other_worker = ConnectionId(connecting.0 | 0xFF00_0000);
    world.bind_connection(DATA, other_worker).expect_error(ErrorCode::BadRequest);
    assert!(world.streams.joined.is_empty());
}

#[test]
fn a_control_connection_is_not_bound() {
    let mut world = tcp_world(1);
    let id = world.waiting_connection(ANN);
    world.bind_connection(ANN, id).expect_error(ErrorCode::BadRequest);
    world.is_slow = true;
    world.allocate_tcp(DATA);
    world.bind_connection(DATA, id).expect_error(ErrorCode::BadRequest);
    assert!(world.streams.joined.is_empty());
}

// RFC 6062 §4.3: "Authentication of the client by the server MUST use the same method and
// credentials as for the control connection."
#[test]
fn a_connection_is_its_users_alone() {
    let mut world = tcp_world(1);
    let id = world.waiting_connection(ANN);
    let bob = Client { user: "bob", ..DATA };
    world.bind_connection(bob, id).expect_error(ErrorCode::BadRequest);
    let eve = Client { user: "eve", ..DATA };
    world.bind_connection(eve, id).expect_error(ErrorCode::Unauthenticated);
    world.bind_connection(DATA, id).expect_success();
}

// An allocation outlives its time-limited name as long as it is refreshed, and so do its data
// connections.
#[test]
fn a_name_that_has_expired_still_binds_the_connections_of_its_allocation() {
    const NAME: &str = "1800000100:carl";
    let mut world = tcp_world(2);
    let carl = Client { user: NAME, ..ANN };
    world.allocate_tcp(carl).expect_success();
    world.at(200).connect(carl, PEER);
    let id = world.connected(Ok(())).unwrap();
    let late = Client { user: NAME, ..DATA };
    world.allocate_tcp(late).expect_error(ErrorCode::Unauthenticated);
    world.bind_anywhere(late.on(1), id).expect_success();
}

// RFC 6062 §5.5: "When a client data connection is closed, the server MUST close the corresponding
// peer data connection", and the other way round: the worker has both, and says so.
#[test]
fn the_end_of_a_data_connection_is_the_end_of_nothing_else() {
    let mut world = tcp_world(1);
    let id = world.waiting_connection(ANN);
    world.bind_connection(DATA, id).expect_success();
    world.connection_closed(id);
    world.connection_closed(id);
    assert_eq!(world.counters().connections_live, 0);
    world.refresh(ANN, 600).expect_success();
    world.disconnect(ANN);
    assert!(world.streams.closed.is_empty());
}

#[test]
fn bytes_of_data_connections_are_counted() {
    let mut world = tcp_world(1);
    let id = world.waiting_connection(ANN);
    world.bind_connection(DATA, id).expect_success();
    assert_eq!(world.relays(id, Way::ToPeers, 1_000), 0);
    assert_eq!(world.relays(id, Way::ToPeers, 500), 0);
    assert_eq!(world.relays(id, Way::ToClient, 7), 0);
    world.disconnect(ANN);
    let bytes = |bytes| Load { packets: 0, bytes };
    let traffic = world.closed[0].traffic;
    assert_eq!((traffic.to_peers, traffic.to_client), (bytes(1_500), bytes(7)));
    assert_eq!((world.counters().to_peers, world.counters().to_clients), (bytes(1_500), bytes(7)));
    assert_eq!(world.relays(id, Way::ToPeers, 9), 0, "the late ones count for nobody");
}

// `max-bps` holds for all connections of an allocation together, each way.
#[test]
fn a_limit_says_for_how_long_nothing_is_to_be_read() {
    let limits = RateLimits { bytes_per_s: 100_000, packets_per_s: 1 };
    let limited = |settings: &mut Settings| {
        (settings.tcp_relay, settings.limits) = (true, limits);
    };
    let mut world = World::with(1, 9, limited);
    let one = world.waiting_connection(ANN);
    world.connect(ANN, "9.9.9.9:7001");
    let two = world.connected(Ok(())).unwrap();
    assert_eq!(world.relays(one, Way::ToPeers, 100_000), 0, "a second's worth at once");
    assert_eq!(world.relays(one, Way::ToPeers, 10_000), 100);
    assert_eq!(world.relays(two, Way::ToPeers, 10_000), 200);
    assert_eq!(world.relays(two, Way::ToClient, 10_000), 0);
    world.wait_ms(200);
    assert_eq!(world.relays(two, Way::ToPeers, 1), 1);
}
