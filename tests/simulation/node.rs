//! The process under test: workers with their sockets and mail, between the network and the model.
//!
//! Every verdict is held against the model's before it has any effect.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use uturn::{
    turn::{
        Bind, Counts, Effect, Exhausted, FiveTuple, ListenerId, Now, Open, Outcome, PendingId,
        Purpose, Quota, REPLY_BYTES, Redeem, RelayId, Server, Shard, ToClient, Undelivered,
        Verdict, WorkerIndex,
    },
    wire::{ChannelData, Message, Prefix},
};

use super::{
    chance::Chance,
    model::{Arrival, Expect, Fate, relayed_addresses},
    packet::{Ask, Packet, Request},
    run::{Event, Story},
    scenario::{BEGIN_S, Scenario},
};

/// What workers tell each other.
#[derive(Debug, Clone)]
pub(crate) enum Mail {
    Redeem { asker: u8, redeem: Redeem },
    Redeemed { redeem: Redeem, local: Option<SocketAddr> },
    Returned(SocketAddr),
    Parcel { from: SocketAddr, to: SocketAddr, payload: Vec<u8> },
}

/// The counts behind the lock that all workers share.
#[derive(Clone)]
struct Shared(Arc<Mutex<Counts>>);

impl Quota for Shared {
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted> {
        self.0.lock().unwrap().admit(user)
    }

    fn leave(&mut self, user: &Arc<str>) {
        self.0.lock().unwrap().leave(user);
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    Relay,
    Held,
    Closing,
}

pub(crate) struct Worker {
    pub(crate) server: Server,
    sockets: BTreeMap<RelayId, (SocketAddr, State)>,
}

pub(crate) struct Node {
    pub(crate) workers: Vec<Worker>,
    pub(crate) counts: Arc<Mutex<Counts>>,
    /// Sockets of Allocates that try again.
    unsettled: BTreeSet<SocketAddr>,
    reply: Vec<u8>,
}

impl Node {
    pub(crate) fn new(scenario: &Scenario, chance: &mut Chance) -> Node {
        let settings = Arc::new(scenario.settings(chance.array()));
        let counts = Counts::new(Some(scenario.user_quota), Some(scenario.total_quota));
        let counts = Arc::new(Mutex::new(counts));
        let workers = (0..scenario.workers).map(|index| {
            let shard = Shard {
                worker: WorkerIndex(index),
                ports: scenario.plan(),
                relay_addresses: scenario.relay_addresses(),
                quota: Box::new(Shared(counts.clone())),
            };
            let server = Server::new(settings.clone(), shard, chance.array());
            Worker { server, sockets: BTreeMap::new() }
        });
        let (workers, reply) = (workers.collect(), vec![0; REPLY_BYTES]);
        Node { workers, counts, unsettled: BTreeSet::new(), reply }
    }

    /// Local addresses in a state, those of Allocates under way left out.
    fn in_state(&self, state: State) -> BTreeSet<SocketAddr> {
        let sockets = self.workers.iter().flat_map(|worker| worker.sockets.values());
        let wanted = sockets.filter(|(local, one)| *one == state && !self.unsettled.contains(local));
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

    fn is_taken(&self, local: SocketAddr) -> bool {
        self.workers.iter().flat_map(|w| w.sockets.values()).any(|(one, _)| *one == local)
    }
}

impl Story {
    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_s: BEGIN_S + self.now_ms / 1000 }
    }

    /// The kernel's choice among the sockets that share a port.
    fn steer(&self, client: SocketAddr) -> u8 {
        let bytes = format!("{client}").into_bytes();
        let hash = bytes.iter().fold(7_u64, |hash, byte| hash * 31 % 1_000_003 + u64::from(*byte));
        (hash % u64::from(self.model.scenario.workers)) as u8
    }

