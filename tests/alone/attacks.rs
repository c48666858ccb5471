//! Attacks that cost a stranger next to nothing, each at the rate at which it once hurt, beside
//! calls that must lose nothing and must not be late. Empty datagrams have a file of their own.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::relay::Setup;
use crate::stamped::{Busy, Calls, Outcome, at_rate, keep_stamping};
use crate::stun::{Builder, method};

const CALLS: usize = 20;
/// Four seconds.
const TICKS: usize = 200;
/// One that arrives later is no use to a voice any more, or nearly so.
const P99_MAX: Duration = Duration::from_millis(20);
const BUSY_PER_SECOND: u32 = 150_000;

/// Another network than that of the calls.
const STRANGER: &str = "127.77.0.2:0";

struct Attack {
    name: &'static str,
    datagram: Vec<u8>,
    per_second: u32,
}

fn attacks() -> Vec<Attack> {
    let attack = |name, datagram: &[u8], per_second| Attack {
        name,
        datagram: datagram.to_vec(),
        per_second,
    };
    let binding = Builder::request(method::BINDING).bytes();
    let allocate = crate::client::allocate().bytes();
    vec![
        attack("datagrams of one byte", &[0x40], 10_000),
        attack("64 KiB of FINGERPRINT", &fingerprints(), 100),
        attack("64 KiB of nothing", &[0xC5; 60_000], 1_000),
        attack("Binding requests", &binding, 20_000),
        attack("Allocates without credentials", &allocate, 20_000),
    ]
}

/// A request that is as long as can be and has nothing but FINGERPRINT in it.
fn fingerprints() -> Vec<u8> {
    const ATTRIBUTES: usize = 65_480 / 8;
    let mut datagram = Builder::request(method::BINDING).bytes();
    datagram.extend([0x80, 0x28, 0, 4, 0, 0, 0, 0].repeat(ATTRIBUTES));
    let bytes = u16::try_from(ATTRIBUTES * 8).expect("it fits into a datagram");
    datagram[2..4].copy_from_slice(&bytes.to_be_bytes());
    datagram
}

impl Attack {
    fn run(&self, to: SocketAddr, over: &AtomicBool) -> u64 {
        let stranger = UdpSocket::bind(STRANGER).expect("loopback is a whole network");
        // A full queue drops some, as it should.
        at_rate(self.per_second, over, || _ = stranger.send_to(&self.datagram, to))
    }
}

/// What becomes of calls beside an attack, or beside nothing but a busy client.
fn beside(driver: &str, attack: Option<&Attack>) -> [Outcome; 2] {
    let relay = Setup::new().with(&["--io", driver, "--workers", "1"]).start();
    let (calls, busy, sent) = (Calls::on(&relay, CALLS), Busy::on(&relay), AtomicU64::new(0));
    let keep_busy = |over: &AtomicBool| busy.send(BUSY_PER_SECOND, over);
    let Some(attack) = attack else { return calls.talk_beside(TICKS, &[&keep_busy]) };
    let strike = |over: &AtomicBool| sent.store(attack.run(relay.v4(), over), Ordering::Relaxed);
    let outcomes = calls.talk_beside(TICKS, &[&strike, &keep_busy]);
    let least = u64::from(attack.per_second) * 3;
    assert!(sent.into_inner() > least, "the attack was none");
    outcomes
}

/// Whether the calls came through unharmed, which is printed.
fn comes_through(driver: &str, attack: &Attack) -> bool {
    let Attack { name, per_second, .. } = attack;
    let outcomes = beside(driver, Some(attack));
    for (way, Outcome { lost, p99, .. }) in ["up", "down"].iter().zip(&outcomes) {
        eprintln!("{driver}: {per_second}/s of {name}: {way} p99 {p99:?}, {lost} lost");
    }
    if outcomes.iter().all(|outcome| outcome.lost == 0 && outcome.p99 < P99_MAX) {
        return true;
    }
    // A machine that is busy otherwise delays calls without any attack.
    let calm = beside(driver, None);
    outcomes.iter().zip(&calm).all(|(attacked, calm)| attacked.is_as_good_as(calm))
}

#[test]
fn a_cheap_attack_neither_delays_nor_loses_a_packet_of_a_call() {
    let _stamps = keep_stamping();
    for driver in ["uring", "portable"] {
        for attack in attacks() {
            // What a machine does that stops for a moment, it does once; an attack hurts each time.
            let unharmed = (0..3).any(|_| comes_through(driver, &attack));
            assert!(unharmed, "{driver}: {} a second of {}", attack.per_second, attack.name);
        }
    }
}
