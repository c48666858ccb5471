//! Channels that may be forwarded without asking: said when they begin, when their end moves, and
//! when they are over, for whatever reason.

use crate::turn::scenario::stage::{
    client::Client,
    world::{BOOT_MS, PEER, PEER_V6, World, own},
};
use crate::turn::{
    allocation::meter::RateLimits,
    api::{report::Load, settings::Settings},
    policy::PeerPolicy,
};
use crate::wire::{AttributeType, Method};

const ANN: Client = Client::ANN;

/// A binding, a permission and an allocation last so long, in seconds (RFC 8656 §12, §9, §7.2).
const PERMISSION_S: u64 = 300;

fn forwarding(settings: &mut Settings) {
    settings.forwarding = true;
}

/// A client with a channel to the peer outside.
fn call() -> World {
    let mut world = World::with(1, 10, forwarding);
    world.allocate(ANN).expect_success();
    world.bind(ANN, 0x4001, PEER).expect_success();
    world
}

/// The numbers that are forwarded, and until when, in seconds.
fn said(world: &World) -> Vec<(u16, u64)> {
    let entries = world.forwarded.values();
    entries
        .map(|(channel, until_ms)| (channel.number.number(), (until_ms - BOOT_MS) / 1000))
        .collect()
}

#[test]
fn a_bound_channel_is_forwarded_until_the_first_of_its_three_ends() {
    let mut world = call();
    assert_eq!(said(&world), [(0x4001, PERMISSION_S)]);
    let (channel, _) = world.forwarded.values().next().unwrap();
    assert_eq!((channel.peer, channel.flow), (PEER.parse().unwrap(), ANN.path().flow));
    world.at(100).permit(ANN, &[PEER]).expect_success();
    assert_eq!(said(&world), [(0x4001, 100 + PERMISSION_S)]);
    world.at(200).bind(ANN, 0x4001, PEER).expect_success();
    assert_eq!(said(&world), [(0x4001, 200 + PERMISSION_S)]);
    world.at(450).permit(ANN, &[PEER]).expect_success();
    assert_eq!(said(&world), [(0x4001, 600)], "the allocation ends first");
    world.refresh(ANN, 600).expect_success();
    assert_eq!(said(&world), [(0x4001, 450 + PERMISSION_S)], "the permission ends first");
}

#[test]
fn nothing_is_forwarded_unless_asked_for() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    world.bind(ANN, 0x4001, PEER).expect_success();
    assert_eq!(said(&world), []);
}

#[test]
fn an_expired_permission_ends_it_and_a_new_one_begins_it_again() {
    let mut world = call();
    world.at(PERMISSION_S);
    assert_eq!(said(&world), []);
    world.permit(ANN, &[PEER]).expect_success();
    assert_eq!(said(&world), [(0x4001, 600)]);
}

// RFC 8656 §12: a channel in its guard time may be bound again to the same peer.
#[test]
fn a_channel_bound_again_in_its_guard_time_is_forwarded_again() {
    let mut world = call();
    world.at(500).refresh(ANN, 3600).expect_success();
    world.at(700);
    assert_eq!(said(&world), []);
    world.bind(ANN, 0x4001, PEER).expect_success();
    assert_eq!(said(&world), [(0x4001, 700 + PERMISSION_S)]);
}

#[test]
fn an_allocation_takes_its_channels_along_however_it_ends() {
    let mut deleted = call();
    deleted.refresh(ANN, 0).expect_success();
    let mut killed = call();
    let session = killed.opened[0].session;
    assert!(killed.kill(session));
    let mut expired = call();
    expired.at(600);
    for world in [deleted, killed, expired] {
        assert_eq!((said(&world), world.closed.len()), (vec![], 1));
    }
}

#[test]
fn a_family_takes_its_channels_along() {
    let mut world = World::with(1, 10, forwarding);
    let both = |writer: &mut crate::wire::MessageWriter<'_>| {
        writer.attribute(AttributeType::ADDITIONAL_ADDRESS_FAMILY, &[2, 0, 0, 0]);
        writer.attribute(AttributeType::REQUESTED_TRANSPORT, &[17, 0, 0, 0]);
    };
    world.ask(ANN, Method::Allocate, both).expect_success();
    world.bind(ANN, 0x4001, PEER).expect_success();
    world.bind(ANN, 0x4002, PEER_V6).expect_success();
    assert_eq!(said(&world), [(0x4001, PERMISSION_S), (0x4002, PERMISSION_S)]);
    let v6_only = |writer: &mut crate::wire::MessageWriter<'_>| {
        writer.lifetime_s(0).attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[2, 0, 0, 0]);
    };
    world.ask(ANN, Method::Refresh, v6_only).expect_success();
    assert_eq!(said(&world), [(0x4001, PERMISSION_S)]);
}

#[test]
fn new_rules_take_forwarding_back_where_they_must() {
    let mut world = call();
    let denied = ["9.9.9.0/24".parse().unwrap()];
    world.reconfigure(|settings| {
        forwarding(settings);
        settings.policy = PeerPolicy::new(&[], &denied, &own());
    });
    world.at(1);
    assert_eq!(said(&world), [], "a peer that is denied now");
    let mut world = call();
    world.reconfigure(|settings| {
        forwarding(settings);
        settings.limits = RateLimits { bytes_per_s: 0, packets_per_s: 5 };
    });
    world.at(1);
    assert_eq!(said(&world), [], "a limit that only the worker keeps");
    world.reconfigure(forwarding).at(2);
    assert_eq!(said(&world), [(0x4001, PERMISSION_S)]);
}

#[test]
fn a_relay_of_this_server_is_not_forwarded() {
    let mut world = World::with(1, 10, forwarding);
    let relayed = [ANN, Client::BOB].map(|who| world.allocate(who).expect_success().relayed());
    world.bind(ANN, 0x4001, &relayed[1].to_string()).expect_success();
    assert_eq!(said(&world), []);
}

#[test]
fn what_a_forwarder_carried_counts_like_what_the_worker_did() {
    let mut world = call();
    world.channel_data(ANN, 0x4001, b"hello");
    let (up, down) = (Load { packets: 7, bytes: 700 }, Load { packets: 3, bytes: 60 });
    world.servers[0].credit(ANN.path().flow, up, down);
    world.refresh(ANN, 0).expect_success();
    let traffic = world.closed[0].traffic;
    assert_eq!(traffic.to_peers, Load { packets: 8, bytes: 705 });
    assert_eq!(traffic.to_client, down);
    assert_eq!(world.counters().to_peers, traffic.to_peers);
    world.servers[0].credit(ANN.path().flow, up, down);
    assert_eq!(world.counters().to_peers, Load { packets: 15, bytes: 1405 });
}
