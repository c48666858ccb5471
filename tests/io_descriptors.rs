//! What becomes of connections when the process can have no more descriptors: they wait, and the
//! driver sleeps meanwhile. In a process of its own, whose limit it lowers.

use std::{
    fs::File,
    iter,
    net::TcpStream,
    time::{Duration, Instant},
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use uturn::io::{
    Driver, Event, HangUpHow, PortableDriver, Settings, StreamEvent, UringDriver, Wait, sockets,
};

const FEW: u64 = 64;
const PATIENCE: Duration = Duration::from_secs(5);

/// Turns for so long, or until a stream is accepted; its descriptor is free again then.
fn accepts<D: Driver>(driver: &mut D, limit: Duration) -> bool {
    let give_up = Instant::now() + limit;
    while Instant::now() < give_up {
        driver.turn(Wait::For(give_up - Instant::now())).expect("turn");
        while let Some(event) = driver.next() {
            match event {
                Event::Stream(StreamEvent::Accepted { stream, .. }) => {
                    driver.hang_up(stream, HangUpHow::Close);
                }
                Event::Stream(StreamEvent::Closed(..)) => return true,
                event => panic!("{event:?}"),
            }
        }
    }
    false
}

fn who_connects_waits_for_a_descriptor<D: Driver>(mut driver: D) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = sockets::stream_listening(any, PATIENCE).expect("loopback");
    let address = listener.local_addr().expect("bound");
    driver.accept(listener).expect("room");
    driver.turn(Wait::None).expect("turn");
    for _ in 0..2 {
        let client = TcpStream::connect(address).expect("a listener");
        let taken: Vec<_> = iter::from_fn(|| File::open("/dev/null").ok()).collect();
        let turns = driver.counters().turns;
        assert!(!accepts(&mut driver, Duration::from_millis(350)));
        let turns = driver.counters().turns - turns;
        assert!((2..20).contains(&turns), "{turns} turns in 350 ms");
        assert!(driver.counters().accepts_refused > 0);
        drop(taken);
        assert!(accepts(&mut driver, PATIENCE), "there are descriptors again");
        drop(client);
    }
}

#[test]
fn connections_wait_while_there_are_no_descriptors() {
    let drivers = (
        UringDriver::new(&Settings::default()).expect("io_uring"),
        PortableDriver::new(&Settings::default()).expect("epoll"),
    );
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, FEW, hard).expect("lower");
    who_connects_waits_for_a_descriptor(drivers.0);
    who_connects_waits_for_a_descriptor(drivers.1);
}
