//! How datagrams and trains go in and out.

use std::{
    thread,
    time::{Duration, Instant},
};

use uturn::io::{Driver, Event, HEADROOM, Piece, Settings, Wait};

use super::node::{Node, V4, V6, heard, numbered, open, outside, taken_apart};

pub(super) fn echo<D: Driver>(driver: D, local: &str) {
    let mut node = Node::on(driver, local);
    let (client, from) = outside(local);
    for round in 0..100 {
        client.send_to(&numbered(round, 160), node.address).expect("sent");
        let socket = node.socket;
        node.until(|driver, event| {
            let Event::Received(received) = event else { return false };
            assert_eq!((received.socket, received.from), (socket, from));
            assert_eq!((received.segment_bytes, received.segments()), (160, 1));
            assert!(received.lease.range().start >= HEADROOM);
            let body = received.lease.range();
            driver.send(socket, from, Piece::single(received.lease, body));
            driver.turn(Wait::None).expect("turn");
            true
        });
        assert_eq!(heard(&client), numbered(round, 160));
    }
    let counters = node.driver.counters();
    assert_eq!((counters.received_datagrams, counters.sent_datagrams), (100, 100));
    assert_eq!((counters.received_bytes, counters.sent_bytes), (16_000, 16_000));
}

pub(super) fn echo_v4<D: Driver>(new: fn(&Settings) -> D) {
    echo(new(&Settings::default()), V4);
}

pub(super) fn echo_v6<D: Driver>(new: fn(&Settings) -> D) {
    echo(new(&Settings::default()), V6);
}

pub(super) fn extremes_of_length<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, from) = outside(V4);
    for bytes in [0, 1, 65_507] {
        client.send_to(&numbered(1, bytes), node.address).expect("sent");
        assert_eq!(node.datagrams(1), [numbered(1, bytes)]);
        node.queue(from, &numbered(2, bytes));
        node.turn();
        assert_eq!(heard(&client), numbered(2, bytes));
    }
    node.queue(from, &numbered(3, 65_508));
    node.turn();
    assert_eq!(node.driver.counters().dropped_too_long, 1);
}

pub(super) fn what_waits_comes_in_few_turns<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, _) = outside(V4);
    for number in 0..256 {
        client.send_to(&numbered(number, 100), node.address).expect("sent");
    }
    let before = node.driver.counters().turns;
    assert_eq!(node.datagrams(256).len(), 256);
    let turns = node.driver.counters().turns - before;
    assert!(turns <= 16, "{turns} turns");
}

pub(super) fn an_answer_needs_no_turn_of_its_own<D: Driver>(new: fn(&Settings) -> D) {
    const ROUNDS: u64 = 200;
    let mut node = Node::new(new(&Settings::default()));
    let (client, _) = outside(V4);
    let (socket, address) = (node.socket, node.address);
    let asking = thread::spawn(move || {
        for round in 0..ROUNDS as usize {
            client.send_to(&numbered(round, 160), address).expect("sent");
            assert_eq!(heard(&client), numbered(round, 160));
        }
    });
    let before = node.driver.counters().turns;
    let mut answered = 0;
    node.until(|driver, event| {
        let Event::Received(received) = event else { return false };
        let (from, body) = (received.from, received.lease.range());
        driver.send(socket, from, Piece::single(received.lease, body));
        answered += 1;
        answered == ROUNDS
    });
    let turns = node.driver.counters().turns - before;
    node.turn();
    asking.join().expect("every answer came");
    assert!(turns <= ROUNDS + ROUNDS / 4, "{turns} turns for {ROUNDS} answers");
}

/// A send that completed while the driver looked for packets was waited for once more.
pub(super) fn whoever_looks_for_packets_first_sleeps_no_longer<D: Driver>(new: fn(&Settings) -> D) {
    const ROUNDS: usize = 10;
    /// Longer than a look, and much shorter than the longest wait of a turn.
    const PAUSE: Duration = Duration::from_millis(5);
    let mut node = Node::new(new(&Settings { spin_us: 100, ..Settings::default() }));
    let (client, to) = outside(V4);
    let address = node.address;
    let asking = thread::spawn(move || {
        for round in 0..ROUNDS {
            client.send_to(&numbered(round, 160), address).expect("sent");
            assert_eq!(heard(&client), numbered(round, 160));
            thread::sleep(PAUSE);
        }
    });
    let (socket, begun) = (node.socket, Instant::now());
    let mut answered = 0;
    node.until(|driver, event| {
        let Event::Received(received) = event else { return false };
        let body = received.lease.range();
        driver.send(socket, to, Piece::single(received.lease, body));
        answered += 1;
        answered == ROUNDS
    });
    node.turn();
    let took = begun.elapsed();
    asking.join().expect("every answer came");
    assert!(took < PAUSE * 6 * ROUNDS as u32, "{took:?} for {ROUNDS} answers");
}

