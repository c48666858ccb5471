//! What a stranger's floods of the largest datagrams make resident, and that it stays bounded.

use std::net::UdpSocket;

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
