//! A relayed packet costs no heap allocation: a counting allocator watches a whole worker, both
//! ways, with both drivers, by channel and by indication.
//!
//! The client and the peer live on the test's own thread, which is not counted; what is left is the
//! worker's thread.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto::aws_lc_rs};
use uturn::{
    io::Settings as IoSettings,
    stream::{Pair, TlsContext},
    turn::{Authenticator, Credentials, Nonces, PeerPolicy, PortPlan, RelayAddress, Settings},
    wire::{
        AttributeType, Class, IntegrityKey, Message, MessageWriter, Method, TRANSPORT_UDP,
        TransactionId,
    },
    worker::{DriverKind, Limits, Listen, Plan, Steering, StreamRules, Workers, spawn},
};

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static IS_COUNTED: Cell<bool> = const { Cell::new(true) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system allocator, which keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTED.get() {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: the caller keeps the conditions of `alloc`, which are System's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, so from System, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const CHANNEL: u16 = 0x4000;

/// What proves the server to its clients.
const NAME: &str = "turn.example";

/// How a client comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

/// Its way to the server.
enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// Both configurations of one trust.
struct Trust {
    server: Arc<TlsContext>,
    client: Arc<ClientConfig>,
}

impl Trust {
    fn new() -> Trust {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let client = builder.with_root_certificates(roots).with_no_client_auth();
        let (chain, key) = (vec![made.cert.der().to_vec()], made.signing_key.serialize_der());
        let server = TlsContext::new(vec![Pair { names: Vec::new(), chain, key }]);
        Trust { server: Arc::new(server.expect("a pair")), client: Arc::new(client) }
    }
}

impl Wire {
    fn connect(transport: Transport, server: SocketAddr, trust: &Trust) -> Wire {
        if transport == Transport::Udp {
            let socket = socket();
            socket.connect(server).expect("loopback");
            return Wire::Udp(socket);
        }
        let stream = TcpStream::connect(server).expect("the worker takes connections");
        stream.set_nodelay(true).expect("an option of TCP");
        stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        if transport == Transport::Tcp {
            return Wire::Tcp(stream);
        }
        let name = NAME.try_into().expect("a name");
        let tls = ClientConnection::new(trust.client.clone(), name).expect("a client");
        Wire::Tls(Box::new(StreamOwned::new(tls, stream)))
    }

    fn send(&mut self, message: &[u8]) {
        match self {
            Wire::Udp(socket) => drop(socket.send(message).expect("sent")),
            Wire::Tcp(stream) => stream.write_all(message).expect("sent"),
            Wire::Tls(stream) => {
                stream.write_all(message).expect("sealed");
                stream.flush().expect("sent");
            }
        }
    }

    /// The next message; all of them end on a multiple of 4 here.
    fn recv(&mut self, buffer: &mut [u8]) -> usize {
        match self {
            Wire::Udp(socket) => socket.recv(buffer).expect("relayed"),
            Wire::Tcp(stream) => frame(stream, buffer),
            Wire::Tls(stream) => frame(stream, buffer),
        }
    }
}

fn frame(stream: &mut impl Read, buffer: &mut [u8]) -> usize {
    stream.read_exact(&mut buffer[..4]).expect("relayed");
    let length = usize::from(u16::from_be_bytes([buffer[2], buffer[3]]));
    let bytes = if buffer[0] < 0x40 { 20 + length } else { 4 + length };
    stream.read_exact(&mut buffer[4..bytes]).expect("relayed");
    bytes
}

/// A client with an allocation, a channel and a permission, and its two peers.
struct Call {
    client: Wire,
    relayed: SocketAddr,
    on_channel: UdpSocket,
    permitted: UdpSocket,
}

impl Call {
    fn set_up(mut client: Wire) -> Call {
        let challenge = request(&mut client, Method::Allocate, None, |_| {});
        let nonce = Message::parse(&challenge).expect("a message").nonce().expect("one").to_vec();
        let sign = Some(&nonce[..]);
        let answer = request(&mut client, Method::Allocate, sign, |writer| {
            writer.requested_transport(TRANSPORT_UDP);
        });
        let answer = Message::parse(&answer).expect("a message");
        let relayed = answer.xor_address(AttributeType::XOR_RELAYED_ADDRESS);
        let relayed = relayed.expect("well-formed").expect("an allocation");
        let mut call = Call { client, relayed, on_channel: socket(), permitted: socket() };
        let (bound, permitted) = (address(&call.on_channel), address(&call.permitted));
        request(&mut call.client, Method::ChannelBind, sign, |writer| {
            writer.channel_number(CHANNEL).xor_peer_address(bound);
        });
        request(&mut call.client, Method::CreatePermission, sign, |writer| {
            writer.xor_peer_address(permitted);
        });
        call
    }

    /// A few packets each way, by channel and by indication.
    fn talk(&mut self) {
        let mut buffer = [0; 2048];
        let mut frame = [7; 104];
        frame[..4].copy_from_slice(&[0x40, 0, 0, 100]);
        let indication = indication(address(&self.permitted), &[8; 50]);
        self.client.send(&frame);
        assert_eq!(self.on_channel.recv(&mut buffer).expect("relayed"), 100);
        self.client.send(&indication);
        assert_eq!(self.permitted.recv(&mut buffer).expect("relayed"), 50);
        self.on_channel.send_to(&[9; 200], self.relayed).expect("sent");
        assert_eq!(self.client.recv(&mut buffer), 204);
        self.permitted.send_to(&[9; 61], self.relayed).expect("sent");
        assert_eq!(self.client.recv(&mut buffer), 36 + 64);
        // Several at once, which may leave joined.
        for _ in 0..8 {
            self.client.send(&frame);
        }
        for _ in 0..8 {
            assert_eq!(self.on_channel.recv(&mut buffer).expect("relayed"), 100);
        }
    }
}

// All three stand in one test, because all threads are counted as one.
#[test]
fn a_relayed_packet_allocates_nothing_and_a_record_of_tls_one_block() {
    IS_COUNTED.set(false);
    let trust = Trust::new();
    for driver in [DriverKind::Uring, DriverKind::Portable] {
        let of = |transport| allocations(driver, transport, &trust);
        assert_eq!(of(Transport::Udp), 0, "{driver:?}");
        assert_eq!(of(Transport::Tcp), 0, "{driver:?}");
        // rustls 0.23 hands out the plaintext of a record, and what it has sealed, in memory of its
        // own. A record that the kernel cuts in two, or that the round before has left, is one more
        // now and then.
        let of_tls = of(Transport::Tls);
        assert!(of_tls <= RECORDS_OF_A_ROUND * (ROUNDS + 1), "{driver:?}: {of_tls}");
    }
}

/// A client sends 10 messages in a record each, and is sent 2.
const RECORDS_OF_A_ROUND: u64 = 12;
/// Rounds that are counted.
const ROUNDS: u64 = 500;

/// What the rounds of a call take from the heap once a worker is warm.
fn allocations(driver: DriverKind, transport: Transport, trust: &Trust) -> u64 {
    let server = free();
    let workers = workers(server, driver, trust);
    let mut call = Call::set_up(Wire::connect(transport, server, trust));
    for _ in 0..50 {
        call.talk();
    }
    let before = ALLOCATIONS.load(Ordering::SeqCst);
    for _ in 0..ROUNDS {
        call.talk();
    }
    let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
    workers.stop();
    drop(call);
    workers.join();
    assert!(before > 0, "the worker is counted");
    allocations
}

fn workers(listen: SocketAddr, driver: DriverKind, trust: &Trust) -> Workers {
    let credentials = Credentials::new("realm").with_user("ann", "secret");
    let policy =
        PeerPolicy::new(&["127.0.0.0/8".parse().expect("a prefix")], &[], &[LOOPBACK.into()]);
    let authenticator = Authenticator::new(credentials, Nonces::new([1; 32], 3600));
    let plan = Plan {
        listen: vec![Listen::datagrams(listen), Listen::streams(listen)],
        relay_addresses: vec![RelayAddress { local: LOOPBACK, advertised: LOOPBACK }],
        // Below the ports the kernel gives to the peers.
        ports: PortPlan::new(20_000, 20_999, 1),
        cores: vec![0],
        settings: Arc::new(Settings::new(authenticator, policy)),
        limits: Limits { per_user: None, total: None },
        steering: Steering::Hash,
        driver,
        io: IoSettings::default(),
        reserved_sockets: 16,
        stream_rules: Arc::new(StreamRules {
            tls: Some(trust.server.clone()),
            ..StreamRules::default()
        }),
    };
    spawn(&plan, &(Arc::new(|_, _| {}) as _)).expect("the workers start")
}

/// An address that was free a moment ago, for UDP and for TCP.
fn free() -> SocketAddr {
    loop {
        let server = address(&socket());
        if TcpListener::bind(server).is_ok() {
            return server;
        }
    }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((LOOPBACK, 0)).expect("loopback");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
    socket
}

fn address(socket: &UdpSocket) -> SocketAddr {
    socket.local_addr().expect("bound")
}

/// Sends a request and returns the answer to it.
fn request(
    client: &mut Wire,
    method: Method,
    nonce: Option<&[u8]>,
    write: impl FnOnce(&mut MessageWriter<'_>),
) -> Vec<u8> {
    let mut buffer = [0; 2048];
    let id = TransactionId([method.number() as u8; 12]);
    let mut writer = MessageWriter::new(&mut buffer, method, Class::Request, id);
    write(&mut writer);
    if let Some(nonce) = nonce {
        writer.attribute(AttributeType::USERNAME, b"ann");
        writer.attribute(AttributeType::REALM, b"realm");
        writer.attribute(AttributeType::NONCE, nonce);
        writer.integrity(&IntegrityKey::long_term(b"ann", b"realm", b"secret"));
    }
    let end = writer.finish().expect("room");
    client.send(&buffer[..end]);
    let bytes = client.recv(&mut buffer);
    let class = Message::parse(&buffer[..bytes]).expect("a message").class();
    assert_eq!(class, if nonce.is_some() { Class::Success } else { Class::Error });
    buffer[..bytes].to_vec()
}

fn indication(peer: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let mut out = [0; 256];
    let id = TransactionId([5; 12]);
    let mut writer = MessageWriter::new(&mut out, Method::Send, Class::Indication, id);
    writer.xor_peer_address(peer).attribute(AttributeType::DATA, payload);
    let end = writer.finish().expect("room");
    out[..end].to_vec()
}
