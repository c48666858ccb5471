//! How sockets, buffers and waits begin and end.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    thread,
    time::{Duration, Instant},
};

use uturn::io::{
    Driver, Event, Piece, Receive, Settings, Wait,
    sockets::{self, BufferSizes},
};

use super::node::{Node, V4, V6, bind, bound, heard, numbered, open, outside};

pub(super) fn a_closed_socket_is_silent_and_its_port_free<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    for _ in 0..50 {
        let (socket, address) = open(&mut node.driver, V4);
        client.send_to(b"before", address).expect("sent");
        node.turn();
        let last = node.lease(b"last words");
        let body = last.range();
        node.driver.send(socket, to, Piece::single(last, body));
        node.driver.close(socket);
        let late = node.lease(b"too late");
        let body = late.range();
        node.driver.send(socket, to, Piece::single(late, body));
        client.send_to(b"after", address).expect("sent");
        node.until(|_, event| match event {
            Event::Closed(closed) => closed == socket,
            Event::Received(received) => panic!("{received:?} after close"),
            Event::Refused(..) => panic!("it was open: {event:?}"),
            Event::Taken(..) => panic!("nobody took it: {event:?}"),
            Event::Opened(_)
            | Event::Woken
            | Event::Broken(..)
            | Event::SegmentationOff
            | Event::SegmentationOn
            | Event::Stream(_) => false,
        });
        assert_eq!(heard(&client), b"last words");
        sockets::relay(address, BufferSizes::RELAY).expect("the port is free again");
    }
    assert_eq!(node.driver.counters().dropped_error, 50);
}

/// An address on which no other test draws ports, so that one that was free stays so.
fn own_address() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(1);
    format!("127.44.{}.{}:0", std::process::id() % 250, NEXT.fetch_add(1, Ordering::Relaxed))
}

pub(super) fn many_sockets_close_at_once<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let own = own_address();
    for _ in 0..3 {
        let opened: Vec<_> = (0..300).map(|_| open(&mut node.driver, &own)).collect();
        node.turn();
        opened.iter().for_each(|(socket, _)| node.driver.close(*socket));
        let mut closed = 0;
        node.until(|_, event| {
            closed += usize::from(matches!(event, Event::Closed(_)));
            closed == opened.len()
        });
        for (_, address) in opened {
            sockets::relay(address, BufferSizes::RELAY).expect("the port is free again");
        }
    }
}

// A ring works off 20 pieces of deferred work in a call that asks for no more, oldest first.
pub(super) fn a_packet_does_not_wait_behind_sockets_that_end<D: Driver>(new: fn(&Settings) -> D) {
    let spins = Settings { spin_us: 1_000, ..Settings::default() };
    for (settings, wait) in [
        (Settings::default(), Wait::None),
        (Settings::default(), Wait::For(Duration::from_millis(10))),
        (spins, Wait::For(Duration::from_millis(10))),
    ] {
        let turns = turns_behind_sockets_that_end(new(&settings), wait);
        assert!(turns.is_some_and(|turns| turns <= 5), "{turns:?} turns, {wait:?}, {settings:?}");
    }
}

/// After how many turns a packet comes that arrived behind the end of many sockets.
fn turns_behind_sockets_that_end<D: Driver>(driver: D, wait: Wait) -> Option<usize> {
    let mut node = Node::new(driver);
    let own = own_address();
    let ending: Vec<_> = (0..1000).map(|_| open(&mut node.driver, &own).0).collect();
    node.turn();
    ending.into_iter().for_each(|socket| node.driver.close(socket));
    node.driver.turn(wait).expect("turn");
    // As a worker does: what is left to take would keep the next turn from looking for packets.
    while node.driver.next().is_some() {}
    let (client, _) = outside(V4);
    client.send_to(b"hello", node.address).expect("sent");
    let is_here = |event| matches!(event, Event::Received(_));
    let has_come = |node: &mut Node<D>| std::iter::from_fn(|| node.driver.next()).any(is_here);
    (1..1000).find(|_| {
        node.driver.turn(wait).expect("turn");
        has_come(&mut node)
    })
}

pub(super) fn a_socket_closed_before_it_was_armed<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (socket, address) = open(&mut node.driver, V4);
    node.driver.close(socket);
    node.driver.close(socket);
    node.until(|_, event| matches!(event, Event::Closed(closed) if closed == socket));
    sockets::relay(address, BufferSizes::RELAY).expect("the port is free again");
}

