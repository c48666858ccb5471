//! Attacks that cost a stranger next to nothing, each at the rate at which it once hurt, beside
//! calls that must lose nothing and must not be late.
//!
//! A packet of a call carries the time it was sent at, and the kernel stamps it on arrival: what a
//! busy machine takes to run this test's own threads is in neither.

use std::io::IoSliceMut;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
    sockopt::{ReceiveTimestampns, UdpGsoSegment},
};

use crate::client::{CHANNEL, Call, Client, Peer, channel_data};
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, method};

const CALLS: usize = 20;
const TICK: Duration = Duration::from_millis(20);
/// Four seconds of each call, 50 packets a second each way; they fit into a socket's buffer.
const TICKS: usize = 200;
/// One that arrives later is no use to a voice any more, or nearly so.
const P99_MAX: Duration = Duration::from_millis(20);
/// What one more client sends meanwhile, so that the worker is as busy as one that has work: then
/// it has most to lose by what an attack does to its batches.
const BUSY_PER_SECOND: u32 = 150_000;
/// Its frames come in trains, which cost this test little, and go to two peers in turn, so that
/// each leaves by itself.
const BUSY_TRAIN: u32 = 50;
const BUSY_CHANNELS: [u16; 2] = [0x4000, 0x4001];
const BUSY_PAYLOAD: [u8; 100] = [7; 100];

/// Another network than that of the calls.
const STRANGER: &str = "127.77.0.2:0";

/// Where an attack goes to.
#[derive(Clone, Copy)]
enum Target {
    StunPort,
    /// The relayed address of the first call, which has no permission for the stranger.
    RelayedAddress,
}

struct Attack {
    name: &'static str,
    to: Target,
    datagram: Vec<u8>,
    per_second: u32,
}

fn attacks() -> Vec<Attack> {
    let attack = |name, to, datagram: &[u8], per_second| Attack {
        name,
        to,
        datagram: datagram.to_vec(),
        per_second,
    };
    let binding = Builder::request(method::BINDING).bytes();
    let allocate = crate::client::allocate().bytes();
    vec![
        attack("empty datagrams", Target::StunPort, &[], 3_000),
        attack("empty datagrams", Target::StunPort, &[], 10_000),
        attack("empty datagrams to a relayed address", Target::RelayedAddress, &[], 10_000),
        attack("datagrams of one byte", Target::StunPort, &[0x40], 10_000),
        attack("64 KiB of FINGERPRINT", Target::StunPort, &fingerprints(), 100),
        attack("64 KiB of nothing", Target::StunPort, &[0xC5; 60_000], 1_000),
        attack("Binding requests", Target::StunPort, &binding, 20_000),
        attack("Allocates without credentials", Target::StunPort, &allocate, 20_000),
    ]
}

/// A request that is as long as can be and has nothing but FINGERPRINT in it.
fn fingerprints() -> Vec<u8> {
    const ATTRIBUTES: usize = 65_480 / 8;
    let mut datagram = Builder::request(method::BINDING).bytes();
    datagram.extend([0x80, 0x28, 0, 4, 0, 0, 0, 0].repeat(ATTRIBUTES));
    let bytes = u16::try_from(ATTRIBUTES * 8).expect("it fits into a datagram");
    datagram[2..4].copy_from_slice(&bytes.to_be_bytes());
    datagram
}

/// Sends so many datagrams a second, a millisecond's at a time, until it is over; says how many.
fn at_rate(per_second: u32, over: &AtomicBool, send: impl Fn()) -> u64 {
    let begun = Instant::now();
    let mut sent = 0;
    while !over.load(Ordering::Relaxed) {
        let due = begun.elapsed().as_micros() as u64 * u64::from(per_second) / 1_000_000;
        (sent..due).for_each(|_| send());
        sent = sent.max(due);
        thread::sleep(Duration::from_millis(1));
    }
    sent
}

impl Attack {
    fn run(&self, to: SocketAddr, over: &AtomicBool) -> u64 {
        let stranger = UdpSocket::bind(STRANGER).expect("loopback is a whole network");
        // A full queue drops some, as it should.
        at_rate(self.per_second, over, || _ = stranger.send_to(&self.datagram, to))
    }
}

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970")
}

/// Sends a packet each way on every call at every tick, stamped.
fn talk(calls: &[Call]) {
    let begun = Instant::now();
    for tick in 0..TICKS as u32 {
        thread::sleep((begun + TICK * tick).saturating_duration_since(Instant::now()));
        for call in calls {
            let stamp = || (now().as_nanos() as u64).to_be_bytes();
            call.client.send_channel(CHANNEL, &stamp().repeat(20));
            call.peer.send(call.relayed, &stamp().repeat(20));
        }
    }
}

/// How long each packet took that lies in a socket's buffer; a ChannelData header may stand in
/// front.
fn delays(socket: &UdpSocket) -> Vec<Duration> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    std::iter::from_fn(|| delay(socket)).take(TICKS).collect()
}

