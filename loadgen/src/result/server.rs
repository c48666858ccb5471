//! What the server used.

use serde::{Deserialize, Serialize};

use super::ratio::ratio;
use crate::{
    measure::{Measured, observe::ServerUse},
    offer::spec::{Route, Spec},
};

/// What the server used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerOutcome {
    /// `None` when nothing was delivered, here and below.
    pub(crate) cpu_ns_per_packet: Option<f64>,
    /// The same in user and in system, split by clock ticks; `None` when there were none.
    pub(crate) user_ns_per_packet: Option<f64>,
    pub(crate) system_ns_per_packet: Option<f64>,
    pub(crate) cores_busy: f64,
    /// Cores that something else on this machine kept busy, or its host kept from it.
    #[serde(default)]
    pub(crate) others_busy: f64,
    pub(crate) resident_bytes: u64,
    /// Over TCP and TLS, the client's connection included.
    pub(crate) bytes_per_allocation: Option<f64>,
    /// Of a client that has a connection and nothing else; Binding over TCP and TLS.
    #[serde(default)]
    pub(crate) bytes_per_connection: Option<f64>,
    pub(crate) switches_per_packet: Option<f64>,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
    pub(crate) socket_drops: u64,
}

/// No server holds an allocation in less.
const LEAST_BYTES: f64 = 100.0;

/// The server's memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    pub(crate) set_up_bytes: u64,
}

impl Memory {
    /// What the set-up added, for each allocation or other client, bytes. A server that had such
    /// allocations before has the memory already, so that next to nothing says nothing.
    pub(crate) fn per_allocation(&self, spec: &Spec) -> Option<f64> {
        let grown = self.set_up_bytes.saturating_sub(self.before_bytes);
        let each = ratio(grown, spec.allocations as u64);
        (each >= LEAST_BYTES).then_some(each)
    }
}

/// What the server used.
pub(crate) fn server(
    used: &ServerUse,
    spec: &Spec,
    measured: &Measured,
    memory: Option<Memory>,
) -> ServerOutcome {
    let packets = measured.delivered();
    let each = memory.and_then(|memory| memory.per_allocation(spec));
    let has_allocations = spec.route != Route::Binding;
    let is_connected = spec.transport.is_stream();
    let per_packet = |amount: u64| (packets > 0).then(|| ratio(amount, packets));
    let cpu_ns = per_packet(used.whole.cpu_ns);
    let user = used.whole.user_share();
    let switches = used.whole.voluntary_switches + used.whole.involuntary_switches;
    ServerOutcome {
        cpu_ns_per_packet: cpu_ns,
        user_ns_per_packet: cpu_ns.zip(user).map(|(cpu_ns, share)| cpu_ns * share),
        system_ns_per_packet: cpu_ns.zip(user).map(|(cpu_ns, share)| cpu_ns * (1.0 - share)),
        cores_busy: ratio(used.measured_cpu_ns, measured.measured_ns),
        others_busy: ratio(used.others_cpu_ns, measured.measured_ns),
        resident_bytes: used.whole.resident_bytes,
        bytes_per_allocation: each.filter(|_| has_allocations),
        bytes_per_connection: each.filter(|_| is_connected && !has_allocations),
        switches_per_packet: per_packet(switches),
        voluntary_switches: used.whole.voluntary_switches,
        involuntary_switches: used.whole.involuntary_switches,
        socket_drops: used.drops,
    }
}