    pub(crate) fn to_server(&mut self, from: SocketAddr, packet: &Packet) {
        let worker = self.steer(from);
        let flow = FiveTuple { listener: listener(from), client: from };
        let bytes = packet.bytes();
        let now = self.now();
        let node = &mut self.node;
        let server = &mut node.workers[usize::from(worker)].server;
        let verdict = server.from_client(now, flow, &bytes, &mut node.reply);
        self.tally.datagrams += 1;
        match packet {
            Packet::Request(request) => self.hold_request(worker, from, request, verdict),
            Packet::Send { .. } | Packet::Channel { .. } | Packet::Junk(_) => {
                self.hold_payload(worker, from, packet, &bytes, verdict);
            }
        }
        self.carry_out(worker);
    }

    fn hold_request(&mut self, worker: u8, client: SocketAddr, request: &Request, verdict: Verdict) {
        let arrival = Arrival { now_ms: self.now_ms, worker, client, request };
        let expect = self.model.judge(arrival);
        let what = format!("{expect:?} {verdict:?} {client} at {worker}: {request:?}");
        match (expect, verdict) {
            (Expect::Later, Verdict::Pending) => self.tally.later += 1,
            (Expect::Later, Verdict::Reply(bytes)) => {
                let answer = self.node.reply[..bytes].to_vec();
                self.model.openings.remove(&client);
                self.answered(arrival, Expect::Code(508), &answer);
                self.check_scarcity(arrival);
            }
            (Expect::Silence(expected), Verdict::Drop(reason)) => {
                assert_eq!(reason, expected, "{what}");
                self.model.sums.dropped += 1;
            }
            (Expect::Success | Expect::Again | Expect::Code(_), Verdict::Reply(bytes)) => {
                let answer = self.node.reply[..bytes].to_vec();
                if expect == Expect::Success && matches!(request.ask, Ask::Allocate(_)) {
                    self.redeemed_here(arrival, &answer);
                }
                self.answered(arrival, expect, &answer);
            }
            _ => panic!("{what}"),
        }
    }

    /// There may be no port only where there is none.
    fn check_scarcity(&self, arrival: Arrival<'_>) {
        let Ask::Allocate(wish) = &arrival.request.ask else { return };
        let plan = self.model.scenario.plan();
        let ports: Vec<u16> = plan.slice(WorkerIndex(arrival.worker)).collect();
        let is_free = |port: &u16| {
            let taken = |address: &uturn::turn::RelayAddress| {
                let local = SocketAddr::new(address.local, *port);
                self.node.is_taken(local) || self.model.lent.contains_key(&local)
            };
            !self.model.scenario.relay_addresses().iter().any(taken)
        };
        let fits = |port: &&u16| match wish.even {
            None => is_free(port),
            Some(false) => *port % 2 == 0 && is_free(port),
            Some(true) => *port % 2 == 0 && is_free(port) && ports.contains(&(*port + 1)) && is_free(&(*port + 1)),
        };
        let free = ports.iter().filter(fits).count();
        // Allocates under way hold ports that are not bound yet.
        let under_way = self.model.openings.len() * 3;
        assert!(free <= under_way, "508 with {free} ports free");
    }

    /// A token of this very worker is redeemed at once.
    fn redeemed_here(&mut self, arrival: Arrival<'_>, answer: &[u8]) {
        let Ask::Allocate(wish) = &arrival.request.ask else { return };
        let token = wish.token.expect("nothing else is answered at once");
        let reservation = self.model.reservations.remove(&token).expect("judged redeemable");
        let message = Message::parse(answer).expect("answers are well-formed");
        assert_eq!(relayed_addresses(&message), [reservation.relayed]);
        self.model.sums.redeemed += 1;
        self.model.opened(arrival, &message, answer);
    }

