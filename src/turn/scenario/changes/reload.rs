//! Rules that change under allocations that live.

use crate::turn::scenario::stage::{
    client::{Client, Heard, REALM},
    world::{PEER, World, nonces, own},
};
use crate::turn::{
    api::{reason::Reason, settings::Settings},
    auth::{authenticator::Authenticator, credentials::Credentials},
    policy::PeerPolicy,
};
use crate::wire::ErrorCode;

const ANN: Client = Client::ANN;
const BOB: Client = Client::BOB;

fn only_bob(settings: &mut Settings) {
    let credentials = Credentials::new(REALM).with_user("bob", "secret");
    settings.authenticator = Authenticator::new(credentials, nonces());
}

fn without_the_peer(settings: &mut Settings) {
    settings.policy = PeerPolicy::new(&[], &["9.9.9.0/24".parse().unwrap()], &own());
}

#[test]
fn nobody_loses_an_allocation_by_new_rules() {
    let mut world = World::new();
    for who in [ANN, BOB] {
        world.allocate(who).expect_success();
        world.bind(who, 0x4000, PEER).expect_success();
    }
    world.reconfigure(|settings| settings.software = None).at(1);
    for who in [ANN, BOB] {
        world.channel_data(who, 0x4000, b"on").expect_to_peer(PEER, b"on");
        world.refresh(who, 600).expect_success();
    }
    assert!(world.closed.is_empty());
}

// RFC 8489 §9.2.4: whoever cannot be authenticated gets 401, whatever he holds.
#[test]
fn a_user_who_is_let_in_no_more_keeps_what_he_has_until_its_time_is_over() {
    let mut world = World::new();
    let relayed = world.allocate(ANN).expect_success().relayed();
    world.permit(ANN, &[PEER]).expect_success();
    world.allocate(BOB).expect_success();
    world.reconfigure(only_bob).at(1);
    world.send(ANN, PEER, b"still").expect_to_peer(PEER, b"still");
    assert!(world.peer_says(relayed, PEER, 5).is_ok());
    world.refresh(ANN, 600).expect_error(ErrorCode::Unauthenticated);
    world.refresh(ANN, 0).expect_error(ErrorCode::Unauthenticated);
    world.refresh(BOB, 600).expect_success();
    world.at(600);
    assert_eq!(world.closed.len(), 1);
    world.allocate(ANN).expect_error(ErrorCode::Unauthenticated);
}

#[test]
fn a_user_who_is_let_in_again_goes_on() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    world.reconfigure(only_bob);
    world.refresh(ANN, 600).expect_error(ErrorCode::Unauthenticated);
    world.reconfigure(|_| {});
    world.refresh(ANN, 600).expect_success();
}

/// Ann and Bob are let in under another realm; of those who came before, only Ann.
fn moved_realm(settings: &mut Settings) {
    let credentials = Credentials::new("moved").with_user("ann", "secret");
    let former = Credentials::new(REALM).with_user("ann", "secret");
    let authenticator = Authenticator::new(credentials.with_user("bob", "secret"), nonces());
    settings.authenticator = authenticator.with_former(vec![former]);
}

#[test]
fn a_realm_that_changes_ends_no_allocation_and_challenges_newcomers() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    world.allocate(BOB).expect_success();
    world.reconfigure(moved_realm).at(1);
    for _ in 0..2 {
        world.refresh(ANN, 600).expect_success();
        world.bind(ANN, 0x4000, PEER).expect_success();
    }
    world.refresh(BOB, 600).expect_error(ErrorCode::Unauthenticated);
    world.refresh(ANN, 0).expect_success();
    let heard = world.allocate(ANN);
    heard.expect_error(ErrorCode::Unauthenticated);
    assert_eq!(heard.message().realm(), Some(&b"moved"[..]));
}

// RFC 8656 §5: another user than the allocation's gets 441, under old rules and new.
#[test]
fn an_allocation_stays_with_its_user() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    world.reconfigure(|_| {});
    let bob_there = BOB.at(ANN.address);
    world.refresh(bob_there, 600).expect_error(ErrorCode::WrongCredentials);
    world.refresh(ANN, 600).expect_success();
}

#[test]
fn a_peer_whose_address_is_now_the_machines_own_is_cut_off() {
    let mut world = World::new();
    let relayed = world.allocate(ANN).expect_success().relayed();
    world.bind(ANN, 0x4000, PEER).expect_success();
    let moved_here = [own(), vec!["9.9.9.9/32".parse().unwrap()]].concat();
    world.reconfigure(|settings| settings.policy = PeerPolicy::new(&[], &[], &moved_here)).at(1);
    world.channel_data(ANN, 0x4000, b"no").expect_drop(Reason::NoPermission);
    assert_eq!(world.peer_says(relayed, PEER, 2), Err(Reason::NoPermission));
    world.permit(ANN, &[PEER]).expect_error(ErrorCode::Forbidden);
}

