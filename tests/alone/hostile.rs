//! Hostile input: what comes from strangers, from an authenticated client and from peers may be
//! anything. The relay must go on serving, and must not grow.
//!
//! The seed is printed; `UTURN_SEED` repeats a run.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};

use crate::client::{
    Call, Client, Peer, V6, allocate, channel_bind, channel_data, create_permission,
    send_indication, socket,
};
use crate::memory::resident_bytes;
use crate::relay::{PASSWORD, Relay, Setup, USER};
use crate::stun::{Builder, Class, attribute, method};

/// Datagrams of each of the two halves: before and after authentication.
const DATAGRAMS: usize = 50_000;

/// More than this between a warm relay and the end is growth: a leak of 50 bytes a datagram.
const TOLERATED_GROWTH_BYTES: u64 = 4 << 20;

/// SplitMix64: small, seeded, and the same everywhere.
pub struct Chance(u64);

impl Chance {
    pub fn new() -> Self {
        let seed = std::env::var("UTURN_SEED").ok().and_then(|text| text.parse().ok());
        let seed =
            seed.unwrap_or_else(|| u64::from(std::process::id()) << 32 | u64::from(now_ns()));
        eprintln!("UTURN_SEED={seed}");
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        self.next() as u8
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.byte()).collect()
    }

    pub fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }
}

fn now_ns() -> u32 {
    std::time::UNIX_EPOCH.elapsed().expect("after 1970").subsec_nanos()
}

/// Breaks a datagram in one to four places.
pub fn mutate(chance: &mut Chance, datagram: &mut Vec<u8>) {
    for _ in 0..=chance.below(4) {
        let at = chance.below(datagram.len() + 1);
        match chance.below(7) {
            0 => datagram.truncate(at),
            1 => datagram.insert(at, chance.byte()),
            2 => datagram.extend(chance.bytes(at % 64)),
            3 => repeat_a_part(chance, datagram),
            4 => lie_about_a_length(chance, datagram),
            5 => fill(datagram, at, chance.pick(&[0x00, 0x7F, 0x80, 0xFF])),
            _ => flip(datagram, at, chance.byte()),
        }
    }
}

fn repeat_a_part(chance: &mut Chance, datagram: &mut Vec<u8>) {
    let start = chance.below(datagram.len() + 1);
    let part = datagram[start..].to_vec();
    datagram.extend(part);
    datagram.truncate(2_000);
}

fn lie_about_a_length(chance: &mut Chance, datagram: &mut [u8]) {
    let words = datagram.len() / 4;
    if words > 0 {
        let at = chance.below(words) * 4 + 2;
        datagram[at..at + 2]
            .copy_from_slice(&chance.pick(&[0_u16, 1, 3, 4, 5, 0xFFFC, 0xFFFF]).to_be_bytes());
    }
}

fn fill(datagram: &mut [u8], at: usize, byte: u8) {
    let end = (at + 4).min(datagram.len());
    datagram[at..end].fill(byte);
}

fn flip(datagram: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = datagram.get_mut(at) {
        *byte ^= mask;
    }
}

/// Something of every kind that a client can send, signed where it would be.
fn corpus(client: &Client, peer: SocketAddr) -> Vec<Vec<u8>> {
    let requests = [
        allocate(),
        allocate().attribute(attribute::EVEN_PORT, &[0x80]).lifetime(700),
        allocate().attribute(attribute::ADDITIONAL_ADDRESS_FAMILY, V6),
        allocate().attribute(attribute::RESERVATION_TOKEN, &[7; 8]),
        Builder::request(method::REFRESH).lifetime(700),
        create_permission(peer).peer(peer),
        channel_bind(0x4000, peer),
    ];
    let mut corpus: Vec<_> = requests.into_iter().map(|request| client.sign(request)).collect();
    corpus.push(Builder::request(method::BINDING).fingerprint().bytes());
    corpus.push(allocate().bytes());
    corpus.push(send_indication(peer, &[0xAB; 100]).bytes());
    corpus.push(channel_data(0x4000, &[0xCD; 100]));
    corpus
}

/// Waits until the relay has taken in all that was sent: nothing may be lost in front of it.
fn settle(probe: &mut Client) {
    let answer = probe.request(&Builder::request(method::BINDING).bytes());
    assert_eq!(answer.class, Class::Success);
}

/// A client in a network that nobody has used: what strangers are answered is limited for each
/// network, and neither the life signs nor the next attack must suffer for this one.
fn attacker(relay: &Relay, user: &str, password: &str) -> Client {
    static NETWORK: AtomicU8 = AtomicU8::new(7);
    let network = NETWORK.fetch_add(1, Ordering::Relaxed);
    Client::on(socket([127, 0, network, 7].into()), relay.v4(), user, password)
}