pub(super) fn the_table_is_bounded<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings { sockets: 2, ..Settings::default() }));
    let (second, address) = open(&mut node.driver, V4);
    let full = |error: std::io::Error| error.raw_os_error() == Some(libc::EMFILE);
    assert!(node.driver.open(bound(V4)).is_err_and(full));
    let third = bound(V4).local_addr().expect("bound");
    assert!(node.driver.bind(third, Receive::Now).is_err_and(full));
    node.driver.close(second);
    node.until(|_, event| matches!(event, Event::Closed(_)));
    assert_eq!(node.driver.open(bound(V4)).expect("room again"), second);
    node.driver.close(second);
    node.until(|_, event| matches!(event, Event::Closed(_)));
    assert_eq!(bind(&mut node.driver, address).expect("room again"), Some(second));
}

pub(super) fn a_taken_port_is_refused<D: Driver>(new: fn(&Settings) -> D) {
    for local in [V4, V6] {
        let mut node = Node::new(new(&Settings { sockets: 2, ..Settings::default() }));
        let taken = bound(local);
        let address = taken.local_addr().expect("bound");
        for _ in 0..5 {
            assert_eq!(bind(&mut node.driver, address).expect("room in the table"), None);
        }
        drop(taken);
        let socket = bind(&mut node.driver, address).expect("room").expect("a free port");
        let (client, _) = outside(local);
        client.send_to(b"hello", address).expect("sent");
        node.until(|_, event| matches!(event, Event::Received(got) if got.socket == socket));
    }
}

pub(super) fn an_address_of_nobody_is_refused<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let elsewhere = "192.0.2.1:40000".parse().expect("an address");
    let error = bind(&mut node.driver, elsewhere).expect_err("not an address of this machine");
    assert_eq!(error.raw_os_error(), Some(libc::EADDRNOTAVAIL));
}

pub(super) fn many_sockets_open_at_once<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let ports: Vec<_> = (0..500).map(|_| bound(V4).local_addr().expect("bound")).collect();
    let asked =
        ports.iter().filter(|address| node.driver.bind(**address, Receive::Now).is_ok()).count();
    let (mut opened, mut refused) = (Vec::new(), 0);
    while opened.len() + refused < asked {
        node.turn();
        while let Some(event) = node.driver.next() {
            match event {
                Event::Opened(socket) => opened.push(socket),
                // Some of the ports are the same, or were taken meanwhile.
                Event::Refused(_, libc::EADDRINUSE) => refused += 1,
                event => panic!("{event:?}"),
            }
        }
    }
    assert!(opened.len() > 400, "{} opened, {refused} refused", opened.len());
    let ids: std::collections::HashSet<_> = opened.iter().collect();
    assert_eq!(ids.len(), opened.len());
}

pub(super) fn another_thread_wakes_it<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    for _ in 0..20 {
        let waker = node.driver.waker();
        let thread = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            (0..1000).for_each(|_| waker.wake());
        });
        let mut woken = 0;
        while !thread.is_finished() || woken == 0 {
            node.driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
            while let Some(event) = node.driver.next() {
                woken += u32::from(matches!(event, Event::Woken));
            }
        }
        thread.join().expect("no panic");
        assert!((1..=1000).contains(&woken));
    }
}

pub(super) fn no_wake_is_lost<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (waker, (to, from)) = (node.driver.waker(), std::sync::mpsc::channel());
    let thread = thread::spawn(move || {
        for number in 0..20_000_u32 {
            to.send(number).expect("a receiver");
            waker.wake();
        }
    });
    let mut seen = 0;
    node.until(|_, event| {
        assert!(matches!(event, Event::Woken));
        seen += from.try_iter().count();
        seen == 20_000
    });
    thread.join().expect("no panic");
}

pub(super) fn a_wait_ends_in_time<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let start = Instant::now();
    node.driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
    let waited = start.elapsed();
    assert!((49..150).contains(&waited.as_millis()), "waited {waited:?}");
    assert!(node.driver.next().is_none());
}

pub(super) fn idle_costs_no_wake_up<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    // Busy first, so that it has to calm down.
    let (client, _) = outside(V4);
    for number in 0..64 {
        client.send_to(&numbered(number, 100), node.address).expect("sent");
    }
    assert_eq!(node.datagrams(64).len(), 64);
    node.driver.turn(Wait::For(Duration::from_millis(10))).expect("turn");
    let before = *node.driver.counters();
    let start = Instant::now();
    node.driver.turn(Wait::For(Duration::from_millis(300))).expect("turn");
    assert!(start.elapsed() >= Duration::from_millis(299), "slept through");
    let after = node.driver.counters();
    assert_eq!((after.enters - before.enters, after.received - before.received), (1, 0));
}

