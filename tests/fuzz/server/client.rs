//! Who is there, and what they send.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use uturn::{
    turn::{FiveTuple, ListenerId, Path, Transport, WorkerIndex},
    wire::{AttributeType, Class, Family, IntegrityKey, MessageWriter, Method, TransactionId},
};

use super::{super::take::Take, world::World};

pub(super) const REALM: &str = "example.org";
pub(super) const USERS: [&str; 2] = ["ann", "bob"];
pub(super) const PASSWORD: &str = "secret";

/// A client, and the worker that its packets come to.
#[derive(Clone, Copy)]
pub(super) struct Client {
    pub(super) path: Path,
    pub(super) worker: WorkerIndex,
}

const fn client(last: u8, transport: Transport, worker: u8) -> Client {
    let ip = match last % 2 {
        0 => IpAddr::V4(Ipv4Addr::new(77, 1, 1, last)),
        _ => IpAddr::V6(Ipv6Addr::new(0x2A00, 3, 0, 0, 0, 0, 0, last as u16)),
    };
    let listener = ListenerId(if transport.is_stream() { 1 } else { 0 });
    let flow = FiveTuple { listener, client: SocketAddr::new(ip, 20_000 + last as u16) };
    Client { path: Path { flow, transport }, worker: WorkerIndex(worker) }
}

pub(super) const CLIENTS: [Client; 7] = [
    client(0, Transport::Udp, 0),
    client(1, Transport::Udp, 1),
    client(2, Transport::Udp, 1),
    client(3, Transport::Tcp, 0),
    client(4, Transport::Tls, 1),
    client(5, Transport::Tcp, 1),
    client(6, Transport::Udp, 0),
];

const fn peer(ip: Ipv4Addr, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(ip), port)
}

/// Peers, of which some may not be reached, and relayed addresses that may be somebody's.
pub(super) const PEERS: [SocketAddr; 9] = [
    peer(Ipv4Addr::new(9, 9, 9, 9), 7000),
    peer(Ipv4Addr::new(9, 9, 9, 9), 7001),
    peer(Ipv4Addr::new(8, 8, 4, 4), 0),
    peer(Ipv4Addr::new(10, 0, 0, 9), 53),
    peer(Ipv4Addr::new(45, 0, 0, 1), 50_000),
    peer(Ipv4Addr::new(45, 0, 0, 1), 50_004),
    peer(Ipv4Addr::new(45, 0, 0, 1), 3478),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2620, 0xFE, 0, 0, 0, 0, 0, 9)), 7000),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2A0A, 0, 0, 0, 0, 0, 0, 1)), 50_001),
];

const METHODS: [Method; 8] = [
    Method::Allocate,
    Method::Allocate,
    Method::Refresh,
    Method::CreatePermission,
    Method::ChannelBind,
    Method::Binding,
    Method::Connect,
    Method::ConnectionBind,
];

/// A request that may mean something, or nearly.
pub(super) fn request(world: &mut World, client: Client, take: &mut Take<'_>) -> Vec<u8> {
    let method = take.pick(&METHODS);
    let mut out = [0; 4096];
    let transaction = TransactionId([take.byte() % 16; 12]);
    let mut writer = MessageWriter::new(&mut out, method, Class::Request, transaction);
    if method == Method::Allocate {
        writer.requested_transport(if take.percent(80) { 17 } else { 6 });
    }
    for _ in 0..take.below(5) {
        attribute(world, &mut writer, take);
    }
    if !take.percent(5) {
        let user = take.pick(&USERS);
        let nonce = world.nonce(client, take.percent(4));
        writer.attribute(AttributeType::USERNAME, user.as_bytes());
        writer.attribute(AttributeType::REALM, REALM.as_bytes());
        writer.attribute(AttributeType::NONCE, &nonce);
        let password = if take.percent(4) { "wrong" } else { PASSWORD };
        let key = IntegrityKey::long_term(user.as_bytes(), REALM.as_bytes(), password.as_bytes());
        writer.integrity(&key);
    }
    if take.percent(20) {
        writer.fingerprint();
    }
    let end = writer.finish().expect("there is room for it");
    out[..end].to_vec()
}

fn attribute(world: &World, writer: &mut MessageWriter<'_>, take: &mut Take<'_>) {
    match take.below(11) {
        0 | 1 => _ = writer.xor_peer_address(take.pick(&PEERS)),
        2 | 3 => _ = writer.channel_number(take.pick(&[0x4000, 0x4001, 0x4FFF, 0x5000, 0])),
        4 => _ = writer.lifetime_s(take.pick(&[0, 1, 600, 700, u32::MAX])),
        5 => _ = writer.even_port(take.percent(50)),
        6 => _ = writer.reservation_token(world.token(take.byte().into())),
        7 => _ = writer.requested_family(take.pick(&[Family::V4, Family::V6])),
        8 => _ = writer.additional_family(take.pick(&[Family::V6, Family::V4])),
        9 => _ = writer.connection_id(world.connection_named(take.byte().into())),
        _ => {
            const KINDS: [AttributeType; 5] = [
                AttributeType::LIFETIME,
                AttributeType::DONT_FRAGMENT,
                AttributeType::XOR_PEER_ADDRESS,
                AttributeType(0x7F01),
                AttributeType(0x8001),
            ];
            let kind = take.pick(&KINDS);
            let count = take.below(24);
            writer.attribute(kind, take.bytes(count));
        }
    }
}

/// A frame of a channel, or a Send indication.
pub(super) fn datagram(take: &mut Take<'_>) -> Vec<u8> {
    let payload = vec![7; take.below(64)];
    if take.percent(60) {
        let number: u16 = take.pick(&[0x4000, 0x4001, 0x4FFF, 0x5000]);
        return [&number.to_be_bytes()[..], &[0, payload.len() as u8], &payload].concat();
    }
    let mut out = [0; 256];
    let mut writer =
        MessageWriter::new(&mut out, Method::Send, Class::Indication, TransactionId([9; 12]));
    writer.xor_peer_address(take.pick(&PEERS)).attribute(AttributeType::DATA, &payload);
    let end = writer.finish().expect("there is room for it");
    out[..end].to_vec()
}
