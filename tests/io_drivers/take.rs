//! Sockets that leave a driver, and sockets that wait before they receive.

use std::{
    net::UdpSocket,
    os::fd::OwnedFd,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use uturn::io::{
    Driver, Event, Settings, Wait,
    sockets::{self, BufferSizes},
};

use super::node::{Node, V4, V6, heard, numbered, open, outside, paused};

/// Takes the node's socket out of its driver, which lets nothing of it surface any more.
fn taken<D: Driver>(node: &mut Node<D>) -> OwnedFd {
    let socket = node.socket;
    node.driver.take(socket);
    let mut taken = None;
    node.until(|_, event| match event {
        Event::Taken(it, descriptor) => {
            assert_eq!(it, socket);
            taken = Some(descriptor);
            true
        }
        Event::Received(received) => {
            assert_ne!(received.socket, socket, "received after it was taken");
            false
        }
        event => panic!("{event:?}"),
    });
    taken.expect("until it was taken")
}

/// The socket of a driver's node, which hears and answers under the address it had before.
fn serves<D: Driver>(node: &mut Node<D>) {
    let (client, from) = outside(if node.address.is_ipv6() { V6 } else { V4 });
    client.send_to(b"question", node.address).expect("sent");
    let socket = node.socket;
    node.until(|_, event| match event {
        Event::Received(got) => got.socket == socket && got.from == from,
        event => panic!("{event:?}"),
    });
    node.queue(from, b"answer");
    node.turn();
    let mut buffer = [0; 16];
    let (bytes, source) = client.recv_from(&mut buffer).expect("an answer");
    assert_eq!((&buffer[..bytes], source), (b"answer".as_slice(), node.address));
}

pub(super) fn a_taken_socket_serves_in_another_driver<D: Driver>(new: fn(&Settings) -> D) {
    for local in [V4, V6] {
        let mut one = Node::on(new(&Settings::default()), local);
        let mut other = Node::on(new(&Settings::default()), local);
        serves(&mut one);
        let descriptor = taken(&mut one);
        let (here, address) = open(&mut one.driver, local);
        assert_eq!(here, one.socket, "the id is free again");
        other.socket = other.driver.open(UdpSocket::from(descriptor)).expect("room");
        other.address = one.address;
        serves(&mut other);
        one.address = address;
        serves(&mut one);
        other.driver.close(other.socket);
        let (gone, address) = (other.socket, other.address);
        other.until(|_, event| matches!(event, Event::Closed(it) if it == gone));
        sockets::relay(address, BufferSizes::RELAY).expect("nobody else has the port");
    }
}

pub(super) fn a_socket_taken_while_traffic_arrives_goes_on<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let mut other = Node::new(new(&Settings::default()));
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let (client, _) = outside(V4);
        let (address, is_over) = (node.address, &is_over);
        scope.spawn(move || {
            for number in 0.. {
                client.send_to(&numbered(number, 100), address).expect("sent");
                if is_over.load(Relaxed) {
                    break;
                }
                thread::sleep(Duration::from_micros(20));
            }
        });
        for _ in 0..50 {
            assert!(!node.datagrams(20).is_empty());
            let descriptor = taken(&mut node);
            other.socket = other.driver.open(UdpSocket::from(descriptor)).expect("room");
            assert!(!other.datagrams(20).is_empty());
            let descriptor = taken(&mut other);
            node.socket = node.driver.open(UdpSocket::from(descriptor)).expect("room");
        }
        is_over.store(true, Relaxed);
    });
}

pub(super) fn what_was_queued_leaves_before_a_taken_socket<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    for number in 0..50 {
        node.queue(to, &numbered(number, 100 + number % 3));
    }
    node.driver.take(node.socket);
    node.queue(to, b"too late");
    let socket = node.socket;
    node.until(|_, event| matches!(event, Event::Taken(it, _) if it == socket));
    for number in 0..50 {
        assert_eq!(heard(&client), numbered(number, 100 + number % 3));
    }
    let counters = node.driver.counters();
    assert_eq!((counters.sent_datagrams, counters.dropped_error), (50, 1));
}