// A permission for a relay address lives on, and what it is good for follows the rules.
#[test]
fn opening_and_closing_a_relay_address_holds_for_permissions_that_live() {
    let neighbour = "45.0.0.1:1";
    let allow = ["45.0.0.1/32".parse().unwrap()];
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    world.permit(ANN, &[neighbour]).expect_success();
    world.send(ANN, neighbour, b"no").expect_drop(Reason::OwnPeer);
    world.reconfigure(|settings| settings.policy = PeerPolicy::new(&allow, &[], &own())).at(1);
    world.send(ANN, neighbour, b"yes").expect_to_peer(neighbour, b"yes");
    world.reconfigure(|_| {}).at(2);
    world.send(ANN, neighbour, b"no").expect_drop(Reason::OwnPeer);
}

#[test]
fn a_peer_that_is_denied_now_is_cut_off_in_both_directions_and_others_are_not() {
    let other = "9.9.8.9:7000";
    let mut world = World::new();
    let relayed = world.allocate(ANN).expect_success().relayed();
    world.bind(ANN, 0x4000, PEER).expect_success();
    world.bind(ANN, 0x4001, other).expect_success();
    world.reconfigure(without_the_peer).at(1);
    world.channel_data(ANN, 0x4000, b"no").expect_drop(Reason::NoPermission);
    world.send(ANN, PEER, b"no").expect_drop(Reason::NoPermission);
    assert_eq!(world.peer_says(relayed, PEER, 2), Err(Reason::NoPermission));
    world.bind(ANN, 0x4000, PEER).expect_error(ErrorCode::Forbidden);
    world.channel_data(ANN, 0x4001, b"yes").expect_to_peer(other, b"yes");
    world.reconfigure(|_| {}).at(2);
    world.channel_data(ANN, 0x4000, b"no").expect_drop(Reason::NoPermission);
    world.bind(ANN, 0x4000, PEER).expect_success();
    world.channel_data(ANN, 0x4000, b"yes").expect_to_peer(PEER, b"yes");
}

// A recheck is spread over turns of the loop; every allocation has its turn.
#[test]
fn all_of_many_allocations_are_rechecked_a_page_at_a_time() {
    let mut world = World::with(1, 10_000, |settings| settings.max_lifetime_s = 3600);
    let addresses: Vec<&'static str> = (0..60)
        .map(|n| &*Box::leak(format!("198.51.100.7:{}", 5000 + n).into_boxed_str()))
        .collect();
    for address in &addresses {
        world.allocate(ANN.at(address)).expect_success();
        world.permit(ANN.at(address), &[PEER]).expect_success();
    }
    world.reconfigure(without_the_peer);
    let mut turns = 0;
    while world.servers[0].next_deadline() == Some(0) {
        turns += 1;
        world.at(turns);
    }
    assert_eq!(turns, 4, "60 allocations, 16 at a time");
    for address in &addresses {
        world.send(ANN.at(address), PEER, b"no").expect_drop(Reason::NoPermission);
    }
}

// How many permissions a turn looks at is bounded, however many an allocation holds.
#[test]
fn allocations_with_many_permissions_are_rechecked_a_few_at_a_time() {
    let mut world = World::new();
    let other = "8.8.8.8:53";
    let peers = Vec::from_iter((0..19).map(|last| format!("9.9.9.{last}:7000")));
    let peers = Vec::from_iter(peers.iter().map(String::as_str).chain([other]));
    let clients = ["198.51.100.7:1", "198.51.100.7:2", "198.51.100.7:3"].map(|at| ANN.at(at));
    for client in clients {
        world.allocate(client).expect_success();
        world.permit(client, &peers).expect_success();
    }
    world.reconfigure(without_the_peer);
    let mut turns = 0;
    while world.servers[0].next_deadline() == Some(0) {
        turns += 1;
        world.at(turns);
    }
    assert_eq!(turns, 2, "three times 20 permissions, 32 and what the last one has at a time");
    for client in clients {
        world.send(client, PEER, b"no").expect_drop(Reason::NoPermission);
        world.send(client, other, b"yes").expect_to_peer(other, b"yes");
    }
}

#[test]
fn lifetimes_are_granted_by_the_rules_of_the_day() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    let granted = |heard: Heard| heard.message().lifetime_s().unwrap();
    assert_eq!(granted(world.refresh(ANN, 3000)), Some(3000));
    world.reconfigure(|settings| settings.max_lifetime_s = 900);
    assert_eq!(granted(world.refresh(ANN, 3000)), Some(900));
}
