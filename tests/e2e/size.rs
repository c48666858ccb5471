//! How many allocations a server holds, under which limit of open files, and in how much memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::client::{CHANNEL, Client, Peer};
use crate::machine::{resident_bytes, skip};
use crate::relay::{Relay, Setup};

/// Allocations alive at once.
const ALLOCATIONS: usize = 18_000;
/// Addresses of the server: with each of them a client's socket makes another five-tuple.
const LISTENERS: u8 = 12;
const CLIENTS: usize = ALLOCATIONS / LISTENERS as usize;
/// Ports below those that the kernel gives to clients would belong to other tests.
const PORTS: (u16, u16) = (36_000, 55_999);
/// Every so many allocations one relays.
const SAMPLE: usize = 600;
/// What an idle allocation may take of the server's own memory, and a session's start beside it.
const BYTES_MAX: u64 = 4096;
/// How long the ports of closed allocations may take to be free again.
const PATIENCE: Duration = Duration::from_secs(5);

fn on_loopback(last: u8) -> IpAddr {
    Ipv4Addr::new(127, 18, 0, last).into()
}

/// A server with many addresses, on one of which it relays.
fn server(open_files: u32) -> Setup {
    let listen: Vec<_> = (1..=LISTENERS).map(on_loopback).collect();
    Setup::new()
        .listen(&listen)
        .relay_ips(&[on_loopback(100)])
        .relay_ports(PORTS.0, PORTS.1)
        .open_files(open_files)
        .with(&["--user-quota", "0"])
}

/// One socket for each client, with an allocation at each address of the server.
struct Crowd {
    clients: Vec<Client>,
    /// By client, then by address.
    relayed: Vec<SocketAddr>,
}

impl Crowd {
    fn gather(relay: &Relay) -> Crowd {
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::new(relay.addresses[0])).collect();
        let mut relayed = Vec::with_capacity(ALLOCATIONS);
        for client in &mut clients {
            for address in &relay.addresses {
                client.server = *address;
                relayed.push(client.allocate());
            }
        }
        Crowd { clients, relayed }
    }

    /// Sends something each way through one of the allocations.
    fn relay_through(&mut self, at: usize, relay: &Relay) {
        let (client, peer) = (&mut self.clients[at / relay.addresses.len()], Peer::new());
        client.server = relay.addresses[at % relay.addresses.len()];
        client.bind(CHANNEL, peer.address());
        client.send_channel(CHANNEL, b"out");
        assert_eq!(peer.receive(), (self.relayed[at], b"out".to_vec()));
        peer.send(self.relayed[at], b"in");
        assert_eq!(client.channel_data(), (CHANNEL, b"in".to_vec()));
    }

    fn leave(&mut self, relay: &Relay) {
        for client in &mut self.clients {
            for address in &relay.addresses {
                client.server = *address;
                client.refresh(0);
            }
        }
    }
}

fn open_files(pid: u32) -> usize {
    std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs").count()
}

/// Has a server hold all of them, some of them relay, and all of them end.
fn hold(relay: &Relay) -> usize {
    let limit = uturn::io::sockets::raise_file_limit().expect("a limit");
    assert!(limit > CLIENTS as u64 + 200, "{limit} open files do for {CLIENTS} clients");
    let before = resident_bytes(relay.process.pid);
    let begun = Instant::now();
    let mut crowd = Crowd::gather(relay);
    let took = begun.elapsed();
    let files = open_files(relay.process.pid);
    let bytes = (resident_bytes(relay.process.pid) - before) / ALLOCATIONS as u64;
    eprintln!("{ALLOCATIONS} in {took:?}, {bytes} B each, {files} open files");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes for each allocation");
    (0..ALLOCATIONS).step_by(SAMPLE).for_each(|at| crowd.relay_through(at, relay));
    crowd.leave(relay);
    // Half of the ports were in use: that they can be had again takes more than the other half.
    let give_up = Instant::now() + PATIENCE;
    while open_files(relay.process.pid) > 200 {
        assert!(Instant::now() < give_up, "closed sockets are let go of");
        std::thread::sleep(Duration::from_millis(10));
    }
    for client in &mut crowd.clients[..200] {
        client.server = relay.addresses[0];
        client.allocate();
    }
    files
}

#[test]
#[ignore = "18,000 ports belong to other tests, too: tests/run runs it with nothing beside it"]
fn a_limit_of_20_000_open_files_does_for_18_000_allocations() {
    for driver in ["uring", "portable"] {
        let relay = server(20_000).with(&["--io", driver]).start();
        hold(&relay);
    }
}

#[test]
#[ignore = "18,000 ports belong to other tests, too: tests/run runs it with nothing beside it"]
fn two_rings_hold_18_000_allocations_under_a_limit_of_11_200() {
    let relay = server(11_200).with(&["--io", "uring", "--workers", "2"]).start();
    if relay.process.stderr().contains("cannot open sockets by itself") {
        return skip("allocations beyond the limit of open files", "io_uring of kernel 6.13");
    }
    let files = hold(&relay);
    assert!(files < 200, "{files} open files: the sockets are the rings'");
}