    /// An answer leaves: checks what every answer must have, and sends it.
    fn answered(&mut self, arrival: Arrival<'_>, expect: Expect, answer: &[u8]) {
        let Arrival { client, request, .. } = arrival;
        let message = Message::parse(answer).expect("answers are well-formed");
        let code = message.error_code().expect("well-formed");
        let expected = if let Expect::Code(code) = expect { Some(code) } else { None };
        assert_eq!(code, expected, "{client} {request:?}");
        assert_eq!(message.transaction(), request.transaction);
        assert_eq!(message.method(), request.ask.method());
        let has_fingerprint = message.fingerprint() == uturn::wire::Fingerprint::Valid;
        assert_eq!(has_fingerprint, request.has_fingerprint);
        match &request.signature {
            Some(signature) if !matches!(code, Some(401 | 438)) && request.ask != Ask::Binding => {
                assert!(message.is_signed_with(&signature.key()), "{request:?}");
            }
            Some(_) | None => assert!(!message.has_integrity()),
        }
        if matches!(code, Some(401 | 438)) {
            let nonce = message.nonce().expect("a challenge has a nonce").to_vec();
            self.model.nonces.insert(nonce, (client, self.now().unix_s));
        }
        if expect == Expect::Again {
            assert_eq!(self.model.allocations[&client].answer, answer);
        }
        match code {
            Some(code) => {
                self.model.sums.errors += 1;
                *self.tally.codes.entry(code).or_default() += 1;
            }
            None => self.model.sums.successes += 1,
        }
        self.send_to_client(client, answer.to_vec());
    }

    fn hold_payload(
        &mut self,
        worker: u8,
        from: SocketAddr,
        packet: &Packet,
        bytes: &[u8],
        verdict: Verdict,
    ) {
        let fate = self.model.from_client(self.now_ms, from, packet);
        let what = format!("{fate:?} {verdict:?} {from} at {worker}: {packet:?}");
        match (fate, verdict) {
            (Fate::Dropped, Verdict::Drop(_)) => self.model.sums.dropped += 1,
            (
                Fate::ToPeer { relayed, peer, dont_fragment },
                Verdict::ToPeer { relay, peer: to, payload, dont_fragment: df },
            ) => {
                let socket = self.node.workers[usize::from(worker)].sockets.get(&relay);
                let local = (self.model.local(relayed), State::Relay);
                assert_eq!((socket, peer, dont_fragment), (Some(&local), to, df), "{what}");
                assert_eq!(packet.payload(), &bytes[payload.clone()], "{what}");
                let payload = bytes[payload].to_vec();
                self.tally.to_peers += 1;
                let event = Event::ToPeer { relayed, peer, payload };
                self.network.send(self.now_ms, &mut self.chance, event);
            }
            (Fate::ToClient { .. }, Verdict::ToClient { to, payload }) => {
                self.tally.hairpins += 1;
                self.deliver(fate, to, &bytes[payload]);
            }
            (Fate::HandOver { .. }, Verdict::HandOver { worker, from, to, payload }) => {
                assert_eq!(fate, Fate::HandOver { worker: worker.0, from, to }, "{what}");
                self.tally.hand_overs += 1;
                let payload = bytes[payload].to_vec();
                self.post(worker.0, Mail::Parcel { from, to, payload });
            }
            _ => panic!("{what}"),
        }
    }

    /// A payload reaches a client: framed as it must be, its bytes exact.
    fn deliver(&mut self, fate: Fate, to: ToClient, payload: &[u8]) {
        let Fate::ToClient { client, sender, channel } = fate else { panic!("{fate:?} {to:?}") };
        assert_eq!(to.flow, FiveTuple { listener: listener(client), client });
        let mut frame = vec![0; Prefix::MAX_BYTES];
        let bytes = to.prefix.write(payload.len(), &mut frame).expect("room");
        frame.truncate(bytes);
        frame.extend(payload);
        frame.resize(frame.len() + to.prefix.trailing_bytes(payload.len()), 0);
        match channel {
            Some(number) => {
                let data = ChannelData::parse(&frame).expect("a frame");
                assert_eq!((data.channel.number(), &frame[data.payload()]), (number, payload));
            }
            None => {
                let message = Message::parse(&frame).expect("a message");
                assert_eq!(message.peer(), Ok(Some(sender)));
                assert_eq!(message.data(), Some(payload));
            }
        }
        self.tally.to_clients += 1;
        self.send_to_client(client, frame);
    }

