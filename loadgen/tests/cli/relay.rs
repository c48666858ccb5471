//! A relay of a few hundred lines that does what a test asks for: it drops, doubles, swaps and
//! breaks known packets, and says how many of each.

use std::{
    collections::HashMap,
    io::ErrorKind,
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use uturn::wire::{
    AttributeType, ChannelData, ChannelNumber, ChannelRange, Class, ErrorCode, IntegrityKey,
    Message, MessageWriter, Method, PacketKind, Prefix, TransactionId,
};

/// What the relay is told to do wrong.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Script {
    /// Break the packets of each flow, each in its turn.
    pub(crate) faults: bool,
    /// Answer 508 to allocations beyond so many.
    pub(crate) max_allocations: Option<usize>,
    /// Do not answer those at all.
    pub(crate) silent_beyond: bool,
    /// Drop what comes beyond so many packets a second.
    pub(crate) most_pps: Option<u64>,
    /// Grant the allocation after so many others, and do not say so.
    pub(crate) mute: Option<usize>,
    /// Answer 403 to permissions.
    pub(crate) forbid_peers: bool,
    /// Answer 437 to so many first allocations.
    pub(crate) old_ports: usize,
}

/// What the relay did, one entry for each direction: client to peer, peer to client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Done {
    pub(crate) dropped: [u64; 2],
    pub(crate) doubled: [u64; 2],
    pub(crate) swapped: [u64; 2],
    pub(crate) broken: [u64; 2],
    pub(crate) refreshes: u64,
    pub(crate) closed: u64,
    /// Packets that came, either way.
    pub(crate) seen: u64,
    pub(crate) unanswered: u64,
}

/// A relay on a thread of its own, until dropped. User `user`, password `pass`.
pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    done: Arc<Mutex<Done>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    pub(crate) fn start(script: Script) -> Relay {
        let socket = open();
        let address = socket.local_addr().unwrap();
        let (done, stop) = (Arc::<Mutex<Done>>::default(), Arc::<AtomicBool>::default());
        let mut work = Work {
            socket,
            script,
            done: done.clone(),
            allocations: HashMap::new(),
            refused: 0,
            tenth: (0, 0),
            begin: Instant::now(),
        };
        let stopped = stop.clone();
        let thread = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if !work.turn() {
                    thread::sleep(Duration::from_micros(200));
                }
            }
        });
        Relay { address, done, stop, thread: Some(thread) }
    }

    pub(crate) fn done(&self) -> Done {
        *self.done.lock().unwrap()
    }

    /// Waits until so many packets came.
    pub(crate) fn wait_for_packets(&self, packets: u64) {
        while self.done().seen < packets {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().map(JoinHandle::join);
    }
}

struct Allocation {
    relay: UdpSocket,
    channel: Option<(ChannelNumber, SocketAddr)>,
    /// Packets so far and the one that is held back, each way.
    flows: [(u64, Option<Vec<u8>>); 2],
}

struct Work {
    socket: UdpSocket,
    script: Script,
    done: Arc<Mutex<Done>>,
    allocations: HashMap<SocketAddr, Allocation>,
    refused: usize,
    /// The tenth of a second that is counted, and packets in it.
    tenth: (u128, u64),
    begin: Instant,
}

type Answer<'a> = Box<dyn Fn(&mut MessageWriter<'_>) + 'a>;

impl Work {
    /// Handles what is there; false when nothing was.
    fn turn(&mut self) -> bool {
        let mut any = false;
        let mut buffer = [0; 65_536];
        while let Some((bytes, from)) = receive(&self.socket, &mut buffer) {
            any = true;
            self.hear_client(&buffer[..bytes], from);
        }
        let clients: Vec<SocketAddr> = self.allocations.keys().copied().collect();
        for client in clients {
            while let Some((bytes, peer)) = receive(&self.allocations[&client].relay, &mut buffer) {
                any = true;
                self.hear_peer(client, peer, &buffer[..bytes]);
            }
        }
        any
    }

