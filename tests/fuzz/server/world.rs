//! The servers, and a kernel that binds, connects and lets go when an input says so.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use uturn::{
    turn::{
        Alternates, Authenticator, Bind, Connect, ConnectionId, Counts, Credentials, Effect,
        Exhausted, Nonces, NotConnected, Now, OnReallocate, Open, Outcome, PeerPolicy, PortPlan,
        Quota, REPLY_BYTES, Redeem, RelayAddress, RelayId, Report, Server, SessionId, Settings,
        Shard, Train, Verdict, Way, WorkerIndex,
    },
    wire::{AttributeType, Class, Message},
};

use super::{
    super::take::Take,
    client::{Client, PASSWORD, REALM, USERS},
    ledger::Ledger,
};

const WORKERS: u8 = 2;
/// Few, so that they run out.
const PORTS: (u16, u16) = (50_000, 50_015);
/// A clock whose milliseconds outgrow 32 bits a minute later.
const BOOT_MS: u64 = u32::MAX as u64 - 60_000;

/// Counts that both workers share.
#[derive(Clone)]
struct SharedCounts(Arc<Mutex<Counts>>);

impl Quota for SharedCounts {
    fn admit(&mut self, user: &Arc<str>) -> Result<(), Exhausted> {
        self.0.lock().expect("one thread").admit(user)
    }

    fn hold(&mut self, user: &Arc<str>) {
        self.0.lock().expect("one thread").hold(user);
    }

    fn leave(&mut self, user: &Arc<str>) {
        self.0.lock().expect("one thread").leave(user);
    }
}

/// What waits for the kernel or for another worker.
enum Waiting {
    Open(Open),
    Redeem(Redeem),
    Connect(Connect),
}

pub(super) struct World {
    servers: Vec<Server>,
    ledgers: Vec<Ledger>,
    counts: SharedCounts,
    /// Sockets that are there, and those that are closed and still hold their port.
    bound: BTreeMap<(u8, RelayId), SocketAddr>,
    lingering: BTreeMap<(u8, RelayId), SocketAddr>,
    waiting: Vec<(u8, Waiting)>,
    connections: BTreeSet<ConnectionId>,
    tokens: Vec<[u8; 8]>,
    sessions: Vec<SessionId>,
    now_ms: u64,
}

impl World {
    pub(super) fn new() -> World {
        let counts = SharedCounts(Arc::new(Mutex::new(Counts::new(Some(5), Some(8)))));
        let plan = PortPlan::new(PORTS.0, PORTS.1, WORKERS);
        let relays = plan.open(&addresses());
        let server = |worker| {
            let (quota, worker) = (Box::new(counts.clone()), WorkerIndex(worker));
            let shard = Shard { worker, ports: plan, relays: relays.clone(), quota };
            Server::new(settings(false, false), shard, [worker.0; 32])
        };
        World {
            servers: (0..WORKERS).map(server).collect(),
            ledgers: vec![Ledger::default(); WORKERS.into()],
            counts,
            bound: BTreeMap::new(),
            lingering: BTreeMap::new(),
            waiting: Vec::new(),
            connections: BTreeSet::new(),
            tokens: Vec::new(),
            sessions: Vec::new(),
            now_ms: 0,
        }
    }

    fn now(&self) -> Now {
        Now { mono_ms: BOOT_MS + self.now_ms, unix_s: 1_800_000_000 + self.now_ms / 1000 }
    }

    pub(super) fn opened(&self) -> u64 {
        self.ledgers.iter().map(|ledger| ledger.opened).sum()
    }

    /// A nonce that is good for a client, or was an hour and more ago.
    pub(super) fn nonce(&self, client: Client, is_stale: bool) -> Vec<u8> {
        let mut now = self.now();
        now.unix_s -= if is_stale { 4_000 } else { 0 };
        nonces().issue(now, client.path.client()).to_vec()
    }

    pub(super) fn token(&self, at: usize) -> [u8; 8] {
        self.tokens.iter().rev().nth(at % 4).copied().unwrap_or([7; 8])
    }

