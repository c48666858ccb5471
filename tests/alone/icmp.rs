//! A forged ICMP message, which anybody can send, changes nothing of what a client gets.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};
use socket2::{Domain, Protocol, Socket, Type};

use crate::client::{CHANNEL, Client, Peer};
use crate::machine::skip;
use crate::relay::{PASSWORD, Relay, Setup, USER};

const PAYLOAD_BYTES: usize = 1_100;
const TRAIN: usize = 20;
const TRAINS: usize = 10;
/// The least that the kernel believes (net.ipv4.route.min_pmtu).
const MTU: u16 = 552;

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> [u8; 2] {
    let words =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)));
    let sum: u32 = words.sum();
    let sum = (sum & 0xFFFF) + (sum >> 16);
    (!((sum & 0xFFFF) + (sum >> 16)) as u16).to_be_bytes()
}

/// Says that a datagram of the server was too large for a router on the way to a client: type 3,
/// code 4, with the head of that datagram behind it (RFC 1191).
fn fragmentation_needed(server: SocketAddr, client: Ipv4Addr) -> Vec<u8> {
    let SocketAddr::V4(server) = server else { panic!("an IPv4 server") };
    let mut inner = vec![0x45, 0, 0x05, 0xDC, 0, 1, 0, 0, 64, 17, 0, 0];
    inner.extend(server.ip().octets());
    inner.extend(client.octets());
    let sum = checksum(&inner);
    inner[10..12].copy_from_slice(&sum);
    inner.extend([server.port().to_be_bytes(), 3990_u16.to_be_bytes()].concat());
    inner.extend([0x05, 0xC8, 0, 0]);
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(MTU.to_be_bytes());
    message.extend(inner);
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum);
    message
}

/// Fragments that this machine has made so far.
fn fragments_made() -> u64 {
    let text = std::fs::read_to_string("/proc/net/snmp").expect("statistics of the kernel");
    let mut lines = text.lines().filter_map(|line| line.strip_prefix("Ip: "));
    let (names, values) = (lines.next().expect("names"), lines.next().expect("values"));
    let mut pairs = names.split(' ').zip(values.split(' '));
    let (_, value) = pairs.find(|(name, _)| *name == "FragCreates").expect("it is counted");
    value.parse().expect("a number")
}

/// Sends trains to the relayed address and counts what reaches the client whole.
fn deliver(peer: &UdpSocket, relayed: SocketAddr, client: &mut Client) -> usize {
    let train = vec![7; PAYLOAD_BYTES * TRAIN];
    let received = (0..TRAINS).map(|_| {
        peer.send_to(&train, relayed).expect("it leaves");
        (0..TRAIN).filter(|_| client.channel_data().1.len() == PAYLOAD_BYTES).count()
    });
    received.sum()
}

fn client_at(ip: Ipv4Addr, relay: &Relay) -> Client {
    let socket = UdpSocket::bind((ip, 0)).expect("loopback is a whole network");
    Client::on(socket, relay.v4(), USER, PASSWORD)
}

#[test]
fn a_forged_icmp_message_has_nothing_cut_into_pieces() {
    let Ok(raw) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) else {
        return skip("a_forged_icmp_message_has_nothing_cut_into_pieces", "root");
    };
    for (driver, victim) in [("uring", 77), ("portable", 78)] {
        let victim = Ipv4Addr::new(127, 0, victim, 1);
        let relay = Setup::new().with(&["--io", driver]).start();
        let mut client = client_at(victim, &relay);
        let peer = Peer::new();
        setsockopt(&peer.socket, UdpGsoSegment, &(PAYLOAD_BYTES as i32)).expect("UDP_SEGMENT");
        let relayed = client.allocate();
        client.bind(CHANNEL, peer.address());
        let message = fragmentation_needed(relay.v4(), victim);
        raw.send_to(&message, &relay.v4().into()).expect("the message leaves");
        let before = fragments_made();
        assert_eq!(deliver(&peer.socket, relayed, &mut client), TRAIN * TRAINS);
        assert_eq!(fragments_made() - before, 0, "{driver}: fragments");
    }
}
