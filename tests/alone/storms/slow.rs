//! One client that reads 100 kbit/s among calls over TCP that read all they are sent.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use socket2::SockRef;

use super::holds;
use crate::client::{CHANNEL, Call, Client};
use crate::link::Link;
use crate::relay::{Relay, Setup, patience};
use crate::stun::{Builder, method};

const OTHERS: usize = 49;
const TICK: Duration = Duration::from_millis(20);
const TICKS: usize = 100;
/// What the slow one's peer sends: 2 Mbit/s, of which it reads one in twenty.
const SENT_A_TICK: usize = 5;
const SENT_BYTES: usize = 1_000;
/// Requests of its own, all of which are answered.
const REQUESTS: usize = 20;
/// So much later may the others' packets be beside it, which is what the machine does.
const LATER_MAX: Duration = Duration::from_millis(40);

fn now_ns() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_nanos() as u64
}

/// Sends each of the others a packet a tick, and reads what has come; says how late they were, in
/// order.
fn delays(others: &mut [Call], over: &AtomicBool) -> Vec<Duration> {
    let (begun, mut delays) = (Instant::now(), Vec::new());
    for tick in 0..TICKS as u32 {
        for call in &*others {
            call.peer.send(call.relayed, &now_ns().to_be_bytes().repeat(20));
        }
        let next = begun + TICK * (tick + 1);
        for call in &mut *others {
            // The first waits for the tick, so that those after it need not.
            let frame = call.client.link().receive(Duration::from_secs(5));
            let Some(frame) = frame else { continue };
            let sent = u64::from_be_bytes(frame[4..12].try_into().expect("eight bytes"));
            delays.push(Duration::from_nanos(now_ns().saturating_sub(sent)));
        }
        std::thread::sleep(next.saturating_duration_since(Instant::now()));
    }
    over.store(true, Ordering::Relaxed);
    delays.sort_unstable();
    delays
}

/// What the slow client got in the end.
#[derive(Debug, Default)]
struct Got {
    numbers: Vec<u32>,
    answers: usize,
    sent: u32,
}

impl Got {
    fn take(&mut self, frame: &[u8]) {
        if frame[0] < 0x40 {
            self.answers += 1;
            return;
        }
        self.numbers.push(u32::from_be_bytes(frame[4..8].try_into().expect("four bytes")));
    }
}

/// Takes one frame in four ticks until it is over, and then everything that is left.
fn read_slowly(slow: &mut Call, over: &AtomicBool) -> Got {
    let (begun, mut got, mut tick, mut asked) = (Instant::now(), Got::default(), 0, 0);
    while !over.load(Ordering::Relaxed) || asked < REQUESTS {
        for _ in 0..SENT_A_TICK {
            let payload = got.sent.to_be_bytes().repeat(SENT_BYTES / 4);
            slow.peer.send(slow.relayed, &payload);
            got.sent += 1;
        }
        if tick % 4 == 0 {
            if asked < REQUESTS {
                slow.client.send(&Builder::request(method::BINDING).bytes());
                asked += 1;
            }
            let frame = slow.client.link().receive(TICK);
            frame.into_iter().for_each(|frame| got.take(&frame));
        }
        tick += 1;
        std::thread::sleep((begun + TICK * tick).saturating_duration_since(Instant::now()));
    }
    // What waits in the kernel comes first, and what is late by then is dropped.
    let deadline = Instant::now() + patience();
    while got.numbers.last() != Some(&u32::MAX) && Instant::now() < deadline {
        slow.peer.send(slow.relayed, &u32::MAX.to_be_bytes());
        while let Some(frame) = slow.client.link().receive(Duration::from_millis(200)) {
            got.take(&frame);
        }
    }
    got
}

fn call_on_tcp(relay: &Relay) -> Call {
    Call::of(Client::over_tcp(relay.v4()))
}

fn slow_call(relay: &Relay) -> Call {
    let link = Link::to(relay.v4());
    SockRef::from(&link.stream).set_recv_buffer_size(4_096).expect("an option");
    Call::of(Client::over(link, relay.v4()))
}

fn comes_through(driver: &str) -> bool {
    let relay = Setup::new().with(&["--io", driver]).start();
    let mut others = Vec::from_iter((0..OTHERS).map(|_| call_on_tcp(&relay)));
    let mut slow = slow_call(&relay);
    let alone = delays(&mut others, &AtomicBool::new(false));
    let over = AtomicBool::new(false);
    let (beside, got) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| read_slowly(&mut slow, &over));
        let beside = delays(&mut others, &over);
        (beside, reading.join().expect("no panic"))
    });
    let p99 = [&alone, &beside].map(|delays| delays[delays.len() * 99 / 100]);
    let lost = OTHERS * TICKS - beside.len();
    let Got { numbers, answers, sent } = &got;
    eprintln!(
        "{driver}: beside one that got {} of {sent}, lost {lost} of the others, p99 {p99:?}",
        numbers.len()
    );
    assert_eq!(*answers, REQUESTS, "every request is answered");
    assert_eq!(numbers.last(), Some(&u32::MAX), "what is fresh arrives");
    assert!(numbers.is_sorted() && numbers.len() < *sent as usize, "the oldest are dropped");
    slow.client.send_channel(CHANNEL, b"it goes on");
    assert_eq!(slow.peer.receive().1, b"it goes on");
    lost == 0 && p99[1] < p99[0] + LATER_MAX
}

#[test]
fn a_slow_reader_delays_no_other_call_and_is_answered_everything() {
    holds("a slow reader", comes_through);
}
