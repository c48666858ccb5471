//! A driver that listens, and plain sockets that talk to it.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use uturn::io::{AcceptorId, Driver, Event, StreamEvent, StreamId, Wait, sockets};

use crate::{
    machine::slowed,
    node::{PATIENCE, V4},
};

/// Bytes of each write.
pub(super) const CHUNK: usize = 16 * 1024;

/// A driver with one listener.
pub(super) struct Talk<D> {
    pub(super) driver: D,
    pub(super) acceptor: AcceptorId,
    pub(super) address: SocketAddr,
}

impl<D: Driver> Talk<D> {
    pub(super) fn new(driver: D) -> Self {
        Self::on(driver, V4)
    }

    pub(super) fn on(mut driver: D, local: &str) -> Self {
        let local = local.parse().expect("an address");
        let listener = sockets::stream_listening(local, PATIENCE).expect("loopback");
        let address = listener.local_addr().expect("bound");
        let acceptor = driver.accept(listener).expect("room");
        Self { driver, acceptor, address }
    }

    /// Turns until `enough` of what comes of streams says so.
    pub(super) fn until(&mut self, enough: impl FnMut(&mut D, StreamEvent) -> bool) {
        until(&mut self.driver, enough);
    }

    /// A client, and the stream that is its.
    pub(super) fn client(&mut self) -> (TcpStream, StreamId) {
        let client = connected(self.address);
        (client, self.accepted())
    }

    /// The next stream that is accepted.
    pub(super) fn accepted(&mut self) -> StreamId {
        let mut accepted = None;
        self.until(|_, event| {
            if let StreamEvent::Accepted { stream, .. } = event {
                accepted = Some(stream);
            }
            accepted.is_some()
        });
        accepted.expect("until it was")
    }

    /// The next bytes of a stream, so many.
    pub(super) fn read(&mut self, from: StreamId, bytes: usize) -> Vec<u8> {
        let mut all = Vec::new();
        if bytes > 0 {
            self.until(|_, event| {
                match event {
                    StreamEvent::Bytes(stream, lease) if stream == from => {
                        all.extend_from_slice(lease.payload());
                    }
                    event => panic!("{event:?} before all bytes came"),
                }
                all.len() >= bytes
            });
        }
        all
    }

    /// Writes and waits until the kernel has it.
    pub(super) fn write(&mut self, to: StreamId, bytes: &[u8]) {
        self.driver.write(to, BytesMut::from(bytes));
        self.until(|_, event| is_written(&event, to));
    }

    /// Waits until a stream is closed; what else comes of it is not expected.
    pub(super) fn closed(&mut self, expected: StreamId) -> Option<i32> {
        let mut closed = None;
        self.until(|_, event| match event {
            StreamEvent::Closed(stream, errno) => {
                assert_eq!(stream, expected);
                closed = errno;
                true
            }
            event => panic!("{event:?} before the end"),
        });
        closed
    }

    /// Turns for a while, in which nothing is to come and the driver is to sleep.
    pub(super) fn sleeps(&mut self, pause: Duration) {
        // What was asked for is begun, and what that brings is looked at.
        for _ in 0..3 {
            self.driver.turn(Wait::None).expect("turn");
            let event = self.driver.next();
            assert!(event.is_none(), "{event:?}");
        }
        let (begun, turns) = (Instant::now(), self.driver.counters().turns);
        while begun.elapsed() < pause {
            self.driver.turn(Wait::For(pause)).expect("turn");
            let event = self.driver.next();
            assert!(event.is_none(), "{event:?}");
        }
        let turns = self.driver.counters().turns - turns;
        assert!(turns <= 3, "{turns} turns in {pause:?}");
    }
}

/// Turns until `enough` of what comes of streams says so.
pub(super) fn until<D: Driver>(
    driver: &mut D,
    mut enough: impl FnMut(&mut D, StreamEvent) -> bool,
) {
    let give_up = Instant::now() + 2 * PATIENCE;
    loop {
        while let Some(event) = driver.next() {
            let Event::Stream(event) = event else { continue };
            if enough(driver, event) {
                return;
            }
        }
        assert!(Instant::now() < give_up, "nothing more came: {:?}", driver.counters());
        driver.turn(Wait::For(Duration::from_millis(100))).expect("turn");
    }
}

pub(super) fn is_written(event: &StreamEvent, to: StreamId) -> bool {
    match event {
        StreamEvent::Written(stream, buffer) => {
            assert!(buffer.is_empty());
            *stream == to
        }
        _ => false,
    }
}

/// A plain client.
pub(super) fn connected(to: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(to).expect("somebody listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    client.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    client.set_nodelay(true).expect("TCP");
    client
}

/// What a plain socket reads until the end of the stream.
pub(super) fn rest(mut client: impl Read) -> io::Result<Vec<u8>> {
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).map(|_| rest)
}

/// The next bytes that a plain socket reads, so many.
pub(super) fn read(mut client: impl Read, bytes: usize) -> Vec<u8> {
    let mut all = vec![0; bytes];
    client.read_exact(&mut all).expect("so many bytes");
    all
}

pub(super) fn write(mut client: impl Write, bytes: &[u8]) {
    client.write_all(bytes).expect("written");
}

/// Bytes that tell where in the stream they are.
pub(super) fn content(bytes: usize) -> Vec<u8> {
    (0..bytes as u32).map(|at| (at ^ at >> 8 ^ at >> 16).wrapping_mul(31) as u8).collect()
}

/// Fills what the kernel holds between a driver and a client that does not read: one write more is
/// under way for good.
pub(super) fn fill<D: Driver>(talk: &mut Talk<D>, stream: StreamId) -> usize {
    let mut written = 0;
    loop {
        talk.driver.write(stream, BytesMut::from(&content(CHUNK)[..]));
        let give_up = Instant::now() + slowed(Duration::from_millis(200));
        let before = written;
        while written == before && Instant::now() < give_up {
            talk.driver.turn(Wait::For(Duration::from_millis(50))).expect("turn");
            while let Some(event) = talk.driver.next() {
                match event {
                    Event::Stream(event) if is_written(&event, stream) => written += CHUNK,
                    event => panic!("{event:?}"),
                }
            }
        }
        if written == before {
            return written;
        }
    }
}