pub(super) fn a_train_leaves_as_one_send<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    for number in 0..10 {
        node.queue(to, &numbered(number, 1200));
    }
    node.queue(to, &numbered(10, 700));
    node.turn();
    for number in 0..10 {
        assert_eq!(heard(&client), numbered(number, 1200));
    }
    assert_eq!(heard(&client), numbered(10, 700));
    let counters = node.driver.counters();
    assert_eq!((counters.sent, counters.sent_datagrams, counters.joined), (1, 11, 10));
    assert_eq!((counters.trains_out, counters.train_datagrams_out), (1, 11));
    assert_eq!(counters.sent_bytes, 12_700);
    let sizes = counters.trains_out_sizes;
    assert_eq!((sizes.total(), sizes.sum()), (1, 11));
    assert!(sizes.buckets().any(|bucket| bucket == (Some(16), 1)), "{sizes:?}");
}

/// Turns in which a datagram comes and is answered, with a pause before each answer's turn.
fn answered_turns<D: Driver>(node: &mut Node<D>, turns: usize, pause: Duration) {
    let (client, to) = outside(V4);
    for _ in 0..turns {
        client.send_to(b"question", node.address).expect("sent");
        node.datagrams(1);
        node.queue(to, b"answer");
        thread::sleep(pause);
    }
    node.turn();
}

pub(super) fn turns_and_trains_add_up<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    answered_turns(&mut node, 40, Duration::ZERO);
    let counters = node.driver.counters();
    assert_eq!(counters.turn_sizes.total(), counters.turns - 1, "the last is under way");
    assert_eq!(counters.turn_sizes.sum(), 40);
    let (into, out) = (counters.trains_in_sizes, counters.trains_out_sizes);
    assert_eq!((into.total(), into.sum()), (counters.received, counters.received_datagrams));
    assert_eq!((out.total(), out.sum()), (counters.sent, counters.sent_datagrams));
}

pub(super) fn the_time_held_is_sampled<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    answered_turns(&mut node, 64, Duration::from_millis(5));
    let held = node.driver.hold_times();
    assert!((2..=6).contains(&held.total()), "one turn in 16: {}", held.total());
    assert_eq!(held.up_to(4_900), 0, "no answer left sooner");
    assert!(held.sum_us() >= held.total() * 5_000);
}

pub(super) fn a_train_arrives_as_one_receive<D: Driver>(new: fn(&Settings) -> D) {
    for local in [V4, V6] {
        let mut from = Node::on(new(&Settings::default()), local);
        let mut to = Node::on(new(&Settings::default()), local);
        for number in 0..10 {
            from.queue(to.address, &numbered(number, 1000));
        }
        from.queue(to.address, &numbered(10, 300));
        from.turn();
        let source = from.address;
        to.until(|_, event| {
            let Event::Received(received) = event else { return false };
            assert_eq!((received.from, received.segment_bytes), (source, 1000));
            assert_eq!(received.segments(), 11);
            let expected: Vec<_> = (0..10).map(|n| numbered(n, 1000)).collect();
            assert_eq!(taken_apart(&received)[..10], expected);
            assert_eq!(taken_apart(&received)[10], numbered(10, 300));
            true
        });
        let counters = to.driver.counters();
        assert_eq!((counters.received, counters.received_datagrams), (1, 11));
        assert_eq!((counters.trains_in, counters.train_datagrams_in), (1, 11));
    }
}

pub(super) fn headers_and_pads_are_gathered<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    let framed = |number| [b"header".as_slice(), &numbered(number, 97), &[0; 3]].concat();
    for shared in [false, true] {
        let mut kept = Vec::new();
        for number in 0..3 {
            let lease = node.lease(&numbered(number, 97));
            if shared {
                kept.push(lease.share());
            }
            let body = lease.range();
            let piece = Piece::single(lease, body).with_header(b"header").with_pad(3);
            node.driver.send(node.socket, to, piece);
        }
        node.turn();
        for number in 0..3 {
            assert_eq!(heard(&client), framed(number), "shared: {shared}");
        }
    }
    assert_eq!(node.driver.counters().sent, 2);
}

