//! Whatever happens to connections, in whatever order: nothing is lost and nothing ends twice.

use std::collections::BTreeSet;

use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

use super::{ANN, BOB, DATA, tcp_world};
use crate::turn::allocation::connections::CONNECTIONS;
use crate::turn::api::names::connection::{ConnectionId, NotConnected};
use crate::turn::scenario::*;

const CLIENTS: [Client; 3] = [ANN, BOB, DATA];

#[derive(Debug, Clone)]
enum Step {
    Allocate(usize),
    Refresh(usize, u32),
    Disconnect(usize),
    Connect(usize, u16),
    Connected(bool),
    FromPeer(usize, u16),
    Bind(prop::sample::Index),
    Closed(prop::sample::Index),
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        2 => (0_usize..3).prop_map(Step::Allocate),
        1 => (0_usize..3, prop_oneof![600_u32..700, 0_u32..1])
            .prop_map(|(c, s)| Step::Refresh(c, s)),
        1 => (0_usize..3).prop_map(Step::Disconnect),
        4 => (0_usize..3, 1_u16..40).prop_map(|(c, p)| Step::Connect(c, p)),
        3 => any::<bool>().prop_map(Step::Connected),
        3 => (0_usize..3, 1_u16..40).prop_map(|(c, p)| Step::FromPeer(c, p)),
        2 => any::<prop::sample::Index>().prop_map(Step::Bind),
        2 => any::<prop::sample::Index>().prop_map(Step::Closed),
        1 => prop_oneof![0_u64..5_000, 0_u64..200_000].prop_map(Step::Wait),
    ];
    prop::collection::vec(step, 0..80)
}

/// The world, and the connections it should have.
struct Books {
    world: World,
    open: BTreeSet<ConnectionId>,
}

impl Books {
    fn happen(&mut self, step: &Step) {
        let world = &mut self.world;
        match *step {
            Step::Allocate(client) => {
                world.allocate_tcp(CLIENTS[client]);
                world.permit(CLIENTS[client], &[PEER]);
            }
            Step::Refresh(client, seconds) => _ = world.refresh(CLIENTS[client], seconds),
            Step::Disconnect(client) => _ = world.disconnect(CLIENTS[client]),
            Step::Connect(client, port) => {
                world.connect(CLIENTS[client], &format!("9.9.9.9:{port}"));
                self.open.extend(world.streams.connects.iter().map(|(_, connect)| connect.id));
            }
            Step::Connected(is_made) => self.connected(is_made),
            Step::FromPeer(client, port) => {
                let path = CLIENTS[client].path();
                let opened = world.opened.iter().rev().find(|it| it.path == path);
                let relayed = opened.and_then(|it| it.relayed.iter().next().copied());
                let now = world.now();
                let lives = world.servers[0].has_allocation(now, path.flow);
                world.carry_out(0, &mut Vec::new());
                if let Some(relayed) = relayed.filter(|_| lives) {
                    let taken = world.peer_connects(relayed, &format!("9.9.9.9:{port}"));
                    self.open.extend(taken.ok());
                }
            }
            Step::Bind(at) => {
                if let Some(id) = self.any(at) {
                    let fresh = DATA.at("198.51.100.1:5009");
                    self.world.bind_connection(fresh, id);
                }
            }
            Step::Closed(at) => {
                if let Some(id) = self.any(at) {
                    self.world.connection_closed(id);
                    self.world.streams.connects.retain(|(_, connect)| connect.id != id);
                    self.open.remove(&id);
                }
            }
            Step::Wait(ms) => _ = world.wait_ms(ms),
        }
        self.world.let_go();
        self.settle();
    }

    fn connected(&mut self, is_made: bool) {
        if let Some((_, connect)) = self.world.streams.connects.last().copied() {
            if !is_made {
                self.open.remove(&connect.id);
            }
            self.world.connected(is_made.then_some(()).ok_or(NotConnected));
        }
    }

    fn any(&self, at: prop::sample::Index) -> Option<ConnectionId> {
        let all = Vec::from_iter(&self.open);
        (!all.is_empty()).then(|| **at.get(&all))
    }

    /// What was ordered to be closed was open.
    fn settle(&mut self) {
        for (_, id) in std::mem::take(&mut self.world.streams.closed) {
            assert!(self.open.remove(&id), "{id:?} is closed once");
            self.world.streams.connects.retain(|(_, connect)| connect.id != id);
        }
        let live = self.world.counters().connections_live as usize;
        assert_eq!((live, self.world.servers[0].connections.count()), (self.open.len(), live));
        assert!(live <= CONNECTIONS * self.world.counters().live as usize);
    }
}

proptest! {
    #[test]
    fn each_connection_ends_once_and_none_is_lost(steps in steps()) {
        let mut books = Books { world: tcp_world(1), open: BTreeSet::new() };
        for step in &steps {
            books.happen(step);
        }
        for client in CLIENTS {
            books.happen(&Step::Disconnect(CLIENTS.iter().position(|it| *it == client).unwrap()));
        }
        assert!(books.open.is_empty() && books.world.bound.is_empty());
        assert_eq!(books.world.held(), 0);
    }
}
