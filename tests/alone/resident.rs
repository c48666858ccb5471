//! What a stranger's floods of the largest datagrams make resident, and that it stays bounded.

use std::net::UdpSocket;

use crate::memory::resident_bytes;
use crate::relay::Setup;

/// Larger than any buffer keeps; loopback carries it whole.
const DATAGRAM_BYTES: usize = 60_000;
/// Several gigabytes in all: each receive buffer is filled many times over.
const DATAGRAMS: usize = 40_000;
const SOURCES: usize = 16;
/// 1,024 buffers of 8 KiB, 128 of them whole, and some that are in use when it is looked at.
const GROWTH_MAX_BYTES: u64 = 20 << 20;

#[test]
fn a_flood_of_the_largest_datagrams_leaves_little_resident() {
    for driver in ["uring", "portable"] {
        let relay = Setup::new().with(&["--io", driver, "--workers", "1"]).start();
        let before = resident_bytes(relay.process.pid);
        let sources: Vec<_> =
            (0..SOURCES).map(|_| UdpSocket::bind("127.0.0.1:0").expect("a socket")).collect();
        let datagram = vec![0x55; DATAGRAM_BYTES];
        for source in sources.iter().cycle().take(DATAGRAMS) {
            // A full queue drops some, as it should.
            let _ = source.send_to(&datagram, relay.v4());
        }
        let growth = resident_bytes(relay.process.pid).saturating_sub(before);
        eprintln!("{driver}: {} KiB more than {} KiB", growth >> 10, before >> 10);
        assert!(growth < GROWTH_MAX_BYTES, "{driver}: {growth} bytes became resident");
    }
}
