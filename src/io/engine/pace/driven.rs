//! What both drivers do when packets are held: it must never go on beside packets that could be
//! had.

use std::{
    iter,
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use super::*;
use crate::io::{
    driver::Driver,
    engine::figures::core_use::CoreUse,
    epoll::PortableDriver,
    event::{Event, Wait},
    settings::Settings,
    socket::open::{self as sockets, BufferSizes},
    uring::UringDriver,
};

/// Long enough to be told from everything else.
const LONGEST: Duration = Duration::from_millis(300);

/// A driver that holds packets whatever comes of it, its address, and somebody who sends to it.
fn holding<D: Driver>(mut driver: D, parts: Parts<D>) -> (D, SocketAddr, UdpSocket) {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let socket = sockets::relay(loopback, BufferSizes::RELAY).expect("loopback");
    let address = socket.local_addr().expect("bound");
    driver.open(socket).expect("room");
    driver.turn(Wait::None).expect("armed");
    let (pace, core_use) = parts(&mut driver);
    let mode = Mode::On { until_look: u32::MAX };
    *pace = Pace { cpu: Cpu::Short, mode, ..Pace::new(LONGEST) };
    *core_use = CoreUse::never();
    (driver, address, UdpSocket::bind(loopback).expect("loopback"))
}

type Parts<D> = fn(&mut D) -> (&mut Pace, &mut CoreUse);

/// Lengths of the datagrams that one turn brings.
fn turn(driver: &mut impl Driver) -> Vec<usize> {
    driver.turn(Wait::For(10 * LONGEST)).expect("a turn");
    let events = iter::from_fn(|| driver.next());
    let received = events.filter_map(|event| match event {
        Event::Received(received) => Some(received.lease.range().len()),
        Event::Woken
        | Event::Opened(_)
        | Event::Refused(..)
        | Event::Closed(_)
        | Event::Taken(..)
        | Event::Broken(..)
        | Event::SegmentationOff
        | Event::SegmentationOn
        | Event::Stream(_) => None,
    });
    received.collect()
}

fn what_comes_later_is_in_the_same_turn<D: Driver>(driver: D, parts: Parts<D>) {
    let (mut driver, address, client) = holding(driver, parts);
    client.send_to(&[0; 100], address).expect("sent");
    let later = thread::spawn(move || {
        thread::sleep(LONGEST / 10);
        client.send_to(&[0; 200], address).expect("sent");
    });
    let begun = Instant::now();
    assert_eq!(turn(&mut driver), [100, 200]);
    assert!(begun.elapsed() >= LONGEST, "the wait is for company, whatever comes");
    later.join().expect("sent");
}

/// A driver that slept with a full socket at hand lost packets while a third of its core was
/// unused.
fn a_crowd_is_taken_at_once<D: Driver>(driver: D, parts: Parts<D>) {
    let (mut driver, address, client) = holding(driver, parts);
    let crowd = 10 * CROWD as usize;
    (0..crowd).for_each(|_| _ = client.send_to(&[0; 100], address).expect("sent"));
    let begun = Instant::now();
    let mut taken = 0;
    while taken < crowd {
        taken += turn(&mut driver).len();
    }
    // What is left at the end may be fewer than a crowd.
    assert!(begun.elapsed() < 2 * LONGEST);
}

/// What ends a receive: an empty datagram among others kept its socket deaf until the next turn.
fn empty_datagrams_end_no_receive<D: Driver>(driver: D, parts: Parts<D>) {
    let (mut driver, address, client) = holding(driver, parts);
    for _ in 0..CROWD / 2 {
        client.send_to(&[0; 100], address).expect("sent");
        client.send_to(&[], address).expect("sent");
    }
    let begun = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < CROWD as usize {
        taken.extend(turn(&mut driver));
    }
    assert_eq!(taken, [100, 0].repeat(CROWD as usize / 2));
    assert!(begun.elapsed() < 2 * LONGEST);
}

fn a_lack_of_buffers_is_not_waited_out<D: Driver>(driver: D, parts: Parts<D>) {
    let (mut driver, address, client) = holding(driver, parts);
    (0..CROWD).for_each(|_| _ = client.send_to(&[0; 100], address).expect("sent"));
    let begun = Instant::now();
    let mut taken = 0;
    while taken < CROWD as usize {
        taken += turn(&mut driver).len();
    }
    assert!(begun.elapsed() < 2 * LONGEST);
}

macro_rules! for_both {
    ($($test:ident: $settings:expr;)*) => { $(mod $test {
        use super::*;

        #[test]
        fn io_uring() {
            let driver = UringDriver::new(&$settings).expect("io_uring");
            super::$test(driver, |driver| (&mut driver.pace, &mut driver.core_use));
        }

        #[test]
        fn portable() {
            let driver = PortableDriver::new(&$settings).expect("epoll");
            super::$test(driver, |driver| (&mut driver.pace, &mut driver.core_use));
        }
    })* };
}

for_both! {
    what_comes_later_is_in_the_same_turn: Settings::default();
    a_crowd_is_taken_at_once: Settings::default();
    empty_datagrams_end_no_receive: Settings::default();
    a_lack_of_buffers_is_not_waited_out: Settings { buffers: 4, ..Settings::default() };
}
