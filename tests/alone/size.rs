//! How many allocations a server holds, under which limit of open files, and in how much memory.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use uturn::worker::SOCKETS_OF_A_LISTENER;

use crate::client::{CHANNEL, Client, Peer};
use crate::machine::skip;
use crate::memory::resident_bytes;
use crate::relay::{Relay, Setup};

/// Every so many allocations one relays.
const SAMPLE: usize = 600;
/// What an idle allocation may take of the server's own memory.
const BYTES_MAX: u64 = 4096;
/// Open files beside sockets.
const OTHER_FILES: usize = 100;
/// For TCP, a worker listens once on each address.
const LISTENERS_FOR_TCP: usize = 1;
/// How long the sockets of closed allocations may take to be gone.
const PATIENCE: Duration = Duration::from_secs(5);

/// A server, and who comes to it.
struct Size {
    driver: &'static str,
    workers: usize,
    /// The hard limit that it runs under.
    open_files: u32,
    /// Addresses of the server: with each of them a client's socket makes another five-tuple.
    listeners: u8,
    relay_addresses: u8,
    /// Above those of other tests, and where the kernel finds ports for clients: they are on other
    /// addresses.
    ports: (u16, u16),
    clients: usize,
}

/// 18,000 allocations on 20,000 ports.
const LARGE: Size = Size {
    driver: "uring",
    workers: 1,
    open_files: 20_000,
    listeners: 12,
    relay_addresses: 1,
    ports: (36_000, 55_999),
    clients: 1_500,
};

/// 100,000 allocations on the default ports of seven addresses.
const HUGE: Size = Size {
    workers: 8,
    listeners: 50,
    relay_addresses: 7,
    ports: (49_152, 65_535),
    clients: 2_000,
    ..LARGE
};

impl Size {
    fn start(&self) -> Relay {
        let on_loopback = |net: u8, host: u8| IpAddr::from(Ipv4Addr::new(127, 18, net, host));
        let listen: Vec<_> = (1..=self.listeners).map(|host| on_loopback(0, host)).collect();
        let relay: Vec<_> = (1..=self.relay_addresses).map(|host| on_loopback(1, host)).collect();
        Setup::new()
            .listen(&listen)
            .relay_ips(&relay)
            .relay_ports(self.ports.0, self.ports.1)
            .through(&["prlimit", &format!("--nofile={0}:{0}", self.open_files)])
            // Its files are counted from outside.
            .with(&["--core-dumps", "on"])
            .with(&["--user-quota", "0", "--io", self.driver])
            // A quarter of the files would be kept for clients on TCP otherwise.
            .with(&["--streams", "16"])
            .with(&["--workers", &self.workers.to_string()])
            .start()
    }

    fn allocations(&self) -> usize {
        self.clients * usize::from(self.listeners)
    }

    /// Open files of a server without allocations.
    fn idle_files(&self) -> usize {
        let of_an_address = SOCKETS_OF_A_LISTENER + LISTENERS_FOR_TCP;
        usize::from(self.listeners) * of_an_address * self.workers + OTHER_FILES
    }
}

/// One socket for each client, with an allocation at each address of the server.
struct Crowd {
    clients: Vec<Client>,
    /// By client, then by address.
    relayed: Vec<SocketAddr>,
}

impl Crowd {
    fn gather(relay: &Relay, clients: usize) -> Crowd {
        let mut clients: Vec<_> = (0..clients).map(|_| Client::new(relay.addresses[0])).collect();
        let mut relayed = Vec::new();
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

/// Has a server hold all of them, some of them relay, and all of them end; says how many files it
/// had open.
fn hold(relay: &Relay, size: &Size) -> usize {
    let limit = uturn::io::sockets::raise_file_limit().expect("a limit");
    assert!(
        limit > size.clients as u64 + 200,
        "{limit} open files do for {} clients",
        size.clients
    );
    let (pid, count) = (relay.process.pid, size.allocations());
    let (before, begun) = (resident_bytes(pid), Instant::now());
    let mut crowd = Crowd::gather(relay, size.clients);
    let took = begun.elapsed();
    let files = open_files(pid);
    let bytes = (resident_bytes(pid) - before) / count as u64;
    eprintln!("{count} in {took:?}, {bytes} B each, {files} open files");
    assert!(bytes <= BYTES_MAX, "{bytes} bytes for each allocation");
    (0..count).step_by(SAMPLE).for_each(|at| crowd.relay_through(at, relay));
    crowd.leave(relay);
    let give_up = Instant::now() + PATIENCE;
    while open_files(pid) > size.idle_files() {
        assert!(Instant::now() < give_up, "closed sockets are let go of");
        std::thread::sleep(Duration::from_millis(10));
    }
    // Most of the ports were in use: a second crowd is only served if they can be had again.
    let mut again = Crowd::gather(relay, size.clients / 4);
    again.leave(relay);
    files
}

/// Holds more allocations than the process may have open files, where rings can.
fn hold_in_rings(size: &Size) {
    let relay = size.start();
    if relay.process.stderr().contains("cannot open sockets by itself") {
        return skip("allocations beyond the limit of open files", "io_uring of kernel 6.13");
    }
    let files = hold(&relay, size);
    assert!(files <= size.idle_files(), "{files} open files: the sockets are the rings'");
}

#[test]
fn a_limit_of_20_000_open_files_does_for_18_000_allocations() {
    for driver in ["uring", "portable"] {
        let size = Size { driver, ..LARGE };
        hold(&size.start(), &size);
    }
}

#[test]
fn two_rings_hold_18_000_allocations_under_a_limit_of_11_200() {
    hold_in_rings(&Size { workers: 2, open_files: 11_200, ..LARGE });
}

#[test]
fn eight_rings_hold_100_000_allocations_under_a_limit_of_20_000() {
    hold_in_rings(&HUGE);
}
