//! What is relayed: Send and Data indications to the byte, every size, in order, nothing twice.

use crate::client::{Client, Peer, send_indication};
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, Class, MAGIC_COOKIE, attribute, method, xor_address};

/// A client with a permission and a channel to a peer of its own.
struct Pair {
    client: Client,
    peer: Peer,
    relayed: std::net::SocketAddr,
}

const CHANNEL: u16 = 0x4000;

impl Pair {
    fn permitted(relay: &Relay) -> Self {
        let (mut client, peer) = (Client::new(relay.v4()), Peer::new());
        let relayed = client.allocate();
        client.permit(peer.address());
        Self { client, peer, relayed }
    }

    fn bound(relay: &Relay) -> Self {
        let mut pair = Self::permitted(relay);
        pair.client.bind(CHANNEL, pair.peer.address());
        pair
    }
}

/// Bytes that tell one datagram from another, and one place in it from another.
fn payload(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|index| (number.wrapping_mul(31) + index * 7) as u8).collect()
}

// RFC 8656 §11.3: a Data indication has XOR-PEER-ADDRESS, the sender, and DATA, its payload.
#[test]
fn a_data_indication_to_the_byte() {
    let relay = Relay::start();
    let mut pair = Pair::permitted(&relay);
    pair.peer.send(pair.relayed, b"hello");
    let datagram = pair.client.receive();
    assert_eq!(datagram[..4], [0x00, 0x17, 0x00, 24], "Data indication, 24 bytes");
    assert_eq!(datagram[4..8], MAGIC_COOKIE);
    let transaction = datagram[8..20].try_into().expect("twelve bytes");
    assert_eq!(datagram[20..24], [0x00, 0x12, 0x00, 0x08], "XOR-PEER-ADDRESS, 8 bytes");
    assert_eq!(datagram[24..32], xor_address(pair.peer.address(), &transaction));
    assert_eq!(datagram[32..], *b"\x00\x13\x00\x05hello\0\0\0");
}

// RFC 8489 §5: the padding is not counted by the attribute's length but by the message's.
#[test]
fn data_indications_are_padded() {
    let relay = Relay::start();
    let mut pair = Pair::permitted(&relay);
    for bytes in 0..=9 {
        let sent = payload(bytes, bytes);
        pair.peer.send(pair.relayed, &sent);
        let message = pair.client.message();
        assert_eq!(message.raw.len(), 20 + 12 + 4 + bytes.next_multiple_of(4));
        assert_eq!(message.get(attribute::DATA), Some(sent.as_slice()));
    }
}

#[test]
fn each_data_indication_has_a_transaction_of_its_own() {
    let relay = Relay::start();
    let mut pair = Pair::permitted(&relay);
    let mut seen = std::collections::HashSet::new();
    for number in 0..50 {
        pair.peer.send(pair.relayed, &[number]);
        let message = pair.client.message();
        assert_eq!((message.method, message.class), (method::DATA, Class::Indication));
        assert!(seen.insert(message.transaction), "a transaction came twice");
    }
}

#[test]
fn every_size_passes_both_ways_in_indications() {
    let relay = Relay::start();
    let mut pair = Pair::permitted(&relay);
    for bytes in SIZES {
        let sent = payload(bytes, bytes);
        pair.client.send_indication(pair.peer.address(), &sent);
        assert_eq!(pair.peer.receive(), (pair.relayed, sent.clone()), "{bytes} bytes out");
        pair.peer.send(pair.relayed, &sent);
        assert_eq!(pair.client.data_indication(), (pair.peer.address(), sent), "{bytes} bytes in");
    }
}

#[test]
fn every_size_passes_both_ways_on_a_channel() {
    let relay = Relay::start();
    let mut pair = Pair::bound(&relay);
    for bytes in SIZES {
        let sent = payload(bytes, bytes);
        pair.client.send_channel(CHANNEL, &sent);
        assert_eq!(pair.peer.receive(), (pair.relayed, sent.clone()), "{bytes} bytes out");
        pair.peer.send(pair.relayed, &sent);
        assert_eq!(pair.client.channel_data(), (CHANNEL, sent), "{bytes} bytes in");
    }
}

/// Around every boundary: words, headers, the usual MTUs, and what fragments on the way.
const SIZES: [usize; 22] = [
    0, 1, 2, 3, 4, 5, 47, 48, 49, 160, 1199, 1200, 1201, 1371, 1452, 1472, 1500, 2048, 4096, 9000,
    32_000, 60_000,
];

// Bursts are what the kernel joins into trains; what comes out must be the same datagrams.
#[test]
fn bursts_keep_order_and_content_on_a_channel() {
    let relay = Relay::start();
    let mut pair = Pair::bound(&relay);
    for burst in 0..40 {
        let bytes = [1200, 160, 1, 1199, 7][burst % 5];
        let sent: Vec<_> = (0..20).map(|number| payload(burst * 20 + number, bytes)).collect();
        sent.iter().for_each(|it| pair.client.send_channel(CHANNEL, it));
        for expected in &sent {
            assert_eq!(pair.peer.receive().1, *expected, "out, burst {burst} of {bytes} bytes");
        }
        sent.iter().for_each(|it| pair.peer.send(pair.relayed, it));
        for expected in &sent {
            assert_eq!(
                pair.client.channel_data().1,
                *expected,
                "in, burst {burst} of {bytes} bytes"
            );
        }
    }
}

