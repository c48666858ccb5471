//! Refresh and expiry (RFC 8656 §8).

use crate::turn::api::{
    reason::Reason,
    report::{Cause, Closed},
};
use crate::turn::scenario::*;
use crate::wire::{AttributeType, ErrorCode, Family, Method};

#[test]
fn an_allocation_ends_when_its_time_is_over() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    assert_eq!(world.servers[0].next_deadline(), Some(BOOT_MS + 600_000));
    world.at_ms(599_999).refresh(Client::ANN, 600).expect_success();
    world.at(1_199);
    assert!(world.closed.is_empty());
    world.at(1_200);
    assert_eq!(world.closed[0].cause, Cause::Expired);
    assert_eq!((world.bound.len(), world.held()), (0, 0));
    world.let_go();
    assert_eq!(world.servers[0].next_deadline(), None);
}

#[test]
fn of_many_that_end_at_once_a_bounded_number_ends_in_a_turn() {
    let mut world = World::new();
    let addresses = Vec::from_iter((0..40).map(|n| &*format!("198.51.100.{n}:9").leak()));
    for address in addresses {
        world.allocate(Client::ANN.at(address)).expect_success();
    }
    for ended in [16, 32, 40] {
        assert_eq!(world.servers[0].next_deadline(), Some(BOOT_MS + 600_000));
        world.at(601);
        assert_eq!((world.closed.len(), world.counters().live), (ended, 40 - ended as u64));
    }
    assert_eq!(world.servers[0].next_deadline(), None);
}

#[test]
fn a_lifetime_longer_than_the_timer_wheel_is_kept_to() {
    let mut world = World::with(1, 9, |settings| settings.max_lifetime_s = 100_000);
    world.allocate(Client::ANN).expect_success();
    world.at(9).refresh(Client::ANN, 100_000).expect_success();
    world.at(100_008).permit(Client::ANN, &[PEER]).expect_success();
    world.at(100_009);
    assert_eq!(world.closed[0].duration_ms, 100_009_000);
}

#[test]
fn what_is_over_is_over_even_before_the_timer_fires() {
    let mut world = World::new();
    world.at_ms(500).allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.at(400).at_ms(600_500);
    assert!(world.closed.is_empty());
    world.refresh(Client::ANN, 600).expect_error(ErrorCode::AllocationMismatch);
    assert_eq!(world.closed[0].cause, Cause::Expired);
    world.allocate(Client::ANN).expect_success();
}

// RFC 8656 §8.2: "If the 'desired lifetime' is zero, then the request succeeds and the allocation
// is deleted."
#[test]
fn a_deleted_allocation_is_gone_at_once() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.peer_says(relayed, PEER, 3).unwrap();
    world.send(Client::ANN, PEER, b"bye").expect_to_peer(PEER, b"bye");
    world.at(10).refresh(Client::ANN, 0).expect_success();
    assert!(world.bound.is_empty());
    world.send(Client::ANN, PEER, b"late").expect_drop(Reason::NoAllocation);
    let record = &world.closed[0];
    assert_eq!((record.cause, record.duration_ms), (Cause::Deleted, 10_000));
    assert_eq!((record.traffic.to_peers.packets, record.traffic.to_peers.bytes), (1, 3));
    assert_eq!((record.traffic.to_client.packets, record.traffic.to_client.bytes), (1, 3));
    world.allocate(Client::ANN).expect_success();
}

#[test]
fn every_method_without_an_allocation_is_437_and_the_answer_is_signed() {
    let mut world = World::new();
    let answers = [
        world.refresh(Client::ANN, 0),
        world.permit(Client::ANN, &[PEER]),
        world.bind(Client::ANN, 0x4000, PEER),
    ];
    for heard in answers {
        heard.expect_error(ErrorCode::AllocationMismatch);
        assert!(heard.message().is_signed_with(&Client::ANN.key()));
    }
}

// RFC 8656 §5: "If the username [...] do not match [...] 441 (Wrong Credentials)".
#[test]
fn another_users_requests_are_441() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    let thief = Client { user: "bob", ..Client::ANN };
    world.refresh(thief, 0).expect_error(ErrorCode::WrongCredentials);
    world.permit(thief, &[PEER]).expect_error(ErrorCode::WrongCredentials);
    world.bind(thief, 0x4000, PEER).expect_error(ErrorCode::WrongCredentials);
    world.refresh(Client::ANN, 600).expect_success();
}

