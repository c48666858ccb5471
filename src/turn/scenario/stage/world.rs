//! The small language the scenes are told in.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use ipnet::IpNet;

use super::{
    client::{Client, Heard, REALM, SECRET},
    orders::StreamOrders,
};
use crate::turn::{
    REPLY_BYTES,
    api::{
        counters::Counters,
        effect::{ForwardedChannel, Open, Redeem},
        names::{
            identity::{RelayId, WorkerIndex},
            session::SessionId,
        },
        now::Now,
        reason::Reason,
        report::{Closed, Opened, RequestRefused, StrangersRefused},
        settings::Settings,
        train::Train,
        verdict::{Delivered, ToClient, Verdict},
    },
    auth::{authenticator::Authenticator, credentials::Credentials, nonce::Nonces},
    handover::{export::ExportFrom, import::ImportError, record::Record},
    policy::{
        PeerPolicy,
        alternates::Alternates,
        quota::{Exhausted, Quota},
    },
    ports::plan::{PortPlan, RelayAddress, Shard},
    server::Server,
};
use crate::wire::{
    AttributeType, ChannelData, ChannelNumber, ChannelRange, Class, MessageWriter, Method,
    TransactionId,
};

pub(in crate::turn) const PEER: &str = "9.9.9.9:7000";
/// Another address of the machine, on which no relays are.
pub(in crate::turn) const NODE: &str = "45.0.0.2";
pub(in crate::turn) const PEER_V6: &str = "[2620:fe::9]:7000";
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

    fn hold(&mut self, _: &Arc<str>) {
        self.held.fetch_add(1, Ordering::Relaxed);
    }

    fn leave(&mut self, _: &Arc<str>) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One process.
pub(in crate::turn) struct World {
    pub(in crate::turn) servers: Vec<Server>,
    pub(in crate::turn) opened: Vec<Opened>,
    pub(in crate::turn) closed: Vec<Closed>,
    /// Channels that may be forwarded without asking, and until when, by client and number.
    pub(in crate::turn) forwarded: BTreeMap<(SocketAddr, ChannelNumber), (ForwardedChannel, u64)>,
    pub(in crate::turn) refused: Vec<StrangersRefused>,
    pub(in crate::turn) told: Vec<RequestRefused>,
    /// Ports that another process uses.
    pub(in crate::turn) busy: BTreeSet<u16>,
    /// Sockets that are bound, by worker and name.
    pub(in crate::turn) bound: BTreeMap<(u8, RelayId), SocketAddr>,
    /// Sockets that were closed and that the kernel still holds on to.
    pub(in crate::turn) lingering: Vec<(u8, RelayId)>,
    /// What was asked of the kernel and not yet done, when it is slow.
    pub(in crate::turn) waiting: Vec<(u8, Open)>,
    /// What was asked of other workers and not yet answered, when the kernel is slow.
    pub(in crate::turn) redeeming: Vec<(u8, Redeem)>,
    pub(in crate::turn) is_slow: bool,
    /// No worker can open another socket.
    pub(in crate::turn) is_out_of_files: bool,
    /// What became of connections.
    pub(in crate::turn) streams: StreamOrders,
    held: Arc<AtomicU32>,
    most: u32,
    now_ms: u64,
    transactions: u64,
}

/// How long the machine has been up when a scene begins: five minutes later the milliseconds no
/// longer fit 32 bits.
pub(in crate::turn) const BOOT_MS: u64 = 4_294_667_000;

impl World {
    pub(in crate::turn) fn new() -> World {
        World::with(1, 1000, |_| {})
    }

