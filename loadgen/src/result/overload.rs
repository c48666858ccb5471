//! What an overload came to.

use serde::{Deserialize, Serialize};

use super::{about::About, generator::GeneratorOutcome, offered::Offered, server::ServerOutcome};
use crate::count::latency::Latency;

/// An overload as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Overload {
    pub(crate) about: About,
    pub(crate) title: String,
    pub(crate) offered: Offered,
    pub(crate) capacity: Capacity,
    /// More than the server carries, and what came after.
    pub(crate) over: Phase,
    pub(crate) then: Phase,
    /// From the end of the overload to the end of the last loss; `None`: it never ended.
    pub(crate) recovery_s: Option<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) server: Option<ServerOutcome>,
    pub(crate) generator: GeneratorOutcome,
    /// The server's process ended meanwhile.
    pub(crate) server_died: bool,
    /// Connections that ended meanwhile, and why the last did.
    #[serde(default)]
    pub(crate) lost_connections: (u64, Option<String>),
    /// Somebody asked to stop: nothing is judged.
    pub(crate) was_stopped: bool,
    pub(crate) broken: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) series: Vec<Slice>,
}

/// What the server carries.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Capacity {
    /// Packets/s, all directions together, here and below.
    pub(crate) pps: f64,
    /// Not found but told.
    pub(crate) is_given: bool,
    /// The generator could not offer more: the server may carry more.
    pub(crate) is_generators: bool,
}

/// A time of equal load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) seconds: f64,
    /// As was asked for.
    pub(crate) offered_pps: f64,
    /// As was sent: less where the generator could not keep up.
    pub(crate) sent_pps: f64,
    pub(crate) delivered_pps: f64,
    pub(crate) loss_percent: f64,
    /// How long the answers to each kind of request took; `None` where none came.
    pub(crate) answers: Vec<(String, Option<Latency>)>,
    /// Cycles of requests in which an answer never came or was an error, and the last in words.
    pub(crate) failed_cycles: u64,
    pub(crate) failure: Option<String>,
}

/// Memory of the server.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    pub(crate) most_bytes: u64,
    pub(crate) after_bytes: u64,
}

/// Packets by when they were due, a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) at_s: f64,
    pub(crate) sent_pps: f64,
    pub(crate) delivered_pps: f64,
    pub(crate) lost_pps: f64,
}
