//! The process under test: workers, their sockets, and what becomes of their effects.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use uturn::{
    turn::{
        Bind, Counts, Effect, Exhausted, FiveTuple, Open, Outcome, PendingId, Purpose, Quota,
        REPLY_BYTES, RelayId, RelayPorts, Report, Server, Shard, Socket, Verdict, WorkerIndex,
    },
    wire::Message,
};

use super::{
    chance::Chance,
    forwarder::Forwarder,
    mail::Mail,
    model::Operated,
    model::{Arrival, Expect},
    run::{Event, Story},
    scenario::Scenario,
};

/// The counts behind the lock that all workers share.
#[derive(Clone)]
struct Shared(Arc<Mutex<Counts>>);

impl Quota for Shared {
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted> {
        self.0.lock().expect("nobody panics with it").admit(user)
    }

    fn leave(&mut self, user: &Arc<str>) {
        self.0.lock().expect("nobody panics with it").leave(user);
    }
}

/// What a socket is for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum State {
    Relay,
    Held,
    Closing,
}

pub(crate) struct Worker {
    pub(crate) server: Server,
    pub(crate) forwarder: Forwarder,
    pub(crate) sockets: BTreeMap<RelayId, (SocketAddr, State)>,
}

pub(crate) struct Node {
    pub(crate) workers: Vec<Worker>,
    pub(crate) relays: Vec<RelayPorts>,
    pub(crate) counts: Arc<Mutex<Counts>>,
    /// Sockets of Allocates that try again.
    unsettled: BTreeSet<SocketAddr>,
    /// Everything a waiting Allocate has drawn so far, by its client: what somebody else uses is
    /// held back until the end, so that it is not tried twice.
    drawn: BTreeMap<SocketAddr, BTreeSet<SocketAddr>>,
    pub(crate) reply: Vec<u8>,
    /// What nonces are signed with.
    pub(crate) master: [u8; 32],
}

impl Node {
    pub(crate) fn new(scenario: &Scenario, chance: &mut Chance) -> Node {
        let master = chance.array();
        let settings = Arc::new(scenario.settings(master, &Operated::default()));
        let counts = Counts::new(Some(scenario.user_quota), Some(scenario.total_quota));
        let counts = Arc::new(Mutex::new(counts));
        let relays = scenario.plan().open(&scenario.relay_addresses());
        let workers = (0..scenario.workers).map(|index| {
            let shard = Shard {
                worker: WorkerIndex(index),
                ports: scenario.plan(),
                relays: relays.clone(),
                quota: Box::new(Shared(counts.clone())),
            };
            let server = Server::new(settings.clone(), shard, chance.array());
            Worker { server, forwarder: Forwarder::default(), sockets: BTreeMap::new() }
        });
        let (workers, reply) = (workers.collect(), vec![0; REPLY_BYTES]);
        let (unsettled, drawn) = (BTreeSet::new(), BTreeMap::new());
        Node { workers, relays, counts, unsettled, drawn, reply, master }
    }

    /// Local addresses in a state, those of Allocates under way left out.
    fn in_state(&self, state: State) -> BTreeSet<SocketAddr> {
        let sockets = self.workers.iter().flat_map(|worker| worker.sockets.values());
        let wanted =
            sockets.filter(|(local, one)| *one == state && !self.unsettled.contains(local));
        wanted.map(|(local, _)| *local).collect()
    }

    pub(crate) fn bound(&self) -> BTreeSet<SocketAddr> {
        self.in_state(State::Relay)
    }

    pub(crate) fn held(&self) -> BTreeSet<SocketAddr> {
        self.in_state(State::Held)
    }

    pub(crate) fn is_silent(&self) -> bool {
        self.workers.iter().all(|worker| worker.sockets.is_empty())
    }

    pub(crate) fn is_taken(&self, local: SocketAddr) -> bool {
        self.workers.iter().flat_map(|w| w.sockets.values()).any(|(one, _)| *one == local)
    }