    fn hear_client(&mut self, datagram: &[u8], client: SocketAddr) {
        if PacketKind::of(datagram) == PacketKind::ChannelData {
            let frame = ChannelData::parse(datagram).unwrap();
            let Some(allocation) = self.allocations.get(&client) else { return };
            let (channel, peer) = allocation.channel.unwrap();
            assert_eq!(frame.channel, channel);
            return self.relay_up(client, peer, &datagram[frame.payload()]);
        }
        let message = Message::parse(datagram).unwrap();
        if (message.method(), message.class()) == (Method::Send, Class::Indication) {
            let (peer, data) = (message.peer().unwrap().unwrap(), message.data().unwrap());
            return self.relay_up(client, peer, data);
        }
        self.request(&message, client);
    }

    fn request(&mut self, message: &Message<'_>, client: SocketAddr) {
        let key = IntegrityKey::long_term(b"user", b"realm", b"pass");
        if message.method() == Method::Binding {
            let write: Answer<'_> = Box::new(|writer| {
                writer.xor_mapped_address(client);
            });
            return self.answer(message, client, None, &write);
        }
        let full = self.script.max_allocations.is_some_and(|most| self.allocations.len() >= most);
        if full && self.script.silent_beyond && message.method() == Method::Allocate {
            self.done.lock().unwrap().unanswered += 1;
            return;
        }
        if !message.is_signed_with(&key) {
            return self.refuse(message, client, ErrorCode::Unauthenticated, None);
        }
        let before = self.allocations.len();
        match self.act(message, client) {
            Ok(_) if message.method() == Method::Allocate && self.script.mute == Some(before) => {}
            Ok(write) => self.answer(message, client, Some(&key), &write),
            Err(code) => self.refuse(message, client, code, Some(&key)),
        }
    }

    fn act(
        &mut self,
        message: &Message<'_>,
        client: SocketAddr,
    ) -> Result<Answer<'static>, ErrorCode> {
        let lifetime: Answer<'static> = Box::new(|writer| {
            writer.lifetime_s(600);
        });
        match message.method() {
            Method::Allocate => self.allocate(client),
            Method::CreatePermission if self.script.forbid_peers => Err(ErrorCode::Forbidden),
            Method::CreatePermission => {
                message.peer().unwrap().unwrap();
                Ok(Box::new(|_| {}))
            }
            Method::ChannelBind => {
                let number = message.channel_number().unwrap().unwrap();
                let number = ChannelNumber::new(number, ChannelRange::default()).unwrap();
                let peer = message.peer().unwrap().unwrap();
                self.allocations.get_mut(&client).unwrap().channel = Some((number, peer));
                Ok(Box::new(|_| {}))
            }
            Method::Refresh if !self.allocations.contains_key(&client) => {
                Err(ErrorCode::AllocationMismatch)
            }
            Method::Refresh if message.lifetime_s() == Ok(Some(0)) => {
                self.done.lock().unwrap().closed += 1;
                self.allocations.remove(&client);
                Ok(lifetime)
            }
            Method::Refresh => {
                self.done.lock().unwrap().refreshes += 1;
                Ok(lifetime)
            }
            other => panic!("{other:?}"),
        }
    }

    fn allocate(&mut self, client: SocketAddr) -> Result<Answer<'static>, ErrorCode> {
        if self.refused < self.script.old_ports {
            self.refused += 1;
            return Err(ErrorCode::AllocationMismatch);
        }
        if self.script.max_allocations.is_some_and(|most| self.allocations.len() >= most) {
            return Err(ErrorCode::InsufficientCapacity);
        }
        let relay = open();
        let relayed = relay.local_addr().unwrap();
        let allocation = Allocation { relay, channel: None, flows: Default::default() };
        self.allocations.insert(client, allocation);
        Ok(Box::new(move |writer| {
            writer.xor_relayed_address(relayed).xor_mapped_address(client).lifetime_s(600);
            writer.attribute(AttributeType::SOFTWARE, b"scripted relay");
        }))
    }

    fn refuse(
        &self,
        m: &Message<'_>,
        client: SocketAddr,
        code: ErrorCode,
        key: Option<&IntegrityKey>,
    ) {
        let mut out = [0; 512];
        let mut writer = MessageWriter::new(&mut out, m.method(), Class::Error, m.transaction());
        writer.error_code(code);
        match key {
            Some(key) => writer.integrity(key),
            None => writer
                .attribute(AttributeType::REALM, b"realm")
                .attribute(AttributeType::NONCE, b"nonce"),
        };
        let bytes = writer.finish().unwrap();
        self.socket.send_to(&out[..bytes], client).unwrap();
    }

    fn answer(
        &self,
        m: &Message<'_>,
        client: SocketAddr,
        key: Option<&IntegrityKey>,
        write: &Answer<'_>,
    ) {
        let mut out = [0; 512];
        let mut writer = MessageWriter::new(&mut out, m.method(), Class::Success, m.transaction());
        write(&mut writer);
        key.map(|key| writer.integrity(key));
        let bytes = writer.finish().unwrap();
        self.socket.send_to(&out[..bytes], client).unwrap();
    }

    fn relay_up(&mut self, client: SocketAddr, peer: SocketAddr, payload: &[u8]) {
        for payload in self.meddle(client, 0, payload) {
            self.allocations[&client].relay.send_to(&payload, peer).unwrap();
        }
    }

    fn hear_peer(&mut self, client: SocketAddr, peer: SocketAddr, payload: &[u8]) {
        for payload in self.meddle(client, 1, payload) {
            let prefix = match self.allocations[&client].channel {
                Some((number, _)) => Prefix::Channel(number),
                None => Prefix::DataIndication { peer, transaction: TransactionId([7; 12]) },
            };
            let mut frame = vec![0; prefix.bytes()];
            prefix.write(payload.len(), &mut frame).unwrap();
            frame.extend(&payload);
            frame.extend(vec![0; prefix.trailing_bytes(payload.len())]);
            self.socket.send_to(&frame, client).unwrap();
        }
    }

    /// Counts a packet, and says whether it is beyond what is carried.
    fn is_too_much(&mut self) -> bool {
        let tenth = self.begin.elapsed().as_millis() / 100;
        let before = if self.tenth.0 == tenth { self.tenth.1 } else { 0 };
        self.tenth = (tenth, before + 1);
        self.script.most_pps.is_some_and(|most| before >= most / 10)
    }

    /// What leaves for one packet that came in.
    fn meddle(&mut self, client: SocketAddr, way: usize, payload: &[u8]) -> Vec<Vec<u8>> {
        self.done.lock().unwrap().seen += 1;
        if self.is_too_much() {
            return Vec::new();
        }
        let flow = &mut self.allocations.get_mut(&client).unwrap().flows[way];
        let (number, held) = (flow.0, flow.1.take());
        flow.0 += 1;
        let mut done = self.done.lock().unwrap();
        let mut payload = payload.to_vec();
        match (number % 10, held) {
            _ if !self.script.faults => vec![payload],
            (1, _) => {
                done.broken[way] += 1;
                let at = (number as usize * 7) % payload.len();
                payload[at] ^= 1 << (number % 8);
                vec![payload]
            }
            (3, _) => {
                done.dropped[way] += 1;
                Vec::new()
            }
            (5, _) => {
                done.doubled[way] += 1;
                vec![payload.clone(), payload]
            }
            (7, _) => {
                flow.1 = Some(payload);
                Vec::new()
            }
            (_, Some(held)) => {
                done.swapped[way] += 1;
                vec![payload, held]
            }
            (_, None) => vec![payload],
        }
    }
}

/// A socket with as much room as it gets: a busy machine may not run the relay for a while.
fn open() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_nonblocking(true).unwrap();
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    socket
}

fn receive(socket: &UdpSocket, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
    match socket.recv_from(buffer) {
        Ok(received) => Some(received),
        Err(error) if error.kind() == ErrorKind::WouldBlock => None,
        // A client that has gone away.
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => None,
        Err(error) => panic!("{error}"),
    }
}