#[test]
fn a_refresh_grants_what_an_allocate_would() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    for (asked, granted) in [(1, 600), (700, 700), (90_000, 3600)] {
        let heard = world.refresh(Client::ANN, asked).expect_success();
        assert_eq!(heard.message().lifetime_s(), Ok(Some(granted)));
    }
    let plain = world.ask(Client::ANN, Method::Refresh, |_| {}).expect_success();
    assert_eq!(plain.message().lifetime_s(), Ok(Some(600)));
    let short = world.ask(Client::ANN, Method::Refresh, |writer| {
        writer.attribute(AttributeType::LIFETIME, &[1]);
    });
    short.expect_error(ErrorCode::BadRequest);
}

// RFC 8656 §8.2: "If the server receives a Refresh Request with a REQUESTED-ADDRESS-FAMILY
// attribute and the attribute value does not match the address family of the allocation, the
// server MUST reply with a 443".
#[test]
fn a_refresh_of_the_wrong_family_is_443() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    let wrong = world.ask(Client::ANN, Method::Refresh, |writer| {
        writer.requested_family(Family::V6).lifetime_s(0);
    });
    wrong.expect_error(ErrorCode::PeerAddressFamilyMismatch);
    assert_eq!(world.bound.len(), 1);
}

// RFC 8656 §8.1: deleting one address of a dual allocation takes its permissions and channels and
// leaves those of the other.
#[test]
fn one_family_of_a_dual_allocation_can_be_deleted() {
    let mut world = World::new();
    let dual = world.ask(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).additional_family(Family::V6);
    });
    dual.expect_success();
    world.permit(Client::ANN, &[PEER, PEER_V6]).expect_success();
    let one = world.ask(Client::ANN, Method::Refresh, |writer| {
        writer.requested_family(Family::V4).lifetime_s(0);
    });
    one.expect_success();
    assert!(world.closed.is_empty());
    assert_eq!(world.bound.len(), 1);
    world.send(Client::ANN, PEER, b"four").expect_drop(Reason::PeerFamily);
    world.send(Client::ANN, PEER_V6, b"six").expect_to_peer(PEER_V6, b"six");
    world.refresh(Client::ANN, 0).expect_success();
    assert_eq!(world.closed.len(), 1);
    assert!(world.bound.is_empty());
}

#[test]
fn families_of_a_dual_allocation_expire_by_themselves() {
    let mut world = World::new();
    let dual = world.ask(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).additional_family(Family::V6);
    });
    dual.expect_success();
    let longer = world.ask(Client::ANN, Method::Refresh, |writer| {
        writer.requested_family(Family::V6).lifetime_s(1200);
    });
    longer.expect_success();
    world.at(600);
    assert_eq!((world.bound.len(), world.closed.len()), (1, 0));
    world.at(1200);
    assert_eq!((world.bound.len(), world.closed.len(), world.held()), (0, 1, 0));
}

#[test]
fn at_the_end_everything_is_told_and_given_back() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    let pair = world.ask(Client::BOB, Method::Allocate, |writer| {
        writer.requested_transport(17).even_port(true);
    });
    pair.expect_success();
    let now = world.now();
    world.servers[0].shut_down(now);
    world.at(1);
    assert_eq!((world.closed.len(), world.bound.len(), world.held()), (2, 0, 0));
    assert!(world.closed.iter().all(|record| record.cause == Cause::Shutdown));
}

// What a record of the allocation says: with whom, how much, and how much of it was dropped.
#[test]
fn an_allocation_that_ends_says_with_whom_and_how_much() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &[PEER, "9.9.9.8:1", "9.9.9.8:2"]).expect_success();
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.send(Client::ANN, PEER, b"hello");
    world.send(Client::ANN, "9.9.9.7:1", b"not permitted").expect_drop(Reason::NoPermission);
    world.channel_data(Client::ANN, 0x4000, b"not bound").expect_drop(Reason::NoChannel);
    world.says(Client::ANN, b"\xFFnoise").expect_drop(Reason::NotStun);
    world.peer_says(relayed, PEER, 7).unwrap();
    assert_eq!(world.peer_says(relayed, "9.9.9.7:1", 7), Err(Reason::NoPermission));
    world.at(301).permit(Client::ANN, &[PEER]).expect_success();
    world.refresh(Client::ANN, 0).expect_success();
    let Closed { traffic, peers, .. } = &world.closed[0];
    assert_eq!((traffic.to_peers.bytes, traffic.to_client.bytes, traffic.dropped), (5, 7, 3));
    let named: Vec<_> = peers.named().iter().map(ToString::to_string).collect();
    assert_eq!((named, peers.more()), (vec!["9.9.9.8".into(), "9.9.9.9".into()], 0));
}
