//! A relayed packet costs no heap allocation: a counting allocator watches a whole worker, both
//! ways, with both drivers, by channel and by indication.
//!
//! The client and the peer live on the test's own thread, which is not counted; what is left is the
//! worker's thread.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use uturn::{
    io::Settings as IoSettings,
    turn::{Authenticator, Credentials, Nonces, PeerPolicy, PortPlan, RelayAddress, Settings},
    wire::{
        AttributeType, Class, IntegrityKey, Message, MessageWriter, Method, TRANSPORT_UDP,
        TransactionId,
    },
    worker::{DriverKind, Limits, Listen, Plan, Steering, Workers, spawn},
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

/// A client with an allocation, a channel and a permission, and its two peers.
struct Call {
    client: UdpSocket,
    relayed: SocketAddr,
    on_channel: UdpSocket,
    permitted: UdpSocket,
}

impl Call {
    fn set_up(server: SocketAddr) -> Call {
        let client = socket();
        client.connect(server).expect("loopback");
        let challenge = request(&client, Method::Allocate, None, |_| {});
        let nonce = Message::parse(&challenge).expect("a message").nonce().expect("one").to_vec();
        let sign = Some(&nonce[..]);
        let answer = request(&client, Method::Allocate, sign, |writer| {
            writer.requested_transport(TRANSPORT_UDP);
        });
        let answer = Message::parse(&answer).expect("a message");
        let relayed = answer.xor_address(AttributeType::XOR_RELAYED_ADDRESS);
        let relayed = relayed.expect("well-formed").expect("an allocation");
        let call = Call { client, relayed, on_channel: socket(), permitted: socket() };
        let (bound, permitted) = (address(&call.on_channel), address(&call.permitted));
        request(&call.client, Method::ChannelBind, sign, |writer| {
            writer.channel_number(CHANNEL).xor_peer_address(bound);
        });
        request(&call.client, Method::CreatePermission, sign, |writer| {
            writer.xor_peer_address(permitted);
        });
        call
    }

    /// A few packets each way, by channel and by indication.
    fn talk(&self) {
        let mut buffer = [0; 2048];
        let mut frame = [7; 104];
        frame[..4].copy_from_slice(&[0x40, 0, 0, 100]);
        let indication = indication(address(&self.permitted), &[8; 50]);
        self.client.send(&frame).expect("sent");
        assert_eq!(self.on_channel.recv(&mut buffer).expect("relayed"), 100);
        self.client.send(&indication).expect("sent");
        assert_eq!(self.permitted.recv(&mut buffer).expect("relayed"), 50);
        self.on_channel.send_to(&[9; 200], self.relayed).expect("sent");
        assert_eq!(self.client.recv(&mut buffer).expect("relayed"), 204);
        self.permitted.send_to(&[9; 61], self.relayed).expect("sent");
        assert_eq!(self.client.recv(&mut buffer).expect("relayed"), 36 + 64);
        // Several at once, which may leave joined.
        for _ in 0..8 {
            self.client.send(&frame).expect("sent");
        }
        for _ in 0..8 {
            assert_eq!(self.on_channel.recv(&mut buffer).expect("relayed"), 100);
        }
    }
}

#[test]
fn a_relayed_packet_allocates_nothing() {
    IS_COUNTED.set(false);
    for driver in [DriverKind::Uring, DriverKind::Portable] {
        let server = address(&socket());
        let workers = workers(server, driver);
        let call = Call::set_up(server);
        for _ in 0..50 {
            call.talk();
        }
        let before = ALLOCATIONS.load(Ordering::SeqCst);
        for _ in 0..500 {
            call.talk();
        }
        let allocations = ALLOCATIONS.load(Ordering::SeqCst) - before;
        workers.stop();
        workers.join();
        assert!(before > 0, "the worker is counted");
        assert_eq!(allocations, 0, "{driver:?}");
    }
}

fn workers(listen: SocketAddr, driver: DriverKind) -> Workers {
    let credentials = Credentials::new("realm").with_user("ann", "secret");
    let policy =
        PeerPolicy::new(&["127.0.0.0/8".parse().expect("a prefix")], &[], &[LOOPBACK.into()]);
    let authenticator = Authenticator::new(credentials, Nonces::new([1; 32], 3600));
    let plan = Plan {
        listen: vec![Listen::datagrams(listen)],
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
        stream_rules: Arc::default(),
    };
    spawn(&plan, &(Arc::new(|_, _| {}) as _)).expect("the workers start")
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
    client: &UdpSocket,
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
    client.send(&buffer[..end]).expect("sent");
    let bytes = client.recv(&mut buffer).expect("an answer");
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
