//! Moving a packet allocates nothing: a counting allocator says so, for both drivers.
#![expect(unsafe_code, reason = "an allocator is unsafe to implement; this one only counts")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
    io::{Read, Write},
    net::{SocketAddr, TcpStream, UdpSocket},
    time::Duration,
};

use bytes::BytesMut;
use uturn::io::{
    Driver, Event, Piece, PortableDriver, Settings, SocketId, StreamEvent, UringDriver, Wait,
    sockets::{self, BufferSizes},
};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on unchanged to the system allocator, which keeps the promises.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the conditions of `alloc`, which are System's too.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `alloc` above, so from System, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Singles and a train, in from a client and out again, framed, shared and joined.
fn relay<D: Driver>(driver: &mut D, socket: SocketId, client: &UdpSocket, to: SocketAddr) {
    for bytes in [100, 100, 900] {
        client.send_to(&[1; 1000][..bytes], to).expect("sent");
    }
    let mut arrived = 0;
    while arrived < 3 {
        driver.turn(Wait::For(Duration::from_secs(1))).expect("turn");
        while let Some(event) = driver.next() {
            let Event::Received(received) = event else { continue };
            arrived += received.segments();
            let body = received.lease.range();
            let copy = Piece::single(received.lease.share(), body.clone()).with_header(b"head");
            driver.send(socket, received.from, copy);
            let own = Piece::single(received.lease, body).with_header(b"head").with_pad(1);
            driver.send(socket, received.from, own);
        }
    }
    let blank = driver.blank(500).expect("a blank buffer");
    let start = blank.range().start;
    driver.send(socket, to, Piece::single(blank, start..start + 50).repeated(10, 50));
    driver.turn(Wait::None).expect("turn");
    while driver.next().is_some() {}
}

fn allocates_nothing<D: Driver>(mut driver: D) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let relay_socket = sockets::relay(any, BufferSizes::RELAY).expect("loopback");
    let to = relay_socket.local_addr().expect("bound");
    let client = sockets::relay(any, BufferSizes::RELAY).expect("loopback");
    let socket = driver.open(relay_socket).expect("room");
    for _ in 0..10 {
        relay(&mut driver, socket, &client, to);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        relay(&mut driver, socket, &client, to);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

/// What a client sends comes back to it.
fn echo<D: Driver>(driver: &mut D, mut client: &TcpStream, buffer: &mut Option<BytesMut>) {
    client.write_all(&[7; 700]).expect("written");
    let mut arrived = 0;
    while arrived < 700 || buffer.is_none() {
        driver.turn(Wait::For(Duration::from_secs(1))).expect("turn");
        while let Some(event) = driver.next() {
            match event {
                Event::Stream(StreamEvent::Bytes(stream, lease)) => {
                    arrived += lease.payload().len();
                    let mut out = buffer.take().expect("the bytes come in one piece");
                    out.extend_from_slice(lease.payload());
                    driver.write(stream, out);
                }
                Event::Stream(StreamEvent::Written(_, out)) => *buffer = Some(out),
                _ => {}
            }
        }
    }
    client.read_exact(&mut [0; 700]).expect("the same");
}

fn a_stream_allocates_nothing<D: Driver>(mut driver: D) {
    let any = "127.0.0.1:0".parse().expect("an address");
    let listener = sockets::stream_listening(any, Duration::ZERO).expect("loopback");
    let address = listener.local_addr().expect("bound");
    driver.accept(listener).expect("room");
    let client = TcpStream::connect(address).expect("a listener");
    let mut buffer = Some(BytesMut::with_capacity(16_384));
    for _ in 0..10 {
        echo(&mut driver, &client, &mut buffer);
    }
    let before = ALLOCATIONS.get();
    for _ in 0..1000 {
        echo(&mut driver, &client, &mut buffer);
    }
    assert_eq!(ALLOCATIONS.get() - before, 0);
}

#[test]
fn the_io_uring_driver_allocates_nothing() {
    allocates_nothing(UringDriver::new(&Settings::default()).expect("io_uring"));
    a_stream_allocates_nothing(UringDriver::new(&Settings::default()).expect("io_uring"));
}

#[test]
fn the_portable_driver_allocates_nothing() {
    allocates_nothing(PortableDriver::new(&Settings::default()).expect("epoll"));
    a_stream_allocates_nothing(PortableDriver::new(&Settings::default()).expect("epoll"));
}
