//! What every driver of `uturn::io` does, run for each of them over loopback.

use std::{
    net::{SocketAddr, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use uturn::io::{
    Driver, Event, HEADROOM, Lease, Piece, PortableDriver, Received, Settings, SocketId,
    UringDriver, Wait,
    sockets::{self, BufferSizes},
};

const PATIENCE: Duration = Duration::from_secs(5);
const V4: &str = "127.0.0.1:0";
const V6: &str = "[::1]:0";

/// A driver with one relay socket.
struct Node<D> {
    driver: D,
    socket: SocketId,
    address: SocketAddr,
}

impl<D: Driver> Node<D> {
    fn new(driver: D) -> Self {
        Self::on(driver, V4)
    }

    fn on(mut driver: D, local: &str) -> Self {
        let (socket, address) = open(&mut driver, local);
        let mut node = Self { driver, socket, address };
        node.driver.turn(Wait::None).expect("turn");
        node
    }

    /// Turns until `enough` of the events says so.
    fn until(&mut self, mut enough: impl FnMut(&mut D, Event) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        loop {
            while let Some(event) = self.driver.next() {
                if enough(&mut self.driver, event) {
                    return;
                }
            }
            assert!(Instant::now() < give_up, "nothing more came: {:?}", self.driver.counters());
            self.driver.turn(Wait::For(Duration::from_millis(100))).expect("turn");
        }
    }

    /// The next `count` datagrams, trains taken apart.
    fn datagrams(&mut self, count: usize) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        self.until(|_, event| {
            if let Event::Received(received) = event {
                all.extend(taken_apart(&received));
            }
            all.len() >= count
        });
        all
    }

    /// A lease that holds `bytes` as its payload.
    fn lease(&mut self, bytes: &[u8]) -> Lease {
        let mut lease = self.driver.blank(bytes.len()).expect("a blank buffer");
        let range = lease.range();
        lease.exclusive().expect("not shared")[range].copy_from_slice(bytes);
        lease
    }

    fn queue(&mut self, to: SocketAddr, bytes: &[u8]) {
        let lease = self.lease(bytes);
        let body = lease.range();
        self.driver.send(self.socket, to, Piece::single(lease, body));
    }

    fn turn(&mut self) {
        self.driver.turn(Wait::None).expect("turn");
    }
}

fn open(driver: &mut impl Driver, local: &str) -> (SocketId, SocketAddr) {
    let socket = sockets::relay(local.parse().expect("an address"), BufferSizes::RELAY);
    let socket = socket.expect("loopback");
    let address = socket.local_addr().expect("bound");
    (driver.open(socket).expect("room in the table"), address)
}

fn taken_apart(received: &Received) -> Vec<Vec<u8>> {
    let payload = received.lease.payload();
    let datagrams: Vec<_> =
        payload.chunks(received.segment_bytes.max(1)).map(<[u8]>::to_vec).collect();
    assert_eq!(datagrams.len().max(1), received.segments());
    if datagrams.is_empty() { vec![Vec::new()] } else { datagrams }
}

/// A plain socket, without UDP_GRO.
fn outside(local: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(local).expect("loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn heard(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let (bytes, _) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(bytes);
    buffer
}

/// `bytes` bytes that tell a datagram's number.
fn numbered(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (number * 31 + i) as u8).collect()
}

fn echo<D: Driver>(driver: D, local: &str) {
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

fn echo_v4<D: Driver>(new: fn(&Settings) -> D) {
    echo(new(&Settings::default()), V4);
}

fn echo_v6<D: Driver>(new: fn(&Settings) -> D) {
    echo(new(&Settings::default()), V6);
}

fn extremes_of_length<D: Driver>(new: fn(&Settings) -> D) {
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

fn a_train_leaves_as_one_send<D: Driver>(new: fn(&Settings) -> D) {
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
}

fn a_train_arrives_as_one_receive<D: Driver>(new: fn(&Settings) -> D) {
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

fn headers_and_pads_are_gathered<D: Driver>(new: fn(&Settings) -> D) {
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

fn a_lone_shared_piece_with_a_header<D: Driver>(new: fn(&Settings) -> D) {
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

fn a_repeated_piece_is_a_train<D: Driver>(new: fn(&Settings) -> D) {
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

fn order_within_a_flow_holds<D: Driver>(new: fn(&Settings) -> D) {
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

fn a_full_queue_is_flushed_not_dropped<D: Driver>(new: fn(&Settings) -> D) {
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

fn starvation_recovers<D: Driver>(new: fn(&Settings) -> D) {
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

fn held_buffers_stop_receiving_and_nothing_else<D: Driver>(new: fn(&Settings) -> D) {
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

fn a_closed_socket_is_silent_and_its_port_free<D: Driver>(new: fn(&Settings) -> D) {
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
            Event::Woken | Event::Broken(..) | Event::SegmentationOff => false,
        });
        assert_eq!(heard(&client), b"last words");
        sockets::relay(address, BufferSizes::RELAY).expect("the port is free again");
    }
    assert_eq!(node.driver.counters().dropped_error, 50);
}

fn many_sockets_close_at_once<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    for _ in 0..3 {
        let opened: Vec<_> = (0..300).map(|_| open(&mut node.driver, V4)).collect();
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

fn a_socket_closed_before_it_was_armed<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let (socket, address) = open(&mut node.driver, V4);
    node.driver.close(socket);
    node.driver.close(socket);
    node.until(|_, event| matches!(event, Event::Closed(closed) if closed == socket));
    sockets::relay(address, BufferSizes::RELAY).expect("the port is free again");
}

fn the_table_is_bounded<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings { sockets: 2, ..Settings::default() }));
    let (second, _) = open(&mut node.driver, V4);
    let third =
        || sockets::relay(V4.parse().expect("an address"), BufferSizes::RELAY).expect("bound");
    assert!(node.driver.open(third()).is_err());
    node.driver.close(second);
    node.until(|_, event| matches!(event, Event::Closed(_)));
    assert_eq!(node.driver.open(third()).expect("room again"), second);
}

fn another_thread_wakes_it<D: Driver>(new: fn(&Settings) -> D) {
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

fn no_wake_is_lost<D: Driver>(new: fn(&Settings) -> D) {
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

fn a_wait_ends_in_time<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let start = Instant::now();
    node.driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
    let waited = start.elapsed();
    assert!((49..150).contains(&waited.as_millis()), "waited {waited:?}");
    assert!(node.driver.next().is_none());
}

fn idle_costs_no_wake_up<D: Driver>(new: fn(&Settings) -> D) {
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

fn leases_come_back<D: Driver>(new: fn(&Settings) -> D) {
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

fn without_segmentation_every_datagram_is_a_send<D: Driver>(new: fn(&Settings) -> D) {
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
fn a_refused_train_goes_out_singly<D: Driver>(new: fn(&Settings) -> D) {
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

fn the_board_follows<D: Driver>(new: fn(&Settings) -> D) {
    let mut node = Node::new(new(&Settings::default()));
    let board = node.driver.board();
    let (client, to) = outside(V4);
    node.queue(to, b"one");
    node.turn();
    heard(&client);
    let seen = thread::spawn(move || board.read()).join().expect("no panic");
    assert_eq!(seen.sent, 1);
}

fn drops_of_a_full_socket_are_known<D: Driver>(new: fn(&Settings) -> D) {
    let node = Node::new(new(&Settings { buffers: 1, ..Settings::default() }));
    assert_eq!(node.driver.kernel_drops(node.socket), Some(0));
    let (client, _) = outside(V4);
    for _ in 0..200 {
        client.send_to(&[0; 60_000], node.address).expect("sent");
    }
    assert!(node.driver.kernel_drops(node.socket).expect("SO_MEMINFO") > 0);
}

fn a_driver_ends_with_everything_under_way<D: Driver>(new: fn(&Settings) -> D) {
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
        let again = sockets::listening(address, BufferSizes::RELAY);
        again.expect("the ports of a driver that is gone are free in a moment");
    }
}

macro_rules! suite {
    ($($driver:ident: $new:expr;)*) => { $(suite!(@each $driver, $new,
        echo_v4, echo_v6, extremes_of_length,
        a_train_leaves_as_one_send, a_train_arrives_as_one_receive,
        headers_and_pads_are_gathered, a_lone_shared_piece_with_a_header,
        a_repeated_piece_is_a_train, order_within_a_flow_holds,
        a_full_queue_is_flushed_not_dropped,
        starvation_recovers, held_buffers_stop_receiving_and_nothing_else,
        a_closed_socket_is_silent_and_its_port_free, many_sockets_close_at_once,
        a_socket_closed_before_it_was_armed, the_table_is_bounded,
        another_thread_wakes_it, no_wake_is_lost, a_wait_ends_in_time, idle_costs_no_wake_up,
        leases_come_back, without_segmentation_every_datagram_is_a_send,
        a_refused_train_goes_out_singly, the_board_follows, drops_of_a_full_socket_are_known,
        a_driver_ends_with_everything_under_way,
    );)* };
    (@each $driver:ident, $new:expr, $($test:ident,)*) => {
        mod $driver {
            $(#[test]
            fn $test() {
                super::$test($new);
            })*
        }
    };
}

fn uring(settings: &Settings) -> UringDriver {
    UringDriver::new(settings).expect("io_uring")
}

/// As on kernels from 6.1 to 6.12.
fn older_uring(settings: &Settings) -> UringDriver {
    let settings = Settings { registered_files: false, min_wait: false, ..settings.clone() };
    UringDriver::new(&settings).expect("io_uring")
}

fn portable(settings: &Settings) -> PortableDriver {
    PortableDriver::new(settings).expect("epoll")
}

suite! {
    io_uring: super::uring;
    io_uring_older: super::older_uring;
    portable: super::portable;
}
