//! What a sweep came to: a step for each load, and the highest that held.

use serde::{Deserialize, Serialize};

use super::{
    offered::{Offered, offered, title},
    outcome::{FORMAT, Outcome},
    server::Memory,
    verdict::Limits,
    way::WayOutcome,
};
use crate::{count::latency::Latency, fault::Fault, offer::spec::Spec, procfs};

/// A sweep as it is reported, and what a plan is made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) format: u32,
    pub(crate) title: String,
    /// Where the generator ran.
    pub(crate) machine: String,
    pub(crate) offered: Offered,
    pub(crate) limits: Limits,
    /// In ascending order of load.
    pub(crate) steps: Vec<Step>,
    /// The highest step that held.
    pub(crate) best: Option<Step>,
    /// Memory the server took for each allocation.
    pub(crate) bytes_per_allocation: Option<f64>,
    /// Memory the server had before the first.
    pub(crate) base_bytes: Option<u64>,
    pub(crate) warnings: Vec<String>,
}

/// One offered load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Packets/s, all directions together, here and below.
    pub(crate) offered_pps: f64,
    pub(crate) relayed_pps: f64,
    /// Payload.
    pub(crate) gbps: f64,
    /// Of the worse direction, here and below.
    pub(crate) loss_percent: f64,
    pub(crate) latency: Option<Latency>,
    /// Of the generator alone at this load.
    pub(crate) floor: Option<Latency>,
    pub(crate) cpu_ns_per_packet: Option<f64>,
    pub(crate) cores_busy: Option<f64>,
    /// The generator did not keep to the schedule: the step says nothing about the server.
    pub(crate) generator_limited: bool,
    pub(crate) held: bool,
}

impl Sweep {
    /// Reads a sweep's JSON.
    pub(crate) fn read(path: &str) -> Result<Sweep, Fault> {
        let text = std::fs::read_to_string(path).map_err(|error| Fault::file(path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| Fault::file(path, format!("not a sweep's JSON: {error}")))
    }
}

/// What a run of one offered load says.
pub(crate) fn step(outcome: &Outcome) -> Step {
    let worst = |value: fn(&WayOutcome) -> f64| outcome.ways.iter().map(value).fold(0.0, f64::max);
    let server = outcome.server.as_ref();
    let generator_limited = outcome.generator_limited;
    Step {
        offered_pps: outcome.offered.pps.unwrap_or_default() * outcome.ways.len() as f64,
        relayed_pps: outcome.ways.iter().map(|way| way.pps).sum(),
        gbps: outcome.ways.iter().map(|way| way.gbps).sum(),
        loss_percent: worst(|way| way.loss_percent),
        latency: outcome.worst_latency(),
        floor: outcome.floor,
        cpu_ns_per_packet: server.and_then(|server| server.cpu_ns_per_packet),
        cores_busy: server.map(|server| server.cores_busy),
        generator_limited,
        held: outcome.verdict.held() && !generator_limited,
    }
}

/// The whole of it, from its steps in ascending order of load.
pub(crate) fn summary(
    spec: &Spec,
    limits: Limits,
    steps: Vec<Step>,
    memory: Option<Memory>,
    watched: bool,
) -> Sweep {
    let best = steps.iter().rev().find(|step| step.held).cloned();
    Sweep {
        format: FORMAT,
        title: format!("sweep of {}", title(spec)),
        machine: procfs::machine(),
        offered: offered(spec),
        limits,
        warnings: warnings(&steps, best.as_ref(), watched),
        steps,
        best,
        bytes_per_allocation: memory.map(|memory| memory.per_allocation(spec)),
        base_bytes: memory.map(|memory| memory.before_bytes),
    }
}

fn warnings(steps: &[Step], best: Option<&Step>, watched: bool) -> Vec<String> {
    let mut warnings = Vec::new();
    let above = steps.iter().find(|step| best.is_none_or(|b| step.offered_pps > b.offered_pps));
    match (above, best) {
        (Some(step), _) if step.generator_limited => warnings.push(
            "GENERATOR WAS THE LIMIT: the server may carry more than the highest step says"
                .to_owned(),
        ),
        (None, Some(_)) => {
            warnings.push("the highest step held: the limit lies above --to".to_owned());
        }
        (Some(_) | None, _) => {}
    }
    if !watched {
        warnings.push("without --pid there is no CPU time and no memory to plan with".to_owned());
    }
    warnings
}
