//! Fairness between relay sockets: a peer that floods one allocation takes nothing from the others.

use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt::UdpGsoSegment};

use crate::client::{CHANNEL, Call};
use crate::relay::Setup;

const OTHERS: usize = 50;
const TICK: Duration = Duration::from_millis(20);
/// Four seconds of 50 packets a second. All of them fit into a socket's buffer, so that nobody has
/// to read while the relay is flooded.
pub const TICKS: usize = 200;
const PAYLOAD: [u8; 100] = [7; 100];
const FLOOD_BYTES: usize = 1200;

/// How many of its datagrams have come to a socket; those that are missing are waited for.
pub fn arrived(socket: &UdpSocket) -> usize {
    socket.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    std::iter::from_fn(|| socket.recv(&mut [0; 2048]).ok()).take(TICKS).count()
}

/// Each of the others sends and is sent a packet at every tick; says how late the last tick was.
pub fn talk(calls: &[Call]) -> Duration {
    let begun = Instant::now();
    for tick in 0..TICKS as u32 {
        std::thread::sleep((begun + TICK * tick).saturating_duration_since(Instant::now()));
        for call in calls {
            call.client.send_channel(CHANNEL, &PAYLOAD);
            call.peer.send(call.relayed, &PAYLOAD);
        }
    }
    begun.elapsed().saturating_sub(TICK * (TICKS as u32 - 1))
}

/// Floods one allocation from its peer, `train` datagrams to a send, while the others talk. Returns
/// the packets lost on the way to peers and to clients.
fn lost_beside_a_flood(driver: &str, train: usize) -> [usize; 2] {
    let relay = Setup::new().with(&["--io", driver]).start();
    let (flooded, others) =
        (Call::on(&relay), Vec::from_iter((0..OTHERS).map(|_| Call::on(&relay))));
    let bytes = i32::try_from(FLOOD_BYTES).expect("a datagram");
    setsockopt(&flooded.peer.socket, UdpGsoSegment, &bytes).expect("a kernel with UDP_SEGMENT");
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    let late = std::thread::scope(|scope| {
        let flood = vec![0xAB; train * FLOOD_BYTES];
        let (over, sent, flooded) = (&over, &sent, &flooded);
        scope.spawn(move || {
            while !over.load(Ordering::Relaxed) {
                flooded.peer.send(flooded.relayed, &flood);
                sent.fetch_add(train as u64, Ordering::Relaxed);
            }
        });
        let late = talk(&others);
        over.store(true, Ordering::Relaxed);
        late
    });
    let arrived = |of: fn(&Call) -> &UdpSocket| others.iter().map(of).map(arrived).sum::<usize>();
    let arrived = [arrived(|call| &call.peer.socket), arrived(|call| &call.client.socket)];
    let lost = arrived.map(|arrived| OTHERS * TICKS - arrived);
    let sent = sent.into_inner();
    eprintln!(
        "{driver}: beside {sent} packets in trains of {train}, lost {lost:?} of {}, last tick \
         {late:?} late",
        OTHERS * TICKS
    );
    assert!(sent > 100_000, "the flood was none: {sent} packets");
    lost
}

#[test]
fn a_flooded_relay_socket_takes_nothing_from_the_others() {
    for driver in ["uring", "portable"] {
        for train in [1, 50] {
            let lost = lost_beside_a_flood(driver, train);
            // A twentieth of a percent, for what the machine itself may lose.
            assert!(lost.iter().all(|lost| *lost <= OTHERS * TICKS / 2000), "{lost:?}");
        }
    }
}