pub(super) fn leases_come_back<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings { buffers: 4, ..Settings::default() }));
    let mut source = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    for round in 0..100 {
        for number in 0..8 {
            source.queue(node.address, &numbered(round + number, 500));
        }
        source.turn();
        let mut arrived = 0;
        let socket = node.socket;
        node.until(|driver, event| {
            let Event::Received(received) = event else { return false };
            let (start, segments) = (received.lease.range().start, received.segments());
            let piece = Piece::single(received.lease, start..start + 500).repeated(segments, 500);
            driver.send(socket, to, piece.with_header(b"head"));
            arrived += segments;
            arrived == 8
        });
        node.turn();
        for number in 0..8 {
            assert_eq!(heard(&client)[4..], numbered(round + number, 500));
        }
    }
    let blanks: Vec<_> = std::iter::from_fn(|| source.driver.blank(100)).collect();
    assert_eq!(blanks.len(), 512 + 16, "every private buffer is back");
}

pub(super) fn without_segmentation_every_datagram_is_a_send<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings { segmentation: false, ..Settings::default() }));
    let (client, to) = outside(V4);
    let lease = node.lease(&[1; 1000]);
    let start = lease.range().start;
    let piece = Piece::single(lease, start..start + 100).repeated(10, 100).with_header(b"head");
    node.driver.send(node.socket, to, piece);
    node.turn();
    for _ in 0..10 {
        assert_eq!(heard(&client).len(), 104);
    }
    let counters = node.driver.counters();
    assert_eq!((counters.sent, counters.trains_out), (10, 0));
}

/// Needs a loopback with an ordinary MTU, as in a fresh network namespace with `mtu 1500`.
pub(super) fn a_refused_train_goes_out_singly<D: Driver>(new: fn(&Settings) -> D) {
    let mtu = std::fs::read_to_string("/sys/class/net/lo/mtu").expect("a loopback device");
    if mtu.trim() != "1500" {
        return eprintln!("skipped: the loopback's MTU is {}, not 1500", mtu.trim());
    }
    let mut node = Node::new(new(&Settings::default()));
    let (client, to) = outside(V4);
    for round in 0..2 {
        for number in 0..5 {
            node.queue(to, &numbered(number, 1600));
        }
        node.turn();
        for number in 0..5 {
            assert_eq!(heard(&client), numbered(number, 1600));
        }
        assert_eq!(node.driver.counters().trains_unjoined, 1, "round {round}: it learns");
    }
    assert_eq!(node.driver.counters().sent_datagrams, 10);

    // What does not fit is dropped when it must not be fragmented.
    for _ in 0..2 {
        let lease = node.lease(&[0; 1600]);
        let body = lease.range();
        let piece = Piece { dont_fragment: true, ..Piece::single(lease, body) };
        node.driver.send(node.socket, to, piece);
    }
    node.queue(to, &numbered(9, 1600));
    node.turn();
    assert_eq!(heard(&client), numbered(9, 1600));
    assert_eq!(node.driver.counters().dropped_too_long, 2);
}

pub(super) fn drops_of_a_full_socket_are_known<D: Driver>(new: fn(&Settings) -> D) {
    let mut driver = new(&Settings { buffers: 1, ..Settings::default() });
    let socket = bound(V4);
    let address = socket.local_addr().expect("bound");
    let socket = driver.open(socket).expect("room");
    assert_eq!(driver.kernel_drops(socket), Some(0));
    let (client, _) = outside(V4);
    for _ in 0..200 {
        client.send_to(&[0; 60_000], address).expect("sent");
    }
    assert!(driver.kernel_drops(socket).expect("SO_MEMINFO") > 0);
}

pub(super) fn a_driver_ends_with_everything_under_way<D: Driver>(new: fn(&Settings) -> D) {
    for _ in 0..5 {
        let mut node = Node::new(new(&Settings::default()));
        let (client, to) = outside(V4);
        (0..20).for_each(|_| _ = open(&mut node.driver, V4));
        node.turn();
        client.send_to(b"unread", node.address).expect("sent");
        node.queue(to, b"unsent");
        let lease = node.lease(b"outlives the driver");
        let address = node.address;
        drop(node);
        assert_eq!(lease.payload(), b"outlives the driver");
        let again = sockets::listening(address, BufferSizes::RELAY, sockets::BIND_PATIENCE);
        again.expect("the ports of a driver that is gone are free in a moment");
    }
}

pub(super) fn thousands_of_sockets_end_with_their_driver_at_once<D: Driver>(
    new: fn(&Settings) -> D,
) {
    const SOCKETS: usize = 3_000;
    let mut node = Node::new(new(&Settings { sockets: 4_000, ..Settings::default() }));
    let opened: Vec<_> = (0..SOCKETS).map(|_| open(&mut node.driver, V4).0).collect();
    node.turn();
    opened.iter().for_each(|socket| node.driver.close(*socket));
    let begun = Instant::now();
    drop(node);
    let took = begun.elapsed();
    assert!(took < Duration::from_millis(600), "{took:?} for {SOCKETS} sockets");
}
