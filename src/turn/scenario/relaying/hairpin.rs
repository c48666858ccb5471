//! Relay to relay: both callers are clients of this process.

use std::net::{IpAddr, SocketAddr};

use crate::turn::scenario::{
    stage::world::{NODE, own},
    *,
};
use crate::turn::{
    api::{reason::Reason, verdict::Verdict},
    policy::PeerPolicy,
};
use crate::wire::{ErrorCode, Prefix};

/// Ann and Bob with an allocation each; the relayed addresses as advertised.
fn two(world: &mut World, ann: Client, bob: Client) -> (String, String) {
    let ann = world.allocate(ann).expect_success().relayed().to_string();
    let bob = world.allocate(bob).expect_success().relayed().to_string();
    (ann, bob)
}

#[test]
fn a_payload_goes_from_client_to_client_without_a_socket() {
    let mut world = World::new();
    let (ann, bob) = two(&mut world, Client::ANN, Client::BOB);
    world.permit(Client::ANN, &[&bob]).expect_success();
    world.permit(Client::BOB, &[&ann]).expect_success();
    let heard = world.send(Client::ANN, &bob, b"hello");
    let Verdict::ToClient { to, payload, .. } = &heard.verdict else { panic!("{heard:?}") };
    assert_eq!(&heard.bytes[payload.clone()], b"hello");
    assert_eq!(to.path, Client::BOB.path());
    let Prefix::DataIndication { peer, .. } = to.prefix else { panic!("{to:?}") };
    assert_eq!(peer.to_string(), ann);
    assert_eq!((world.counters().hairpin.packets, world.counters().hairpin.bytes), (1, 5));
    assert_eq!(world.counters().to_peers.packets, 0);
}

#[test]
fn channels_work_between_relays() {
    let mut world = World::new();
    let (ann, bob) = two(&mut world, Client::ANN, Client::BOB);
    world.bind(Client::ANN, 0x4000, &bob).expect_success();
    world.bind(Client::BOB, 0x4777, &ann).expect_success();
    let heard = world.channel_data(Client::ANN, 0x4000, b"hello");
    let Verdict::ToClient { to, .. } = heard.verdict else { panic!("{heard:?}") };
    assert!(matches!(to.prefix, Prefix::Channel(number) if number.number() == 0x4777));
}

#[test]
fn both_sides_must_have_agreed() {
    let mut world = World::new();
    let (ann, bob) = two(&mut world, Client::ANN, Client::BOB);
    world.send(Client::ANN, &bob, b"x").expect_drop(Reason::NoPermission);
    world.permit(Client::ANN, &[&bob]).expect_success();
    let drop = world.send(Client::ANN, &bob, b"x");
    drop.expect_drop(Reason::HairpinNoPermission);
    world.permit(Client::BOB, &[&ann]).expect_success();
    assert!(matches!(world.send(Client::ANN, &bob, b"x").verdict, Verdict::ToClient { .. }));
    world.at(300).permit(Client::ANN, &[&bob]).expect_success();
    world.send(Client::ANN, &bob, b"x").expect_drop(Reason::HairpinNoPermission);
}

#[test]
fn the_local_address_behind_a_nat_reaches_the_same_relay() {
    let mut world = World::new();
    let (ann, bob) = two(&mut world, Client::ANN, Client::BOB);
    let inside = bob.replace("45.0.0.1", "10.0.0.1");
    world.permit(Client::ANN, &[&inside]).expect_success();
    world.permit(Client::BOB, &[&ann]).expect_success();
    let heard = world.send(Client::ANN, &inside, b"x");
    assert!(matches!(heard.verdict, Verdict::ToClient { .. }), "{heard:?}");
}

#[test]
fn a_relay_port_without_an_allocation_is_reached_by_nobody() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    let dead = dead_beside(&[relayed]);
    world.permit(Client::ANN, &[&dead]).expect_success();
    world.send(Client::ANN, &dead, b"x").expect_drop(Reason::HairpinNoAllocation);
    assert_eq!(world.peer_says(relayed, &dead, 1), Err(Reason::OwnPeer));
}