fn delay(socket: &UdpSocket) -> Option<Duration> {
    let mut bytes = [0; 2048];
    let mut control = nix::cmsg_space!(libc::timespec);
    let mut parts = [IoSliceMut::new(&mut bytes)];
    let fd = socket.as_raw_fd();
    let got = recvmsg::<()>(fd, &mut parts, Some(&mut control), MsgFlags::empty()).ok()?;
    let arrived = got.cmsgs().expect("room for a stamp").find_map(|message| match message {
        ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
        _ => None,
    });
    let length = got.bytes;
    let stamp = bytes[length - 8..length].try_into().expect("eight bytes");
    let sent = Duration::from_nanos(u64::from_be_bytes(stamp));
    Some(arrived.expect("the kernel stamps").saturating_sub(sent))
}

/// What came of it for one direction.
struct Outcome {
    lost: usize,
    p99: Duration,
}

impl Outcome {
    fn of<'a>(sockets: impl Iterator<Item = &'a UdpSocket>) -> Outcome {
        let mut delays: Vec<_> = sockets.flat_map(delays).collect();
        delays.sort();
        let lost = CALLS * TICKS - delays.len();
        Outcome { lost, p99: delays.get(delays.len() * 99 / 100).copied().unwrap_or(P99_MAX) }
    }
}

fn stamp(socket: &UdpSocket) {
    setsockopt(socket, ReceiveTimestampns, &true).expect("a kernel that stamps");
}

/// A socket that keeps the kernel stamping. It begins to do so some time after the first socket
/// asks for it; what arrives before then has the time at which it is read.
fn stamps() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    stamp(&socket);
    thread::sleep(Duration::from_millis(500));
    socket
}

fn busy_client(relay: &Relay, peers: &[Peer; 2]) -> Client {
    let mut client = Client::new(relay.v4());
    client.allocate();
    for (channel, peer) in BUSY_CHANNELS.into_iter().zip(peers) {
        client.bind(channel, peer.address());
    }
    let frame_bytes = channel_data(BUSY_CHANNELS[0], &BUSY_PAYLOAD).len();
    let segment = i32::try_from(frame_bytes).expect("a datagram");
    setsockopt(&client.socket, UdpGsoSegment, &segment).expect("a kernel with UDP_SEGMENT");
    client
}

fn keep_busy(client: &Client, over: &AtomicBool) {
    let channels = BUSY_CHANNELS.iter().cycle().take(BUSY_TRAIN as usize);
    let train: Vec<u8> = channels.flat_map(|it| channel_data(*it, &BUSY_PAYLOAD)).collect();
    at_rate(BUSY_PER_SECOND / BUSY_TRAIN, over, || client.send(&train));
}

fn beside(driver: &str, attack: &Attack) -> [Outcome; 2] {
    let peers = [Peer::new(), Peer::new()];
    let relay = Setup::new().with(&["--io", driver, "--workers", "1"]).start();
    let calls = Vec::from_iter((0..CALLS).map(|_| Call::on(&relay)));
    let busy = busy_client(&relay, &peers);
    let sockets = calls.iter().flat_map(|call| [&call.client.socket, &call.peer.socket]);
    sockets.for_each(stamp);
    let to = match attack.to {
        Target::StunPort => relay.v4(),
        Target::RelayedAddress => calls[0].relayed,
    };
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        scope.spawn(|| sent.store(attack.run(to, &over), Ordering::Relaxed));
        scope.spawn(|| keep_busy(&busy, &over));
        talk(&calls);
        over.store(true, Ordering::Relaxed);
    });
    let least = u64::from(attack.per_second) * 3;
    assert!(sent.into_inner() > least, "the attack was none");
    [
        Outcome::of(calls.iter().map(|call| &call.peer.socket)),
        Outcome::of(calls.iter().map(|call| &call.client.socket)),
    ]
}

/// Whether the calls came through unharmed, which is printed.
fn comes_through(driver: &str, attack: &Attack) -> bool {
    let Attack { name, per_second, .. } = attack;
    let outcomes = beside(driver, attack);
    for (way, Outcome { lost, p99 }) in ["up", "down"].iter().zip(&outcomes) {
        eprintln!("{driver}: {per_second}/s of {name}: {way} p99 {p99:?}, {lost} lost");
    }
    outcomes.iter().all(|outcome| outcome.lost == 0 && outcome.p99 < P99_MAX)
}

#[test]
fn a_cheap_attack_neither_delays_nor_loses_a_packet_of_a_call() {
    let _stamps = stamps();
    for driver in ["uring", "portable"] {
        for attack in attacks() {
            // What a machine does that stops for a moment, it does once; an attack hurts each time.
            let unharmed = (0..3).any(|_| comes_through(driver, &attack));
            assert!(unharmed, "{driver}: {} a second of {}", attack.per_second, attack.name);
        }
    }
}
