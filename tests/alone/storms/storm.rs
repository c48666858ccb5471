//! Thousands of new connections a second, beside calls.

use std::collections::VecDeque;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use socket2::SockRef;

use super::calls::{
    HOST, Pair, calls, connect_from, descriptors, expect_descriptors, lost, source,
};
use super::holds;
use crate::fairness::talk;
use crate::link::Link;
use crate::machine::{Folder, Ports};
use crate::relay::{LOOPBACK4, Relay, Setup};

const PER_SECOND: usize = 5_000;
/// It was none with fewer: a thousand a second is what a busy machine manages as well.
const LEAST: usize = 4_000;
/// Sources that they come from: more than the limits of one could stop.
const SOURCES: usize = 2_000;
/// Connections that stay open for a while.
const STAY: usize = 500;
/// How long a handshake may take, and as long again for those that wait with the kernel meanwhile:
/// a worker takes a few steps of handshakes in a turn.
const HANDSHAKE: Duration = Duration::from_secs(60);

/// What one connection of a storm does.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Close,
    Reset,
    HelloAndStop,
}

/// The first words of a client over TLS.
fn hello() -> Vec<u8> {
    let folder = Folder::new();
    let mut tls = Link::tls(HOST, &Pair::new(&folder, "nobody").trusted);
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).expect("memory takes all");
    hello
}

impl Kind {
    fn act(self, mut stream: TcpStream, hello: &[u8], open: &mut VecDeque<TcpStream>) {
        match self {
            Kind::Close => {}
            Kind::Reset => {
                SockRef::from(&stream).set_linger(Some(Duration::ZERO)).expect("an option");
            }
            Kind::HelloAndStop => {
                // It may have been refused already.
                let _ = stream.write_all(hello);
                open.push_back(stream);
                if open.len() > STAY {
                    open.pop_front();
                }
            }
        }
    }

    /// Opens connections at the rate until it is over; says how many were taken.
    fn storm(self, to: SocketAddr, over: &AtomicBool) -> usize {
        let (begun, hello) = (Instant::now(), hello());
        let (mut tried, mut taken, mut open) = (0, 0, VecDeque::new());
        while !over.load(Ordering::Relaxed) {
            let due = (begun.elapsed().as_secs_f64() * PER_SECOND as f64) as usize;
            for number in tried..due {
                if let Ok(stream) = connect_from(source(number % SOURCES), to) {
                    taken += 1;
                    self.act(stream, &hello, &mut open);
                }
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            tried = tried.max(due);
            std::thread::sleep(Duration::from_millis(1));
        }
        taken
    }
}

/// A relay that takes TLS, and the ports it has for that.
fn relay(driver: &str, pair: &Pair) -> (Relay, Ports) {
    let claim = Ports::claim();
    let tls = SocketAddr::new(LOOPBACK4, claim.spare()).to_string();
    let words = ["--io", driver, "--listen-tls", &tls, "--tls-certificate", &pair.certificate];
    (Setup::new().with(&words).with(&["--tls-key", &pair.key]).start(), claim)
}

fn comes_through(driver: &str, kind: Kind) -> bool {
    let folder = Folder::new();
    let pair = Pair::new(&folder, "server");
    let (relay, _claim) = relay(driver, &pair);
    let mut calls = calls(&relay, 5);
    std::thread::sleep(Duration::from_millis(200));
    let before = descriptors(&relay);
    let (over, taken) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| taken.store(kind.storm(relay.v4(), &over), Ordering::Relaxed));
        talk(&calls);
        over.store(true, Ordering::Relaxed);
    });
    let (lost, taken) = (lost(&mut calls), taken.into_inner());
    eprintln!("{driver}: beside {taken} of {kind:?} in 4 s, lost {lost:?}");
    assert!(taken > LEAST, "the storm was none: {taken} of {kind:?}");
    expect_descriptors(&relay, before, HANDSHAKE);
    pair.client(relay.v4()).expect("TLS is served").allocate();
    lost == [0, 0]
}

#[test]
fn connections_that_come_and_go_by_the_thousand_take_nothing_from_calls() {
    for kind in [Kind::Close, Kind::Reset, Kind::HelloAndStop] {
        holds(&format!("a storm of {kind:?}"), |driver| comes_through(driver, kind));
    }
}