// An SFU, a SIP gateway, a browser on the relay's machine may have any port.
#[test]
fn a_relay_port_without_an_allocation_is_a_neighbours_where_the_policy_opens_the_address() {
    let allow = ["45.0.0.1/32".parse().unwrap()];
    let mut world = World::with(1, 9, |settings| {
        settings.policy = PeerPolicy::new(&allow, &[], &own());
    });
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    let bob = world.allocate(Client::BOB).expect_success().relayed();
    let dead = dead_beside(&[relayed, bob]);
    let bob = bob.to_string();
    for neighbour in [&*dead, "45.0.0.1:1", "45.0.0.1:3478"] {
        world.permit(Client::ANN, &[neighbour]).expect_success();
        world.send(Client::ANN, neighbour, b"out").expect_to_peer(neighbour, b"out");
        assert_eq!(world.peer_says(relayed, neighbour, 1).unwrap().path, Client::ANN.path());
    }
    // A live one has no other way than the hairpin.
    world.send(Client::ANN, &bob, b"x").expect_drop(Reason::HairpinNoPermission);
    assert_eq!(world.peer_says(relayed, &bob, 1), Err(Reason::OwnPeer));
}

/// A relay port that nobody holds, on the address as advertised.
fn dead_beside(live: &[SocketAddr]) -> String {
    let is_free = |port: &u16| live.iter().all(|relayed| port.abs_diff(relayed.port()) > 1);
    let free = (50_000..50_064).rev().find(is_free).unwrap();
    format!("45.0.0.1:{free}")
}

// SNMP, statsd, gossip: behind every address of the machine there are services that trust it.
#[test]
fn no_address_of_the_machine_is_reached_under_either_name_unless_the_policy_opens_it() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &["10.0.0.1:50000", "45.0.0.1:1"]).expect_success();
    for service in ["10.0.0.1:161", "45.0.0.1:161", "45.0.0.1:3478"] {
        world.send(Client::ANN, service, b"x").expect_drop(Reason::OwnPeer);
        world.bind(Client::ANN, 0x4000, service).expect_error(ErrorCode::Forbidden);
        assert_eq!(world.peer_says(relayed, service, 1), Err(Reason::OwnPeer));
    }
    let other = format!("{NODE}:161");
    world.permit(Client::ANN, &[&other]).expect_error(ErrorCode::Forbidden);
    world.bind(Client::ANN, 0x4000, &other).expect_error(ErrorCode::Forbidden);
    let allow = [NODE.parse::<IpAddr>().unwrap().into()];
    world.reconfigure(|settings| settings.policy = PeerPolicy::new(&allow, &[], &own())).at(1);
    world.permit(Client::ANN, &[&other]).expect_success();
    world.send(Client::ANN, &other, b"x").expect_to_peer(&other, b"x");
}

#[test]
fn a_deny_entry_closes_even_our_own_relays() {
    let deny = ["45.0.0.1/32".parse().unwrap()];
    let mut world = World::with(1, 9, |settings| {
        settings.policy = PeerPolicy::new(&[], &deny, &own());
    });
    let (_, bob) = two(&mut world, Client::ANN, Client::BOB);
    world.permit(Client::ANN, &[&bob]).expect_error(ErrorCode::Forbidden);
    world.bind(Client::ANN, 0x4000, &bob).expect_error(ErrorCode::Forbidden);
}

#[test]
fn another_workers_client_is_reached_through_its_worker() {
    let mut world = World::with(2, 9, |_| {});
    let (ann, bob) = (Client::ANN.on(0), Client::BOB.on(1));
    let (ann_relayed, bob_relayed) = two(&mut world, ann, bob);
    world.permit(ann, &[&bob_relayed]).expect_success();
    let heard = world.send(ann, &bob_relayed, b"hello");
    assert_eq!(world.hand_over(&heard.verdict).1, Err(Reason::HairpinNoPermission));
    world.permit(bob, &[&ann_relayed]).expect_success();
    let (worker, to) = world.hand_over(&heard.verdict);
    assert_eq!((worker.0, to.unwrap().path), (1, bob.path()));
    assert_eq!(world.servers[0].counters().handed_over.bytes, 5);
    assert_eq!(world.servers[1].counters().taken_over.bytes, 5);
    world.refresh(bob, 0).expect_success();
    assert_eq!(world.hand_over(&heard.verdict).1, Err(Reason::HairpinNoAllocation));
    world.send(ann, &bob_relayed, b"hello").expect_drop(Reason::HairpinNoAllocation);
}

#[test]
fn nothing_that_comes_from_a_relay_of_any_worker_is_answered() {
    let mut world = World::with(2, 9, |_| {});
    let (_, bob) = two(&mut world, Client::ANN.on(0), Client::BOB.on(1));
    for worker in 0..2 {
        let relay = Client::ANN.at(bob.clone().leak()).on(worker);
        world.allocate(relay).expect_drop(Reason::OwnSource);
    }
}
