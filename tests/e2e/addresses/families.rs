//! IPv4 and IPv6 on either side of the relay, in every mix.

use crate::client::{Client, Peer, V4, V6, allocate, create_permission};
use crate::machine;
use crate::relay::{LOOPBACK4, LOOPBACK6, Relay, Setup};
use crate::stun::{MAGIC_COOKIE, attribute, xor_address};

fn relays_both_ways(mut client: Client, peer: &Peer, family: &[u8]) {
    let request = allocate().attribute(attribute::REQUESTED_ADDRESS_FAMILY, family);
    let relayed = client.succeed(request).address(attribute::XOR_RELAYED_ADDRESS);
    assert_eq!(relayed.is_ipv4(), peer.address().is_ipv4());
    client.permit(peer.address());
    client.send_indication(peer.address(), b"out");
    assert_eq!(peer.receive(), (relayed, b"out".to_vec()));
    peer.send(relayed, b"in");
    assert_eq!(client.data_indication(), (peer.address(), b"in".to_vec()));
    client.bind(0x4000, peer.address());
    client.send_channel(0x4000, b"out on a channel");
    assert_eq!(peer.receive(), (relayed, b"out on a channel".to_vec()));
    peer.send(relayed, b"in on a channel");
    assert_eq!(client.channel_data(), (0x4000, b"in on a channel".to_vec()));
}

#[test]
fn an_ipv4_client_reaches_an_ipv4_peer() {
    let relay = Relay::start();
    relays_both_ways(Client::new(relay.v4()), &Peer::new(), V4);
}

#[test]
fn an_ipv4_client_reaches_an_ipv6_peer() {
    let relay = Relay::start();
    relays_both_ways(Client::new(relay.v4()), &Peer::v6(), V6);
}

#[test]
fn an_ipv6_client_reaches_an_ipv4_peer() {
    let relay = Relay::start();
    relays_both_ways(Client::new(relay.v6()), &Peer::new(), V4);
}

#[test]
fn an_ipv6_client_reaches_an_ipv6_peer() {
    let relay = Relay::start();
    relays_both_ways(Client::new(relay.v6()), &Peer::v6(), V6);
}

// RFC 8656 §7.2: without REQUESTED-ADDRESS-FAMILY the relayed address is IPv4, also for a client
// on IPv6.
#[test]
fn ipv4_is_what_a_client_gets_that_asks_for_nothing() {
    let relay = Relay::start();
    assert_eq!(Client::new(relay.v4()).allocate().ip(), LOOPBACK4);
    assert_eq!(Client::new(relay.v6()).allocate().ip(), LOOPBACK4);
}

// RFC 8656 §11.3 with an IPv6 peer: 20 bytes of XOR-PEER-ADDRESS.
#[test]
fn a_data_indication_from_ipv6_to_the_byte() {
    let relay = Relay::start();
    let peer = Peer::v6();
    let mut client = Client::new(relay.v6());
    let relayed = client.allocate_v6();
    client.permit(peer.address());
    peer.send(relayed, b"hello");
    let datagram = client.receive();
    assert_eq!(datagram[..4], [0x00, 0x17, 0x00, 36], "Data indication, 36 bytes");
    assert_eq!(datagram[4..8], MAGIC_COOKIE);
    let transaction = datagram[8..20].try_into().expect("twelve bytes");
    assert_eq!(datagram[20..24], [0x00, 0x12, 0x00, 20], "XOR-PEER-ADDRESS, 20 bytes");
    assert_eq!(datagram[24..44], xor_address(peer.address(), &transaction));
    assert_eq!(datagram[44..], *b"\x00\x13\x00\x05hello\0\0\0");
}

#[test]
fn a_peer_of_the_other_family_gets_443() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v6());
    client.allocate_v6();
    assert_eq!(client.fail(create_permission(Peer::new().address())), 443);
    client.permit(Peer::v6().address());
}

// The mapped form of an IPv4 address is not an IPv6 peer.
#[test]
fn an_ipv4_peer_in_ipv6_clothes_is_refused() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v6());
    client.allocate_v6();
    let mapped = "[::ffff:10.0.0.1]:40000".parse().expect("an address");
    let code = client.fail(create_permission(mapped));
    assert!(matches!(code, 403 | 443), "{code}");
}

#[test]
fn bursts_pass_between_the_families() {
    let relay = Relay::start();
    let peer = Peer::v6();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate_v6();
    client.bind(0x4000, peer.address());
    for round in 0..20_u8 {
        let sent: Vec<_> = (0..20_u8).map(|number| vec![round ^ number; 1200]).collect();
        sent.iter().for_each(|it| client.send_channel(0x4000, it));
        sent.iter().for_each(|it| assert_eq!(peer.receive().1, *it));
        sent.iter().for_each(|it| peer.send(relayed, it));
        sent.iter().for_each(|it| assert_eq!(client.channel_data().1, *it));
    }
}

#[test]
fn a_relay_of_ipv6_alone_serves() {
    if !machine::has_ipv6() {
        return machine::skip("a relay of IPv6 alone serves", "IPv6 on loopback");
    }
    let relay = Setup::new().listen(&[LOOPBACK6]).relay_ips(&[LOOPBACK6]).start();
    relays_both_ways(Client::new(relay.v6()), &Peer::v6(), V6);
    assert_eq!(Client::new(relay.v6()).fail(allocate()), 440);
}
