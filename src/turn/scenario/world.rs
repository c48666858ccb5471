//! The small language the scenes are told in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use crate::turn::{
    Authenticator, Bind, Closed, Counters, Credentials, Effect, Exhausted, FiveTuple, ListenerId,
    Nonces, Now, Open, Opened, Outcome, PeerPolicy, PendingId, PortPlan, Quota, REPLY_BYTES,
    Reason, Redeem, RelayAddress, RelayId, Server, Settings, Shard, ToClient, Undelivered, Verdict,
    WorkerIndex,
};
use crate::wire::{
    AttributeType, ChannelData, ChannelNumber, Class, ErrorCode, Fingerprint, IntegrityKey,
    Message, MessageWriter, Method, TransactionId,
};

pub(super) const PEER: &str = "9.9.9.9:7000";
pub(super) const PEER_V6: &str = "[2620:fe::9]:7000";
pub(super) const REALM: &str = "realm";
const PORTS: (u16, u16) = (50_000, 50_063);

/// Counts of every worker of one world.
#[derive(Clone)]
struct Tally {
    held: Arc<AtomicU32>,
    most: u32,
}

impl Quota for Tally {
    fn admit(&mut self, _: &Arc<str>) -> Result<(), Exhausted> {
        if self.held.load(Ordering::Relaxed) >= self.most {
            return Err(Exhausted::User);
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn leave(&mut self, _: &Arc<str>) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Somebody with an address and credentials, whom the kernel steered to a worker.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) address: &'static str,
    pub(super) user: &'static str,
    pub(super) worker: u8,
}

impl Client {
    pub(super) const ANN: Client = Client { address: "198.51.100.1:5000", user: "ann", worker: 0 };
    pub(super) const BOB: Client = Client { address: "198.51.100.2:5000", user: "bob", worker: 0 };

    pub(super) fn on(self, worker: u8) -> Client {
        Client { worker, ..self }
    }

    pub(super) fn at(self, address: &'static str) -> Client {
        Client { address, ..self }
    }

    pub(super) fn flow(&self) -> FiveTuple {
        FiveTuple { listener: ListenerId(0), client: self.address.parse().unwrap() }
    }

    pub(super) fn key(&self) -> IntegrityKey {
        IntegrityKey::long_term(self.user.as_bytes(), REALM.as_bytes(), b"secret")
    }
}

/// What came of a datagram.
#[derive(Debug, Clone)]
pub(super) struct Heard {
    pub(super) verdict: Verdict,
    pub(super) bytes: Vec<u8>,
}

impl Heard {
    pub(super) fn message(&self) -> Message<'_> {
        Message::parse(&self.bytes).unwrap_or_else(|_| panic!("no answer: {:?}", self.verdict))
    }

    pub(super) fn code(&self) -> u16 {
        self.message().error_code().unwrap().unwrap_or(200)
    }

    pub(super) fn relayed(&self) -> SocketAddr {
        self.message().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap().expect("a relay")
    }

    pub(super) fn token(&self) -> [u8; 8] {
        self.message().reservation_token().unwrap().expect("a token")
    }

    #[track_caller]
    pub(super) fn expect_success(self) -> Heard {
        assert_eq!(self.code(), 200);
        assert_eq!(self.message().class(), Class::Success);
        self
    }

    #[track_caller]
    pub(super) fn expect_error(&self, code: ErrorCode) {
        assert_eq!(self.message().class(), Class::Error);
        assert_eq!(self.code(), code.number());
    }

    #[track_caller]
    pub(super) fn expect_drop(&self, reason: Reason) {
        assert_eq!(self.verdict, Verdict::Drop(reason));
    }

    #[track_caller]
    pub(super) fn expect_to_peer(&self, peer: &str, payload: &[u8]) {
        let Verdict::ToPeer { peer: to, payload: range, .. } = &self.verdict else {
            panic!("not to a peer: {:?}", self.verdict)
        };
        assert_eq!((*to, &self.bytes[range.clone()]), (peer.parse().unwrap(), payload));
    }
}

