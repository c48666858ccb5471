//! What the bytes cost: reading a message, writing one, signing, a nonce, a judgement on a peer.
//!
//! `cargo bench --bench wire`.

use std::{hint::black_box, net::SocketAddr};

use criterion::{Criterion, criterion_group, criterion_main};
use uturn::{
    turn::{Authenticator, Credentials, Nonces, Now, PeerPolicy},
    wire::{
        AttributeType, ChannelData, ChannelNumber, Class, IntegrityKey, Message, MessageWriter,
        Method, Prefix, TransactionId, time_limited_password,
    },
};

const NOW: Now = Now { mono_ms: 0, unix_s: 1_800_000_000 };
const ID: TransactionId = TransactionId([7; 12]);
const TIMED: &str = "1900000000:ann";

fn client() -> SocketAddr {
    SocketAddr::from(([77, 1, 1, 1], 5000))
}

fn nonces() -> Nonces {
    Nonces::new([7; 32], 3600)
}

fn key() -> IntegrityKey {
    IntegrityKey::long_term(b"ann", b"realm", b"secret")
}

fn request(user: &str, key: &IntegrityKey) -> Vec<u8> {
    let mut out = vec![0; 512];
    let mut writer = MessageWriter::new(&mut out, Method::CreatePermission, Class::Request, ID);
    writer.xor_peer_address(SocketAddr::from(([8, 8, 8, 8], 9)));
    writer.attribute(AttributeType::USERNAME, user.as_bytes());
    writer.attribute(AttributeType::REALM, b"realm");
    writer.attribute(AttributeType::NONCE, &nonces().issue(NOW, client()));
    let end = writer.integrity(key).finish().expect("room");
    out.truncate(end);
    out
}

fn send_indication(payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0; 2048];
    let mut writer = MessageWriter::new(&mut out, Method::Send, Class::Indication, ID);
    writer.xor_peer_address(client()).attribute(AttributeType::DATA, payload);
    let end = writer.finish().expect("room");
    out.truncate(end);
    out
}

/// What stands around every relayed payload.
fn payload(c: &mut Criterion) {
    let mut frame = vec![0; 1204];
    frame[..4].copy_from_slice(&[0x40, 0, 0x04, 0xB0]);
    c.bench_function("channel_data/parse", |b| {
        b.iter(|| ChannelData::parse(black_box(&frame)));
    });
    let indication = send_indication(&[1; 1200]);
    c.bench_function("send/parse", |b| {
        b.iter(|| {
            let message = Message::parse(black_box(&indication)).expect("a message");
            (message.peer(), message.data().map(<[u8]>::len))
        });
    });
    let channel = Prefix::Channel(ChannelNumber::MIN);
    let data = Prefix::DataIndication { peer: client(), transaction: ID };
    for (name, prefix) in [("channel_data/prefix", channel), ("data/prefix", data)] {
        let mut out = [0; Prefix::MAX_BYTES];
        c.bench_function(name, |b| b.iter(|| black_box(&prefix).write(1200, &mut out)));
    }
}

/// What a request and its answer cost.
fn messages(c: &mut Criterion) {
    let (key, bytes) = (key(), request("ann", &key()));
    c.bench_function("request/parse", |b| b.iter(|| Message::parse(black_box(&bytes)).is_ok()));
    let message = Message::parse(&bytes).expect("a message");
    c.bench_function("request/integrity", |b| b.iter(|| black_box(&message).is_signed_with(&key)));
    let mut out = [0; 512];
    c.bench_function("answer/mapped", |b| {
        b.iter(|| {
            let mut writer = MessageWriter::new(&mut out, Method::Binding, Class::Success, ID);
            writer.xor_mapped_address(black_box(client())).finish()
        });
    });
    c.bench_function("answer/signed", |b| {
        b.iter(|| {
            let mut writer = MessageWriter::new(&mut out, Method::Refresh, Class::Success, ID);
            writer.lifetime_s(black_box(600)).integrity(&key).finish()
        });
    });
}

/// What a stranger can make the server do.
fn strangers(c: &mut Criterion) {
    let nonces = nonces();
    let nonce = nonces.issue(NOW, client());
    c.bench_function("nonce/issue", |b| b.iter(|| nonces.issue(NOW, black_box(client()))));
    c.bench_function("nonce/check", |b| {
        b.iter(|| nonces.judge(NOW, black_box(client()), &nonce));
    });
    let credentials = Credentials::new("realm").with_user("ann", "secret");
    let two = credentials.with_secret(b"old").and_then(|one| one.with_secret(b"new"));
    let authenticator = Authenticator::new(two.expect("two secrets"), nonces);
    let password = time_limited_password(b"new", TIMED.as_bytes());
    let timed_key =
        IntegrityKey::long_term(TIMED.as_bytes(), b"realm", password.as_str().as_bytes());
    for (name, bytes) in [
        ("authenticate/static", request("ann", &key())),
        ("authenticate/second secret", request(TIMED, &timed_key)),
    ] {
        let message = Message::parse(&bytes).expect("a message");
        c.bench_function(name, |b| {
            b.iter(|| authenticator.authenticate(NOW, client(), black_box(&message)).is_ok());
        });
    }
    let policy = PeerPolicy::new(&[], &[], &[client().ip().into()]);
    for (name, peer) in [("judge/ipv4", "8.8.8.8"), ("judge/nat64", "64:ff9b::8.8.8.8")] {
        let peer = peer.parse().expect("an address");
        c.bench_function(name, |b| b.iter(|| policy.judge(black_box(peer))));
    }
}

criterion_group!(benches, payload, messages, strangers);
criterion_main!(benches);
