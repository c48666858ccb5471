//! What a stranger's floods of the largest datagrams make resident, and that it stays bounded; and
//! what a reload leaves resident.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

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
