//! A flood from a stranger: junk and Binding requests at full speed from one source into the socket
//! that all clients share. The others' packets pass and their requests are answered.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::client::Call;
use crate::fairness::{TICKS, arrived, talk};
use crate::flood::allocate_and_release;
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, method};

const OTHERS: usize = 20;

/// Packets of the others that may be lost. None are, unless the machine stops the relay for a
/// moment: then what the stranger sends meanwhile, ten packets in a microsecond, fills the buffer
/// of all.
const LOST_MAX: usize = OTHERS * TICKS / 10;

/// Allocations of one other client that are made meanwhile, one after the other, each of three
/// requests. In trains, fifteen million requests a second fill the queue that they come through,
/// unless they are refused for less than it takes to send them. There were 3,666 on two cores that
/// others used too; a server that checks each request before it refuses it made 7 to 16, and one
/// without a queue of its own for requests none.
const ANSWERED_MIN: u32 = 1_000;

/// Another network than that of the others: what one network is answered is bounded.
const STRANGER: &str = "127.77.0.1:0";

/// What the stranger sends, so many datagrams to a send.
struct Flood {
    name: &'static str,
    datagram: Vec<u8>,
    train: usize,
}

fn floods() -> [Flood; 4] {
    let binding = Builder::request(method::BINDING).bytes();
    let junk = vec![0xC5; 48];
    [
        Flood { name: "Binding requests", datagram: binding.clone(), train: 1 },
        Flood { name: "Binding requests in trains", datagram: binding, train: 50 },
        Flood { name: "junk", datagram: junk.clone(), train: 1 },
        Flood { name: "junk in trains", datagram: junk, train: 50 },
    ]
}

/// What came of it.
struct Outcome {
    sent: u64,
    /// Packets of the others, to peers and to clients.
    lost: [usize; 2],
    answered: u32,
    slowest: Duration,
}

fn beside_a_flood(relay: &Relay, flood: &Flood) -> Outcome {
    let others = Vec::from_iter((0..OTHERS).map(|_| Call::on(relay)));
    let stranger = UdpSocket::bind(STRANGER).expect("loopback is a whole network");
    let bytes = i32::try_from(flood.datagram.len()).expect("a datagram");
    setsockopt(&stranger, UdpGsoSegment, &bytes).expect("a kernel with UDP_SEGMENT");
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let train = flood.datagram.repeat(flood.train);
            while !over.load(Ordering::Relaxed) {
                let taken = stranger.send_to(&train, relay.v4()).is_ok();
                sent.fetch_add(if taken { flood.train as u64 } else { 0 }, Ordering::Relaxed);
            }
        });
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                slowest = slowest.max(allocate_and_release(relay));
                answered += 1;
            }
        });
        talk(&others);
        over.store(true, Ordering::Relaxed);
    });
    let arrived = |of: fn(&Call) -> &UdpSocket| others.iter().map(of).map(arrived).sum::<usize>();
    let arrived = [arrived(|call| &call.peer.socket), arrived(|call| &call.client.socket)];
    let lost = arrived.map(|arrived| OTHERS * TICKS - arrived);
    Outcome { sent: sent.into_inner(), lost, answered, slowest }
}

#[test]
fn a_stranger_takes_neither_packets_nor_answers_from_others() {
    for driver in ["uring", "portable"] {
        for flood in floods() {
            let relay = Setup::new().with(&["--io", driver]).start();
            let outcome = beside_a_flood(&relay, &flood);
            let Outcome { sent, lost, answered, slowest } = outcome;
            eprintln!(
                "{driver}: beside {sent} of {}, lost {lost:?} of {}, {answered} allocations, slowest \
                 answer {slowest:?}",
                flood.name,
                OTHERS * TICKS
            );
            assert!(sent > 100_000, "the flood was none: {sent} packets");
            assert!(answered >= ANSWERED_MIN, "only {answered} allocations");
            assert!(lost.iter().all(|lost| *lost <= LOST_MAX), "{lost:?}");
        }
    }
}
