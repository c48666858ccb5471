//! Anything, in every stage of a connection: it is closed or told a code, and nothing grows.
//!
//! The seed is printed; `UTURN_SEED` repeats a run.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::DRIVERS;
use super::calls::{HOST, Pair, connect_from, descriptors, expect_descriptors, source};
use crate::client::{CHANNEL, Client, channel_bind, channel_data};
use crate::hostile::{Chance, mutate};
use crate::link::Link;
use crate::machine::{Folder, Ports};
use crate::memory::resident_bytes;
use crate::relay::{LOOPBACK4, Relay, Setup, patience};
use crate::stun::{Builder, method};

/// Connections of each stage; a tenth of them with credentials.
const CONNECTIONS: usize = 300;
/// A leak of a KiB for each connection is more than this.
const TOLERATED_GROWTH_BYTES: u64 = 2 << 20;
/// Balancers, which begin with a PROXY header.
const BALANCERS: &str = "127.81.0.0/16";

struct Attacked {
    relay: Relay,
    pair: Pair,
    /// What a client over TLS says first; it takes long to make.
    hello: Vec<u8>,
    tls: SocketAddr,
    number: usize,
    _folder: Folder,
    _claim: Ports,
}

impl Attacked {
    fn start(driver: &str) -> Self {
        let (folder, claim) = (Folder::new(), Ports::claim());
        let pair = Pair::new(&folder, "server");
        let tls = SocketAddr::new(LOOPBACK4, claim.spare());
        let setup = Setup::new()
            .with(&["--io", driver, "--proxy-from", BALANCERS, "--tcp-relay", "on"])
            .with(&["--listen-tls", &tls.to_string(), "--connects-per-source", "0"])
            .with(&["--tls-certificate", &pair.certificate, "--tls-key", &pair.key]);
        let (relay, hello) = (setup.start(), hello(&pair));
        Self { relay, pair, hello, tls, number: 0, _folder: folder, _claim: claim }
    }

    fn connect(&mut self) -> TcpStream {
        self.number += 1;
        connect_from(source(self.number), self.relay.v4()).expect("it is taken")
    }

    /// Behind a balancer.
    fn connect_behind(&mut self) -> TcpStream {
        self.number += 1;
        let ip = Ipv4Addr::new(127, 81, 0, (self.number % 250 + 1) as u8);
        connect_from(ip, self.relay.v4()).expect("it is taken")
    }

    fn allocated(&self, over_tls: bool) -> Client {
        let mut client = match over_tls {
            true => self.pair.client(self.tls).expect("TLS is served"),
            false => Client::over_tcp(self.relay.v4()),
        };
        client.allocate();
        client.succeed(channel_bind(CHANNEL, "127.0.0.1:9".parse().expect("an address")));
        client
    }
}

/// Writes, ends our direction, and waits for the end of the other.
fn ends(mut stream: TcpStream, bytes: &[u8], stage: &str) {
    // It may be closed before all is written.
    let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(Shutdown::Write));
    stream.set_read_timeout(Some(patience())).expect("a timeout");
    loop {
        match stream.read(&mut [0; 4_096]) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return,
            Err(error) => {
                panic!("{stage}: {error}: it is neither answered nor closed: {bytes:02x?}")
            }
        }
    }
}

fn hello(pair: &Pair) -> Vec<u8> {
    let mut hello = Vec::new();
    Link::tls(HOST, &pair.trusted).write_tls(&mut hello).expect("memory takes all");
    hello
}

fn proxy_header() -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".to_vec();
    header.extend([192, 0, 2, 7, 192, 0, 2, 8, 0x13, 0x88, 0x0D, 0x96]);
    header
}

/// Frames of an allocated client, for the stages behind that.
fn frames(chance: &mut Chance) -> Vec<u8> {
    let parts = [
        Builder::request(method::BINDING).bytes(),
        Builder::request(method::CONNECT).bytes(),
        Builder::request(method::CONNECTION_BIND).attribute(0x2A, &[0; 4]).bytes(),
        channel_data(CHANNEL, &[0xAB; 400]),
        channel_data(0x4FFF, &[0xCD; 3]),
        vec![0x40, 0, 0xFF, 0xFF, 1],
    ];
    let mut bytes: Vec<u8> = (0..3).flat_map(|_| chance.pick(&parts)).collect();
    mutate(chance, &mut bytes);
    bytes
}

/// Garbage in each stage that needs no credentials.
fn strangers(attacked: &mut Attacked, chance: &mut Chance) {
    for _ in 0..CONNECTIONS {
        let length = chance.below(600);
        ends(attacked.connect(), &chance.bytes(length), "in front of everything");
        let mut first = [Builder::request(method::BINDING).bytes(), attacked.hello.clone()];
        first.iter_mut().for_each(|bytes| mutate(chance, bytes));
        let [request, hello] = first;
        ends(attacked.connect(), &request, "the first request");
        ends(attacked.connect(), &hello, "ClientHello");
        let mut header = proxy_header();
        mutate(chance, &mut header);
        header.extend(chance.bytes(40));
        ends(attacked.connect_behind(), &header, "PROXY header");
    }
}

/// Garbage in a handshake that has begun.
fn handshakes(attacked: &mut Attacked, chance: &mut Chance) {
    for _ in 0..CONNECTIONS / 10 {
        let mut stream = attacked.connect();
        stream.set_read_timeout(Some(patience())).expect("a timeout");
        stream.write_all(&attacked.hello).expect("it is open");
        assert!(stream.read(&mut [0; 4_096]).expect("its part of the handshake") > 0);
        let mut record = [&[0x17, 3, 3, 0, 60][..], &chance.bytes(60)].concat();
        mutate(chance, &mut record);
        ends(stream, &record, "a handshake");
    }
}

/// Garbage of a client with an allocation, in clear text, inside TLS, and in place of TLS.
fn clients(attacked: &mut Attacked, chance: &mut Chance) {
    for number in 0..CONNECTIONS / 10 {
        let mut client = attacked.allocated(number % 2 == 1);
        let bytes = frames(chance);
        if number % 4 == 3 {
            let length = chance.below(99);
            let stream = client.link().stream.try_clone().expect("a descriptor");
            ends(stream, &chance.bytes(length), "in place of a record");
            continue;
        }
        client.link().write(&bytes);
        let stream = client.link().stream.try_clone().expect("a descriptor");
        ends(stream, &[], "behind an allocation");
    }
}

fn garbage(driver: &str) {
    let mut chance = Chance::new();
    let mut attacked = Attacked::start(driver);
    drop(attacked.allocated(true));
    std::thread::sleep(Duration::from_millis(500));
    let before = descriptors(&attacked.relay);
    let mut resident = [0; 2];
    for round in &mut resident {
        strangers(&mut attacked, &mut chance);
        handshakes(&mut attacked, &mut chance);
        clients(&mut attacked, &mut chance);
        expect_descriptors(&attacked.relay, before, Duration::ZERO);
        *round = resident_bytes(attacked.relay.process.pid);
    }
    let [once, twice] = resident;
    eprintln!("{driver}: resident {once} bytes, then {twice}");
    assert!(twice <= once + TOLERATED_GROWTH_BYTES, "it grew from {once} to {twice} bytes");
    attacked.allocated(true);
    attacked.allocated(false);
}

#[test]
fn garbage_in_any_stage_is_closed_or_told_a_code_and_nothing_grows() {
    DRIVERS.into_iter().for_each(garbage);
}
