//! What both drivers do when the kernel refuses trains, which it is said to do here whatever it
//! does.

use std::{
    iter,
    net::{IpAddr, SocketAddr, UdpSocket},
    time::Duration,
};

use super::{Engine, kernel::Kernel};
use crate::io::{
    driver::Driver,
    epoll::PortableDriver,
    event::{Event, SocketId, Wait},
    piece::Piece,
    settings::Settings,
    socket::open::{self as sockets, BufferSizes},
    uring::UringDriver,
};

/// Datagrams of each train.
const DATAGRAMS: u64 = 5;

fn loopback(last: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, last])
}

/// Sockets at some loopback addresses, and a driver that sends them trains.
struct Trial<K: Kernel> {
    driver: Engine<K>,
    socket: SocketId,
    peers: Vec<UdpSocket>,
}

impl<K: Kernel> Trial<K> {
    fn new(mut driver: Engine<K>, refuses: fn(IpAddr) -> bool) -> Self {
        driver.refuses = refuses;
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let socket = sockets::relay(any, BufferSizes::RELAY).expect("loopback");
        let socket = driver.open(socket).expect("room");
        let peer = |last| UdpSocket::bind((loopback(last), 0)).expect("loopback");
        Self { driver, socket, peers: (1..=8).map(peer).collect() }
    }

    /// Sends a train to a peer; how many left as trains, and how many were refused.
    fn send(&mut self, peer: usize) -> (u64, u64) {
        let to = self.peers[peer].local_addr().expect("bound");
        let before = *self.driver.counters();
        for number in 0..DATAGRAMS {
            let mut lease = self.driver.blank(100).expect("a buffer");
            let body = lease.range();
            lease.exclusive().expect("its only holder")[body.clone()].fill(number as u8);
            self.driver.send(self.socket, to, Piece::single(lease, body));
        }
        self.driver.turn(Wait::None).expect("a turn");
        let after = *self.driver.counters();
        assert_eq!(after.sent_datagrams - before.sent_datagrams, DATAGRAMS, "whatever happens");
        self.hears(peer);
        (after.trains_out - before.trains_out, after.trains_unjoined - before.trains_unjoined)
    }

    /// Each datagram arrives at the peer, those of a refused train for a second time.
    fn hears(&self, peer: usize) {
        let socket = &self.peers[peer];
        socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a timeout");
        let mut seen = [false; DATAGRAMS as usize];
        let mut buffer = [0; 200];
        while seen != [true; DATAGRAMS as usize] {
            let bytes = socket.recv(&mut buffer).expect("a datagram");
            assert_eq!(bytes, 100);
            seen[usize::from(buffer[0])] = true;
        }
        socket.set_nonblocking(true).expect("non-blocking");
        while socket.recv(&mut buffer).is_ok() {}
        socket.set_nonblocking(false).expect("blocking");
    }

    /// Whether segmentation went off, or on, by what the driver has told since the last look.
    fn news(&mut self) -> Vec<&'static str> {
        let events = iter::from_fn(|| self.driver.next());
        let news = events.map(|event| match event {
            Event::SegmentationOff => "off",
            Event::SegmentationOn => "on",
            event => panic!("{event:?}"),
        });
        news.collect()
    }

    fn a_minute_later(&mut self) {
        self.driver.segmentation.age(Duration::from_secs(60));
    }
}

const TRAIN: (u64, u64) = (1, 0);
const REFUSED: (u64, u64) = (0, 1);
const SINGLY: (u64, u64) = (0, 0);

fn one_route_without_offload_costs_the_others_nothing<K: Kernel>(driver: Engine<K>) {
    let mut trial = Trial::new(driver, |to| to == loopback(3));
    for _ in 0..3 {
        assert_eq!(trial.send(2), REFUSED);
        for peer in [0, 1, 3, 4, 5, 6, 7] {
            assert_eq!(trial.send(peer), TRAIN, "to peer {peer}");
            assert_eq!(trial.send(2), SINGLY, "it was refused a moment ago");
        }
        trial.a_minute_later();
    }
    assert!(trial.news().is_empty());
    trial.driver.refuses = |_| false;
    assert_eq!(trial.send(2), TRAIN, "the route takes trains again");
}

fn several_routes_without_offload_are_all_until_it_is_tried_again<K: Kernel>(driver: Engine<K>) {
    let mut trial = Trial::new(driver, |_| true);
    for round in 0..2 {
        for peer in 0..4 {
            assert_eq!(trial.send(peer), REFUSED);
        }
        for peer in 0..8 {
            assert_eq!(trial.send(peer), SINGLY);
        }
        let news: &[_] = if round == 0 { &["off"] } else { &[] };
        assert_eq!(trial.news(), news, "it is told once");
        trial.a_minute_later();
    }
    trial.driver.refuses = |_| false;
    assert_eq!(trial.send(0), TRAIN);
    assert_eq!(trial.news(), ["on"]);
}

macro_rules! for_both {
    ($($test:ident,)*) => { $(mod $test {
        use super::*;

        #[test]
        fn io_uring() {
            super::$test(UringDriver::new(&Settings::default()).expect("io_uring"));
        }

        #[test]
        fn portable() {
            super::$test(PortableDriver::new(&Settings::default()).expect("epoll"));
        }
    })* };
}

for_both! {
    one_route_without_offload_costs_the_others_nothing,
    several_routes_without_offload_are_all_until_it_is_tried_again,
}