    fn send_to_client(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.network.send(self.now_ms, &mut self.chance, Event::ToClient { to, bytes });
    }

    /// A train from a peer reaches the relay's address, whoever listens there.
    pub(crate) fn to_relay(&mut self, peer: SocketAddr, relayed: SocketAddr, segments: &[Vec<u8>]) {
        let local = self.model.local(relayed);
        let found = (0..).zip(&self.node.workers).find_map(|(worker, node)| {
            let mut sockets = node.sockets.iter();
            let socket = sockets.find(|(_, socket)| **socket == (local, State::Relay));
            socket.map(|(relay, _)| (worker, *relay))
        });
        let Some((worker, relay)) = found else {
            let fate = self.model.from_peer(self.now_ms, (peer, relayed), (0, 0));
            return assert_eq!(fate, Fate::Dropped, "{relayed} has no socket");
        };
        let (now, bytes) = (self.now(), segments.iter().map(Vec::len).sum());
        let server = &mut self.node.workers[usize::from(worker)].server;
        let judged = server.from_peer(now, relay, peer, bytes, segments.len());
        let fate = self.model.from_peer(self.now_ms, (peer, relayed), (segments.len(), bytes));
        match judged {
            Ok(to) => segments.iter().for_each(|payload| self.deliver(fate, to, payload)),
            Err(reason) => {
                assert_eq!(fate, Fate::Dropped, "{reason:?} {peer} to {relayed}");
                self.model.sums.dropped += 1;
            }
        }
        self.carry_out(worker);
    }

    pub(crate) fn carry_out(&mut self, worker: u8) {
        let node = usize::from(worker);
        while let Some(effect) = self.node.workers[node].server.next_effect() {
            match effect {
                Effect::Open(open) => {
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
                Effect::GiveBack { owner, local } => self.post(owner.0, Mail::Returned(local)),
                Effect::Opened(opened) => {
                    let allocation = &self.model.allocations[&opened.flow.client];
                    assert_eq!(*opened.user, *allocation.user);
                    let told: Vec<_> = opened.relayed.into_iter().flatten().collect();
                    let ends: Vec<_> = allocation.ends.iter().map(|end| end.relayed).collect();
                    assert_eq!(told, ends);
                }
                Effect::Closed(closed) => {
                    self.tally.closed += 1;
                    self.model.closed(self.now_ms, &closed);
                }
            }
        }
    }

    fn close(&mut self, worker: u8, relay: RelayId) {
        let sockets = &mut self.node.workers[usize::from(worker)].sockets;
        let socket = sockets.get_mut(&relay).expect("only what is bound is closed");
        let (local, state) = *socket;
        assert_ne!(state, State::Closing, "closed twice");
        socket.1 = State::Closing;
        self.node.unsettled.remove(&local);
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
        node.server.released(relay);
        self.model.borrowed.remove(&local);
        self.carry_out(worker);
    }

    /// The world answers an Allocate: sockets are bound, or are not.
    pub(crate) fn complete(&mut self, worker: u8, open: &Open) {
        let binds: Vec<Bind> = open.sockets.iter().map(|socket| {
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
            assert!(sockets.insert(socket.relay, (socket.local, state)).is_none(), "name in use");
            self.node.unsettled.insert(socket.local);
            Bind::Bound
        }).collect();
        let is_whole = binds.iter().all(|bind| *bind == Bind::Bound);
        self.conclude(worker, open.flow, open.pending, Outcome::Opened(&binds), is_whole);
    }

    fn conclude(
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
            self.settle(client);
        }
        self.answered(arrival, expect, answer);
    }