/// One process.
pub(super) struct World {
    pub(super) servers: Vec<Server>,
    pub(super) opened: Vec<Opened>,
    pub(super) closed: Vec<Closed>,
    /// Ports that another process uses.
    pub(super) busy: BTreeSet<u16>,
    /// Sockets that are bound, by worker and name.
    pub(super) bound: BTreeMap<(u8, RelayId), SocketAddr>,
    /// Sockets that were closed and that the kernel still holds on to.
    pub(super) lingering: Vec<(u8, RelayId)>,
    /// What was asked of the kernel and not yet done, when it is slow.
    pub(super) waiting: Vec<(u8, Open)>,
    pub(super) is_slow: bool,
    held: Arc<AtomicU32>,
    now_ms: u64,
    transactions: u64,
}

impl World {
    pub(super) fn new() -> World {
        World::with(1, 1000, |_| {})
    }

    pub(super) fn with(workers: u8, quota: u32, change: impl Fn(&mut Settings)) -> World {
        let mut settings = Settings::new(authenticator(), PeerPolicy::new(&[], &[], &own()));
        settings.own_addresses = own();
        change(&mut settings);
        let (settings, held) = (Arc::new(settings), Arc::new(AtomicU32::new(0)));
        let server = |worker| {
            let quota = Box::new(Tally { held: held.clone(), most: quota });
            let ports = PortPlan::new(PORTS.0, PORTS.1, workers);
            let worker = WorkerIndex(worker);
            let shard = Shard { worker, ports, relay_addresses: addresses(), quota };
            Server::new(settings.clone(), shard, [worker.0; 32])
        };
        World {
            servers: (0..workers).map(server).collect(),
            opened: Vec::new(),
            closed: Vec::new(),
            busy: BTreeSet::new(),
            bound: BTreeMap::new(),
            lingering: Vec::new(),
            waiting: Vec::new(),
            is_slow: false,
            held,
            now_ms: 0,
            transactions: 0,
        }
    }