    pub(super) fn connection_named(&self, at: usize) -> u32 {
        self.connections.iter().nth(at % 4).map_or(7, |id| id.0)
    }

    /// So much time passes, in steps that a worker would take.
    pub(super) fn wait_ms(&mut self, ms: u64) {
        self.now_ms += ms;
        let now = self.now();
        for worker in 0..WORKERS {
            for _ in 0..1_000 {
                let server = &mut self.servers[usize::from(worker)];
                if server.next_deadline().is_none_or(|due_ms| due_ms > now.mono_ms) {
                    break;
                }
                server.advance(now);
                self.carry_out(worker);
            }
            let due_ms = self.servers[usize::from(worker)].next_deadline();
            assert!(due_ms.is_none_or(|due_ms| due_ms > now.mono_ms), "it never comes to an end");
        }
    }

    /// A client sends a run of equal datagrams.
    pub(super) fn says(&mut self, client: Client, datagram: &[u8], frames: usize) {
        let Client { path, worker } = client;
        let (now, mut reply) = (self.now(), [0; REPLY_BYTES]);
        let server = &mut self.servers[usize::from(worker.0)];
        let verdict = server.from_client(now, path, datagram, frames, &mut reply);
        if let Verdict::Move(to) = verdict {
            assert_ne!(to, worker);
            self.servers[usize::from(worker.0)].disconnected(now, path.flow);
            self.carry_out(worker.0);
            let server = &mut self.servers[usize::from(to.0)];
            let verdict = server.from_moved_client(now, path, datagram, &mut reply);
            assert!(!matches!(verdict, Verdict::Move(_)), "it moves for ever");
            return self.judged(to.0, &verdict, (datagram, frames), &reply);
        }
        self.judged(worker.0, &verdict, (datagram, frames), &reply);
    }

    fn judged(
        &mut self,
        worker: u8,
        verdict: &Verdict,
        (datagram, sent): (&[u8], usize),
        reply: &[u8],
    ) {
        let ledger = &mut self.ledgers[usize::from(worker)];
        match verdict {
            Verdict::ToPeer { payload, frames, .. } => {
                assert!(payload.end <= datagram.len() && (1..=sent).contains(frames));
                ledger.to_peers += *frames as u64;
                ledger.dropped += (sent - frames) as u64;
            }
            Verdict::ToClient { payload, frames, .. } => {
                assert!(payload.end <= datagram.len() && (1..=sent).contains(frames));
                ledger.hairpins += *frames as u64;
                ledger.dropped += (sent - frames) as u64;
            }
            Verdict::HandOver { worker, from, to, payload, frames } => {
                assert!(payload.end <= datagram.len() && (1..=sent).contains(frames));
                ledger.handed_over += *frames as u64;
                ledger.dropped += (sent - frames) as u64;
                self.handed_over(worker.0, (*from, *to), payload.len(), *frames);
            }
            Verdict::Reply(bytes) => {
                ledger.answers += 1;
                self.heard(&reply[..*bytes], datagram);
            }
            Verdict::Pending | Verdict::Move(_) => {}
            Verdict::Drop(_) => ledger.dropped += sent as u64,
        }
        self.carry_out(worker);
    }

    fn handed_over(
        &mut self,
        worker: u8,
        (from, to): (SocketAddr, SocketAddr),
        bytes: usize,
        frames: usize,
    ) {
        let now = self.now();
        for _ in 0..frames {
            let server = &mut self.servers[usize::from(worker)];
            let taken = server.from_worker(now, from, to, bytes);
            let ledger = &mut self.ledgers[usize::from(worker)];
            match taken {
                Ok(_) => ledger.taken_over += 1,
                Err(_) => ledger.dropped += 1,
            }
        }
        self.carry_out(worker);
    }

