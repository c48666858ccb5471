//! More clients over TCP that read nothing than a worker has large buffers, beside calls: what they
//! take from these, and how much memory from all.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::SockRef;

use super::calls::{calls, connect_from, descriptors, expect_descriptors, lost, source};
use super::holds;
use crate::client::{CHANNEL, Client, Peer};
use crate::fairness::talk;
use crate::link::Link;
use crate::memory::resident_bytes;
use crate::relay::{Relay, Setup};

/// A worker has 1,024 large buffers.
const STALLED: usize = 1_100;
/// What they make resident: 64 MiB that wait and a third more, a large buffer each, and themselves.
const GROWTH_MAX_BYTES: u64 = (86 + 18 + 8) << 20;
/// Packets for each before the calls begin: for all of them three times the 64 MiB that may wait.
const FILL: usize = 200;
/// How many of one source.
const OF_A_SOURCE: usize = 20;

/// A client that reads nothing, and where its peer sends to.
fn stalled(relay: &Relay, number: usize, peer: &Peer) -> (Client, SocketAddr) {
    let stream = connect_from(source(number / OF_A_SOURCE), relay.v4()).expect("it is taken");
    SockRef::from(&stream).set_recv_buffer_size(2_048).expect("an option");
    let mut client = Client::over(Link::of(stream), relay.v4());
    let relayed = client.allocate();
    client.bind(CHANNEL, peer.address());
    (client, relayed)
}

fn comes_through(driver: &str) -> bool {
    let words = ["--io", driver, "--user-quota", "5000", "--stream-delay", "5000"];
    let relay = Setup::new().with(&words).relay_ports(40_000, 42_999).start();
    let mut calls = calls(&relay, 5);
    std::thread::sleep(Duration::from_millis(200));
    let (before, peer) = (descriptors(&relay), Peer::new());
    let resident_before = resident_bytes(relay.process.pid);
    let stalled: Vec<_> = (0..STALLED).map(|number| stalled(&relay, number, &peer)).collect();
    let flood = || stalled.iter().for_each(|(_, relayed)| peer.send(*relayed, &[7; 1_200]));
    (0..FILL).for_each(|_| flood());
    let over = AtomicBool::new(false);
    let rounds = std::thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            let mut rounds = 0;
            while !over.load(Ordering::Relaxed) {
                flood();
                rounds += 1;
                std::thread::sleep(Duration::from_millis(200));
            }
            rounds
        });
        talk(&calls);
        over.store(true, Ordering::Relaxed);
        flooding.join().expect("no panic")
    });
    let growth = resident_bytes(relay.process.pid).saturating_sub(resident_before);
    let lost = lost(&mut calls);
    let each = FILL + rounds;
    eprintln!("{driver}: beside {STALLED} that read none of {each} packets, lost {lost:?}");
    eprintln!("{driver}: they took {} KiB", growth >> 10);
    assert!(growth < GROWTH_MAX_BYTES, "{growth} bytes");
    drop(stalled);
    expect_descriptors(&relay, before, Duration::ZERO);
    lost == [0, 0]
}

#[test]
fn clients_that_read_nothing_take_no_buffer_and_no_frame_from_others() {
    holds("clients that read nothing", comes_through);
}
