//! Two workers' servers under whatever comes, in whatever order, with a ledger of what must come of
//! it.
//!
//! ```text
//! world.rs    the servers, and a kernel that binds, connects and lets go when an input says so
//! ledger.rs   what the counters must say
//! client.rs   requests out of an input's bytes
//! ```

mod client;
mod ledger;
mod world;

use super::{engine::fuzz, take::Take};
use client::{CLIENTS, PEERS, datagram, request};
use uturn::{turn::Transport, wire::ChannelData};
use world::World;

/// Nobody signs anything: raw datagrams of several sources, and time that passes.
#[test]
fn strangers_leave_nothing_behind() {
    fuzz("server_strangers", |input| {
        let mut take = Take::from(input);
        let mut world = World::new();
        while !take.is_empty() {
            let client = CLIENTS[take.below(CLIENTS.len())];
            match take.below(8) {
                0 => world.wait_ms(u64::from(take.number())),
                _ => world.says(client, take.some(), 1),
            }
        }
        assert_eq!(world.opened(), 0, "an allocation without credentials");
        world.end();
    });
}

/// Clients that know the password, peers, a kernel that refuses, other rules, the end of sessions.
#[test]
fn clients_peers_and_operators_in_any_order_leave_the_books_right() {
    fuzz("server_clients", |input| {
        let mut take = Take::from(input);
        let mut world = World::new();
        while !take.is_empty() {
            step(&mut world, &mut take);
        }
        world.end();
    });
}

fn step(world: &mut World, take: &mut Take<'_>) {
    let client = CLIENTS[take.below(CLIENTS.len())];
    match take.below(24) {
        0..8 => {
            let bytes = request(world, client, take);
            world.says(client, &bytes, 1);
        }
        8 | 9 => {
            let bytes = datagram(take);
            let is_frame = ChannelData::parse(&bytes).is_ok();
            let alike = if is_frame && client.path.transport == Transport::Udp { 9 } else { 1 };
            world.says(client, &bytes, 1 + take.below(alike));
        }
        10 => world.says(client, take.some(), 1),
        11 | 12 => world.catch_up(take),
        13 => world.let_go(take.percent(30)),
        14 | 15 => {
            let peer = take.pick(&PEERS);
            world.peer_sends(take.byte().into(), peer, 1 + take.below(5), take.byte().into());
        }
        16 => world.wait_ms(u64::from(take.number())),
        17 => world.wait_ms(u64::from(take.number()) * 10),
        18 => world.reconfigure(take),
        19 => world.drain(take.percent(50)),
        20 => world.kill(take.byte().into()),
        21 => world.gone(client),
        22 => {
            let peer = take.pick(&PEERS);
            world.peer_connects(take.byte().into(), peer);
        }
        _ => world.connection(take),
    }
    world.check();
}
