//! What a driver costs per relayed packet over loopback: receive a batch, send it on.
//!
//! Only the driver's part is timed. Clients and peers live on the same thread and are served
//! between the timed parts, so a number is server CPU: the receive calls, the whole transmit path,
//! and the peer's receive stack, which loopback runs in the sender's context. The peers take
//! trains, as a network card with segmentation offload would.

use std::{
    hint::black_box,
    net::SocketAddr,
    time::{Duration, Instant},
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use uturn::io::{
    Driver, Event, Piece, PortableDriver, Received, Settings, SocketId, UringDriver, Wait,
    sockets::{self, BufferSizes},
};

/// How datagrams arrive: `flows` clients, each sending `burst` datagrams of `bytes`.
struct Shape {
    name: &'static str,
    flows: usize,
    burst: usize,
    bytes: usize,
    /// Whether a client sends its burst as one train.
    as_train: bool,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "voice", flows: 64, burst: 1, bytes: 160, as_train: false },
    Shape { name: "video_singles", flows: 8, burst: 10, bytes: 1200, as_train: false },
    Shape { name: "video_trains", flows: 8, burst: 10, bytes: 1200, as_train: true },
];

/// Clients, peers, and the relay between them with a socket per client, as TURN has.
struct World<D> {
    relay: D,
    outside: PortableDriver,
    clients: Vec<SocketId>,
    targets: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
}

impl<D: Driver> World<D> {
    fn new(mut relay: D, flows: usize) -> Self {
        let mut outside = PortableDriver::new(&Settings::default()).expect("epoll");
        let targets = (0..flows).map(|_| open(&mut relay).1).collect();
        let clients = (0..flows).map(|_| open(&mut outside).0).collect();
        let peers = (0..flows).map(|_| open(&mut outside).1).collect();
        relay.turn(Wait::None).expect("turn");
        Self { relay, outside, clients, targets, peers }
    }

    /// Every client sends its burst; untimed.
    fn arrive(&mut self, shape: &Shape) {
        for _ in 0..shape.burst {
            for (client, target) in self.clients.iter().zip(&self.targets) {
                let lease = self.outside.blank(shape.bytes).expect("a blank buffer");
                let body = lease.range();
                self.outside.send(*client, *target, Piece::single(lease, body));
            }
            if !shape.as_train {
                self.outside.turn(Wait::None).expect("turn");
            }
        }
        self.outside.turn(Wait::None).expect("turn");
    }

    /// The relay takes everything in and sends it on; timed.
    fn relay(&mut self, packets: usize) -> Duration {
        let start = Instant::now();
        let mut relayed = 0;
        while relayed < packets {
            self.relay.turn(Wait::For(Duration::from_millis(1))).expect("turn");
            while let Some(event) = self.relay.next() {
                let Event::Received(received) = event else { continue };
                relayed += received.segments();
                self.send_on(received);
            }
        }
        self.relay.turn(Wait::None).expect("turn");
        start.elapsed()
    }

    fn send_on(&mut self, received: Received) {
        let to = self.peers[received.socket.index()];
        let (segments, stride) = (received.segments(), received.segment_bytes);
        let start = received.lease.range().start;
        let piece = Piece::single(received.lease, start..start + stride)
            .repeated(segments, stride)
            .with_header(b"head");
        self.relay.send(received.socket, to, piece);
    }

    /// The peers take what was relayed; untimed.
    fn settle(&mut self, packets: usize) {
        let mut heard = 0;
        while heard < packets {
            self.outside.turn(Wait::For(Duration::from_millis(100))).expect("turn");
            while let Some(event) = self.outside.next() {
                if let Event::Received(received) = event {
                    heard += received.segments();
                    black_box(received.lease.payload());
                }
            }
        }
    }
}

fn open(driver: &mut impl Driver) -> (SocketId, SocketAddr) {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = sockets::relay(any, BufferSizes::RELAY).expect("loopback");
    let address = socket.local_addr().expect("bound");
    (driver.open(socket).expect("room in the table"), address)
}

fn measure<D: Driver>(criterion: &mut Criterion, name: &str, new: impl Fn() -> D) {
    let mut group = criterion.benchmark_group(name);
    for shape in &SHAPES {
        let packets = shape.flows * shape.burst;
        let mut world = World::new(new(), shape.flows);
        group.throughput(Throughput::Elements(packets as u64));
        group.bench_function(shape.name, |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    world.arrive(shape);
                    spent += world.relay(packets);
                    world.settle(packets);
                }
                spent
            });
        });
    }
    group.finish();
}

fn drivers(criterion: &mut Criterion) {
    let settings = Settings::default();
    measure(criterion, "io_uring", || UringDriver::new(&settings).expect("io_uring"));
    measure(criterion, "portable", || PortableDriver::new(&settings).expect("epoll"));
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = drivers
}
criterion_main!(benches);
