//! Allocate with REQUESTED-TRANSPORT TCP, and what a TCP allocation is not used for
//! (RFC 6062 §5.1).

use super::{ANN, BOB, DATA, tcp_world};
use crate::turn::api::{names::path::Transport, reason::Reason, report::Cause};
use crate::turn::scenario::*;
use crate::wire::{AttributeType, ErrorCode, Family, Method};

// RFC 6062 §5.1: "A TCP relayed transport address MUST be allocated instead of a UDP one." It comes
// from the ports that UDP relays are drawn from, too.
#[test]
fn a_client_on_a_stream_gets_a_tcp_relay() {
    for transport in [Transport::Tcp, Transport::Tls] {
        let (mut world, ann) = (tcp_world(1), ANN.over(transport));
        let heard = world.allocate_tcp(ann).expect_success();
        assert_eq!(heard.message().first(AttributeType::RESERVATION_TOKEN), None);
        let relayed = heard.relayed();
        assert!((50_000..=50_063).contains(&relayed.port()));
        let (_, relay) = world.relay_at(relayed);
        assert!(world.servers[0].relays.listening(relay).is_some());
        assert_eq!(world.peer_says(relayed, PEER, 1), Err(Reason::NoRelay), "no datagram goes in");
        assert_eq!(world.opened[0].path, ann.path());
    }
}

#[test]
fn no_port_has_two_relays_of_different_protocols() {
    let mut world = tcp_world(1);
    let mut ports = Vec::new();
    for n in 0..32_u16 {
        let address = |client| format!("198.51.100.{client}:{}", 6000 + n).leak();
        ports.push(world.allocate(Client::ANN.at(address(1))).expect_success().relayed());
        ports.push(world.allocate_tcp(ANN.at(address(2))).expect_success().relayed());
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 64);
    world.allocate_tcp(ANN).expect_error(ErrorCode::InsufficientCapacity);
}

// RFC 6062 §5.1: "specifies a protocol other than UDP or TCP, the server MUST reject the request
// with a 442 (Unsupported Transport Protocol) error". So is TCP while it is off.
#[test]
fn a_protocol_that_is_not_relayed_is_442() {
    World::new().allocate_tcp(ANN).expect_error(ErrorCode::UnsupportedTransport);
    let sctp = |writer: &mut crate::wire::MessageWriter<'_>| _ = writer.requested_transport(132);
    let heard = tcp_world(1).ask(ANN, Method::Allocate, sctp);
    heard.expect_error(ErrorCode::UnsupportedTransport);
}

// RFC 6062 §5.1: "If the client connection transport is not TCP or TLS, the server MUST reject the
// request with a 400 (Bad Request) error."
#[test]
fn a_client_on_udp_gets_no_tcp_relay() {
    tcp_world(1).allocate_tcp(Client::ANN).expect_error(ErrorCode::BadRequest);
}

// RFC 6062 §5.1: "If the request contains the DONT-FRAGMENT, EVEN-PORT, or RESERVATION-TOKEN
// attribute, the server MUST reject the request with a 400 (Bad Request) error."
#[test]
fn a_tcp_relay_has_nothing_that_only_datagrams_have() {
    let mut world = tcp_world(1);
    let values: [(AttributeType, &[u8]); 3] = [
        (AttributeType::DONT_FRAGMENT, &[]),
        (AttributeType::EVEN_PORT, &[0]),
        (AttributeType::RESERVATION_TOKEN, &[0; 8]),
    ];
    for (kind, value) in values {
        let heard = world.ask(ANN, Method::Allocate, |writer| {
            writer.requested_transport(6).attribute(kind, value);
        });
        heard.expect_error(ErrorCode::BadRequest);
    }
    assert_eq!((world.bound.len(), world.held()), (0, 0));
}

#[test]
fn a_port_in_use_is_drawn_again_for_tcp_too() {
    let mut world = tcp_world(1);
    world.busy.extend(50_000..=50_055);
    let relayed = world.allocate_tcp(ANN).expect_success().relayed();
    assert!(relayed.port() > 50_055);
}

