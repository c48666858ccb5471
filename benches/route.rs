//! What the state machine costs for one packet, and for one life of an allocation, with 1, 1,000
//! and 100,000 allocations in the table, and what it costs to refuse a stranger. No socket and no
//! syscall is in these numbers.
//!
//! `cargo bench --bench route`. "run" is a train of one client, "mix" takes the clients in turn.

use std::{
    hint::black_box,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use uturn::{
    turn::{
        Authenticator, Bind, Counts, Credentials, Effect, FiveTuple, ListenerId, NONCE_BYTES,
        Nonces, Now, Outcome, Path, PeerPolicy, PortPlan, REPLY_BYTES, RelayAddress, RelayId,
        Server, Settings, Shard, Train, Verdict, WorkerIndex,
    },
    wire::{
        AttributeType, Class, IntegrityKey, MessageWriter, Method, TRANSPORT_UDP, TransactionId,
    },
};

const NOW: Now = Now { mono_ms: 1_000_000, unix_s: 1_800_000_000 };
const PEER: &str = "9.9.9.9:7000";
const CHANNEL: u16 = 0x4000;
const SIZES: [u32; 3] = [1, 1_000, 100_000];

/// A client that has no allocation, and in a network of its own.
const FLOODER: u32 = 20_000_000;

/// Requests of a train.
const TRAIN: usize = 50;

/// A server, and its kernel, which binds everything it is asked to.
struct Node {
    server: Server,
    nonces: Nonces,
    key: IntegrityKey,
    reply: Vec<u8>,
    relays: Vec<RelayId>,
}

impl Node {
    /// A node with some allocations, each with a channel to the same peer.
    fn with(allocations: u32) -> Node {
        let mut node = Node::new();
        for client in 0..allocations {
            node.open(path(client));
        }
        node
    }

    fn new() -> Node {
        let nonces = Nonces::new([1; 32], 3600);
        let credentials = Credentials::new("realm").with_user("ann", "secret");
        let policy = PeerPolicy::new(&[], &[], &[]);
        let settings = Settings::new(Authenticator::new(credentials, nonces.clone()), policy);
        let address = |last| Ipv4Addr::new(45, 0, 0, last).into();
        let relay = |last| RelayAddress { local: address(last), advertised: address(last) };
        let ports = PortPlan::new(1024, 65_535, 1);
        let shard = Shard {
            worker: WorkerIndex(0),
            ports,
            relays: ports.open(&[relay(1), relay(2)]),
            quota: Box::new(Counts::new(None, None)),
        };
        Node {
            server: Server::new(Arc::new(settings), shard, [2; 32]),
            nonces,
            key: IntegrityKey::long_term(b"ann", b"realm", b"secret"),
            reply: vec![0; REPLY_BYTES],
            relays: Vec::new(),
        }
    }

    fn open(&mut self, path: Path) {
        self.ask(path, Method::Allocate, |writer| {
            writer.requested_transport(TRANSPORT_UDP);
        });
        self.ask(path, Method::ChannelBind, |writer| {
            writer.channel_number(CHANNEL).xor_peer_address(peer());
        });
    }

    /// Allocate, permit, bind, refresh, close.
    fn live(&mut self, path: Path) {
        self.open(path);
        self.ask(path, Method::CreatePermission, |writer| {
            writer.xor_peer_address(peer());
        });
        for seconds in [600, 0] {
            self.ask(path, Method::Refresh, |writer| {
                writer.lifetime_s(seconds);
            });
        }
    }

    fn ask(&mut self, path: Path, method: Method, build: impl Fn(&mut MessageWriter<'_>)) {
        let mut request = [0; 512];
        let id = TransactionId([method.number() as u8; 12]);
        let mut writer = MessageWriter::new(&mut request, method, Class::Request, id);
        build(&mut writer);
        writer.attribute(AttributeType::USERNAME, b"ann").attribute(AttributeType::REALM, b"realm");
        writer.attribute(AttributeType::NONCE, &self.nonces.issue(NOW, path.client()));
        let end = writer.integrity(&self.key).finish().expect("it fits");
        self.server.from_client(NOW, path, &request[..end], 1, &mut self.reply);
        self.carry_out();
    }

    fn carry_out(&mut self) {
        while let Some(effect) = self.server.next_effect() {
            match effect {
                Effect::Open(open) => {
                    self.relays.extend(open.sockets.iter().map(|socket| socket.relay));
                    let bound = vec![Bind::Bound; open.sockets.len()];
                    let outcome = Outcome::Opened(&bound);
                    self.server.complete(NOW, open.pending, outcome, &mut self.reply);
                }
                Effect::Close(relay) => self.server.released(relay),
                Effect::Activate(_)
                | Effect::Redeem(_)
                | Effect::Forward { .. }
                | Effect::Unforward(_)
                | Effect::Connect(_)
                | Effect::Tell { .. }
                | Effect::Join { .. }
                | Effect::CloseConnection(_) => {}
            }
        }
        while self.server.next_report().is_some() {}
    }
}

fn path(client: u32) -> Path {
    let ip = Ipv4Addr::from_bits(0x0B00_0000 + client / 40_000);
    let port = 1024 + (client % 40_000) as u16;
    Path::udp(FiveTuple { listener: ListenerId(0), client: SocketAddr::new(ip.into(), port) })
}

fn peer() -> SocketAddr {
    PEER.parse().expect("an address")
}

fn send_indication() -> Vec<u8> {
    let mut datagram = [0; 1500];
    let id = TransactionId([7; 12]);
    let mut writer = MessageWriter::new(&mut datagram, Method::Send, Class::Indication, id);
    writer.xor_peer_address(peer()).attribute(AttributeType::DATA, &[7; 160]);
    let end = writer.finish().expect("it fits");
    datagram[..end].to_vec()
}

fn channel_data() -> Vec<u8> {
    let mut frame = CHANNEL.to_be_bytes().to_vec();
    frame.extend([0, 160]);
    frame.extend([7; 160]);
    frame
}

fn packets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("packet");
    for size in SIZES {
        let mut node = Node::with(size);
        let mut next = (0..size).cycle();
        let judge = |node: &mut Node, client: u32, datagram: &[u8]| {
            let verdict = node.server.from_client(NOW, path(client), datagram, 1, &mut node.reply);
            assert!(matches!(verdict, Verdict::ToPeer { .. }));
            black_box(verdict);
        };
        for (name, datagram) in [("channel", channel_data()), ("send", send_indication())] {
            group.bench_function(BenchmarkId::new(format!("{name}, run"), size), |bencher| {
                bencher.iter(|| judge(&mut node, 0, &datagram));
            });
            group.bench_function(BenchmarkId::new(format!("{name}, mix"), size), |bencher| {
                bencher.iter(|| judge(&mut node, next.next().unwrap_or(0), &datagram));
            });
        }
        group.bench_function(BenchmarkId::new("from peer, mix", size), |bencher| {
            let mut relays = node.relays.clone().into_iter().cycle();
            bencher.iter(|| {
                let relay = relays.next().unwrap_or(RelayId(0));
                black_box(node.server.from_peer(NOW, relay, peer(), Train::single(160)))
                    .expect("delivered")
            });
        });
    }
    group.finish();
}

fn lives(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("allocate-bind-permit-refresh-close");
    for size in SIZES {
        let mut node = Node::with(size);
        let mut clients = (size..).map(path);
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| node.live(clients.next().expect("clients never end")));
        });
    }
    group.finish();
}