    /// An answer belongs to its request, and is never the larger of the two by much.
    fn heard(&mut self, answer: &[u8], request: &[u8]) {
        let answer = Message::parse(answer).expect("an answer is a message");
        assert!(matches!(answer.class(), Class::Success | Class::Error));
        assert_eq!(answer.transaction().0[..], request[8..20]);
        let token = answer.first(AttributeType::RESERVATION_TOKEN);
        let token = token.and_then(|token| <[u8; 8]>::try_from(token).ok());
        self.tokens.extend(token);
    }

    /// A peer sends a train to a socket that is there.
    pub(super) fn peer_sends(
        &mut self,
        at: usize,
        peer: SocketAddr,
        segments: usize,
        bytes: usize,
    ) {
        let Some((worker, relay)) = self.socket(at) else { return };
        let (now, train) = (self.now(), Train::equal(segments, bytes));
        let judged = self.servers[usize::from(worker)].from_peer(now, relay, peer, train);
        let ledger = &mut self.ledgers[usize::from(worker)];
        let passing = judged.map_or(0, |delivered| delivered.train.segments);
        ledger.to_clients += passing as u64;
        ledger.dropped += (segments - passing) as u64;
        self.carry_out(worker);
    }

    fn socket(&self, at: usize) -> Option<(u8, RelayId)> {
        let count = self.bound.len();
        (count > 0).then(|| *self.bound.keys().nth(at % count).expect("it is below the count"))
    }

    pub(super) fn peer_connects(&mut self, at: usize, peer: SocketAddr) {
        let Some((worker, relay)) = self.socket(at) else { return };
        let now = self.now();
        match self.servers[usize::from(worker)].peer_connected(now, relay, peer) {
            Ok(id) => assert!(self.connections.insert(id), "{id:?} twice"),
            Err(_) => self.ledgers[usize::from(worker)].dropped += 1,
        }
        self.carry_out(worker);
    }

    /// Something happens on a connection: bytes, or its end.
    pub(super) fn connection(&mut self, take: &mut Take<'_>) {
        let Some(id) = self.connections.iter().nth(take.below(4)).copied() else { return };
        let (now, worker) = (self.now(), id.worker().0);
        let server = &mut self.servers[usize::from(worker)];
        if take.percent(50) {
            server.connection_closed(now, id);
            self.connections.remove(&id);
        } else {
            let before = (server.counters().to_peers, server.counters().to_clients);
            let way = take.pick(&[Way::ToPeers, Way::ToClient]);
            _ = server.relayed(now, id, way, take.number().into());
            let after = (server.counters().to_peers, server.counters().to_clients);
            assert_eq!((before.0.packets, before.1.packets), (after.0.packets, after.1.packets));
        }
        self.carry_out(worker);
    }

    pub(super) fn gone(&mut self, client: Client) {
        if client.path.transport.is_stream() {
            let now = self.now();
            for worker in 0..WORKERS {
                self.servers[usize::from(worker)].disconnected(now, client.path.flow);
                self.carry_out(worker);
            }
        }
    }

    pub(super) fn kill(&mut self, at: usize) {
        let Some(session) = self.sessions.iter().rev().nth(at % 8).copied() else { return };
        let now = self.now();
        self.servers[usize::from(session.worker.0)].kill(now, session);
        self.carry_out(session.worker.0);
    }

    pub(super) fn reconfigure(&mut self, take: &mut Take<'_>) {
        let settings = settings(take.percent(50), take.percent(50));
        self.servers.iter_mut().for_each(|server| server.reconfigure(settings.clone()));
    }

    pub(super) fn drain(&mut self, begins: bool) {
        let alternates = Alternates::new(&[]).expect("none at all");
        let alternates = begins.then_some(alternates);
        self.servers.iter_mut().for_each(|server| server.drain(alternates));
    }

