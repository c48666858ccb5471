//! What a lane shows to whoever watches.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::count::recent::Recent;

/// Written once per turn, by one thread each.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Gauge {
    pub(crate) sent: AtomicU64,
    pub(crate) behind_ns: AtomicU64,
    pub(crate) sent_all: AtomicBool,
    received: Received,
    /// Latencies as they come.
    pub(crate) recent: Arc<Recent>,
}

#[derive(Debug, Default)]
#[repr(align(128))]
struct Received {
    packets: AtomicU64,
    bytes: AtomicU64,
}

impl Gauge {
    pub(crate) fn publish_sent(&self, packets: u64, behind_ns: u64) {
        self.sent.store(packets, Ordering::Relaxed);
        self.behind_ns.store(behind_ns, Ordering::Relaxed);
    }

    pub(crate) fn publish_received(&self, packets: u64, bytes: u64) {
        self.received.packets.store(packets, Ordering::Relaxed);
        self.received.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Packets and payload bytes that arrived so far.
    pub(crate) fn received(&self) -> (u64, u64) {
        let Received { packets, bytes } = &self.received;
        (packets.load(Ordering::Relaxed), bytes.load(Ordering::Relaxed))
    }
}