#[test]
fn a_dual_tcp_allocation_listens_on_both() {
    let mut world = tcp_world(1);
    let heard = world.ask(ANN, Method::Allocate, |writer| {
        writer.requested_transport(6).additional_family(Family::V6);
    });
    heard.expect_success();
    assert_eq!(world.bound.len(), 2);
    world.connect(ANN, PEER);
    world.connect(ANN, PEER_V6);
    assert_eq!(world.streams.connects.len(), 2);
    let six = world.connected(Ok(())).unwrap();
    let four_gone = world.ask(ANN, Method::Refresh, |writer| {
        writer.requested_family(Family::V4).lifetime_s(0);
    });
    four_gone.expect_success();
    assert_eq!(world.streams.closed.len(), 1, "the connection of the family that has ended");
    assert_eq!(world.told_code(), ErrorCode::ConnectionFailed.number());
    world.bind_connection(DATA, six).expect_success();
}

// RFC 6062 has data connections in place of channels and of Send and Data indications.
#[test]
fn a_tcp_allocation_has_no_channels_and_sends_no_datagrams() {
    let mut world = tcp_world(1);
    world.allocate_tcp(ANN).expect_success();
    world.permit(ANN, &[PEER]).expect_success();
    world.bind(ANN, 0x4001, PEER).expect_error(ErrorCode::Forbidden);
    world.channel_data(ANN, 0x4001, b"hello").expect_drop(Reason::NoChannel);
    world.send(ANN, PEER, b"hello").expect_drop(Reason::TcpAllocation);
    world.refresh(ANN, 0).expect_success();
    assert_eq!(world.closed[0].traffic.dropped, 2);
}

#[test]
fn a_datagram_never_reaches_a_tcp_relay_by_hairpin() {
    let mut world = tcp_world(1);
    let relayed = world.allocate_tcp(ANN).expect_success().relayed().to_string();
    world.allocate(Client::BOB).expect_success();
    world.permit(Client::BOB, &[&relayed]).expect_success();
    world.send(Client::BOB, &relayed, b"hello").expect_drop(Reason::HairpinNoAllocation);
}

// RFC 6062 §5.5: "If the allocation associated with a data connection expires, the data connection
// MUST be closed."
#[test]
fn data_connections_end_with_their_allocation() {
    type End = fn(&mut World);
    let ends: [(End, Cause); 4] = [
        (|world| _ = world.at(601), Cause::Expired),
        (|world| _ = world.refresh(ANN, 0), Cause::Deleted),
        (|world| _ = world.disconnect(ANN), Cause::Disconnected),
        (|world| _ = world.kill(world.opened[0].session), Cause::Killed),
    ];
    for (end, cause) in ends {
        let mut world = tcp_world(1);
        let bound = world.waiting_connection(ANN);
        world.bind_connection(DATA, bound).expect_success();
        end(&mut world);
        assert_eq!(world.closed[0].cause, cause);
        assert_eq!(world.streams.closed, [(0, bound)]);
        assert_eq!((world.counters().connections_live, world.bound.len()), (0, 0));
        assert_eq!(world.servers[0].connections.count(), 0);
    }
}

#[test]
fn a_connect_that_waits_is_answered_unless_its_client_has_gone() {
    for hears in [true, false] {
        let mut world = tcp_world(1);
        world.allocate_tcp(ANN).expect_success();
        world.connect(ANN, PEER);
        if hears {
            world.refresh(ANN, 0).expect_success();
            assert_eq!(world.told_code(), ErrorCode::ConnectionFailed.number());
        } else {
            world.disconnect(ANN);
        }
        assert!(world.streams.told.is_empty());
        assert_eq!(world.streams.closed.len(), 1);
    }
}

#[test]
fn what_lives_lives_on_without_new_connections_when_tcp_is_switched_off() {
    let mut world = tcp_world(1);
    let bound = world.waiting_connection(ANN);
    world.bind_connection(DATA, bound).expect_success();
    world.permit(ANN, &[PEER]).expect_success();
    let relayed = *world.opened[0].relayed.iter().next().unwrap();
    world.reconfigure(|_| {}).wait_ms(1000);
    world.allocate_tcp(BOB).expect_error(ErrorCode::UnsupportedTransport);
    world.connect(ANN, "9.9.9.8:1").expect_error(ErrorCode::Forbidden);
    world.bind_connection(DATA, bound).expect_error(ErrorCode::Forbidden);
    assert_eq!(world.peer_connects(relayed, PEER), Err(Reason::NoRelay));
    world.refresh(ANN, 600).expect_success();
    assert!(world.streams.closed.is_empty());
}