    /// The sockets of an allocation, and what is reserved beside it, are its own from now on.
    fn settle(&mut self, client: SocketAddr) {
        let model = &self.model;
        let ends = model.allocations[&client].ends.iter().map(|end| end.relayed);
        let reserved = model.reservations.values().map(|reservation| reservation.relayed);
        for relayed in ends.chain(reserved) {
            self.node.unsettled.remove(&model.local(relayed));
        }
    }

    fn post(&mut self, worker: u8, mail: Mail) {
        let at_ms = self.now_ms + self.chance.below(5);
        self.network.schedule(at_ms, Event::Mail { worker, mail });
    }

    pub(crate) fn on_mail(&mut self, worker: u8, mail: Mail) {
        match mail {
            Mail::Redeem { asker, redeem } => self.on_redeem(worker, asker, redeem),
            Mail::Redeemed { redeem, local } => self.on_redeemed(worker, &redeem, local),
            Mail::Returned(local) => {
                assert_eq!(self.model.owner_of(local.port()), Some(worker));
                assert!(self.model.lent.remove(&local).is_some(), "{local} was not lent");
                self.node.workers[usize::from(worker)].server.returned(local);
            }
            Mail::Parcel { from, to, payload } => self.on_parcel(worker, from, to, payload),
        }
        self.carry_out(worker);
    }

    fn on_redeem(&mut self, worker: u8, asker: u8, redeem: Redeem) {
        let now = self.now();
        let is_right = self.model.redeemable(self.now_ms, redeem.token, &redeem.user);
        let node = &mut self.node.workers[usize::from(worker)];
        let redeemed = node.server.redeem(now, redeem.token, &redeem.user, WorkerIndex(asker));
        assert_eq!(redeemed.is_ok(), is_right, "{redeem:?}");
        let local = redeemed.ok().map(|redeemed| {
            let socket = node.sockets.remove(&redeemed.relay).expect("a held socket");
            assert_eq!(socket, (redeemed.local, State::Held));
            redeemed.local
        });
        if let Some(local) = local {
            let reservation = self.model.reservations.remove(&redeem.token).expect("redeemable");
            self.model.moving.push(reservation.account);
            self.model.lent.insert(local, asker);
            self.model.sums.redeemed += 1;
        }
        self.post(asker, Mail::Redeemed { redeem, local });
    }

    fn on_redeemed(&mut self, worker: u8, redeem: &Redeem, local: Option<SocketAddr>) {
        let outcome = match local {
            Some(local) => {
                let sockets = &mut self.node.workers[usize::from(worker)].sockets;
                assert!(sockets.insert(redeem.relay, (local, State::Relay)).is_none());
                self.model.borrowed.insert(local, worker);
                self.model.moving.pop();
                self.tally.redeemed_elsewhere += 1;
                Outcome::Redeemed(local)
            }
            None => Outcome::NotRedeemed,
        };
        self.conclude(worker, redeem.flow, redeem.pending, outcome, local.is_some());
    }

    fn on_parcel(&mut self, worker: u8, from: SocketAddr, to: SocketAddr, payload: Vec<u8>) {
        let now = self.now();
        let server = &mut self.node.workers[usize::from(worker)].server;
        let judged = server.from_worker(now, from, to, payload.len());
        let fate = self.model.from_worker(self.now_ms, worker, (from, to), payload.len());
        match judged {
            Ok(to) => {
                self.tally.taken_over += 1;
                self.deliver(fate, to, &payload);
            }
            Err(Undelivered::HandOver(next)) => {
                assert_eq!(fate, Fate::HandOver { worker: next.0, from, to });
                self.post(next.0, Mail::Parcel { from, to, payload });
            }
            Err(Undelivered::Drop(_)) => {
                assert_eq!(fate, Fate::Dropped);
                self.model.sums.dropped += 1;
            }
        }
    }
}

fn listener(client: SocketAddr) -> ListenerId {
    ListenerId(u16::from(client.is_ipv6()))
}
