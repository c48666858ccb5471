//! Relay ports: no worker refuses while another has one that will do.

use std::collections::BTreeSet;

use crate::turn::api::counters::QuotaHit;
use crate::turn::scenario::*;
use crate::wire::{ErrorCode, Family, Method};

/// Ports of the range.
const PORTS: usize = 64;

/// As many clients as are asked for, all of one worker.
fn clients(worker: u8, count: usize) -> impl Iterator<Item = Client> {
    let address = move |n| format!("198.51.100.{}:{}", worker + 1, 6000 + n).leak();
    (0..count).map(move |n| Client { address: address(n), ..Client::ANN }.on(worker))
}

fn pair(world: &mut World, who: Client) -> Heard {
    world.ask(who, Method::Allocate, |writer| {
        writer.requested_transport(17).even_port(true);
    })
}

fn in_use(world: &World) -> Vec<usize> {
    world.servers.iter().map(|server| server.port_use()[0].in_use).collect()
}

#[test]
fn one_worker_can_have_every_port() {
    let mut world = World::with(8, 1000, |_| {});
    let ports: BTreeSet<u16> = clients(3, PORTS)
        .map(|client| world.allocate(client).expect_success().relayed().port())
        .collect();
    assert_eq!(ports, (50_000..=50_063).collect());
    assert_eq!(in_use(&world), [0, 0, 0, 64, 0, 0, 0, 0]);
    for worker in 0..8 {
        world.allocate(Client::BOB.on(worker)).expect_error(ErrorCode::InsufficientCapacity);
        assert_eq!(world.servers[usize::from(worker)].counters().quota_hits(QuotaHit::Ports), 1);
    }
    world
        .ask(Client::BOB, Method::Allocate, |writer| {
            writer.requested_transport(17).requested_family(Family::V6);
        })
        .expect_success();
}

#[test]
fn a_worker_draws_from_its_own_slice_first() {
    let mut world = World::with(4, 1000, |_| {});
    for worker in [0, 2] {
        let own = 50_000 + 16 * u16::from(worker);
        for client in clients(worker, PORTS / 4) {
            let port = world.allocate(client).expect_success().relayed().port();
            assert!((own..own + 16).contains(&port), "{port} is not of worker {worker}");
        }
    }
    let port = world.allocate(Client::BOB.on(2)).expect_success().relayed().port();
    assert!((50_016..50_032).contains(&port) || (50_048..).contains(&port), "{port} was taken");
}

#[test]
fn a_worker_whose_slice_is_a_neighbours_draws_from_the_others() {
    let mut world = World::with(2, 1000, |_| {});
    // All of the first worker's slice, and more.
    world.busy.extend(50_000..=50_047);
    for client in clients(0, 16) {
        let port = world.allocate(client).expect_success().relayed().port();
        assert!((50_048..=50_063).contains(&port), "{port}");
    }
    world.allocate(Client::BOB).expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!(in_use(&world), [16, 0], "what could not be bound was given back");
}

#[test]
fn one_worker_can_have_every_pair() {
    let mut world = World::with(8, 1000, |_| {});
    clients(5, PORTS / 2).for_each(|client| drop(pair(&mut world, client).expect_success()));
    pair(&mut world, Client::BOB.on(6)).expect_error(ErrorCode::InsufficientCapacity);
}

#[test]
fn more_workers_than_ports_share_them_all() {
    let mut world = World::with(100, 1000, |_| {});
    for worker in 0..PORTS as u8 {
        clients(worker, 1).for_each(|client| drop(world.allocate(client).expect_success()));
    }
    world.allocate(Client::BOB.on(99)).expect_error(ErrorCode::InsufficientCapacity);
}

#[test]
fn a_port_that_was_let_go_is_anybodys() {
    let mut world = World::with(4, 1000, |_| {});
    clients(1, PORTS).for_each(|client| drop(world.allocate(client).expect_success()));
    let gone = clients(1, 1).next().unwrap();
    world.refresh(gone, 0).expect_success();
    world.allocate(Client::BOB.on(2)).expect_error(ErrorCode::InsufficientCapacity);
    world.let_go();
    world.allocate(Client::BOB.on(2)).expect_success();
    assert_eq!(in_use(&world), [0, 63, 1, 0]);
}
