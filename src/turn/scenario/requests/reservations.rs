//! EVEN-PORT and RESERVATION-TOKEN (RFC 8656 §7.2, §18.7, §18.10).

use crate::turn::scenario::*;
use crate::turn::{
    api::{
        names::identity::RelayId,
        reason::Reason,
        report::Cause,
        settings::{OnReallocate, Settings},
    },
    ports::{relays::DrawnFirst, table::Parity},
};
use crate::wire::{ErrorCode, Family, Method};

fn pair(world: &mut World, who: Client) -> Heard {
    world.ask(who, Method::Allocate, |writer| {
        writer.requested_transport(17).even_port(true);
    })
}

fn claim(world: &mut World, who: Client, token: [u8; 8]) -> Heard {
    world.ask(who, Method::Allocate, |writer| {
        writer.requested_transport(17).reservation_token(token);
    })
}

const SECOND: Client = Client { address: "198.51.100.1:5001", ..Client::ANN };

#[test]
fn an_even_port_is_even() {
    let mut world = World::new();
    for n in 1..=32_u16 {
        let client = Client { address: format!("198.51.100.1:{n}").leak(), ..Client::ANN };
        let heard = world.ask(client, Method::Allocate, |writer| {
            writer.requested_transport(17).even_port(false);
        });
        assert_eq!(heard.expect_success().relayed().port() % 2, 0);
    }
    let none_left = world.ask(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).even_port(false);
    });
    none_left.expect_error(ErrorCode::InsufficientCapacity);
    world.allocate(Client::ANN).expect_success();
}

#[test]
fn the_next_port_waits_for_its_token() {
    let mut world = World::new();
    let first = pair(&mut world, Client::ANN).expect_success();
    assert_eq!((world.bound.len(), world.held()), (2, 2));
    let second = claim(&mut world, SECOND, first.token()).expect_success();
    assert_eq!(second.relayed().port(), first.relayed().port() + 1);
    assert_eq!((world.bound.len(), world.held()), (2, 2));
    claim(&mut world, Client::BOB, first.token()).expect_error(ErrorCode::InsufficientCapacity);
    world.permit(SECOND, &[PEER]).expect_success();
    world.peer_says(second.relayed(), PEER, 1).unwrap();
}

#[test]
fn a_reserved_port_is_silent_and_nobody_elses() {
    let mut world = World::new();
    let first = pair(&mut world, Client::ANN).expect_success();
    let mut next = first.relayed();
    next.set_port(next.port() + 1);
    assert_eq!(world.peer_says(next, PEER, 1), Err(Reason::NoRelay));
    claim(&mut world, Client::BOB, first.token()).expect_error(ErrorCode::InsufficientCapacity);
    claim(&mut world, SECOND, first.token()).expect_success();
}

// RFC 8656 §7.2: the reservation lasts at least 30 seconds.
#[test]
fn a_reservation_ends_after_30_seconds() {
    let mut world = World::new();
    let first = pair(&mut world, Client::ANN).expect_success();
    assert_eq!(world.servers[0].next_deadline(), Some(BOOT_MS + 30_000));
    world.at_ms(29_999);
    assert_eq!(world.bound.len(), 2);
    world.at_ms(30_000);
    assert_eq!((world.bound.len(), world.held()), (1, 1));
    claim(&mut world, SECOND, first.token()).expect_error(ErrorCode::InsufficientCapacity);
}

#[test]
fn a_pair_is_bound_whole_or_not_at_all() {
    let mut world = World::new();
    world.busy.extend((50_000..=50_063).filter(|port| port % 2 == 1));
    pair(&mut world, Client::ANN).expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!((world.bound.len(), world.held()), (0, 0));
    world.let_go();
    world.busy.remove(&50_031);
    world.busy.extend((50_000..=50_063).filter(|port| port % 8 == 3));
    let mut got = 0;
    for _ in 0..20 {
        let heard = pair(&mut world, Client::ANN);
        world.let_go();
        if heard.code() == 200 {
            assert_eq!(heard.relayed().port(), 50_030);
            got += 1;
            break;
        }
    }
    assert_eq!(got, 1);
}

#[test]
fn a_quota_of_one_is_not_enough_for_a_pair_and_no_place_is_lost() {
    let mut world = World::with(1, 1, |_| {});
    pair(&mut world, Client::ANN).expect_error(ErrorCode::AllocationQuotaReached);
    assert_eq!(world.held(), 0);
    world.allocate(Client::ANN).expect_success();
}

