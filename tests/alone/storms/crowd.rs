//! Slow loris: thousands of connections that say nothing.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};

use super::calls::{calls, connect_from, descriptors, expect_descriptors, lost, source};
use super::holds;
use crate::fairness::talk;
use crate::relay::{Setup, patience};

/// As many as a worker takes from strangers.
const CROWD: u64 = 4_096;
/// As many of one source.
const OF_A_SOURCE: usize = 32;
/// How long they have to say something.
const FIRST: Duration = Duration::from_secs(5);

fn ends(mut stream: TcpStream) -> bool {
    stream.set_read_timeout(Some(FIRST + patience())).expect("a timeout");
    matches!(stream.read(&mut [0; 1]), Ok(0))
}

fn comes_through(driver: &str) -> bool {
    let relay = Setup::new().with(&["--io", driver]).start();
    let mut calls = calls(&relay, 5);
    std::thread::sleep(Duration::from_millis(200));
    let before = descriptors(&relay);
    let files = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit").0;
    let crowd = files.saturating_sub(500).min(CROWD) as usize;
    let begun = Instant::now();
    let silent: Vec<TcpStream> = std::thread::scope(|scope| {
        let connecting = scope.spawn(|| {
            let connect = |n| connect_from(source(n / OF_A_SOURCE), relay.v4());
            (0..crowd).map(connect).collect::<Result<_, _>>().expect("all are taken")
        });
        talk(&calls);
        connecting.join().expect("no panic")
    });
    let most = descriptors(&relay) - before;
    let lost = lost(&mut calls);
    let ended = silent.into_iter().map(ends).filter(|ended| *ended).count();
    let took = begun.elapsed();
    eprintln!("{driver}: beside {crowd} that say nothing, {most} at once, lost {lost:?}; {took:?}");
    assert_eq!(ended, crowd, "each is closed at its deadline");
    expect_descriptors(&relay, before, FIRST);
    lost == [0, 0]
}

#[test]
fn thousands_that_say_nothing_take_nothing_from_calls_and_leave_nothing() {
    holds("a crowd", comes_through);
}
