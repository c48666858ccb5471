//! The result of a run as it is reported: what the table, the JSON and the page are made from.

use serde::{Deserialize, Serialize};
use uturn::wire::MAGIC_COOKIE;

use super::{
    about::About,
    generator::{GeneratorOutcome, generator},
    offered::{Offered, offered, paced_title, unit},
    server::{Memory, ServerOutcome, server},
    trust::{disturbed, limits_of_generator, near_floor, warnings},
    verdict::{Ended, Limits, Verdict},
    way::{WayOutcome, way_outcome},
};
use crate::{
    count::latency::Latency,
    measure::{Measured, Shaken, observe::Sample},
    offer::spec::{SLOW_WAY, Spec},
    rig::{Left, SetUp, turn::Request},
};

// The generator speaks the same STUN as the server it is built with.
const _: () = assert!(MAGIC_COOKIE == 0x2112_A442);

/// One run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) about: About,
    pub(crate) title: String,
    /// What is counted: a packet, an answer, a cycle.
    pub(crate) unit: String,
    pub(crate) offered: Offered,
    pub(crate) ways: Vec<WayOutcome>,
    /// What was sent to clients that read slowly; not in `ways`, and no limit holds for it.
    #[serde(default)]
    pub(crate) slow: Option<WayOutcome>,
    /// Latency of the same shape without a relay, measured just before; `None` for what has no
    /// schedule or no relay.
    pub(crate) floor: Option<Latency>,
    pub(crate) set_up: Option<SetUpOutcome>,
    /// Of handshakes alone.
    #[serde(default)]
    pub(crate) handshakes: Option<HandshakesOutcome>,
    pub(crate) server: Option<ServerOutcome>,
    /// The server's process ended meanwhile.
    pub(crate) server_died: bool,
    /// Somebody asked to stop: the measurement is shorter than planned.
    #[serde(default)]
    pub(crate) was_stopped: bool,
    pub(crate) generator: GeneratorOutcome,
    /// The generator, not the server, was what could do no more.
    pub(crate) generator_limited: bool,
    pub(crate) verdict: Verdict,
    pub(crate) warnings: Vec<String>,
    pub(crate) series: Vec<RateSample>,
}

/// How long requests took before the load began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetUpOutcome {
    pub(crate) took_ms: f64,
    /// `None` of a kind that was never answered.
    pub(crate) requests: Vec<(String, Option<Latency>)>,
}

/// What became of handshakes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct HandshakesOutcome {
    /// Finished within the measurement.
    pub(crate) full: u64,
    pub(crate) resumed: u64,
    /// Why others were not, and how many each; those of the warm-up among them.
    pub(crate) failures: Vec<(String, u64)>,
}

/// Rates over one sample.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct RateSample {
    pub(crate) at_s: f64,
    pub(crate) sent_pps: f64,
    pub(crate) relayed_pps: f64,
    pub(crate) gbps: f64,
    /// Of what arrived since the sample before, to a fifth.
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) server_cores: Option<f64>,
}

/// What is known beside the measurement.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) about: About,
    pub(crate) memory: Option<Memory>,
    pub(crate) floor: Option<Latency>,
    pub(crate) limits: Limits,
}

impl Known {
    /// Of a measurement about which nothing more is known.
    pub(crate) fn about(about: About) -> Known {
        Known { about, memory: None, floor: None, limits: Limits::default() }
    }
}

impl Outcome {
    pub(crate) fn new(
        set_up: &SetUp,
        spec: &Spec,
        measured: &Measured,
        Known { about, memory, floor, limits }: Known,
    ) -> Outcome {
        let ways = (0..2).filter(|way| spec.ways[*way]);
        let ways: Vec<WayOutcome> = ways.map(|way| way_outcome(spec, way, measured)).collect();
        let generator = generator(spec, measured);
        let ended = Ended {
            server: measured.observed.server_died,
            connections: measured.lost_connections.clone(),
        };
        let limited = limits_of_generator(spec, &ways, &generator);
        let mut warnings = warnings(spec, &ways, &generator, &limited, measured);
        let near = ways
            .iter()
            .filter_map(|way| near_floor(&way.direction, way.latency?.figures_us(), &floor?));
        warnings.extend(near);
        let server = measured.observed.server.map(|used| server(&used, spec, measured, memory));
        warnings.extend(server.as_ref().and_then(|server| disturbed(server.others_busy)));
        Outcome {
            about,
            title: format!("{}, {} s", paced_title(spec), spec.duration_ns as f64 / 1e9),
            unit: unit(spec).to_owned(),
            offered: offered(spec),
            generator_limited: !limited.is_empty(),
            verdict: Verdict::of(&limits, &ways, &ended),
            warnings,
            floor,
            set_up: requests(set_up),
            handshakes: measured.shaken.as_ref().map(handshakes),
            server,
            server_died: measured.observed.server_died,
            was_stopped: measured.measured_ns < spec.duration_ns,
            series: series(&measured.observed.samples),
            slow: spec.slow.map(|_| way_outcome(spec, SLOW_WAY, measured)),
            ways,
            generator,
        }
    }
}

impl Outcome {
    /// Takes over what was in the way of giving allocations back.
    pub(crate) fn end(&mut self, left: Option<Left>) {
        match left {
            Some(left) if left.is_servers_end() && !self.server_died => {
                self.verdict.broken.push(format!("the server does not answer any more; {left}"));
            }
            left => self.warnings.extend(left.map(|left| left.to_string())),
        }
    }

    /// Latency of the worse direction, figure by figure.
    pub(crate) fn worst_latency(&self) -> Option<Latency> {
        self.ways.iter().filter_map(|way| way.latency).reduce(Latency::worse)
    }
}

fn handshakes(shaken: &Shaken) -> HandshakesOutcome {
    let Shaken { full, resumed, failures, .. } = shaken;
    HandshakesOutcome { full: *full, resumed: *resumed, failures: failures.clone() }
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

fn series(samples: &[Sample]) -> Vec<RateSample> {
    let pairs = samples.iter().zip(samples.iter().skip(1));
    let sample = |(before, after): (&Sample, &Sample)| {
        let seconds = (after.at_ns - before.at_ns) as f64 / 1e9;
        RateSample {
            at_s: after.at_ns as f64 / 1e9,
            sent_pps: (after.sent - before.sent) as f64 / seconds,
            relayed_pps: (after.received - before.received) as f64 / seconds,
            gbps: (after.received_bytes - before.received_bytes) as f64 * 8e-9 / seconds,
            p50_us: after.p50_us,
            p99_us: after.p99_us,
            server_cores: after.server_cores,
        }
    };
    // Looks close together would be rates over next to nothing.
    let apart = |(before, after): &(&Sample, &Sample)| after.at_ns > before.at_ns + 20_000_000;
    pairs.filter(apart).map(sample).collect()
}