// … and keeps what it has when it starts over with a request that cannot succeed.
#[test]
fn an_allocate_that_is_certain_to_fail_replaces_nothing() {
    let replaces = |settings: &mut Settings| settings.on_reallocate = OnReallocate::Replace;
    let mut world = World::with(2, 9, replaces);
    let first = world.allocate(Client::ANN).expect_success();
    for worker in [0, 1, 7] {
        let unknown = [worker, 1, 2, 3, 4, 5, 6, 7];
        claim(&mut world, Client::ANN, unknown).expect_error(ErrorCode::InsufficientCapacity);
    }
    world.servers[0].relay_on(&[]);
    world.allocate(Client::ANN).expect_error(ErrorCode::AddressFamilyNotSupported);
    assert!(world.closed.is_empty());
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.peer_says(first.relayed(), PEER, 1).unwrap();
}

#[test]
fn a_good_token_replaces_what_its_client_had() {
    for owner in [0, 1] {
        let replaces = |settings: &mut Settings| settings.on_reallocate = OnReallocate::Replace;
        let mut world = World::with(2, 3, replaces);
        let token = pair(&mut world, SECOND.on(owner)).expect_success().token();
        let first = world.allocate(Client::ANN).expect_success().relayed();
        let second = claim(&mut world, Client::ANN, token).expect_success().relayed();
        let closed = Vec::from_iter(
            world.closed.iter().map(|it| (it.cause, it.relayed.get(Family::V4).copied())),
        );
        assert_eq!(closed, [(Cause::Replaced, Some(first))]);
        world.permit(Client::ANN, &[PEER]).expect_success();
        world.peer_says(second, PEER, 1).unwrap();
        assert_eq!(world.held(), 2);
    }
}

#[test]
fn a_token_is_redeemed_at_another_worker_and_the_port_is_free_afterwards() {
    let mut world = World::with(3, 9, |_| {});
    let first = pair(&mut world, Client::ANN.on(2)).expect_success();
    let guest = SECOND.on(0);
    let second = claim(&mut world, guest, first.token()).expect_success();
    assert_eq!(second.relayed().port(), first.relayed().port() + 1);
    assert_eq!((world.bound.len(), world.held()), (2, 2));
    world.permit(guest, &[PEER]).expect_success();
    world.peer_says(second.relayed(), PEER, 1).unwrap();
    claim(&mut world, Client::BOB.on(1), first.token())
        .expect_error(ErrorCode::InsufficientCapacity);
    world.refresh(guest, 0).expect_success();
    world.refresh(Client::ANN.on(2), 0).expect_success();
    world.let_go();
    assert_eq!((world.bound.len(), world.held()), (0, 0));
    every_pair_can_be_had(&mut world, 2);
}

#[test]
fn a_port_that_cannot_be_used_where_it_is_redeemed_is_free_again() {
    let mut world = World::with(3, 9, |_| {});
    let first = pair(&mut world, Client::ANN.on(2)).expect_success();
    world.is_out_of_files = true;
    let refused = claim(&mut world, SECOND.on(0), first.token());
    refused.expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!((world.bound.len(), world.held()), (1, 1));
    world.refresh(Client::ANN.on(2), 0).expect_success();
    world.let_go();
    every_pair_can_be_had(&mut world, 2);
}

#[test]
fn a_token_nobody_gave_is_508_at_any_worker() {
    let mut world = World::with(3, 9, |_| {});
    for owner in [0, 1, 2, 3, 255] {
        let token = [owner, 1, 2, 3, 4, 5, 6, 7];
        claim(&mut world, Client::ANN, token).expect_error(ErrorCode::InsufficientCapacity);
    }
    assert_eq!((world.bound.len(), world.held()), (0, 0));
    assert_eq!(world.servers[0].relays.live(RelayId(0)), None);
    every_pair_can_be_had(&mut world, 0);
}

#[test]
fn a_redeemed_port_is_reached_at_the_worker_that_redeemed_it() {
    let mut world = World::with(3, 9, |_| {});
    let first = pair(&mut world, Client::ANN.on(2)).expect_success();
    let guest = SECOND.on(0);
    let second = claim(&mut world, guest, first.token()).expect_success();
    let sender = Client::BOB.on(1);
    let from = world.allocate(sender).expect_success().relayed();
    let own = &second.relayed().to_string();
    world.permit(sender, &[own]).expect_success();
    world.permit(guest, &[&from.to_string()]).expect_success();
    let heard = world.send(sender, own, b"hi");
    let (worker, to) = world.hand_over(&heard.verdict);
    assert_eq!((worker.0, to.unwrap().path), (0, guest.path()));
}

/// No port has leaked: a worker can still have every pair of the range.
fn every_pair_can_be_had(world: &mut World, worker: u8) {
    let server = &mut world.servers[usize::from(worker)];
    let drawn = std::iter::from_fn(|| {
        let first = DrawnFirst::OwnSlice;
        server.relays.draw(Family::V4, Parity::Pair, first, &mut server.rng)
    });
    assert_eq!(drawn.count(), 32);
}
