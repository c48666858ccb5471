//! Calls whose packets say how long they took, and a client that keeps the worker busy.
//!
//! A packet carries the time it was sent at, and the kernel stamps it on arrival: what a busy
//! machine takes to run a test's own threads is in neither.

use std::io::IoSliceMut;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, recvmsg, setsockopt,
    sockopt::{ReceiveTimestampns, UdpGsoSegment},
};

use crate::client::{CHANNEL, Call, Client, Peer, channel_data};
use crate::relay::Relay;

const TICK: Duration = Duration::from_millis(20);

/// The busy client's frames come in trains, which cost a test little, and go to two peers in turn,
/// so that each leaves by itself.
const BUSY_TRAIN: u32 = 50;
const BUSY_CHANNELS: [u16; 2] = [0x4000, 0x4001];
const BUSY_PAYLOAD: [u8; 100] = [7; 100];

fn now() -> Duration {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970")
}

/// A socket that keeps the kernel stamping. It begins to do so some time after the first socket
/// asks for it; what arrives before then has the time at which it is read.
pub fn keep_stamping() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    stamp(&socket);
    thread::sleep(Duration::from_millis(500));
    socket
}

fn stamp(socket: &UdpSocket) {
    setsockopt(socket, ReceiveTimestampns, &true).expect("a kernel that stamps");
}

/// Calls, each of 50 packets a second each way.
pub struct Calls(Vec<Call>);

/// What became of the packets of one direction.
pub struct Outcome {
    pub sent: usize,
    pub lost: usize,
    pub p99: Duration,
}

impl Outcome {
    /// Whether calls beside an attack lost nothing that they did not lose without it, and were not
    /// much later.
    pub fn is_as_good_as(&self, calm: &Outcome) -> bool {
        let may_take = calm.p99.saturating_mul(4).saturating_add(TICK);
        self.lost <= calm.lost + calm.sent / 100 && self.p99 <= may_take
    }
}

impl Calls {
    pub fn on(relay: &Relay, count: usize) -> Calls {
        let calls = Vec::from_iter((0..count).map(|_| Call::on(relay)));
        let sockets = calls.iter().flat_map(|call| [&call.client.socket, &call.peer.socket]);
        sockets.for_each(stamp);
        Calls(calls)
    }

    pub fn first(&self) -> &Call {
        &self.0[0]
    }

    /// Talks for so many ticks of 20 ms while something else goes on, which is told when it is
    /// over; says what became of the packets to peers and to clients. All of them must fit into a
    /// socket's buffer.
    pub fn talk_beside(
        &self,
        ticks: usize,
        others: &[&(dyn Fn(&AtomicBool) + Sync)],
    ) -> [Outcome; 2] {
        let (over, begun) = (AtomicBool::new(false), now());
        thread::scope(|scope| {
            for other in others {
                scope.spawn(|| other(&over));
            }
            self.talk(ticks);
            over.store(true, Ordering::Relaxed);
        });
        let outcome = |of: fn(&Call) -> &UdpSocket| {
            let sockets = self.0.iter().map(of);
            let mut delays: Vec<_> = sockets.flat_map(|it| delays(it, begun, ticks)).collect();
            delays.sort();
            let sent = self.0.len() * ticks;
            let p99 = delays.get(delays.len() * 99 / 100).copied();
            Outcome { sent, lost: sent - delays.len(), p99: p99.unwrap_or(Duration::MAX) }
        };
        [outcome(|call| &call.peer.socket), outcome(|call| &call.client.socket)]
    }

    /// Sends a packet each way on every call at every tick, stamped.
    fn talk(&self, ticks: usize) {
        let begun = Instant::now();
        for tick in 0..ticks as u32 {
            thread::sleep((begun + TICK * tick).saturating_duration_since(Instant::now()));
            for call in &self.0 {
                let stamp = || (now().as_nanos() as u64).to_be_bytes();
                call.client.send_channel(CHANNEL, &stamp().repeat(20));
                call.peer.send(call.relayed, &stamp().repeat(20));
            }
        }
    }
}

/// How long each packet took that lies in a socket's buffer and was sent since a time; a
/// ChannelData header may stand in front.
fn delays(socket: &UdpSocket, since: Duration, most: usize) -> Vec<Duration> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let arrived = std::iter::from_fn(|| arrival(socket));
    let of_now = arrived.filter(|(sent, _)| *sent >= since);
    of_now.map(|(sent, arrived)| arrived.saturating_sub(sent)).take(most).collect()
}

/// When the next packet was sent, and when it arrived.
fn arrival(socket: &UdpSocket) -> Option<(Duration, Duration)> {
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
    Some((sent, arrived.expect("the kernel stamps")))
}

/// Sends so many datagrams a second, a millisecond's at a time, until it is over; says how many.
pub fn at_rate(per_second: u32, over: &AtomicBool, send: impl Fn()) -> u64 {
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

/// One more client, which sends so much that the worker is as busy as one that has work: then it
/// has most to lose by what an attack does to its batches.
pub struct Busy {
    client: Client,
    _peers: [Peer; 2],
}

impl Busy {
    pub fn on(relay: &Relay) -> Busy {
        let peers = [Peer::new(), Peer::new()];
        let mut client = Client::new(relay.v4());
        client.allocate();
        for (channel, peer) in BUSY_CHANNELS.into_iter().zip(&peers) {
            client.bind(channel, peer.address());
        }
        let frame_bytes = channel_data(BUSY_CHANNELS[0], &BUSY_PAYLOAD).len();
        let segment = i32::try_from(frame_bytes).expect("a datagram");
        setsockopt(&client.socket, UdpGsoSegment, &segment).expect("a kernel with UDP_SEGMENT");
        Busy { client, _peers: peers }
    }

    /// Sends so many frames a second until it is over.
    pub fn send(&self, per_second: u32, over: &AtomicBool) {
        let channels = BUSY_CHANNELS.iter().cycle().take(BUSY_TRAIN as usize);
        let train: Vec<u8> = channels.flat_map(|it| channel_data(*it, &BUSY_PAYLOAD)).collect();
        at_rate(per_second / BUSY_TRAIN, over, || self.client.send(&train));
    }
}
