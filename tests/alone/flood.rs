//! Fairness: whoever takes all that the relay can give takes it from nobody else.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, Peer, allocate, channel_data};
use crate::relay::{Relay, Setup};
use crate::stun::{Answer, Builder, Class};

const FLOOD: Duration = Duration::from_secs(4);

/// A client's patience, RFC 8489 §6.2.1: it sends again after 500 ms, doubling, and we hold the
/// relay to an answer to one of the first three.
const PATIENCE: Duration = Duration::from_millis(3_500);

/// Relays at full speed from a thread of its own while `probe` runs; returns the packets relayed.
fn while_flooded(relay: &Relay, probe: impl FnOnce()) -> u64 {
    let peer = Peer::new();
    let mut flooder = Client::new(relay.v4());
    flooder.allocate();
    flooder.bind(0x4000, peer.address());
    let (over, relayed) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let frame = channel_data(0x4000, &[0xAB; 1200]);
            while !over.load(Ordering::Relaxed) {
                (0..64).for_each(|_| flooder.send(&frame));
            }
        });
        scope.spawn(|| {
            peer.socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
            let mut buffer = [0; 2048];
            while !over.load(Ordering::Relaxed) {
                let got = peer.socket.recv(&mut buffer).is_ok();
                relayed.fetch_add(u64::from(got), Ordering::Relaxed);
            }
        });
        let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(probe));
        over.store(true, Ordering::Relaxed);
        ended.unwrap_or_else(|fault| std::panic::resume_unwind(fault));
    });
    relayed.into_inner()
}

/// Sends a request until it is answered, as a real client does, and says how long that took.
fn patient_request(client: &mut Client, request: &[u8]) -> (Answer, Duration) {
    let begun = Instant::now();
    let mut next = Duration::from_millis(500);
    client.socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a timeout");
    client.send(request);
    let mut buffer = [0; 2048];
    while begun.elapsed() < PATIENCE {
        let arrival = client.socket.recv(&mut buffer);
        if let Some(length) = arrival.ok().filter(|_| buffer[8..20] == request[8..20]) {
            return (Answer::parse(&buffer[..length]), begun.elapsed());
        }
        if begun.elapsed() > next {
            client.send(request);
            next = next * 2 + Duration::from_millis(500);
        }
    }
    panic!("no answer within {PATIENCE:?}");
}

#[test]
fn a_flood_does_not_stop_an_allocate() {
    for driver in ["uring", "portable"] {
        let relay = Setup::new().with(&["--io", driver]).start();
        let mut slowest = Duration::ZERO;
        let mut served = 0;
        let relayed = while_flooded(&relay, || {
            let begun = Instant::now();
            while begun.elapsed() < FLOOD {
                slowest = slowest.max(allocate_and_release(&relay));
                served += 1;
            }
        });
        eprintln!(
            "{driver}: {served} others served, slowest answer {slowest:?}, beside {relayed} packets"
        );
        assert!(relayed > 10_000, "the flood was none: {relayed} packets");
        assert!(served >= 10, "only {served} allocations in {FLOOD:?}");
    }
}

/// The slowest answer of a challenge, an Allocate and a Refresh to 0.
pub fn allocate_and_release(relay: &Relay) -> Duration {
    let mut client = Client::new(relay.v4());
    let (challenge, first) = patient_request(&mut client, &allocate().bytes());
    assert_eq!(challenge.code(), Some(401));
    client.nonce = challenge.text(crate::stun::attribute::NONCE);
    let request = client.sign(allocate());
    let (answer, second) = patient_request(&mut client, &request);
    assert_eq!(answer.class, Class::Success, "{:?}", answer.code());
    let request = client.sign(Builder::request(crate::stun::method::REFRESH).lifetime(0));
    let (_, third) = patient_request(&mut client, &request);
    first.max(second).max(third)
}

// Another client's packets pass too, at the modest rate of a voice.
#[test]
fn a_flood_does_not_silence_a_voice() {
    let relay = Relay::start();
    let peer = Peer::new();
    let mut voice = Client::new(relay.v4());
    let relayed = voice.allocate();
    voice.bind(0x4000, peer.address());
    let mut heard = 0;
    while_flooded(&relay, || {
        peer.socket.set_read_timeout(Some(Duration::from_millis(200))).expect("a timeout");
        for number in 0..100_u8 {
            voice.send_channel(0x4000, &[number; 160]);
            heard += u32::from(peer.socket.recv(&mut [0; 512]).is_ok());
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    eprintln!("{heard} of 100 packets of the voice were heard");
    assert!(heard >= 50, "only {heard} of 100 were heard");
    while peer.socket.recv(&mut [0; 512]).is_ok() {}
    peer.send(relayed, b"after the flood");
}
