//! What a driver costs per relayed packet over loopback: receive a batch, send it on.
//!
//! Only the driver's part is counted. Clients and peers live on the same thread and are served in
//! between, so a number is server CPU time: the receive calls, the whole transmit path, and the
//! peer's receive stack, which loopback runs in the sender's context. The peers take trains, as a
//! network card with segmentation offload would. `bare` is the floor of the same run: one
//! `recvfrom` and one `sendto` per packet and nothing else; `bare_trains` is the floor for trains,
//! one `recvmsg` and one `sendmsg` for each; `tokio_uring` does what `bare` does with a task and
//! two boxed operations per packet.

use std::{
    hint::black_box,
    io::{IoSlice, IoSliceMut},
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    rc::Rc,
    time::Duration,
};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use nix::{
    cmsg_space,
    sys::{
        resource::{UsageWho, getrusage},
        socket::{
            ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg,
        },
        time::TimeValLike,
    },
};
use tokio_uring::buf::BoundedBuf;
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

/// What takes everything in and sends it on.
trait Relay {
    /// Gives it a socket; what arrives there is to go to `peer`.
    fn add(&mut self, socket: UdpSocket, peer: SocketAddr);
    /// Relays `packets` datagrams.
    fn relay(&mut self, packets: usize);
}

/// A driver and the peer of each of its sockets.
struct Driven<D> {
    driver: D,
    peers: Vec<SocketAddr>,
}

impl<D: Driver> Driven<D> {
    fn send_on(&mut self, received: Received) {
        let to = self.peers[received.socket.index()];
        let (segments, stride) = (received.segments(), received.segment_bytes);
        let start = received.lease.range().start;
        let piece = Piece::single(received.lease, start..start + stride)
            .repeated(segments, stride)
            .with_header(b"head");
        self.driver.send(received.socket, to, piece);
    }
}

impl<D: Driver> Relay for Driven<D> {
    fn add(&mut self, socket: UdpSocket, peer: SocketAddr) {
        self.driver.open(socket).expect("room in the table");
        self.driver.turn(Wait::None).expect("turn");
        self.peers.push(peer);
    }

    fn relay(&mut self, packets: usize) {
        let mut relayed = 0;
        while relayed < packets {
            self.driver.turn(Wait::For(Duration::from_millis(1))).expect("turn");
            while let Some(event) = self.driver.next() {
                let Event::Received(received) = event else { continue };
                relayed += received.segments();
                self.send_on(received);
            }
        }
        self.driver.turn(Wait::None).expect("turn");
    }
}

/// One receive and one send per packet, with no thought of which socket has something.
struct Bare {
    routes: Vec<(UdpSocket, SocketAddr)>,
}

impl Relay for Bare {
    fn add(&mut self, socket: UdpSocket, peer: SocketAddr) {
        self.routes.push((socket, peer));
    }

    fn relay(&mut self, packets: usize) {
        let mut buffer = [0; 2048];
        for _ in 0..packets / self.routes.len() {
            for (socket, peer) in &self.routes {
                let (bytes, _) = socket.recv_from(&mut buffer[4..]).expect("a datagram");
                socket.send_to(&buffer[..bytes + 4], peer).expect("sent");
            }
        }
    }
}

/// One receive and one send per train, its bytes as they are.
struct BareTrains {
    routes: Vec<(UdpSocket, SockaddrStorage)>,
    buffer: Vec<u8>,
}

impl BareTrains {
    /// Passes a train on and says of how many datagrams it was.
    fn pass(socket: &UdpSocket, peer: &SockaddrStorage, buffer: &mut [u8]) -> usize {
        let mut control = cmsg_space!(i32);
        let mut area = [IoSliceMut::new(buffer)];
        let message = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut area,
            Some(&mut control),
            MsgFlags::empty(),
        );
        let message = message.expect("a train");
        let segment = message.cmsgs().expect("whole").find_map(|control| match control {
            ControlMessageOwned::UdpGroSegments(bytes) => Some(bytes as u16),
            _ => None,
        });
        let (bytes, segment) = (message.bytes, segment.unwrap_or(message.bytes as u16));
        let train = [IoSlice::new(&buffer[..bytes])];
        let offload = [ControlMessage::UdpGsoSegments(&segment)];
        sendmsg(socket.as_raw_fd(), &train, &offload, MsgFlags::empty(), Some(peer)).expect("sent");
        bytes.div_ceil(segment.into())
    }
}

impl Relay for BareTrains {
    fn add(&mut self, socket: UdpSocket, peer: SocketAddr) {
        self.routes.push((socket, peer.into()));
    }

    fn relay(&mut self, packets: usize) {
        let each = packets / self.routes.len();
        for (socket, peer) in &self.routes {
            let mut relayed = 0;
            while relayed < each {
                relayed += Self::pass(socket, peer, &mut self.buffer);
            }
        }
    }
}

/// The same as `bare` through tokio-uring, a task for each socket: why the data path has a ring of
/// its own. It has neither multishot receives nor provided buffers, and boxes each operation.
struct TokioUring {
    runtime: tokio_uring::Runtime,
    routes: Vec<(Rc<tokio_uring::net::UdpSocket>, SocketAddr)>,
}

