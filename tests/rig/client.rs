//! A TURN client as small as one can be: one blocking socket, one user, no retransmissions, because
//! on loopback a lost answer is a fault. And the peers it talks to.

use std::collections::{BTreeSet, VecDeque};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::Duration;

use super::link::Link;
use super::relay::{LOOPBACK4, LOOPBACK6, PASSWORD, REALM, Relay, USER, patience};
use super::stun::{Answer, Builder, Class, attribute, long_term_key, method};

/// How long nothing must come before it counts as silence.
const SILENCE: Duration = Duration::from_millis(250);

pub struct Client {
    pub socket: UdpSocket,
    /// What it uses instead of the socket, if it comes on TCP.
    pub link: Option<Mutex<Link>>,
    pub server: SocketAddr,
    pub user: String,
    pub key: Vec<u8>,
    pub realm: String,
    /// The latest nonce the server gave, empty before the first challenge.
    pub nonce: String,
    /// What came in while an answer was awaited.
    aside: VecDeque<Vec<u8>>,
}

impl Client {
    pub fn new(server: SocketAddr) -> Self {
        Self::login(server, USER, PASSWORD)
    }

    pub fn login(server: SocketAddr, user: &str, password: &str) -> Self {
        let local = if server.is_ipv4() { LOOPBACK4 } else { LOOPBACK6 };
        Self::on(fresh_socket(local), server, user, password)
    }

    pub fn on(socket: UdpSocket, server: SocketAddr, user: &str, password: &str) -> Self {
        Self {
            socket,
            link: None,
            server,
            user: user.to_owned(),
            key: long_term_key(user, REALM, password).to_vec(),
            realm: REALM.to_owned(),
            nonce: String::new(),
            aside: VecDeque::new(),
        }
    }

    /// One that comes on TCP.
    pub fn over_tcp(server: SocketAddr) -> Self {
        Self::over(Link::to(server), server)
    }

    /// One that comes on a connection of its own.
    pub fn over(link: Link, server: SocketAddr) -> Self {
        Self { link: Some(Mutex::new(link)), ..Self::new(server) }
    }

    pub fn address(&self) -> SocketAddr {
        let of_link =
            self.link.as_ref().map(|link| link.lock().expect("not poisoned").stream.local_addr());
        of_link.unwrap_or_else(|| self.socket.local_addr()).expect("it is bound")
    }

    /// Its connection; it comes on one.
    pub fn link(&mut self) -> &mut Link {
        self.link.as_mut().expect("it comes on TCP").get_mut().expect("not poisoned")
    }

    pub fn send(&self, bytes: &[u8]) {
        if let Some(link) = &self.link {
            return link.lock().expect("not poisoned").send(bytes);
        }
        self.socket.send_to(bytes, self.server).expect("the datagram leaves");
    }

    /// The next datagram from the server, whatever it is.
    pub fn receive(&mut self) -> Vec<u8> {
        self.aside.pop_front().unwrap_or_else(|| self.arrival(patience()).expect("a datagram"))
    }

    /// The next datagram, which must be a message.
    pub fn message(&mut self) -> Answer {
        Answer::parse(&self.receive())
    }

    pub fn expect_silence(&mut self) {
        let next = self.aside.pop_front().or_else(|| self.arrival(SILENCE));
        assert_eq!(next, None, "silence was due");
    }

    /// What `bytes` are answered with, `None` for silence. Unlike `request`, it asks for no more
    /// than an answer, whatever its transaction.
    pub fn reaction(&mut self, bytes: &[u8]) -> Option<Answer> {
        self.send(bytes);
        self.arrival(SILENCE).map(|bytes| Answer::parse(&bytes))
    }

