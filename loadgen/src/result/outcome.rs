//! The result of a run as it is reported: what the table, the JSON and the page are made from.

use serde::{Deserialize, Serialize};
use uturn::wire::MAGIC_COOKIE;

use super::{
    generator::{GeneratorOutcome, generator},
    offered::{Offered, offered, title, unit},
    server::{Memory, ServerOutcome, server},
    verdict::{Limits, Verdict, generator_limited, near_floor, warnings},
    way::{WayOutcome, way_outcome},
};
use crate::{
    count::latency::Latency,
    measure::{Measured, observe::Look},
    offer::spec::Spec,
    procfs,
    rig::{SetUp, turn::Request},
};

/// Goes up when a field changes its meaning.
pub(crate) const FORMAT: u32 = 2;

// The generator speaks the same STUN as the server it is built with.
const _: () = assert!(MAGIC_COOKIE == 0x2112_A442);

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) format: u32,
    pub(crate) title: String,
    /// Where the generator ran.
    pub(crate) machine: String,
    /// What is counted: a packet, an answer, a cycle.
    pub(crate) unit: String,
    pub(crate) offered: Offered,
    pub(crate) ways: Vec<WayOutcome>,
    /// Latency of the same shape without a relay, measured just before; `None` for what has no
    /// schedule or no relay.
    pub(crate) floor: Option<Latency>,
    pub(crate) set_up: Option<SetUpOutcome>,
    pub(crate) server: Option<ServerOutcome>,
    pub(crate) generator: GeneratorOutcome,
    /// The generator, not the server, was what could do no more.
    pub(crate) generator_limited: bool,
    pub(crate) verdict: Verdict,
    pub(crate) warnings: Vec<String>,
    pub(crate) series: Vec<Sample>,
}

/// How long requests took before the load began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetUpOutcome {
    pub(crate) took_ms: f64,
    /// `None` of a kind that was never answered.
    pub(crate) requests: Vec<(String, Option<Latency>)>,
}

/// Rates over one look.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) at_s: f64,
    pub(crate) sent_pps: f64,
    pub(crate) relayed_pps: f64,
    pub(crate) gbps: f64,
}

/// What is known beside the measurement.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Known {
    pub(crate) memory: Option<Memory>,
    pub(crate) floor: Option<Latency>,
    pub(crate) limits: Limits,
}

impl Outcome {
    pub(crate) fn new(
        set_up: &SetUp,
        spec: &Spec,
        measured: &Measured,
        Known { memory, floor, limits }: Known,
    ) -> Outcome {
        let ways = (0..2).filter(|way| spec.ways[*way]);
        let ways: Vec<WayOutcome> = ways.map(|way| way_outcome(spec, way, measured)).collect();
        let generator = generator(spec, measured);
        let mut warnings = warnings(spec, &ways, &generator, measured);
        let near = ways
            .iter()
            .filter_map(|way| near_floor(&way.direction, way.latency?.figures_us(), &floor?));
        warnings.extend(near);
        Outcome {
            format: FORMAT,
            title: format!("{}, {} s", title(spec), spec.duration_ns as f64 / 1e9),
            machine: procfs::machine(),
            unit: unit(spec).to_owned(),
            offered: offered(spec),
            generator_limited: generator_limited(spec, &ways, &generator),
            verdict: Verdict::of(&limits, &ways),
            warnings,
            floor,
            set_up: requests(set_up),
            server: measured.observed.server.map(|used| server(&used, spec, measured, memory)),
            series: series(&measured.observed.looks),
            ways,
            generator,
        }
    }
}

impl Outcome {
    /// Latency of the worse direction, figure by figure.
    pub(crate) fn worst_latency(&self) -> Option<Latency> {
        self.ways.iter().filter_map(|way| way.latency).reduce(Latency::worse)
    }
}

fn requests(set_up: &SetUp) -> Option<SetUpOutcome> {
    let each = set_up.timings.iter().flat_map(|timings| &timings.each);
    let requests: Vec<_> = each
        .map(|(request, histogram): &(Request, _)| {
            (request.name().to_owned(), Latency::of(histogram))
        })
        .collect();
    let any = !requests.is_empty();
    any.then(|| SetUpOutcome { took_ms: set_up.took_ns as f64 / 1e6, requests })
}

fn series(looks: &[Look]) -> Vec<Sample> {
    let pairs = looks.iter().zip(looks.iter().skip(1));
    let sample = |(before, after): (&Look, &Look)| {
        let seconds = (after.at_ns - before.at_ns) as f64 / 1e9;
        Sample {
            at_s: after.at_ns as f64 / 1e9,
            sent_pps: (after.sent - before.sent) as f64 / seconds,
            relayed_pps: (after.received - before.received) as f64 / seconds,
            gbps: (after.received_bytes - before.received_bytes) as f64 * 8e-9 / seconds,
        }
    };
    // Looks close together would be rates over next to nothing.
    let apart = |(before, after): &(&Look, &Look)| after.at_ns > before.at_ns + 20_000_000;
    pairs.filter(apart).map(sample).collect()
}
