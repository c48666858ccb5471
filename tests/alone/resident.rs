//! What a stranger's floods of the largest datagrams make resident, and his connections, and that
//! it stays bounded; and what a reload leaves resident.

use std::io::Write;
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};

use crate::client::{Call, Client, allocate};
use crate::http::{scrape, showing};
use crate::machine::Folder;
use crate::memory::{peak_resident_bytes, resident_bytes};
use crate::relay::Setup;

/// Larger than any buffer keeps; loopback carries it whole.
const DATAGRAM_BYTES: usize = 60_000;
/// Several gigabytes in all: each receive buffer is filled many times over.
const DATAGRAMS: usize = 40_000;
const SOURCES: usize = 16;
/// 1,024 buffers of 8 KiB, 128 of them whole, and some that are in use when it is looked at.
const GROWTH_MAX_BYTES: u64 = 20 << 20;
/// The smallest container that runs it is never full, not even for a moment within a turn.
const PEAK_MAX_BYTES: u64 = 64 << 20;

#[test]
fn a_flood_of_the_largest_datagrams_leaves_little_resident() {
    for driver in ["uring", "portable"] {
        let relay = Setup::new().with(&["--io", driver, "--workers", "1"]).start();
        let before = resident_bytes(relay.process.pid);
        let sources: Vec<_> =
            (0..SOURCES).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
        let datagram = vec![0x55; DATAGRAM_BYTES];
        // First a full queue, which one turn takes out, then whatever the relay takes as it comes.
        for (datagrams, stopped) in [(DATAGRAMS / 10, true), (DATAGRAMS, false)] {
            relay.process.signal(if stopped { libc::SIGSTOP } else { libc::SIGCONT });
            for source in sources.iter().cycle().take(datagrams) {
                // A full queue drops some, as it should.
                let _ = source.send_to(&datagram, relay.v4());
            }
        }
        let growth = resident_bytes(relay.process.pid).saturating_sub(before);
        let peak = peak_resident_bytes(relay.process.pid);
        let kib = [growth, before, peak].map(|bytes| bytes >> 10);
        eprintln!("{driver}: {} KiB more than {} KiB, at most {} KiB", kib[0], kib[1], kib[2]);
        assert!(growth < GROWTH_MAX_BYTES, "{driver}: {growth} bytes became resident");
        assert!(peak < PEAK_MAX_BYTES, "{driver}: {peak} bytes were resident at a time");
    }
}

const CONNECTIONS: usize = 1_000;
/// As many as a source may have.
const OF_A_SOURCE: usize = 25;
/// Half a buffer for each: what has come of a frame is copied out of it.
const GROWTH_BY_CONNECTIONS_MAX_BYTES: u64 = 8 << 20;

/// A connection from another source than its neighbours', with the longest frame that a stranger
/// may send, but for the end of it.
fn half_a_frame(number: usize, server: SocketAddr) -> TcpStream {
    let source = [127, 82, (number / OF_A_SOURCE) as u8, 1];
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((source, 0)).into()).expect("loopback is a whole network");
    socket.connect(&server.into()).expect("the server takes it");
    let mut stream = TcpStream::from(socket);
    let mut frame = allocate().attribute(0x7F00, &[7; 1_900]).bytes();
    frame.pop();
    stream.write_all(&frame).expect("the server reads");
    stream
}

#[test]
fn connections_that_say_half_of_something_leave_little_resident() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).expect("up to the hard limit");
    for driver in ["uring", "portable"] {
        let (relay, metrics) = showing(Setup::new().with(&["--io", driver, "--workers", "1"]));
        let before = resident_bytes(relay.process.pid);
        let held: Vec<_> = (0..CONNECTIONS).map(|n| half_a_frame(n, relay.v4())).collect();
        // What comes after them has its turn after them.
        Call::of(Client::over_tcp(relay.v4())).talk();
        let strangers = scrape(metrics)[r#"uturn_streams_unauthenticated{worker="0"}"#];
        let growth = resident_bytes(relay.process.pid).saturating_sub(before);
        eprintln!("{driver}: {} KiB more for {strangers} connections", growth >> 10);
        // Half a frame waits for ten seconds; on a very busy machine the first ones are gone.
        assert!(strangers * 2.0 > CONNECTIONS as f64, "{strangers} wait");
        assert!(growth < GROWTH_BY_CONNECTIONS_MAX_BYTES, "{driver}: {growth} bytes");
        drop(held);
    }
}

const USERS: usize = 200_000;
/// Two sets of so many users take 80 MiB each.
const RELOAD_GROWTH_MAX_BYTES: u64 = 24 << 20;

/// Everybody, with passwords that are others each time.
fn users(time: usize) -> String {
    (0..USERS).map(|user| format!("user{user}:password{}\n", user + time)).collect()
}

#[test]
fn a_reload_of_many_users_gives_the_memory_of_the_former_back() {
    let folder = Folder::new();
    let path = folder.write("users", &users(0));
    let setup = Setup::of_nobody().with(&["--users-file", &path]);
    let relay = setup.start();
    let before = resident_bytes(relay.process.pid);
    for time in 1..=2 {
        folder.write("users", &users(time));
        relay.process.signal(libc::SIGHUP);
        relay.process.wait_until_it_logs("configuration read again", time);
    }
    let give_up = Instant::now() + Duration::from_secs(10);
    let mut growth = u64::MAX;
    while growth > RELOAD_GROWTH_MAX_BYTES && Instant::now() < give_up {
        std::thread::sleep(Duration::from_millis(100));
        growth = resident_bytes(relay.process.pid).saturating_sub(before);
    }
    eprintln!("{} KiB more than {} KiB", growth >> 10, before >> 10);
    assert!(growth < RELOAD_GROWTH_MAX_BYTES, "{growth} bytes more than {before}");
}