pub(super) fn a_lone_shared_piece_with_a_header<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    let lease = node.lease(b"payload");
    let kept = lease.share();
    let body = lease.range();
    node.driver.send(node.socket, to, Piece::single(lease, body).with_header(b"head").with_pad(1));
    node.turn();
    assert_eq!(heard(&client), b"headpayload\0");
    assert_eq!(kept.payload(), b"payload");
}

pub(super) fn a_repeated_piece_is_a_train<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    let bytes: Vec<u8> = (0..100 * 104).map(|i| (i / 104) as u8).collect();
    let lease = node.lease(&bytes);
    let start = lease.range().start;
    // Skips 4 bytes of each 104, as when channel headers are taken off.
    let piece = Piece::single(lease, start + 4..start + 104).repeated(100, 104).with_header(b"#");
    node.driver.send(node.socket, to, piece);
    node.turn();
    for number in 0..100 {
        assert_eq!(heard(&client), [vec![b'#'], vec![number; 100]].concat());
    }
    let counters = node.driver.counters();
    assert_eq!((counters.sent, counters.sent_datagrams), (2, 100));
}

pub(super) fn order_within_a_flow_holds<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let clients = [outside(V4), outside(V4), outside(V4)];
    let mut expected = [Vec::new(), Vec::new(), Vec::new()];
    let mut chance = 1_u64;
    for round in 0..20 {
        for number in 0..60 {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let flow = (chance >> 33) as usize % 3;
            let bytes = [0, 50, 100, 100, 100, 1400][(chance >> 40) as usize % 6];
            let datagram = numbered(round + number, bytes);
            node.queue(clients[flow].1, &datagram);
            expected[flow].push(datagram);
        }
        node.turn();
        for (client, expected) in clients.iter().zip(&mut expected) {
            for datagram in expected.drain(..) {
                assert_eq!(heard(&client.0), datagram);
            }
        }
    }
    assert!(node.driver.counters().joined > 0);
}

pub(super) fn a_full_queue_is_flushed_not_dropped<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    let lease = node.lease(&[7; 64]);
    let body = lease.range();
    for number in 0..5000_usize {
        // Growing lengths cannot be joined.
        let end = body.start + number % 60 + 1;
        node.driver.send(node.socket, to, Piece::single(lease.share(), body.start..end));
        if number % 100 == 0 {
            // Keeps the receiver's small buffer from filling up while none of it is read.
            node.turn();
            client.set_nonblocking(true).expect("non-blocking");
            while client.recv(&mut [0; 64]).is_ok() {}
        }
    }
    let early_before = node.driver.counters().early_flushes;
    for number in 0..3000_usize {
        let end = body.start + number % 60 + 1;
        node.driver.send(node.socket, to, Piece::single(lease.share(), body.start..end));
    }
    node.turn();
    let counters = node.driver.counters();
    assert!(counters.early_flushes > early_before);
    assert_eq!(counters.sent_datagrams, 8000);
}

pub(super) fn starvation_recovers<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings { buffers: 8, ..Settings::default() }));
    let (other, other_address) = open(&mut node.driver, V4);
    node.turn();
    let (client, _) = outside(V4);
    for number in 0..200 {
        client.send_to(&numbered(number, 100 + number), node.address).expect("sent");
        client.send_to(&numbered(number, 100 + number), other_address).expect("sent");
    }
    let mut held = Vec::new();
    let mut arrived = [0, 0];
    node.until(|_, event| {
        let Event::Received(received) = event else { return false };
        let number = &mut arrived[usize::from(received.socket == other)];
        assert_eq!(received.lease.payload(), numbered(*number, 100 + *number));
        *number += 1;
        held.push(received.lease);
        if held.len() == 8 {
            held.clear();
        }
        arrived == [200, 200]
    });
    assert_eq!(node.driver.counters().buffers_low, 0);
}

pub(super) fn held_buffers_stop_receiving_and_nothing_else<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings { buffers: 4, ..Settings::default() }));
    let (client, to) = outside(V4);
    for number in 0..10 {
        client.send_to(&numbered(number, 100), node.address).expect("sent");
    }
    let mut held = Vec::new();
    node.until(|_, event| {
        held.extend(if let Event::Received(received) = event { Some(received) } else { None });
        held.len() == 4
    });
    let before = node.driver.counters().enters;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(200) {
        node.driver.turn(Wait::For(Duration::from_millis(200))).expect("turn");
        assert!(node.driver.next().is_none(), "there is no buffer to receive into");
    }
    assert!(node.driver.counters().enters - before < 400, "a starved driver does not spin");
    node.queue(to, b"still sending");
    node.turn();
    assert_eq!(heard(&client), b"still sending");
    drop(held);
    assert_eq!(node.datagrams(6).len(), 6);
}
