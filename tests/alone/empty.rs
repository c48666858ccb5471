//! Empty datagrams, which anybody can send to any socket. The kernel takes one for the end of a
//! stream and ends the socket's receive with it: a relay that arms the next one a turn later takes
//! one datagram a turn, and calls wait in the queue behind them or are lost.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use crate::client::{CHANNEL, Call};
use crate::http::{scrape, showing};
use crate::relay::{Relay, Setup};
use crate::stamped::{Busy, Calls, at_rate, keep_stamping};

const DRIVERS: [&str; 2] = ["uring", "portable"];

/// Another network than that of the calls.
const STRANGER: &str = "127.77.0.3:0";

/// Packets of a call in a queue, each with an empty datagram behind it: as many as fit into a
/// socket's buffer wherever the tests run.
const QUEUED: usize = 150;
/// Two or three turns take such a queue: one that re-arms a turn late takes [`QUEUED`].
const TURNS_MAX: f64 = 20.0;

const CALLS: usize = 10;
/// Two seconds.
const TICKS: usize = 100;
const BUSY_PER_SECOND: u32 = 50_000;
/// A machine that stops for a moment does so once; an attack hurts each time.
const ATTEMPTS: usize = 5;

/// Where they are sent.
#[derive(Clone, Copy, Debug)]
enum Target {
    StunPort,
    /// The relayed address of a call, which has no permission for the stranger.
    RelayedAddress,
}

impl Target {
    fn of(self, relay: &Relay, call: &Call) -> SocketAddr {
        match self {
            Target::StunPort => relay.v4(),
            Target::RelayedAddress => call.relayed,
        }
    }
}

fn stranger() -> UdpSocket {
    UdpSocket::bind(STRANGER).expect("loopback is a whole network")
}

fn turns(metrics: SocketAddr) -> f64 {
    scrape(metrics)[r#"uturn_io_turns_total{worker="0"}"#]
}

/// Stops a process, and waits until none of its threads runs.
fn stop(relay: &Relay) {
    relay.process.signal(libc::SIGSTOP);
    let tasks = format!("/proc/{}/task", relay.process.pid);
    let is_stopped = |task: PathBuf| {
        let stat = fs::read_to_string(task.join("stat")).expect("a thread of the relay");
        stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" T"))
    };
    let threads = || fs::read_dir(&tasks).expect("it runs").map(|it| it.expect("a thread"));
    while !threads().all(|thread| is_stopped(thread.path())) {
        thread::sleep(Duration::from_millis(1));
    }
}

/// Fills the queue of a socket while the relay stands still; how many turns it then takes until
/// every packet of the call has arrived.
fn turns_for_a_queue(relay: &Relay, metrics: SocketAddr, call: &mut Call, target: Target) -> f64 {
    let (stranger, to) = (stranger(), target.of(relay, call));
    let before = turns(metrics);
    stop(relay);
    for _ in 0..QUEUED {
        match target {
            Target::StunPort => call.client.send_channel(CHANNEL, b"between"),
            Target::RelayedAddress => call.peer.send(call.relayed, b"between"),
        }
        stranger.send_to(&[], to).expect("the datagram leaves");
    }
    relay.process.signal(libc::SIGCONT);
    for _ in 0..QUEUED {
        match target {
            Target::StunPort => assert_eq!(call.peer.receive().1, b"between"),
            Target::RelayedAddress => assert_eq!(call.client.channel_data().1, b"between"),
        }
    }
    turns(metrics) - before
}

#[test]
fn a_queue_full_of_empty_datagrams_is_taken_in_few_turns() {
    for io in DRIVERS {
        let (relay, metrics) = showing(Setup::new().with(&["--io", io]));
        let mut call = Call::on(&relay);
        for target in [Target::StunPort, Target::RelayedAddress] {
            let turns = turns_for_a_queue(&relay, metrics, &mut call, target);
            eprintln!(
                "{io}: {turns} turns for {QUEUED} packets and as many empty ones, {target:?}"
            );
            assert!(turns <= TURNS_MAX, "{io}, {target:?}: {turns} turns");
        }
    }
}

/// Empty datagrams in one second.
#[derive(Clone, Copy)]
struct Attack {
    target: Target,
    per_second: u32,
}

const ATTACKS: [Attack; 3] = [
    Attack { target: Target::StunPort, per_second: 3_000 },
    Attack { target: Target::StunPort, per_second: 10_000 },
    Attack { target: Target::RelayedAddress, per_second: 10_000 },
];

/// The same calls without the attack and beside it: whether they feel it.
fn comes_through(io: &str, relay: &Relay, calls: &Calls, busy: &Busy, attack: Attack) -> bool {
    let Attack { target, per_second } = attack;
    let keep_busy = |over: &AtomicBool| busy.send(BUSY_PER_SECOND, over);
    let (stranger, to, sent) = (stranger(), target.of(relay, calls.first()), AtomicU64::new(0));
    let strike = |over: &AtomicBool| {
        // A full queue drops some, as it should.
        let count = at_rate(per_second, over, || _ = stranger.send_to(&[], to));
        sent.store(count, Ordering::Relaxed);
    };
    let calm = calls.talk_beside(TICKS, &[&keep_busy]);
    let attacked = calls.talk_beside(TICKS, &[&keep_busy, &strike]);
    assert!(sent.into_inner() > u64::from(per_second), "the attack was none");
    let ways = ["up", "down"].into_iter().zip(calm.iter().zip(&attacked));
    for (way, (calm, attacked)) in ways {
        eprintln!(
            "{io}: {per_second}/s, {target:?}: {way} {} lost, p99 {:?}; without {}, {:?}",
            attacked.lost, attacked.p99, calm.lost, calm.p99
        );
    }
    attacked.iter().zip(&calm).all(|(attacked, calm)| attacked.is_as_good_as(calm))
}

#[test]
fn a_call_beside_empty_datagrams_is_as_good_as_without_them() {
    let _stamps = keep_stamping();
    for io in DRIVERS {
        let relay = Setup::new().with(&["--io", io, "--workers", "1"]).start();
        let (calls, busy) = (Calls::on(&relay, CALLS), Busy::on(&relay));
        for attack in ATTACKS {
            let unharmed = (0..ATTEMPTS).any(|_| comes_through(io, &relay, &calls, &busy, attack));
            assert!(unharmed, "{io}: {} a second, {:?}", attack.per_second, attack.target);
            thread::sleep(Duration::from_millis(100));
        }
    }
}