    /// Does what the servers want done, or has it wait.
    fn carry_out(&mut self, worker: u8) {
        while let Some(effect) = self.servers[usize::from(worker)].next_effect() {
            match effect {
                Effect::Open(open) => {
                    assert!((1..=3).contains(&open.sockets.len()));
                    for socket in &open.sockets {
                        let mut held = self.bound.values().chain(self.lingering.values());
                        assert!(held.all(|local| *local != socket.local), "{socket:?} is taken");
                    }
                    self.waiting.push((worker, Waiting::Open(open)));
                }
                Effect::Redeem(redeem) => self.waiting.push((worker, Waiting::Redeem(redeem))),
                Effect::Connect(connect) => {
                    assert!(self.connections.insert(connect.id), "{connect:?} twice");
                    self.waiting.push((worker, Waiting::Connect(connect)));
                }
                Effect::Activate(relay) => assert!(self.bound.contains_key(&(worker, relay))),
                Effect::Close(relay) => {
                    let local = self.bound.remove(&(worker, relay)).expect("it is bound");
                    self.lingering.insert((worker, relay), local);
                }
                Effect::Join { id, .. } => assert!(self.connections.contains(&id)),
                Effect::CloseConnection(id) => {
                    assert!(self.connections.remove(&id), "{id:?} is gone");
                }
                Effect::Tell { message, .. } => {
                    let message = Message::parse(&message).expect("a message");
                    let is_answer = message.class() != Class::Indication;
                    self.ledgers[usize::from(worker)].answers += u64::from(is_answer);
                }
                Effect::Forward { .. } | Effect::Unforward(_) => panic!("nobody forwards"),
            }
        }
        self.read_reports(worker);
    }

    fn read_reports(&mut self, worker: u8) {
        while let Some(report) = self.servers[usize::from(worker)].next_report() {
            let ledger = &mut self.ledgers[usize::from(worker)];
            match report {
                Report::Opened(opened) => {
                    ledger.opened += 1;
                    self.sessions.push(opened.session);
                }
                Report::Closed(_) => ledger.closed += 1,
                Report::StrangersRefused(_) | Report::RequestRefused(_) => {}
            }
        }
    }

    /// The kernel, or another worker, has done the first thing that waits.
    pub(super) fn catch_up(&mut self, take: &mut Take<'_>) {
        if self.waiting.is_empty() {
            return;
        }
        let (worker, waiting) = self.waiting.remove(take.below(self.waiting.len().min(200)));
        match waiting {
            Waiting::Open(open) => {
                let results: Vec<Bind> = open.sockets.iter().map(|_| bind(take)).collect();
                for (socket, result) in open.sockets.iter().zip(&results) {
                    if *result == Bind::Bound {
                        self.bound.insert((worker, socket.relay), socket.local);
                    }
                }
                self.complete(worker, open.pending, Outcome::Opened(&results));
            }
            Waiting::Redeem(redeem) => self.redeem(worker, &redeem, take),
            Waiting::Connect(connect) => {
                // One that was given up is not told.
                if self.connections.contains(&connect.id) {
                    let outcome = if take.percent(70) { Ok(()) } else { Err(NotConnected) };
                    if outcome.is_err() {
                        self.connections.remove(&connect.id);
                    }
                    let now = self.now();
                    self.servers[usize::from(worker)].connected(now, connect.id, outcome);
                    self.carry_out(worker);
                }
            }
        }
    }

    fn redeem(&mut self, worker: u8, redeem: &Redeem, take: &mut Take<'_>) {
        let now = self.now();
        let owner = redeem.owner.0;
        assert!(owner < WORKERS && owner != worker);
        let given = self.servers[usize::from(owner)].redeem(now, redeem.token, &redeem.user);
        let outcome = match given {
            Err(_) => Outcome::NotRedeemed,
            Ok(redeemed) => {
                let local = self.bound.remove(&(owner, redeemed.relay)).expect("it is bound");
                assert_eq!(local, redeemed.local);
                if take.percent(80) {
                    self.bound.insert((worker, redeem.relay), local);
                    Outcome::Redeemed(local)
                } else {
                    Outcome::Unusable(local)
                }
            }
        };
        self.carry_out(owner);
        self.complete(worker, redeem.pending, outcome);
    }

