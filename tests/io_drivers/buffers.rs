//! Which buffers are used, and that nobody else's are.

use std::{
    collections::{HashSet, VecDeque},
    sync::mpsc,
    thread,
};

use uturn::io::{Driver, Event, Lease, Piece, Settings, Wait};

use super::node::{Node, PATIENCE, V4, heard, numbered, outside};

/// Buffers that come round one after the other are never in the cache.
pub(super) fn what_was_in_use_last_is_used_next<D: Driver>(new: fn(&Settings) -> D) {
    const BURST: usize = 4;
    let mut node = Node::new(new(&Settings::default()));
    let (client, _) = outside(V4);
    let mut places = HashSet::new();
    for _ in 0..300 {
        for number in 0..BURST {
            client.send_to(&numbered(number, 100), node.address).expect("sent");
        }
        places.extend(leases(&mut node, BURST).iter().map(|lease| lease.payload().as_ptr()));
    }
    assert!(places.len() <= 4 * BURST, "{} of 1,200 datagrams in a place of its own", places.len());
}

/// Leases that are kept for longer or shorter, while others come and go.
pub(super) fn what_is_held_stays_as_it_is<D: Driver>(new: fn(&Settings) -> D) {
    const BUFFERS: u32 = 64;
    const HELD_MAX: usize = 48;
    let mut node = Node::new(new(&Settings { buffers: BUFFERS, ..Settings::default() }));
    let (client, _) = outside(V4);
    let mut held: VecDeque<(usize, Lease)> = VecDeque::new();
    let (mut next, mut state) = (0, 1_u64);
    for _ in 0..2_000 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let burst = 1 + (state >> 40) as usize % 12;
        for number in next..next + burst {
            client.send_to(&numbered(number, 200), node.address).expect("sent");
        }
        held.extend((next..).zip(leases(&mut node, burst)));
        next += burst;
        let keep = (state >> 50) as usize % HELD_MAX;
        while held.len() > keep {
            let end = if state & 1 << 33 == 0 { held.pop_front() } else { held.pop_back() };
            let (number, lease) = end.expect("more than are kept");
            assert_eq!(lease.payload(), numbered(number, 200), "datagram {number}");
        }
    }
    assert_eq!(node.driver.counters().starved, 0);
}

/// A ring whose receives had ended for want of buffers slept for ever while the only buffers were
/// being sent from: nobody armed the receives when the sends gave them back.
///
/// A kernel takes 33 datagrams at a time: when that is all the buffers there are, the receive ends
/// only with the next call. Datagrams of one size leave as a train, whose end a call waits for
/// before the sleep, so that this call gives the buffers back and ends the receive.
pub(super) fn a_driver_out_of_buffers_hears_on_while_it_sends<D: Driver>(new: fn(&Settings) -> D) {
    for (buffers, apart_bytes) in [(2, 1), (2, 0), (33, 1), (33, 0)] {
        let datagram = |number| numbered(number, 100 + number * apart_bytes);
        hears_on_while_it_sends(new(&Settings { buffers, ..Settings::default() }), datagram);
    }
}

fn hears_on_while_it_sends<D: Driver>(driver: D, datagram: impl Fn(usize) -> Vec<u8>) {
    const DATAGRAMS: usize = 132;
    let mut node = Node::new(driver);
    let (client, to) = outside(V4);
    for number in 0..DATAGRAMS {
        client.send_to(&datagram(number), node.address).expect("sent");
    }
    let (waker, (answered_all, is_over)) = (node.driver.waker(), mpsc::channel::<()>());
    let alarm = thread::spawn(move || {
        let _ = is_over.recv_timeout(PATIENCE);
        waker.wake();
    });
    let mut answered = 0;
    while answered < DATAGRAMS {
        node.driver.turn(Wait::Forever).expect("turn");
        while let Some(event) = node.driver.next() {
            let Event::Received(received) = event else { panic!("deaf until {event:?}") };
            let body = received.lease.range();
            node.driver.send(node.socket, to, Piece::single(received.lease, body));
            answered += 1;
        }
    }
    drop(answered_all);
    alarm.join().expect("no panic");
    node.turn();
    for number in 0..DATAGRAMS {
        assert_eq!(heard(&client), datagram(number));
    }
}

/// The leases of the next `count` datagrams.
fn leases<D: Driver>(node: &mut Node<D>, count: usize) -> Vec<Lease> {
    let mut leases = Vec::new();
    node.until(|_, event| {
        if let Event::Received(received) = event {
            leases.push(received.lease);
        }
        leases.len() == count
    });
    leases
}