pub(super) fn a_socket_that_is_taken_is_neither_taken_again_nor_closed<D: Driver>(
    new: fn(&Settings) -> D,
) {
    let mut node = Node::new(new(&Settings::default()));
    let address = node.address;
    node.driver.take(node.socket);
    node.driver.take(node.socket);
    node.driver.close(node.socket);
    let descriptor = taken(&mut node);
    node.driver.take(node.socket);
    node.driver.close(node.socket);
    for _ in 0..3 {
        node.turn();
        assert!(node.driver.next().is_none(), "it was handed out already");
    }
    sockets::relay(address, BufferSizes::RELAY).expect_err("the descriptor holds the port");
    drop(descriptor);
    sockets::relay(address, BufferSizes::RELAY).expect("the port is free");
}

pub(super) fn a_socket_that_is_closed_cannot_be_taken<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    node.driver.close(node.socket);
    node.driver.take(node.socket);
    let socket = node.socket;
    node.until(|_, event| {
        assert!(matches!(event, Event::Closed(closed) if closed == socket), "{event:?}");
        true
    });
}

pub(super) fn a_paused_socket_hears_nothing_until_it_is_resumed<D: Driver>(
    new: fn(&Settings) -> D,
) {
    for local in [V4, V6] {
        let mut node = Node::on(new(&Settings::default()), local);
        (node.socket, node.address) = paused(&mut node.driver, local);
        sockets::relay(node.address, BufferSizes::RELAY).expect_err("it holds its port");
        let (client, _) = outside(local);
        client.send_to(b"early", node.address).expect("sent");
        let before = node.driver.counters().enters;
        node.driver.turn(Wait::For(Duration::from_millis(100))).expect("turn");
        assert!(node.driver.next().is_none(), "it is paused");
        assert_eq!(node.driver.counters().enters - before, 1, "nothing wakes it");
        node.driver.resume(node.socket);
        assert_eq!(node.datagrams(1), [b"early"]);
        node.driver.resume(node.socket);
        serves(&mut node);
    }
}

pub(super) fn a_paused_socket_can_be_closed_and_taken<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (closed, address) = paused(&mut node.driver, V4);
    node.driver.close(closed);
    node.driver.resume(closed);
    node.until(|_, event| matches!(event, Event::Closed(it) if it == closed));
    sockets::relay(address, BufferSizes::RELAY).expect("the port is free");

    let (leaving, address) = paused(&mut node.driver, V4);
    node.socket = leaving;
    let (client, _) = outside(V4);
    client.send_to(b"early", address).expect("sent");
    let descriptor = taken(&mut node);
    let mut other = Node::new(new(&Settings::default()));
    other.socket = other.driver.open(UdpSocket::from(descriptor)).expect("room");
    other.address = address;
    assert_eq!(other.datagrams(1), [b"early"], "what waited in the socket went with it");
    serves(&mut other);
}

/// A ring makes the descriptor when the socket leaves, and may find that there can be no more.
pub(super) fn a_socket_that_can_have_no_descriptor_is_closed_instead<D: Driver>(
    new: fn(&Settings) -> D,
) {
    let mut node = Node::new(new(&Settings::default()));
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, 3, hard).expect("a lower one");
    node.driver.take(node.socket);
    node.driver.turn(Wait::For(Duration::from_secs(1))).expect("turn");
    let event = node.driver.next();
    setrlimit(Resource::RLIMIT_NOFILE, soft, hard).expect("the limit from before");
    match &event {
        Some(Event::Closed(socket) | Event::Taken(socket, _)) => assert_eq!(*socket, node.socket),
        event => panic!("{event:?}"),
    }
    drop(event);
    sockets::relay(node.address, BufferSizes::RELAY).expect("the port is free");
}
