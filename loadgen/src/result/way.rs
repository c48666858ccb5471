//! What one direction came to.

use serde::{Deserialize, Serialize};

use super::{offered::direction, ratio::ratio};
use crate::{
    count::latency::{self, Latency},
    measure::{Measured, WayTotal},
    offer::spec::Spec,
};

/// One direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WayOutcome {
    pub(crate) direction: String,
    pub(crate) sent: u64,
    pub(crate) relayed: u64,
    pub(crate) lost: u64,
    /// Of what was due: lost, and blocked unless it went as fast as it could.
    pub(crate) loss_percent: f64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    /// Too late to tell a duplicate from a reordered packet; counted as neither.
    pub(crate) ancient: u64,
    /// Not taken by the generator's own kernel, or for a connection that had ended; not in `sent`.
    pub(crate) refused: u64,
    /// Not sent, because the connection had no room: the server did not read; not in `sent`. As
    /// fast as it goes: the first burst of each such time.
    #[serde(default)]
    pub(crate) blocked: u64,
    pub(crate) pps: f64,
    /// Payload only.
    pub(crate) gbps: f64,
    /// `None` when nothing arrived.
    pub(crate) latency: Option<Latency>,
    /// Share of packets, and the latency none of them exceeded, µs.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// What came of one direction of a measurement.
pub(super) fn way_outcome(spec: &Spec, way: usize, measured: &Measured) -> WayOutcome {
    let WayTotal { sent, received } = &measured.ways[way];
    let seconds = measured.measured_ns as f64 / 1e9;
    let lost = sent.packets.saturating_sub(received.packets);
    let blocked = if spec.is_unpaced() { 0 } else { sent.blocked };
    WayOutcome {
        direction: direction(spec, way).to_owned(),
        sent: sent.packets,
        relayed: received.packets,
        lost,
        loss_percent: 100.0 * ratio(lost + blocked, sent.packets + blocked),
        reordered: received.reordered,
        duplicates: received.duplicates,
        corrupt: received.corrupt,
        misrouted: received.misrouted,
        ancient: received.ancient,
        refused: sent.refused,
        blocked: sent.blocked,
        pps: received.packets as f64 / seconds,
        gbps: received.payload_bytes as f64 * 8e-9 / seconds,
        latency: Latency::of(&received.latency),
        curve: latency::curve(&received.latency),
    }
}