/// What a flood costs once its network has used up what it is answered with, a request each.
fn refusals(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("refused");
    let mut node = Node::with(1_000);
    let elsewhere = node.nonces.issue(NOW, peer());
    let challenged = node.nonces.issue(NOW, path(FLOODER).client());
    for (name, datagram) in [
        ("Binding", request(Method::Binding, None)),
        ("Allocate without credentials", request(Method::Allocate, None)),
        ("Allocate with a forged nonce", request(Method::Allocate, Some(elsewhere))),
        // Answered: the sender has shown that he can be reached.
        ("Allocate with a wrong password", request(Method::Allocate, Some(challenged))),
        ("garbage", vec![0xC5; 48]),
    ] {
        let train = datagram.repeat(TRAIN);
        let judge = |node: &mut Node| {
            let path = path(FLOODER);
            black_box(node.server.from_client(NOW, path, &datagram, 1, &mut node.reply))
        };
        // Nothing is paid off at one moment.
        (0..1_000_000).for_each(|_| _ = judge(&mut node));
        group.bench_function(BenchmarkId::new(name, "one by one"), |bencher| {
            bencher.iter(|| judge(&mut node));
        });
        group.throughput(Throughput::Elements(TRAIN as u64));
        group.bench_function(BenchmarkId::new(name, "in a train"), |bencher| {
            let step = datagram.len();
            bencher.iter(|| node.server.refuse_alike(NOW, path(FLOODER), &train, step));
        });
        while node.server.next_report().is_some() {}
    }
    group.finish();
}

fn request(method: Method, nonce: Option<[u8; NONCE_BYTES]>) -> Vec<u8> {
    let mut datagram = [0; 512];
    let id = TransactionId([7; 12]);
    let mut writer = MessageWriter::new(&mut datagram, method, Class::Request, id);
    if let Some(nonce) = nonce {
        writer.attribute(AttributeType::USERNAME, b"ann").attribute(AttributeType::REALM, b"realm");
        writer.attribute(AttributeType::NONCE, &nonce);
        writer.integrity(&IntegrityKey::long_term(b"ann", b"realm", b"wrong"));
    }
    let end = writer.fingerprint().finish().expect("it fits");
    datagram[..end].to_vec()
}

criterion_group!(benches, packets, lives, refusals);
criterion_main!(benches);
