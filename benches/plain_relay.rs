//! The relay that others are measured against: epoll, one `recvfrom` and one `sendto` for each
//! packet.
//!
//! Requests are answered by uturn's own state machine, so that any client can set up real calls. A
//! payload is looked up in one hash map, and gets or loses its four bytes of channel header: no
//! expiry, no permission, no counter. What it costs is the kernel's share and next to nothing else.
//!
//! ```sh
//! cargo build --release --example plain_relay
//! loadgen compare … --server-cmd 'plain=taskset -c 0 plain_relay {ip}:{port} 20000'
//! ```
//!
//! The user is `user`, the password `pass`, the realm `example.org`; relay ports are given out from
//! the second argument on, at the address it listens on.

use std::{
    collections::HashMap,
    env,
    error::Error,
    io,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use uturn::{
    turn::{
        Authenticator, Bind, Counts, Credentials, DEFAULT_NONCE_LIFETIME_S, Effect, FiveTuple,
        ListenerId, Nonces, Now, Open, Outcome, Path, PeerPolicy, PortPlan, REPLY_BYTES,
        RelayAddress, RelayId, Server, Settings, Shard, Train, Verdict, WorkerIndex,
    },
    wire::Prefix,
};

/// The token of the listening socket; a relay socket's is its index.
const LISTENER: u64 = u64::MAX;
/// Readable sockets that one wait reports.
const READY_MAX: usize = 256;
/// Packets read from one socket before the next one's turn.
const READS_MAX: usize = 32;
const HEADER_BYTES: usize = 4;

/// A relay socket, and the one call that goes through it.
struct Relay {
    id: RelayId,
    socket: UdpSocket,
    /// The peer, the client, and the channel between them; once there was a packet.
    call: Option<(SocketAddr, SocketAddr, [u8; 2])>,
}

struct PlainRelay {
    epoll: Epoll,
    listener: UdpSocket,
    server: Server,
    started: Instant,
    relays: Vec<Relay>,
    /// Where a client's channel leads: the index of a relay, and the peer.
    channels: HashMap<(SocketAddr, [u8; 2]), (usize, SocketAddr)>,
    reply: Box<[u8; REPLY_BYTES]>,
    /// A datagram, with room in front of it for a channel header.
    buffer: Box<[u8; 65_536]>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let mut argument = |name| arguments.next().ok_or_else(|| format!("plain_relay: no {name}"));
    let listen: SocketAddr = argument("address to listen on")?.parse()?;
    let first_port: u16 = argument("first relay port")?.parse()?;
    PlainRelay::new(listen, first_port)?.run()
}

impl PlainRelay {
    fn new(listen: SocketAddr, first_port: u16) -> Result<PlainRelay, Box<dyn Error>> {
        let credentials = Credentials::new("example.org").with_user("user", "pass");
        let nonces = Nonces::new([1; 32], DEFAULT_NONCE_LIFETIME_S);
        let policy = PeerPolicy::new(&["127.0.0.0/8".parse()?], &[], &[]);
        let settings = Settings::new(Authenticator::new(credentials, nonces), policy);
        let ports = PortPlan::new(first_port, first_port.saturating_add(9_999), 1);
        let address = RelayAddress { local: listen.ip(), advertised: listen.ip() };
        let shard = Shard {
            worker: WorkerIndex(0),
            ports,
            relays: ports.open(&[address]),
            quota: Box::new(Counts::new(None, None)),
        };
        let (epoll, listener) = (Epoll::new(EpollCreateFlags::empty())?, UdpSocket::bind(listen)?);
        listener.set_nonblocking(true)?;
        epoll.add(&listener, EpollEvent::new(EpollFlags::EPOLLIN, LISTENER))?;
        Ok(PlainRelay {
            epoll,
            listener,
            server: Server::new(Arc::new(settings), shard, [2; 32]),
            started: Instant::now(),
            relays: Vec::new(),
            channels: HashMap::new(),
            reply: Box::new([0; REPLY_BYTES]),
            buffer: Box::new([0; 65_536]),
        })
    }

    fn run(mut self) -> Result<(), Box<dyn Error>> {
        let mut ready = [EpollEvent::empty(); READY_MAX];
        loop {
            let count = self.epoll.wait(&mut ready, EpollTimeout::NONE)?;
            for event in &ready[..count] {
                match event.data() {
                    LISTENER => self.read_listener()?,
                    relay => self.read_relay(relay as usize)?,
                }
            }
        }
    }

    fn read_listener(&mut self) -> io::Result<()> {
        for _ in 0..READS_MAX {
            let Some((bytes, client)) = received(self.listener.recv_from(&mut self.buffer[..]))?
            else {
                break;
            };
            let channel = [self.buffer[0], self.buffer[1]];
            match self.channels.get(&(client, channel)) {
                Some((relay, peer)) => {
                    let length = u16::from_be_bytes([self.buffer[2], self.buffer[3]]);
                    let payload = HEADER_BYTES..(HEADER_BYTES + usize::from(length)).min(bytes);
                    sent(self.relays[*relay].socket.send_to(&self.buffer[payload], *peer))?;
                }
                None => self.judge(client, bytes)?,
            }
        }
        Ok(())
    }

    fn read_relay(&mut self, index: usize) -> io::Result<()> {
        for _ in 0..READS_MAX {
            let relay = &mut self.relays[index];
            let room = &mut self.buffer[HEADER_BYTES..];
            let Some((bytes, from)) = received(relay.socket.recv_from(room))? else { break };
            if relay.call.is_none() {
                let now = now(self.started);
                let Ok(delivered) =
                    self.server.from_peer(now, relay.id, from, Train::single(bytes))
                else {
                    continue;
                };
                let Prefix::Channel(channel) = delivered.to.prefix else { continue };
                let channel = channel.number().to_be_bytes();
                relay.call = Some((from, delivered.to.path.client(), channel));
            }
            if let Some((peer, client, channel)) = relay.call
                && peer == from
            {
                self.buffer[..2].copy_from_slice(&channel);
                self.buffer[2..HEADER_BYTES].copy_from_slice(&(bytes as u16).to_be_bytes());
                sent(self.listener.send_to(&self.buffer[..HEADER_BYTES + bytes], client))?;
            }
        }
        Ok(())
    }

    /// A request, or the first packet of a channel.
    fn judge(&mut self, client: SocketAddr, bytes: usize) -> io::Result<()> {
        let flow = FiveTuple { listener: ListenerId(0), client };
        let (now, datagram) = (now(self.started), &self.buffer[..bytes]);
        let mut verdict =
            self.server.from_client(now, Path::udp(flow), datagram, 1, &mut self.reply[..]);
        while let Some(effect) = self.server.next_effect() {
            if let Effect::Open(open) = effect {
                verdict = self.open(&open)?;
            }
        }
        match verdict {
            Verdict::ToPeer { relay, peer, payload, .. } => {
                let index = self.relays.iter().position(|open| open.id == relay);
                let Some(index) = index else { return Ok(()) };
                if payload.start == HEADER_BYTES {
                    let channel = [self.buffer[0], self.buffer[1]];
                    self.channels.insert((client, channel), (index, peer));
                }
                sent(self.relays[index].socket.send_to(&self.buffer[payload], peer))
            }
            Verdict::Reply(bytes) => sent(self.listener.send_to(&self.reply[..bytes], client)),
            Verdict::ToClient { .. }
            | Verdict::HandOver { .. }
            | Verdict::Move(_)
            | Verdict::Pending
            | Verdict::Drop(_) => Ok(()),
        }
    }

    fn open(&mut self, open: &Open) -> io::Result<Verdict> {
        let mut bound = Vec::new();
        for wanted in &open.sockets {
            let Ok(socket) = UdpSocket::bind(wanted.local) else {
                bound.push(Bind::InUse);
                continue;
            };
            socket.set_nonblocking(true)?;
            let token = self.relays.len() as u64;
            self.epoll.add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, token))?;
            self.relays.push(Relay { id: wanted.relay, socket, call: None });
            bound.push(Bind::Bound);
        }
        let outcome = Outcome::Opened(&bound);
        let now = now(self.started);
        Ok(self.server.complete(now, open.pending, outcome, &mut self.reply[..]))
    }
}

/// What was received, if anything was.
fn received(result: io::Result<(usize, SocketAddr)>) -> io::Result<Option<(usize, SocketAddr)>> {
    match result.map_err(|error| (error.kind(), error)) {
        Ok(received) => Ok(Some(received)),
        Err((io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused, _)) => Ok(None),
        Err((_, error)) => Err(error),
    }
}

/// A packet that does not fit into the send buffer is lost, as in every relay.
fn sent(result: io::Result<usize>) -> io::Result<()> {
    match result.map_err(|error| (error.kind(), error)) {
        Ok(_) | Err((io::ErrorKind::WouldBlock | io::ErrorKind::ConnectionRefused, _)) => Ok(()),
        Err((_, error)) => Err(error),
    }
}

fn now(started: Instant) -> Now {
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Now { mono_ms: started.elapsed().as_millis() as u64, unix_s: unix.as_secs() }
}