    fn complete(&mut self, worker: u8, pending: uturn::turn::PendingId, outcome: Outcome<'_>) {
        let (now, mut reply) = (self.now(), [0; REPLY_BYTES]);
        let server = &mut self.servers[usize::from(worker)];
        let verdict = server.complete(now, pending, outcome, &mut reply);
        let ledger = &mut self.ledgers[usize::from(worker)];
        match verdict {
            Verdict::Pending => {}
            Verdict::Drop(_) => ledger.dropped += 1,
            Verdict::Reply(bytes) => {
                ledger.answers += 1;
                let answer = reply[..bytes].to_vec();
                self.heard(&answer, &answer);
            }
            other => panic!("no answer to an Allocate: {other:?}"),
        }
        self.carry_out(worker);
    }

    /// The kernel lets go of closed sockets.
    pub(super) fn let_go(&mut self, of_one: bool) {
        let count = if of_one { 1 } else { usize::MAX };
        let gone: Vec<_> = self.lingering.keys().take(count).copied().collect();
        for (worker, relay) in gone {
            self.lingering.remove(&(worker, relay));
            self.servers[usize::from(worker)].released(relay);
            self.carry_out(worker);
        }
    }

    pub(super) fn check(&self) {
        for (server, ledger) in self.servers.iter().zip(&self.ledgers) {
            assert_eq!(Ledger::of(server.counters()), *ledger);
        }
        let mut locals: Vec<_> = self.bound.values().chain(self.lingering.values()).collect();
        locals.sort();
        assert!(locals.windows(2).all(|pair| pair[0] != pair[1]), "one port twice: {locals:?}");
    }

    /// Long after the last client, nothing is left.
    pub(super) fn end(mut self) {
        let mut rest = Take::from(&[]);
        while !self.waiting.is_empty() {
            self.catch_up(&mut rest);
        }
        for _ in 0..3 {
            self.wait_ms(4_000_000);
        }
        self.let_go(false);
        self.check();
        assert!(self.bound.is_empty(), "{:?} are left", self.bound);
        assert!(self.connections.is_empty(), "{:?} are left", self.connections);
        assert_eq!(self.counts.0.lock().expect("one thread").total(), 0, "places of the quota");
        for server in &self.servers {
            assert_eq!(server.next_deadline(), None, "something is due");
            assert!(server.port_use().iter().all(|ports| ports.in_use == 0), "ports in use");
        }
    }
}

fn bind(take: &mut Take<'_>) -> Bind {
    match take.below(8) {
        6 => Bind::InUse,
        7 => Bind::Failed,
        _ => Bind::Bound,
    }
}

fn nonces() -> Nonces {
    Nonces::new([9; 32], 3600)
}

fn addresses() -> Vec<RelayAddress> {
    let address = |local: &str, advertised: &str| RelayAddress {
        local: local.parse().expect("an address"),
        advertised: advertised.parse().expect("an address"),
    };
    vec![address("10.0.0.1", "45.0.0.1"), address("2a0a::1", "2a0a::1")]
}

fn settings(replaces: bool, is_other: bool) -> Arc<Settings> {
    let credentials = Credentials::new(REALM).with_user(USERS[0], PASSWORD);
    let credentials = credentials.with_user(USERS[1], if is_other { "another" } else { PASSWORD });
    let own: Vec<_> = addresses().iter().flat_map(|it| [it.local, it.advertised]).collect();
    let own: Vec<_> = own.into_iter().map(ipnet::IpNet::from).collect();
    let deny = if is_other { vec!["9.9.9.0/24".parse().expect("a network")] } else { Vec::new() };
    let policy = PeerPolicy::new(&[], &deny, &own);
    Arc::new(Settings {
        tcp_relay: !is_other,
        permissions_per_allocation: 3,
        channels_per_allocation: 2,
        on_reallocate: if replaces { OnReallocate::Replace } else { OnReallocate::Refuse },
        ..Settings::new(Authenticator::new(credentials, nonces()), policy)
    })
}