    pub(super) fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_s: 1_800_000_000 + self.now_ms / 1000 }
    }

    pub(super) fn counters(&self) -> &Counters {
        self.servers[0].counters()
    }

    /// Places taken of the quota.
    pub(super) fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Lets the time pass until `seconds` after the beginning.
    pub(super) fn at(&mut self, seconds: u64) -> &mut World {
        self.at_ms(seconds * 1000)
    }

    pub(super) fn at_ms(&mut self, ms: u64) -> &mut World {
        assert!(ms >= self.now_ms);
        self.now_ms = ms;
        let now = self.now();
        for worker in 0..self.servers.len() {
            self.servers[worker].advance(now);
            self.carry_out(worker as u8, &mut Vec::new());
        }
        self
    }

    /// The kernel lets go of every closed socket.
    pub(super) fn let_go(&mut self) {
        for (worker, relay) in std::mem::take(&mut self.lingering) {
            self.servers[usize::from(worker)].released(relay);
            self.carry_out(worker, &mut Vec::new());
        }
    }

    /// A signed request with a fresh transaction.
    pub(super) fn ask(
        &mut self,
        who: Client,
        method: Method,
        build: impl Fn(&mut MessageWriter<'_>),
    ) -> Heard {
        let request = self.request(who, method, build);
        self.says(who, &request)
    }

    /// The bytes of a signed request.
    pub(super) fn request(
        &mut self,
        who: Client,
        method: Method,
        build: impl Fn(&mut MessageWriter<'_>),
    ) -> Vec<u8> {
        let nonce = nonces().issue(self.now(), who.flow().client);
        self.write(method, Class::Request, |writer| {
            build(writer);
            writer.attribute(AttributeType::USERNAME, who.user.as_bytes());
            writer.attribute(AttributeType::REALM, REALM.as_bytes());
            writer.attribute(AttributeType::NONCE, &nonce);
            writer.integrity(&who.key());
        })
    }

    /// The bytes of any message.
    pub(super) fn write(
        &mut self,
        method: Method,
        class: Class,
        build: impl Fn(&mut MessageWriter<'_>),
    ) -> Vec<u8> {
        self.transactions += 1;
        let mut id = [0; 12];
        id[4..].copy_from_slice(&self.transactions.to_be_bytes());
        let mut out = [0; 2048];
        let mut writer = MessageWriter::new(&mut out, method, class, TransactionId(id));
        build(&mut writer);
        let end = writer.finish().unwrap();
        out[..end].to_vec()
    }

    pub(super) fn allocate(&mut self, who: Client) -> Heard {
        self.ask(who, Method::Allocate, |writer| {
            writer.requested_transport(17);
        })
    }

    pub(super) fn refresh(&mut self, who: Client, seconds: u32) -> Heard {
        self.ask(who, Method::Refresh, |writer| {
            writer.lifetime_s(seconds);
        })
    }

    pub(super) fn permit(&mut self, who: Client, peers: &[&str]) -> Heard {
        self.ask(who, Method::CreatePermission, |writer| {
            for peer in peers {
                writer.xor_peer_address(peer.parse().unwrap());
            }
        })
    }

    pub(super) fn bind(&mut self, who: Client, number: u16, peer: &str) -> Heard {
        self.ask(who, Method::ChannelBind, |writer| {
            writer.channel_number(number).xor_peer_address(peer.parse().unwrap());
        })
    }

    pub(super) fn send(&mut self, who: Client, peer: &str, payload: &[u8]) -> Heard {
        let peer = peer.parse().unwrap();
        let datagram = self.write(Method::Send, Class::Indication, |writer| {
            writer.xor_peer_address(peer).attribute(AttributeType::DATA, payload);
        });
        self.says(who, &datagram)
    }

    pub(super) fn channel_data(&mut self, who: Client, number: u16, payload: &[u8]) -> Heard {
        let mut frame = number.to_be_bytes().to_vec();
        frame.extend((payload.len() as u16).to_be_bytes());
        frame.extend(payload);
        assert!(ChannelNumber::new(number).is_none() || ChannelData::parse(&frame).is_ok());
        self.says(who, &frame)
    }

    /// Any datagram. The bytes heard are the answer, or else the datagram itself, which verdicts
    /// point into.
    pub(super) fn says(&mut self, who: Client, datagram: &[u8]) -> Heard {
        let mut reply = vec![0; REPLY_BYTES];
        let (now, flow) = (self.now(), who.flow());
        let server = &mut self.servers[usize::from(who.worker)];
        let verdict = server.from_client(now, flow, datagram, &mut reply);
        let mut answers = Vec::new();
        self.carry_out(who.worker, &mut answers);
        match (verdict, answers.pop()) {
            (Verdict::Pending, Some(heard)) => heard,
            (Verdict::Reply(bytes), _) => answered(Verdict::Reply(bytes), &reply, datagram),
            (verdict, _) => Heard { verdict, bytes: datagram.to_vec() },
        }
    }

    /// A packet from outside to a relayed address, as its peers know it.
    pub(super) fn peer_says(
        &mut self,
        relayed: SocketAddr,
        peer: &str,
        payload_bytes: usize,
    ) -> Result<ToClient, Reason> {
        let (now, local) = (self.now(), local(relayed));
        let ((worker, relay), _) =
            self.bound.iter().find(|(_, bound)| **bound == local).expect("a bound socket");
        let server = &mut self.servers[usize::from(*worker)];
        server.from_peer(now, *relay, peer.parse().unwrap(), payload_bytes, 1)
    }

    /// Hands a payload over from worker to worker until somebody decides.
    pub(super) fn hand_over(
        &mut self,
        verdict: &Verdict,
    ) -> (Vec<WorkerIndex>, Result<ToClient, Reason>) {
        let Verdict::HandOver { worker, from, to, payload } = verdict else {
            panic!("not handed over: {verdict:?}")
        };
        let (now, mut worker, mut way) = (self.now(), *worker, Vec::new());
        loop {
            way.push(worker);
            let server = &mut self.servers[usize::from(worker.0)];
            match server.from_worker(now, *from, *to, payload.len()) {
                Ok(to) => return (way, Ok(to)),
                Err(Undelivered::Drop(reason)) => return (way, Err(reason)),
                Err(Undelivered::HandOver(next)) => worker = next,
            }
            assert!(way.len() < 4, "handed over for ever: {way:?}");
        }
    }

    /// Binds what the slow kernel has been asked for.
    pub(super) fn catch_up(&mut self) -> Vec<Heard> {
        let mut answers = Vec::new();
        for (worker, open) in std::mem::take(&mut self.waiting) {
            self.open(worker, &open, &mut answers);
            self.carry_out(worker, &mut answers);
        }
        answers
    }

    fn carry_out(&mut self, worker: u8, answers: &mut Vec<Heard>) {
        while let Some(effect) = self.servers[usize::from(worker)].next_effect() {
            match effect {
                Effect::Open(open) if self.is_slow => self.waiting.push((worker, open)),
                Effect::Open(open) => self.open(worker, &open, answers),
                Effect::Activate(relay) => assert!(self.bound.contains_key(&(worker, relay))),
                Effect::Close(relay) => {
                    self.bound.remove(&(worker, relay)).expect("only bound sockets are closed");
                    self.lingering.push((worker, relay));
                }
                Effect::Redeem(redeem) => self.redeem(worker, &redeem, answers),
                Effect::GiveBack { owner, local } => {
                    self.servers[usize::from(owner.0)].returned(local);
                }
                Effect::Opened(opened) => self.opened.push(opened),
                Effect::Closed(closed) => self.closed.push(closed),
            }
        }
    }

    fn open(&mut self, worker: u8, open: &Open, answers: &mut Vec<Heard>) {
        let mut results = Vec::new();
        for socket in &open.sockets {
            let taken = self.bound.values().any(|bound| *bound == socket.local);
            if taken || self.busy.contains(&socket.local.port()) {
                results.push(Bind::InUse);
            } else {
                self.bound.insert((worker, socket.relay), socket.local);
                results.push(Bind::Bound);
            }
        }
        self.complete(worker, open.pending, Outcome::Opened(&results), answers);
    }

    fn redeem(&mut self, worker: u8, redeem: &Redeem, answers: &mut Vec<Heard>) {
        let now = self.now();
        let owner = &mut self.servers[usize::from(redeem.owner.0)];
        let outcome = match owner.redeem(now, redeem.token, &redeem.user, WorkerIndex(worker)) {
            Ok(redeemed) => {
                self.bound.remove(&(redeem.owner.0, redeemed.relay)).expect("a reserved socket");
                self.bound.insert((worker, redeem.relay), redeemed.local);
                Outcome::Redeemed(redeemed.local)
            }
            Err(_) => Outcome::NotRedeemed,
        };
        self.complete(worker, redeem.pending, outcome, answers);
    }

    fn complete(
        &mut self,
        worker: u8,
        pending: PendingId,
        outcome: Outcome<'_>,
        answers: &mut Vec<Heard>,
    ) {
        let mut reply = vec![0; REPLY_BYTES];
        let now = self.now();
        let server = &mut self.servers[usize::from(worker)];
        let verdict = server.complete(now, pending, outcome, &mut reply);
        if verdict != Verdict::Pending {
            answers.push(answered(verdict, &reply, &[]));
        }
    }
}

fn answered(verdict: Verdict, reply: &[u8], datagram: &[u8]) -> Heard {
    let Verdict::Reply(bytes) = verdict else { panic!("no answer: {verdict:?}") };
    let bytes = reply[..bytes].to_vec();
    let message = Message::parse(&bytes).expect("every answer is a message");
    assert_ne!(message.fingerprint(), Fingerprint::Wrong);
    if let Ok(request) = Message::parse(datagram) {
        assert_eq!(message.transaction(), request.transaction());
        assert_eq!(message.fingerprint(), request.fingerprint());
    }
    Heard { verdict, bytes }
}

pub(super) fn nonces() -> Nonces {
    Nonces::new([9; 32], 3600)
}

fn authenticator() -> Authenticator {
    let credentials = Credentials::new(REALM).with_user("ann", "secret").with_user("bob", "secret");
    Authenticator::new(credentials, nonces())
}

/// The STUN sockets.
fn own() -> Vec<SocketAddr> {
    vec!["45.0.0.1:3478".parse().unwrap(), "[2a0a::1]:3478".parse().unwrap()]
}

fn addresses() -> Vec<RelayAddress> {
    let address = |local: &str, advertised: &str| RelayAddress {
        local: local.parse().unwrap(),
        advertised: advertised.parse().unwrap(),
    };
    vec![address("10.0.0.1", "45.0.0.1"), address("2a0a::1", "2a0a::1")]
}

/// What a relayed address is bound to.
fn local(relayed: SocketAddr) -> SocketAddr {
    let known = addresses().into_iter().find(|address| address.advertised == relayed.ip());
    SocketAddr::new(known.map_or(relayed.ip(), |address| address.local), relayed.port())
}

/// An address of the relays themselves, by name.
pub(super) fn relay_ip() -> IpAddr {
    "45.0.0.1".parse().unwrap()
}