#[test]
fn bursts_of_changing_size_keep_order_and_content() {
    let relay = Relay::start();
    let mut pair = Pair::bound(&relay);
    let sizes =
        [1200, 1200, 300, 1200, 0, 1, 1, 1, 5, 1200, 1200, 1200, 1199, 1201, 40, 40, 40, 39];
    for burst in 0..30 {
        let sent: Vec<_> = sizes.iter().map(|bytes| payload(burst + bytes, *bytes)).collect();
        sent.iter().for_each(|it| pair.client.send_channel(CHANNEL, it));
        sent.iter().for_each(|it| assert_eq!(pair.peer.receive().1, *it, "out"));
        sent.iter().for_each(|it| pair.peer.send(pair.relayed, it));
        sent.iter().for_each(|it| assert_eq!(pair.client.channel_data().1, *it, "in"));
    }
}

#[test]
fn bursts_keep_order_and_content_in_indications() {
    let relay = Relay::start();
    let mut pair = Pair::permitted(&relay);
    for burst in 0..40 {
        let bytes = [1200, 160, 1, 1199, 7][burst % 5];
        let sent: Vec<_> = (0..20).map(|number| payload(burst * 20 + number, bytes)).collect();
        sent.iter().for_each(|it| pair.client.send_indication(pair.peer.address(), it));
        sent.iter().for_each(|it| assert_eq!(pair.peer.receive().1, *it, "out"));
        sent.iter().for_each(|it| pair.peer.send(pair.relayed, it));
        sent.iter().for_each(|it| assert_eq!(pair.client.data_indication().1, *it, "in"));
    }
}

#[test]
fn bursts_of_several_clients_and_peers_do_not_mix() {
    let relay = Relay::start();
    let mut pairs: Vec<_> = (0..8).map(|_| Pair::bound(&relay)).collect();
    for round in 0..20 {
        for number in 0..8 {
            for (index, pair) in pairs.iter().enumerate() {
                pair.client.send_channel(CHANNEL, &payload(round * 64 + number * 8 + index, 500));
                pair.peer.send(pair.relayed, &payload(round + number + index * 3, 700));
            }
        }
        for number in 0..8 {
            for (index, pair) in pairs.iter_mut().enumerate() {
                let out = payload(round * 64 + number * 8 + index, 500);
                assert_eq!(pair.peer.receive(), (pair.relayed, out));
                let back = payload(round + number + index * 3, 700);
                assert_eq!(pair.client.channel_data(), (CHANNEL, back));
            }
        }
    }
}

// RFC 8656 §11.2: DONT-FRAGMENT in a Send indication asks for the DF bit on the way to the peer.
#[test]
fn a_send_indication_may_ask_not_to_be_fragmented() {
    let relay = Relay::start();
    let pair = Pair::permitted(&relay);
    let indication = || send_indication(pair.peer.address(), b"whole");
    pair.client.send(&indication().attribute(attribute::DONT_FRAGMENT, &[]).bytes());
    assert_eq!(pair.peer.receive(), (pair.relayed, b"whole".to_vec()));
    pair.client.send(&indication().bytes());
    assert_eq!(pair.peer.receive(), (pair.relayed, b"whole".to_vec()));
}

// RFC 8656 §11.2: without XOR-PEER-ADDRESS or DATA, the indication is discarded; RFC 8489 §6.3.2:
// so it is with an unknown comprehension-required attribute.
#[test]
fn a_send_indication_that_is_not_whole_is_dropped() {
    let relay = Relay::start();
    let mut pair = Pair::permitted(&relay);
    let peer = pair.peer.address();
    let send = || Builder::indication(method::SEND);
    for faulty in [
        send(),
        send().peer(peer),
        send().attribute(attribute::DATA, b"nowhere"),
        send_indication(peer, b"unknown").attribute(0x7F01, &[]),
        send().attribute(attribute::XOR_PEER_ADDRESS, &[0, 1]).attribute(attribute::DATA, b"half"),
    ] {
        pair.client.send(&faulty.bytes());
    }
    pair.peer.expect_silence();
    pair.client.expect_silence();
    pair.client.send_indication(peer, b"whole");
    assert_eq!(pair.peer.receive().1, b"whole");
}

#[test]
fn two_workers_keep_every_pair_apart() {
    let relay = Setup::new().with(&["--workers", "2"]).start();
    let mut pairs: Vec<_> = (0..16).map(|_| Pair::bound(&relay)).collect();
    for round in 0..20 {
        for (index, pair) in pairs.iter().enumerate() {
            pair.client.send_channel(CHANNEL, &payload(round * 16 + index, 300));
            pair.peer.send(pair.relayed, &payload(round * 17 + index, 400));
        }
        for (index, pair) in pairs.iter_mut().enumerate() {
            assert_eq!(pair.peer.receive(), (pair.relayed, payload(round * 16 + index, 300)));
            assert_eq!(pair.client.channel_data(), (CHANNEL, payload(round * 17 + index, 400)));
        }
    }
}

// The portable driver stands behind the same interface and must not be told from the other.
#[test]
fn the_portable_driver_relays_the_same() {
    let relay = Setup::new().with(&["--io", "portable"]).start();
    let mut pair = Pair::bound(&relay);
    for burst in 0..10 {
        let sent: Vec<_> = (0..20).map(|number| payload(burst * 20 + number, 1200)).collect();
        sent.iter().for_each(|it| pair.client.send_channel(CHANNEL, it));
        sent.iter().for_each(|it| assert_eq!(pair.peer.receive().1, *it, "out"));
        sent.iter().for_each(|it| pair.peer.send(pair.relayed, it));
        sent.iter().for_each(|it| assert_eq!(pair.client.channel_data().1, *it, "in"));
    }
}