    fn arrival(&self, patience: Duration) -> Option<Vec<u8>> {
        if let Some(link) = &self.link {
            return link.lock().expect("not poisoned").receive(patience);
        }
        self.socket.set_read_timeout(Some(patience)).expect("a timeout");
        let mut buffer = vec![0; 65_536];
        match self.socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                assert_eq!(from, self.server, "an answer leaves from the address that was asked");
                buffer.truncate(length);
                Some(buffer)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // A machine that was stopped and went on (signal(7), SIGCONT).
            Err(error) if error.kind() == ErrorKind::Interrupted => self.arrival(patience),
            Err(error) => panic!("receiving: {error}"),
        }
    }

    /// Sends a request as it is and returns the answer with its transaction.
    pub fn request(&mut self, request: &[u8]) -> Answer {
        self.send(request);
        let transaction = &request[8..20];
        loop {
            let arrival = self.arrival(patience()).expect("silence is never an answer");
            if arrival[0] < 0x40 && arrival[8..20] == *transaction {
                return Answer::parse(&arrival);
            }
            self.aside.push_back(arrival);
        }
    }

    /// Adds user, realm, nonce and integrity: all that makes a request authenticated.
    pub fn sign(&self, request: Builder) -> Vec<u8> {
        request
            .attribute(attribute::USERNAME, self.user.as_bytes())
            .attribute(attribute::REALM, self.realm.as_bytes())
            .attribute(attribute::NONCE, self.nonce.as_bytes())
            .integrity(&self.key)
            .bytes()
    }

    /// Gets a nonce if there is none yet.
    pub fn challenge(&mut self) {
        if self.nonce.is_empty() {
            let answer = self.request(&Builder::request(method::REFRESH).bytes());
            assert_eq!(answer.code(), Some(401), "a challenge");
            self.nonce = answer.text(attribute::NONCE);
        }
    }

    /// Gets a nonce and takes over the realm that the server says it has.
    pub fn challenge_realm(&mut self) {
        let answer = self.request(&Builder::request(method::REFRESH).bytes());
        assert_eq!(answer.code(), Some(401), "a challenge");
        self.nonce = answer.text(attribute::NONCE);
        self.realm = answer.text(attribute::REALM);
    }

    /// Sends a request with credentials. Every answer to one must be signed, unless it says that
    /// the credentials did not hold.
    pub fn authenticated(&mut self, request: Builder) -> Answer {
        self.challenge();
        let signed = self.sign(request);
        let answer = self.request(&signed);
        if !matches!(answer.code(), Some(401 | 438)) {
            assert!(answer.is_signed_with(&self.key), "not signed: {answer:?}");
        }
        answer
    }

    /// Sends a request with credentials that must succeed.
    pub fn succeed(&mut self, request: Builder) -> Answer {
        let answer = self.authenticated(request);
        assert_eq!(answer.class, Class::Success, "refused with {:?}", answer.code());
        answer
    }

    /// Sends a request with credentials that must fail, and returns the code.
    pub fn fail(&mut self, request: Builder) -> u16 {
        let answer = self.authenticated(request);
        answer.code().expect("a refusal was due")
    }

    /// A relayed address of the family the server prefers.
    pub fn allocate(&mut self) -> SocketAddr {
        self.succeed(allocate()).address(attribute::XOR_RELAYED_ADDRESS)
    }

    pub fn allocate_v6(&mut self) -> SocketAddr {
        let answer = self.succeed(allocate().attribute(attribute::REQUESTED_ADDRESS_FAMILY, V6));
        answer.address(attribute::XOR_RELAYED_ADDRESS)
    }

    pub fn permit(&mut self, peer: SocketAddr) {
        self.succeed(create_permission(peer));
    }

    pub fn bind(&mut self, channel: u16, peer: SocketAddr) {
        self.succeed(channel_bind(channel, peer));
    }

    pub fn refresh(&mut self, lifetime_s: u32) -> Answer {
        self.succeed(Builder::request(method::REFRESH).lifetime(lifetime_s))
    }

    pub fn send_indication(&self, peer: SocketAddr, payload: &[u8]) {
        self.send(&send_indication(peer, payload).bytes());
    }

    /// Sends on a channel, without the padding that UDP does not need.
    pub fn send_channel(&self, channel: u16, payload: &[u8]) {
        self.send(&channel_data(channel, payload));
    }

    /// The next datagram must be a Data indication: its peer and its payload.
    pub fn data_indication(&mut self) -> (SocketAddr, Vec<u8>) {
        let message = self.message();
        assert_eq!((message.method, message.class), (method::DATA, Class::Indication));
        let payload = message.get(attribute::DATA).expect("DATA is there").to_vec();
        (message.address(attribute::XOR_PEER_ADDRESS), payload)
    }

    /// The next datagram must be ChannelData: its channel and its payload.
    pub fn channel_data(&mut self) -> (u16, Vec<u8>) {
        let datagram = self.receive();
        let length = usize::from(u16::from_be_bytes([datagram[2], datagram[3]]));
        assert!((4 + length..4 + length.next_multiple_of(4) + 1).contains(&datagram.len()));
        (u16::from_be_bytes([datagram[0], datagram[1]]), datagram[4..4 + length].to_vec())
    }
}