    /// No port is had by two, and none is lost: what workers count is what they hold.
    pub(crate) fn check_ports(&self) {
        let sockets = self.workers.iter().flat_map(|w| w.sockets.values()).map(|(local, _)| *local);
        let held: BTreeSet<_> = sockets.chain(self.drawn.values().flatten().copied()).collect();
        let counted = self.workers.iter().flat_map(|worker| worker.server.port_use());
        assert_eq!(counted.map(|ports| ports.in_use).sum::<usize>(), held.len(), "{held:?}");
    }

    /// Every worker can see who relays on which port.
    pub(crate) fn check_holders(&self, holders: &BTreeMap<SocketAddr, u8>) {
        for relays in &self.relays {
            for port in 0..=u16::MAX {
                let local = SocketAddr::new(relays.address.local, port);
                let holder = relays.table.holder(port).map(|holder| holder.worker.0);
                assert_eq!(holder, holders.get(&local).copied(), "{local}");
            }
        }
    }

    /// True for an address that a waiting Allocate has drawn.
    pub(crate) fn is_drawn(&self, local: SocketAddr) -> bool {
        self.drawn.values().any(|drawn| drawn.contains(&local))
    }
}

impl Story {
    pub(crate) fn carry_out(&mut self, worker: u8) {
        let node = usize::from(worker);
        while let Some(effect) = self.node.workers[node].server.next_effect() {
            match effect {
                Effect::Open(open) => {
                    let slice = self.model.scenario.plan().slice(WorkerIndex(worker));
                    let is_elsewhere = |socket: &&Socket| !slice.contains(&socket.local.port());
                    let elsewhere = open.sockets.iter().filter(is_elsewhere).count();
                    self.tally.drawn_elsewhere += elsewhere as u64;
                    let drawn = self.node.drawn.entry(open.flow.client).or_default();
                    drawn.extend(open.sockets.iter().map(|socket| socket.local));
                    let at_ms = self.now_ms + self.chance.below(20);
                    self.network.schedule(at_ms, Event::Complete { worker, open });
                }
                Effect::Activate(relay) => {
                    let socket = self.node.workers[node].sockets.get_mut(&relay).expect("held");
                    assert_eq!(socket.1, State::Held);
                    socket.1 = State::Relay;
                }
                Effect::Close(relay) => self.close(worker, relay),
                Effect::Redeem(redeem) => {
                    self.post(redeem.owner.0, Mail::Redeem { asker: worker, redeem });
                }
                Effect::Forward { channel, until_ms } => {
                    self.node.workers[node].forwarder.forward(channel, until_ms);
                }
                Effect::Unforward(channel) => {
                    self.node.workers[node].forwarder.unforward(channel);
                }
            }
        }
        while let Some(report) = self.node.workers[node].server.next_report() {
            match report {
                Report::StrangersRefused(refused) => {
                    panic!("a few clients are no flood: {refused:?}")
                }
                Report::Opened(opened) => {
                    let allocation = &self.model.allocations[&opened.flow.client];
                    assert_eq!(*opened.user, *allocation.user);
                    let told: Vec<_> = opened.relayed.iter().copied().collect();
                    let ends: Vec<_> = allocation.ends.iter().map(|end| end.relayed).collect();
                    assert_eq!(told, ends);
                }
                Report::Closed(closed) => {
                    self.tally.closed += 1;
                    self.model.closed(self.now_ms, &closed);
                }
            }
        }
    }

    fn close(&mut self, worker: u8, relay: RelayId) {
        self.node.workers[usize::from(worker)].forwarder.assert_silent(relay);
        let sockets = &mut self.node.workers[usize::from(worker)].sockets;
        let socket = sockets.get_mut(&relay).expect("only what is bound is closed");
        let (local, state) = *socket;
        assert_ne!(state, State::Closing, "closed twice");
        socket.1 = State::Closing;
        self.node.unsettled.remove(&local);
        self.model.holders.remove(&local);
        if state == State::Held {
            self.model.unreserved(self.now_ms, local, self.is_shut_down);
        }
        let at_ms = self.now_ms + self.chance.below(300);
        self.network.schedule(at_ms, Event::Released { worker, relay });
    }