impl Relay for TokioUring {
    fn add(&mut self, socket: UdpSocket, peer: SocketAddr) {
        // The ring waits for a datagram; a non-blocking socket would answer EAGAIN.
        socket.set_nonblocking(false).expect("a socket can block");
        self.routes.push((Rc::new(tokio_uring::net::UdpSocket::from_std(socket)), peer));
    }

    fn relay(&mut self, packets: usize) {
        let each = packets / self.routes.len();
        let routes = self.routes.clone();
        self.runtime.block_on(async move {
            let tasks: Vec<_> = routes
                .into_iter()
                .map(|(socket, peer)| tokio_uring::spawn(pass_on(socket, peer, each)))
                .collect();
            for task in tasks {
                task.await.expect("a task ends by itself");
            }
        });
    }
}

/// Relays so many datagrams of one socket, 4 bytes longer each.
async fn pass_on(socket: Rc<tokio_uring::net::UdpSocket>, peer: SocketAddr, packets: usize) {
    let mut buffer = vec![0; 2048];
    for _ in 0..packets {
        let (received, slice) = socket.recv_from(buffer.slice(4..)).await;
        let (bytes, _) = received.expect("a datagram");
        let (sent, slice) = socket.send_to(slice.into_inner().slice(..bytes + 4), peer).await;
        sent.expect("sent");
        buffer = slice.into_inner();
    }
}

/// Clients, peers, and the relay between them with a socket per client, as TURN has.
struct World<R> {
    relay: R,
    outside: PortableDriver,
    clients: Vec<SocketId>,
    targets: Vec<SocketAddr>,
}

impl<R: Relay> World<R> {
    fn new(mut relay: R, flows: usize, gro: bool) -> Self {
        let mut outside = PortableDriver::new(&Settings::default()).expect("epoll");
        let clients = (0..flows).map(|_| open(&mut outside).0).collect();
        let mut targets = Vec::new();
        for _ in 0..flows {
            let socket = if gro { relay_socket() } else { plain_socket() };
            targets.push(socket.local_addr().expect("bound"));
            relay.add(socket, open(&mut outside).1);
        }
        Self { relay, outside, clients, targets }
    }

    /// Every client sends its burst.
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

    /// The peers take what was relayed.
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

    /// One round; returns the CPU time of the relay.
    fn round(&mut self, shape: &Shape) -> Duration {
        let packets = shape.flows * shape.burst;
        self.arrive(shape);
        let before = cpu_time();
        self.relay.relay(packets);
        let spent = cpu_time() - before;
        self.settle(packets);
        spent
    }
}

/// CPU time of this thread, in its own code and in the kernel on its behalf.
fn cpu_time() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_THREAD).expect("a running thread");
    let us = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Duration::from_micros(us as u64)
}

fn relay_socket() -> UdpSocket {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    sockets::relay(any, BufferSizes::RELAY).expect("loopback")
}

/// Without UDP_GRO, for who could not take a train apart.
fn plain_socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("loopback");
    socket.set_nonblocking(true).expect("non-blocking");
    socket
}

fn open(driver: &mut PortableDriver) -> (SocketId, SocketAddr) {
    let socket = relay_socket();
    let address = socket.local_addr().expect("bound");
    (driver.open(socket).expect("room in the table"), address)
}

fn measure<R: Relay>(criterion: &mut Criterion, name: &str, gro: bool, new: impl Fn() -> R) {
    measure_shapes(criterion, name, gro, &SHAPES, new);
}

fn measure_shapes<R: Relay>(
    criterion: &mut Criterion,
    name: &str,
    gro: bool,
    shapes: &[Shape],
    new: impl Fn() -> R,
) {
    let mut group = criterion.benchmark_group(name);
    for shape in shapes {
        let mut world = World::new(new(), shape.flows, gro);
        group.throughput(Throughput::Elements((shape.flows * shape.burst) as u64));
        group.bench_function(shape.name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| world.round(shape)).sum());
        });
    }
    group.finish();
}

fn relays(criterion: &mut Criterion) {
    // Everything has arrived before a round begins: a hold would only be noise.
    let settings = Settings { hold_us: 0, ..Settings::default() };
    measure(criterion, "bare", false, || Bare { routes: Vec::new() });
    measure_shapes(criterion, "bare_trains", true, &SHAPES[2..], || BareTrains {
        routes: Vec::new(),
        buffer: vec![0; 65_536],
    });
    measure(criterion, "tokio_uring", false, || TokioUring {
        runtime: tokio_uring::Runtime::new(&tokio_uring::builder()).expect("io_uring"),
        routes: Vec::new(),
    });
    measure(criterion, "portable", true, || Driven {
        driver: PortableDriver::new(&settings).expect("epoll"),
        peers: Vec::new(),
    });
    measure(criterion, "io_uring", true, || Driven {
        driver: UringDriver::new(&settings).expect("io_uring"),
        peers: Vec::new(),
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(2)).sample_size(20);
    targets = relays
}
criterion_main!(benches);