pub const V4: &[u8] = &[1, 0, 0, 0];
pub const V6: &[u8] = &[2, 0, 0, 0];

pub fn allocate() -> Builder {
    Builder::request(method::ALLOCATE).udp_transport()
}

pub fn create_permission(peer: SocketAddr) -> Builder {
    Builder::request(method::CREATE_PERMISSION).peer(peer)
}

pub fn channel_bind(channel: u16, peer: SocketAddr) -> Builder {
    Builder::request(method::CHANNEL_BIND).channel_number(channel).peer(peer)
}

pub fn send_indication(peer: SocketAddr, payload: &[u8]) -> Builder {
    Builder::indication(method::SEND).peer(peer).attribute(attribute::DATA, payload)
}

pub fn channel_data(channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(payload.len()).expect("a payload fits into a datagram");
    [&channel.to_be_bytes(), &length.to_be_bytes(), payload].concat()
}

/// A socket on a free port of `ip`.
pub fn socket(ip: IpAddr) -> UdpSocket {
    UdpSocket::bind((ip, 0)).expect("a free port")
}

/// A socket on an address that no client of this process had before, if one is left. The kernel
/// draws ports and gives one twice by and by; a client that meets the allocation of a gone one gets
/// 437.
fn fresh_socket(ip: IpAddr) -> UdpSocket {
    static HAD: Mutex<BTreeSet<SocketAddr>> = Mutex::new(BTreeSet::new());
    let mut had = HAD.lock().expect("not poisoned");
    // Held until a fresh one is found, or the kernel could draw them again.
    let mut passed_over = Vec::new();
    loop {
        let drawn = socket(ip);
        if had.insert(drawn.local_addr().expect("it is bound")) || passed_over.len() == 64 {
            return drawn;
        }
        passed_over.push(drawn);
    }
}

/// Whoever is at the other end: raw UDP.
pub struct Peer {
    pub socket: UdpSocket,
}

impl Peer {
    pub fn new() -> Self {
        Self::at(LOOPBACK4)
    }

    pub fn v6() -> Self {
        Self::at(LOOPBACK6)
    }

    pub fn at(ip: IpAddr) -> Self {
        Self { socket: socket(ip) }
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("it is bound")
    }

    pub fn send(&self, to: SocketAddr, payload: &[u8]) {
        self.socket.send_to(payload, to).expect("the datagram leaves");
    }

    /// The next datagram and where it came from.
    pub fn receive(&self) -> (SocketAddr, Vec<u8>) {
        self.arrival(patience()).expect("a datagram for the peer")
    }

    pub fn expect_silence(&self) {
        assert_eq!(self.arrival(SILENCE), None, "silence was due");
    }

    fn arrival(&self, patience: Duration) -> Option<(SocketAddr, Vec<u8>)> {
        self.socket.set_read_timeout(Some(patience)).expect("a timeout");
        let mut buffer = vec![0; 65_536];
        let (length, from) = self.socket.recv_from(&mut buffer).ok()?;
        buffer.truncate(length);
        Some((from, buffer))
    }
}

/// The channel of a [`Call`].
pub const CHANNEL: u16 = 0x4000;

/// A client with a channel to a peer, and its relayed address.
pub struct Call {
    pub client: Client,
    pub peer: Peer,
    pub relayed: SocketAddr,
}

impl Call {
    pub fn on(relay: &Relay) -> Self {
        Self::of(Client::new(relay.v4()))
    }

    /// Has a client allocate, and call a peer of its own.
    pub fn of(mut client: Client) -> Self {
        let peer = Peer::new();
        let relayed = client.allocate();
        client.bind(CHANNEL, peer.address());
        Self { client, peer, relayed }
    }

    /// Sends a packet each way, and both must arrive.
    pub fn talk(&mut self) {
        self.client.send_channel(CHANNEL, b"out");
        assert_eq!(self.peer.receive(), (self.relayed, b"out".to_vec()));
        self.peer.send(self.relayed, b"in");
        assert_eq!(self.client.channel_data(), (CHANNEL, b"in".to_vec()));
    }
}