    pub(crate) fn released(&mut self, worker: u8, relay: RelayId) {
        let node = &mut self.node.workers[usize::from(worker)];
        let (local, state) = node.sockets.remove(&relay).expect("closing");
        assert_eq!(state, State::Closing);
        // Half of a pair, whose Allocate may still try others.
        for drawn in self.node.drawn.values_mut() {
            drawn.remove(&local);
        }
        let node = &mut self.node.workers[usize::from(worker)];
        node.server.released(relay);
        self.carry_out(worker);
    }

    /// The world answers an Allocate: sockets are bound, or are not.
    pub(crate) fn complete(&mut self, worker: u8, open: &Open) {
        let binds: Vec<Bind> = open
            .sockets
            .iter()
            .map(|socket| {
                if self.model.scenario.foreign_ports.contains(&socket.local.port()) {
                    return Bind::InUse;
                }
                if self.chance.percent(self.fault_percent) {
                    return Bind::Failed;
                }
                assert!(!self.node.is_taken(socket.local), "{} is drawn twice", socket.local);
                let state = match socket.purpose {
                    Purpose::Relay => State::Relay,
                    Purpose::Reserve => State::Held,
                };
                let sockets = &mut self.node.workers[usize::from(worker)].sockets;
                assert!(
                    sockets.insert(socket.relay, (socket.local, state)).is_none(),
                    "name in use"
                );
                self.node.unsettled.insert(socket.local);
                Bind::Bound
            })
            .collect();
        let is_whole = binds.iter().all(|bind| *bind == Bind::Bound);
        self.conclude(worker, open.flow, open.pending, Outcome::Opened(&binds), is_whole);
    }

    pub(crate) fn conclude(
        &mut self,
        worker: u8,
        flow: FiveTuple,
        pending: PendingId,
        outcome: Outcome<'_>,
        is_whole: bool,
    ) {
        let now = self.now();
        let node = &mut self.node;
        let server = &mut node.workers[usize::from(worker)].server;
        let verdict = server.complete(now, pending, outcome, &mut node.reply);
        let client = flow.client;
        match verdict {
            Verdict::Pending => assert!(!is_whole, "everything was bound"),
            Verdict::Reply(bytes) => {
                let answer = self.node.reply[..bytes].to_vec();
                self.concluded(worker, client, &answer, is_whole);
            }
            verdict => panic!("{verdict:?} of a completion"),
        }
        self.carry_out(worker);
    }

    fn concluded(&mut self, worker: u8, client: SocketAddr, answer: &[u8], is_whole: bool) {
        let opening = self.model.openings.remove(&client).expect("one that waits");
        self.node.drawn.remove(&client);
        assert_eq!(opening.worker, worker);
        let request = &opening.request;
        let arrival = Arrival { now_ms: self.now_ms, worker, client, request };
        let message = Message::parse(answer).expect("answers are well-formed");
        let expect = match message.error_code().expect("well-formed") {
            None => Expect::Success,
            Some(_) => {
                assert!(!is_whole, "refused with everything bound: {request:?}");
                Expect::Code(508)
            }
        };
        if expect == Expect::Success {
            self.model.opened(arrival, &message, answer);
            self.settle(worker, client);
        }
        self.answered(arrival, expect, answer);
    }

    /// The sockets of an allocation, and what is reserved beside it, are its own from now on.
    pub(crate) fn settle(&mut self, worker: u8, client: SocketAddr) {
        let model = &self.model;
        let ends = model.allocations[&client].ends.iter().map(|end| model.local(end.relayed));
        let ends: Vec<SocketAddr> = ends.collect();
        let reserved = model.reservations.values().map(|reservation| reservation.relayed);
        let reserved = reserved.map(|relayed| model.local(relayed));
        for local in ends.iter().copied().chain(reserved) {
            self.node.unsettled.remove(&local);
        }
        self.model.holders.extend(ends.into_iter().map(|local| (local, worker)));
    }
}
