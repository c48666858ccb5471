//! What the generator used, and whether it kept to its schedule.

use serde::{Deserialize, Serialize};

use super::ratio::ratio;
use crate::{count::latency::Latency, measure::Measured, offer::spec::Spec};

/// What the generator used, and whether it kept to its schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct GeneratorOutcome {
    pub(crate) threads: Vec<ThreadOutcome>,
    /// What they did while nothing was due: `true` looked again at once, `false` slept.
    pub(crate) spins: bool,
    /// From due to sent.
    pub(crate) lag: Option<Latency>,
    pub(crate) unsent: u64,
    pub(crate) socket_drops: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ThreadOutcome {
    pub(crate) role: String,
    pub(crate) core: Option<usize>,
    /// Share of the time it had work.
    pub(crate) busy: f64,
    /// Share of the time it was on a core.
    pub(crate) cpu: f64,
}

/// What the generator used.
pub(crate) fn generator(spec: &Spec, measured: &Measured) -> GeneratorOutcome {
    let threads = measured.observed.threads.iter().map(|thread| ThreadOutcome {
        role: thread.role.to_owned(),
        core: thread.core,
        busy: ratio(thread.busy_ns, thread.wall_ns).min(1.0),
        cpu: ratio(thread.cpu_ns, thread.wall_ns).min(1.0),
    });
    GeneratorOutcome {
        threads: threads.collect(),
        spins: spec.spin,
        lag: Latency::of(&measured.lag),
        unsent: measured.unsent,
        socket_drops: measured.observed.own_drops,
    }
}
