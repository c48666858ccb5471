//! A driver with a socket to try, and plain sockets outside of it.

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use uturn::io::{
    Driver, Event, Lease, Piece, Receive, Received, SocketId, Wait,
    sockets::{self, BufferSizes},
};

pub(super) const PATIENCE: Duration = Duration::from_secs(5);
pub(super) const V4: &str = "127.0.0.1:0";
pub(super) const V6: &str = "[::1]:0";

/// A driver with one relay socket.
pub(super) struct Node<D> {
    pub(super) driver: D,
    pub(super) socket: SocketId,
    pub(super) address: SocketAddr,
}

impl<D: Driver> Node<D> {
    pub(super) fn new(driver: D) -> Self {
        Self::on(driver, V4)
    }

    pub(super) fn on(mut driver: D, local: &str) -> Self {
        let (socket, address) = open(&mut driver, local);
        let mut node = Self { driver, socket, address };
        node.driver.turn(Wait::None).expect("turn");
        node
    }

    /// Turns until `enough` of the events says so.
    pub(super) fn until(&mut self, mut enough: impl FnMut(&mut D, Event) -> bool) {
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
    pub(super) fn datagrams(&mut self, count: usize) -> Vec<Vec<u8>> {
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
    pub(super) fn lease(&mut self, bytes: &[u8]) -> Lease {
        let mut lease = self.driver.blank(bytes.len()).expect("a blank buffer");
        let range = lease.range();
        lease.exclusive().expect("not shared")[range].copy_from_slice(bytes);
        lease
    }

    pub(super) fn queue(&mut self, to: SocketAddr, bytes: &[u8]) {
        let lease = self.lease(bytes);
        let body = lease.range();
        self.driver.send(self.socket, to, Piece::single(lease, body));
    }

    pub(super) fn turn(&mut self) {
        self.driver.turn(Wait::None).expect("turn");
    }
}

/// A relay socket that the driver opened, on a port that was free a moment ago.
pub(super) fn open(driver: &mut impl Driver, local: &str) -> (SocketId, SocketAddr) {
    for _ in 0..10 {
        let address = bound(local).local_addr().expect("bound");
        if let Some(socket) = bind(driver, address).expect("room in the table") {
            return (socket, address);
        }
    }
    panic!("whichever port is free is taken at once");
}

/// A relay socket that the driver is to take over.
pub(super) fn bound(local: &str) -> UdpSocket {
    let address = local.parse().expect("an address");
    sockets::relay(address, BufferSizes::RELAY).expect("loopback")
}

/// Asks the driver for a socket and waits for the answer; `None` if the port is not free.
pub(super) fn bind(driver: &mut impl Driver, address: SocketAddr) -> io::Result<Option<SocketId>> {
    bind_to(driver, address, Receive::Now)
}

/// A socket that is bound, on a port that was free a moment ago, and receives nothing yet.
pub(super) fn paused(driver: &mut impl Driver, local: &str) -> (SocketId, SocketAddr) {
    for _ in 0..10 {
        let address = bound(local).local_addr().expect("bound");
        if let Some(socket) = bind_to(driver, address, Receive::Paused).expect("room") {
            return (socket, address);
        }
    }
    panic!("whichever port is free is taken at once");
}

fn bind_to(
    driver: &mut impl Driver,
    address: SocketAddr,
    receive: Receive,
) -> io::Result<Option<SocketId>> {
    let asked = match driver.bind(address, receive) {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return Ok(None),
        answer => answer?,
    };
    let give_up = Instant::now() + PATIENCE;
    while Instant::now() < give_up {
        while let Some(event) = driver.next() {
            match event {
                Event::Opened(socket) if socket == asked => return Ok(Some(socket)),
                Event::Refused(socket, libc::EADDRINUSE) if socket == asked => return Ok(None),
                Event::Refused(_, errno) => return Err(io::Error::from_raw_os_error(errno)),
                _ => {}
            }
        }
        driver.turn(Wait::For(Duration::from_millis(100))).expect("turn");
    }
    panic!("every socket that is asked for is opened or refused");
}

pub(super) fn taken_apart(received: &Received) -> Vec<Vec<u8>> {
    let payload = received.lease.payload();
    let datagrams: Vec<_> =
        payload.chunks(received.segment_bytes.max(1)).map(<[u8]>::to_vec).collect();
    assert_eq!(datagrams.len().max(1), received.segments());
    if datagrams.is_empty() { vec![Vec::new()] } else { datagrams }
}

/// A plain socket, without UDP_GRO.
pub(super) fn outside(local: &str) -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(local).expect("loopback");
    socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

pub(super) fn heard(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 65_536];
    let (bytes, _) = socket.recv_from(&mut buffer).expect("a datagram");
    buffer.truncate(bytes);
    buffer
}

/// `bytes` bytes that tell a datagram's number.
pub(super) fn numbered(number: usize, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|i| (number * 31 + i) as u8).collect()
}