    pub(in crate::turn) fn with(workers: u8, quota: u32, change: impl Fn(&mut Settings)) -> World {
        let (settings, held) = (settings(change), Arc::new(AtomicU32::new(0)));
        let ports = PortPlan::new(PORTS.0, PORTS.1, workers);
        let relays = ports.open(&addresses());
        let server = |worker| {
            let quota = Box::new(Tally { held: held.clone(), most: quota });
            let worker = WorkerIndex(worker);
            let shard = Shard { worker, ports, relays: relays.clone(), quota };
            Server::new(settings.clone(), shard, [worker.0; 32])
        };
        World {
            servers: (0..workers).map(server).collect(),
            opened: Vec::new(),
            closed: Vec::new(),
            forwarded: BTreeMap::new(),
            refused: Vec::new(),
            told: Vec::new(),
            busy: BTreeSet::new(),
            bound: BTreeMap::new(),
            lingering: Vec::new(),
            waiting: Vec::new(),
            redeeming: Vec::new(),
            streams: StreamOrders::default(),
            is_slow: false,
            is_out_of_files: false,
            held,
            most: quota,
            now_ms: 0,
            transactions: 0,
        }
    }

    /// A new process that takes over what the one worker of this one writes down, byte by byte. It
    /// has the same chance, so that both can be asked the same from now on.
    pub(in crate::turn) fn reborn(&mut self, change: impl Fn(&mut Settings)) -> World {
        self.let_go();
        let most = self.most;
        let mut next = World::with(1, most, change);
        let mut bytes = Vec::new();
        self.records().iter().for_each(|record| record.write(&mut bytes));
        (next.now_ms, next.transactions) = (self.now_ms, self.transactions);
        next.busy = self.busy.clone();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let (record, behind) = Record::read(rest).expect("as it was written");
            next.import(&record).expect("there is room");
            rest = behind;
        }
        next.servers[0].rng = self.servers[0].rng.clone();
        next.carry_out(0, &mut Vec::new());
        next
    }

    /// Has the one worker read a record, and binds what it needs.
    pub(in crate::turn) fn import(&mut self, record: &Record) -> Result<(), ImportError> {
        let now = self.now();
        let sockets = self.servers[0].import(now, record)?.sockets.into_iter();
        self.bound.extend(sockets.map(|socket| ((0, socket.relay), socket.local)));
        Ok(())
    }

    /// All that the one worker writes down.
    pub(in crate::turn) fn records(&self) -> Vec<Record> {
        let (mut records, mut from) = (Vec::new(), Some(ExportFrom::Start));
        while let Some(at) = from {
            let page = self.servers[0].export(at);
            records.extend(page.records);
            from = page.next;
        }
        records
    }

    /// Other rules for every worker: the usual ones, changed.
    pub(in crate::turn) fn reconfigure(&mut self, change: impl Fn(&mut Settings)) -> &mut World {
        let settings = settings(change);
        for server in &mut self.servers {
            server.reconfigure(settings.clone());
        }
        self
    }

    /// Every worker takes no new clients, or takes them again.
    pub(in crate::turn) fn drain(&mut self, alternates: Option<Alternates>) -> &mut World {
        self.servers.iter_mut().for_each(|server| server.drain(alternates));
        self
    }

    pub(in crate::turn) fn now(&self) -> Now {
        Now { mono_ms: BOOT_MS + self.now_ms, unix_s: 1_800_000_000 + self.now_ms / 1000 }
    }

    pub(in crate::turn) fn counters(&self) -> &Counters {
        self.servers[0].counters()
    }

    /// Places taken of the quota.
    pub(in crate::turn) fn held(&self) -> u32 {
        self.held.load(Ordering::Relaxed)
    }

    /// Lets the time pass until `seconds` after the beginning.
    pub(in crate::turn) fn at(&mut self, seconds: u64) -> &mut World {
        self.at_ms(seconds * 1000)
    }

    /// Lets so much time pass.
    pub(in crate::turn) fn wait_ms(&mut self, ms: u64) -> &mut World {
        self.at_ms(self.now_ms + ms)
    }

    pub(in crate::turn) fn at_ms(&mut self, ms: u64) -> &mut World {
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
    pub(in crate::turn) fn let_go(&mut self) {
        for (worker, relay) in std::mem::take(&mut self.lingering) {
            self.servers[usize::from(worker)].released(relay);
            self.carry_out(worker, &mut Vec::new());
        }
    }

    /// A signed request with a fresh transaction.
    pub(in crate::turn) fn ask(
        &mut self,
        who: Client,
        method: Method,
        build: impl Fn(&mut MessageWriter<'_>),
    ) -> Heard {
        let request = self.request(who, method, build);
        self.says(who, &request)
    }

    /// The bytes of a signed request.
    pub(in crate::turn) fn request(
        &mut self,
        who: Client,
        method: Method,
        build: impl Fn(&mut MessageWriter<'_>),
    ) -> Vec<u8> {
        let nonce = nonces().issue(self.now(), who.path().nonce_address());
        self.write(method, Class::Request, |writer| {
            build(writer);
            writer.attribute(AttributeType::USERNAME, who.user.as_bytes());
            writer.attribute(AttributeType::REALM, REALM.as_bytes());
            writer.attribute(AttributeType::NONCE, &nonce);
            writer.integrity(&who.key());
        })
    }

    /// The bytes of any message.
    pub(in crate::turn) fn write(
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

    pub(in crate::turn) fn allocate(&mut self, who: Client) -> Heard {
        self.ask(who, Method::Allocate, |writer| {
            writer.requested_transport(17);
        })
    }

    /// An Allocate without credentials: the first request of every client.
    pub(in crate::turn) fn ask_unsigned(&mut self, who: Client) -> Heard {
        let request = self.write(Method::Allocate, Class::Request, |writer| {
            writer.requested_transport(17);
        });
        self.says(who, &request)
    }

    pub(in crate::turn) fn refresh(&mut self, who: Client, seconds: u32) -> Heard {
        self.ask(who, Method::Refresh, |writer| {
            writer.lifetime_s(seconds);
        })
    }

    pub(in crate::turn) fn permit(&mut self, who: Client, peers: &[&str]) -> Heard {
        self.ask(who, Method::CreatePermission, |writer| {
            for peer in peers {
                writer.xor_peer_address(peer.parse().unwrap());
            }
        })
    }

    pub(in crate::turn) fn bind(&mut self, who: Client, number: u16, peer: &str) -> Heard {
        self.ask(who, Method::ChannelBind, |writer| {
            writer.channel_number(number).xor_peer_address(peer.parse().unwrap());
        })
    }

    pub(in crate::turn) fn send(&mut self, who: Client, peer: &str, payload: &[u8]) -> Heard {
        let peer = peer.parse().unwrap();
        let datagram = self.write(Method::Send, Class::Indication, |writer| {
            writer.xor_peer_address(peer).attribute(AttributeType::DATA, payload);
        });
        self.says(who, &datagram)
    }

    pub(in crate::turn) fn channel_data(
        &mut self,
        who: Client,
        number: u16,
        payload: &[u8],
    ) -> Heard {
        let mut frame = number.to_be_bytes().to_vec();
        frame.extend((payload.len() as u16).to_be_bytes());
        frame.extend(payload);
        assert!(
            ChannelNumber::new(number, ChannelRange::Rfc5766).is_none()
                || ChannelData::parse(&frame).is_ok()
        );
        self.says(who, &frame)
    }

    /// Any datagram. The bytes heard are the answer, or else the datagram itself, which verdicts
    /// point into.
    pub(in crate::turn) fn says(&mut self, who: Client, datagram: &[u8]) -> Heard {
        self.says_run(who, datagram, 1)
    }

    /// A train of ChannelData frames that are alike.
    pub(in crate::turn) fn channel_run(
        &mut self,
        who: Client,
        number: u16,
        frames: usize,
    ) -> Heard {
        let frame = [&number.to_be_bytes()[..], &[0, 5], b"hello"].concat();
        self.says_run(who, &frame, frames)
    }

    fn says_run(&mut self, who: Client, datagram: &[u8], frames: usize) -> Heard {
        let mut reply = vec![0; REPLY_BYTES];
        let (now, path) = (self.now(), who.path());
        let server = &mut self.servers[usize::from(who.worker)];
        let verdict = server.from_client(now, path, datagram, frames, &mut reply);
        let mut answers = Vec::new();
        self.carry_out(who.worker, &mut answers);
        match (verdict, answers.pop()) {
            (Verdict::Pending, Some(heard)) => heard,
            (Verdict::Reply(bytes), _) => Heard::answer(Verdict::Reply(bytes), &reply, datagram),
            (verdict, _) => Heard { verdict, bytes: datagram.to_vec() },
        }
    }

    /// How many requests at the start of a train are refused like the one before it.
    pub(in crate::turn) fn refuses_alike(
        &mut self,
        who: Client,
        train: &[u8],
        bytes: usize,
    ) -> usize {
        let now = self.now();
        self.servers[usize::from(who.worker)].refuse_alike(now, who.path(), train, bytes)
    }

    /// An operator ends a session.
    pub(in crate::turn) fn kill(&mut self, session: SessionId) -> bool {
        let now = self.now();
        let worker = session.worker.0;
        let Some(server) = self.servers.get_mut(usize::from(worker)) else { return false };
        let killed = server.kill(now, session);
        self.carry_out(worker, &mut Vec::new());
        killed
    }

    /// A packet from outside to a relayed address, as its peers know it.
    pub(in crate::turn) fn peer_says(
        &mut self,
        relayed: SocketAddr,
        peer: &str,
        payload_bytes: usize,
    ) -> Result<ToClient, Reason> {
        let train = Train::single(payload_bytes);
        let delivered = self.peer_sends(relayed, peer, train)?;
        assert_eq!(delivered.train, train);
        Ok(delivered.to)
    }

    /// A train from outside to a relayed address.
    pub(in crate::turn) fn peer_sends(
        &mut self,
        relayed: SocketAddr,
        peer: &str,
        train: Train,
    ) -> Result<Delivered, Reason> {
        let (now, (worker, relay)) = (self.now(), self.relay_at(relayed));
        let server = &mut self.servers[usize::from(worker)];
        server.from_peer(now, relay, peer.parse().unwrap(), train)
    }

    /// The socket of a relayed address.
    pub(in crate::turn) fn relay_at(&self, relayed: SocketAddr) -> (u8, RelayId) {
        let local = local(relayed);
        let bound = self.bound.iter().find(|(_, bound)| **bound == local);
        *bound.expect("a bound socket").0
    }

    /// Hands a payload over to the worker that the verdict names.
    pub(in crate::turn) fn hand_over(
        &mut self,
        verdict: &Verdict,
    ) -> (WorkerIndex, Result<ToClient, Reason>) {
        let Verdict::HandOver { worker, from, to, payload, .. } = verdict else {
            panic!("not handed over: {verdict:?}")
        };
        let (now, server) = (self.now(), &mut self.servers[usize::from(worker.0)]);
        (*worker, server.from_worker(now, *from, *to, payload.len()))
    }
}

pub(in crate::turn) fn nonces() -> Nonces {
    Nonces::new([9; 32], 3600)
}

fn settings(change: impl Fn(&mut Settings)) -> Arc<Settings> {
    let mut settings = Settings::new(authenticator(), PeerPolicy::new(&[], &[], &own()));
    settings.own_sockets = own_sockets();
    change(&mut settings);
    Arc::new(settings)
}

fn authenticator() -> Authenticator {
    let credentials = Credentials::new(REALM).with_user("ann", "secret").with_user("bob", "secret");
    let credentials = credentials.with_secret(SECRET).expect("one secret");
    Authenticator::new(credentials, nonces())
}

/// The STUN sockets.
fn own_sockets() -> Vec<SocketAddr> {
    vec!["45.0.0.1:3478".parse().unwrap(), "[2a0a::1]:3478".parse().unwrap()]
}

/// The machine's addresses: those relays are on under both names, and [`NODE`].
pub(in crate::turn) fn own() -> Vec<IpNet> {
    let names = addresses().into_iter().flat_map(|relay| [relay.local, relay.advertised]);
    names.map(IpNet::from).chain([IpNet::from(NODE.parse::<IpAddr>().unwrap())]).collect()
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
pub(in crate::turn) fn relay_ip() -> IpAddr {
    "45.0.0.1".parse().unwrap()
}
