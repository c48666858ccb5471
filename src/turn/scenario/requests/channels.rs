//! ChannelBind and ChannelData (RFC 8656 §12).

use crate::turn::api::reason::Reason;
use crate::turn::scenario::*;
use crate::wire::{ChannelNumber, ChannelRange, ErrorCode, Method, Prefix};

fn bound() -> (World, std::net::SocketAddr) {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.bind(Client::ANN, 0x4001, PEER).expect_success();
    (world, relayed)
}

#[test]
fn a_channel_carries_both_ways() {
    let (mut world, relayed) = bound();
    world.channel_data(Client::ANN, 0x4001, b"hello").expect_to_peer(PEER, b"hello");
    let to = world.peer_says(relayed, PEER, 2).unwrap();
    assert_eq!(
        to.prefix,
        Prefix::Channel(ChannelNumber::new(0x4001, ChannelRange::Rfc8656).unwrap())
    );
    world.channel_data(Client::ANN, 0x4002, b"hello").expect_drop(Reason::NoChannel);
    world.channel_data(Client::BOB, 0x4001, b"hello").expect_drop(Reason::NoAllocation);
    world.says(Client::ANN, &[0x40, 1, 0, 9, 1]).expect_drop(Reason::BadChannelData);
    assert_eq!(world.counters().to_peers.bytes, 5);
    assert_eq!(world.counters().to_clients.bytes, 2);
}

#[test]
fn another_port_of_a_bound_peer_comes_as_an_indication() {
    let (mut world, relayed) = bound();
    let to = world.peer_says(relayed, "9.9.9.9:7001", 2).unwrap();
    assert!(matches!(to.prefix, Prefix::DataIndication { .. }));
}

// RFC 8656 §12.2: a channel bound to another peer, or a peer bound to another channel, is 400.
#[test]
fn number_and_peer_are_bound_one_to_one() {
    let (mut world, _) = bound();
    world.bind(Client::ANN, 0x4001, "9.9.9.9:7001").expect_error(ErrorCode::BadRequest);
    world.bind(Client::ANN, 0x4002, PEER).expect_error(ErrorCode::BadRequest);
    world.bind(Client::ANN, 0x4001, PEER).expect_success();
    world.bind(Client::ANN, 0x4002, "9.9.9.9:7001").expect_success();
}

#[test]
fn only_a_channel_number_can_be_bound_and_only_with_a_peer() {
    let (mut world, _) = bound();
    for number in [0, 0x3FFF, 0x5000, 0x7FFF, 0xFFFF] {
        world.bind(Client::ANN, number, "9.9.9.8:1").expect_error(ErrorCode::BadRequest);
    }
    world.bind(Client::ANN, 0x4FFF, "9.9.9.8:0").expect_error(ErrorCode::BadRequest);
    world.bind(Client::ANN, 0x4FFF, PEER_V6).expect_error(ErrorCode::PeerAddressFamilyMismatch);
    let halves = [
        world.ask(Client::ANN, Method::ChannelBind, |w| _ = w.channel_number(0x4009)),
        world.ask(Client::ANN, Method::ChannelBind, |w| {
            _ = w.xor_peer_address("9.9.9.8:1".parse().unwrap());
        }),
    ];
    for heard in halves {
        heard.expect_error(ErrorCode::BadRequest);
    }
    world.bind(Client::ANN, 0x4FFF, "9.9.9.8:1").expect_success();
}

// RFC 8656 §12: a binding lasts 600 seconds and its permission 300: without a permission the
// channel carries nothing.
#[test]
fn a_channel_without_a_permission_is_silent() {
    let (mut world, relayed) = bound();
    world.at(300).channel_data(Client::ANN, 0x4001, b"x").expect_drop(Reason::NoPermission);
    assert_eq!(world.peer_says(relayed, PEER, 1), Err(Reason::NoPermission));
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.channel_data(Client::ANN, 0x4001, b"x").expect_to_peer(PEER, b"x");
    world.bind(Client::ANN, 0x4001, PEER).expect_success();
    world.at_ms(599_999).channel_data(Client::ANN, 0x4001, b"x").expect_to_peer(PEER, b"x");
}

// RFC 8656 §12: "the client [...] MUST wait 5 minutes before attempting to bind".
#[test]
fn an_expired_pair_stays_together_for_another_300_seconds() {
    let (mut world, _) = bound();
    world.refresh(Client::ANN, 3600).expect_success();
    world.at(600).channel_data(Client::ANN, 0x4001, b"x").expect_drop(Reason::NoChannel);
    world.at(899).bind(Client::ANN, 0x4001, "9.9.9.8:1").expect_error(ErrorCode::BadRequest);
    world.bind(Client::ANN, 0x4002, PEER).expect_error(ErrorCode::BadRequest);
    world.at(900).bind(Client::ANN, 0x4001, "9.9.9.8:1").expect_success();
    world.bind(Client::ANN, 0x4002, PEER).expect_success();
}

#[test]
fn the_pair_itself_can_be_bound_again_at_any_time() {
    let (mut world, _) = bound();
    world.refresh(Client::ANN, 3600).expect_success();
    world.at(700).bind(Client::ANN, 0x4001, PEER).expect_success();
    world.channel_data(Client::ANN, 0x4001, b"x").expect_to_peer(PEER, b"x");
}

#[test]
fn an_allocation_has_a_bounded_number_of_channels() {
    let mut world = World::with(1, 9, |settings| settings.channels_per_allocation = 1);
    world.allocate(Client::ANN).expect_success();
    world.bind(Client::ANN, 0x4000, PEER).expect_success();
    world.bind(Client::ANN, 0x4001, "9.9.9.8:1").expect_error(ErrorCode::InsufficientCapacity);
    world.bind(Client::ANN, 0x4000, PEER).expect_success();
}