fn drain(client: &Client) {
    client.socket.set_nonblocking(true).expect("a socket");
    while client.socket.recv(&mut [0; 2048]).is_ok() {}
    client.socket.set_nonblocking(false).expect("a socket");
}

/// Sends what `next` makes, in small bursts, each followed by a life sign.
fn bombard(relay: &Relay, client: &Client, mut next: impl FnMut() -> Vec<u8>) {
    let mut probe = Client::new(relay.v4());
    for _ in 0..DATAGRAMS / 50 {
        (0..50).for_each(|_| client.send(&next()));
        settle(&mut probe);
        drain(client);
    }
}

fn serves(relay: &Relay) {
    let mut call = Call::on(relay);
    call.talk();
    call.client.refresh(0);
}

/// Runs the attack twice: what the first one makes the relay take at most, the second must not add
/// to.
fn without_growth(relay: &Relay, mut attack: impl FnMut()) {
    attack();
    let before = resident_bytes(relay.process.pid);
    attack();
    let after = resident_bytes(relay.process.pid);
    eprintln!("resident: {before} bytes, then {after}");
    assert!(after <= before + TOLERATED_GROWTH_BYTES, "it grew from {before} to {after} bytes");
    serves(relay);
}

#[test]
fn strangers_can_send_anything() {
    let mut chance = Chance::new();
    let relay = Relay::start();
    let peer = Peer::new();
    without_growth(&relay, || {
        let stranger = attacker(&relay, "hatter", "wrong");
        let corpus = corpus(&stranger, peer.address());
        bombard(&relay, &stranger, || {
            let mut datagram = chance.pick(&corpus);
            mutate(&mut chance, &mut datagram);
            datagram
        });
    });
}

#[test]
fn an_authenticated_client_can_send_anything() {
    let mut chance = Chance::new();
    let relay = Relay::start();
    let peer = Peer::new();
    without_growth(&relay, || {
        let mut client = attacker(&relay, USER, PASSWORD);
        client.allocate();
        let corpus = corpus(&client, peer.address());
        let peers =
            [peer.address(), Peer::v6().address(), relay.v4(), "10.0.0.1:9".parse().expect("one")];
        bombard(&relay, &client, || {
            if chance.below(2) == 0 {
                return client.sign(invention(&mut chance, &peers));
            }
            let mut datagram = chance.pick(&corpus);
            mutate(&mut chance, &mut datagram);
            datagram
        });
        client.authenticated(Builder::request(method::REFRESH).lifetime(0));
    });
}

/// A request of attributes that need not fit together, some of them broken. It is signed later, so
/// that it gets past the check of credentials.
fn invention(chance: &mut Chance, peers: &[SocketAddr]) -> Builder {
    let methods = [
        method::ALLOCATE,
        method::REFRESH,
        method::CREATE_PERMISSION,
        method::CHANNEL_BIND,
        method::BINDING,
    ];
    let mut request = Builder::request(chance.pick(&methods));
    for _ in 0..chance.below(7) {
        request = match chance.below(8) {
            0 => request.udp_transport(),
            1 => request.lifetime(chance.pick(&[0, 1, 600, u32::MAX])),
            2 => request.peer(chance.pick(peers)),
            3 => request.channel_number(chance.pick(&[0x4000, 0x4001, 0x4FFF, 0x7FFF, 0])),
            4 => request.attribute(attribute::EVEN_PORT, &[chance.byte()]),
            5 => request
                .attribute(attribute::REQUESTED_ADDRESS_FAMILY, &[chance.byte() % 4, 0, 0, 0]),
            6 => request.attribute(attribute::RESERVATION_TOKEN, &chance.bytes(8)),
            _ => {
                let kind = chance.pick(&[0x0D, 0x12, 0x17, 0x18, 0x19, 0x1A, 0x22, 0x8000, 0x7F01]);
                let count = chance.below(24);
                request.attribute(kind, &chance.bytes(count))
            }
        };
    }
    request
}

#[test]
fn peers_can_send_anything() {
    let mut chance = Chance::new();
    let relay = Setup::new().with(&["--workers", "2"]).start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(peer.address());
    let corpus = corpus(&client, peer.address());
    for _ in 0..10_000 {
        let mut datagram = chance.pick(&corpus);
        mutate(&mut chance, &mut datagram);
        peer.send(relayed, &datagram);
        assert_eq!(client.data_indication(), (peer.address(), datagram));
    }
    serves(&relay);
}
