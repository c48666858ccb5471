//! The result of a run as it is reported: what the table, the JSON and the page are made from.

use serde::{Deserialize, Serialize};
use uturn::wire::MAGIC_COOKIE;

use crate::{
    count::latency::{self, Latency},
    measure::{
        Measured, WayTotal,
        observe::{Look, ServerUse},
    },
    offer::{
        shape::{Shape, Stream},
        spec::{Route, Spec},
    },
    procfs,
    result::verdict::{Limits, Verdict, generator_limited, near_floor, warnings},
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

/// What was asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Offered {
    pub(crate) shape: Shape,
    pub(crate) allocations: usize,
    /// Packets/s each way; `None` as fast as it goes.
    pub(crate) pps: Option<f64>,
    pub(crate) payload_bytes: u16,
    pub(crate) trains: bool,
    pub(crate) gro: bool,
    pub(crate) duration_s: f64,
}

/// One direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct WayOutcome {
    pub(crate) direction: String,
    pub(crate) sent: u64,
    pub(crate) relayed: u64,
    pub(crate) lost: u64,
    pub(crate) loss_percent: f64,
    pub(crate) reordered: u64,
    pub(crate) duplicates: u64,
    pub(crate) corrupt: u64,
    pub(crate) misrouted: u64,
    /// Too late to tell a duplicate from a reordered packet; counted as neither.
    pub(crate) ancient: u64,
    /// Not taken by the generator's own kernel; not in `sent`.
    pub(crate) refused: u64,
    pub(crate) pps: f64,
    /// Payload only.
    pub(crate) gbps: f64,
    /// `None` when nothing arrived.
    pub(crate) latency: Option<Latency>,
    /// Share of packets, and the latency none of them exceeded, µs.
    pub(crate) curve: Vec<(f64, f64)>,
}

/// How long requests took before the load began.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SetUpOutcome {
    pub(crate) took_ms: f64,
    /// `None` of a kind that was never answered.
    pub(crate) requests: Vec<(String, Option<Latency>)>,
}

/// What the server used.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ServerOutcome {
    /// `None` when nothing was delivered, here and below.
    pub(crate) cpu_ns_per_packet: Option<f64>,
    /// The same in user and in system, split by clock ticks; `None` when there were none.
    pub(crate) user_ns_per_packet: Option<f64>,
    pub(crate) system_ns_per_packet: Option<f64>,
    pub(crate) cores_busy: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) bytes_per_allocation: Option<f64>,
    pub(crate) switches_per_packet: Option<f64>,
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
    pub(crate) socket_drops: u64,
}

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

/// The server's memory.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    pub(crate) set_up_bytes: u64,
}

impl Memory {
    /// What the set-up added, for each allocation, bytes.
    pub(crate) fn per_allocation(&self, spec: &Spec) -> f64 {
        let grown = self.set_up_bytes.saturating_sub(self.before_bytes);
        ratio(grown, spec.allocations as u64)
    }
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

/// What one of the counted things is called.
pub(crate) fn unit(spec: &Spec) -> &'static str {
    match (spec.shape, spec.route) {
        (Shape::Churn, _) => "cycle",
        (_, Route::Binding) => "answer",
        (_, Route::Direct | Route::Relay | Route::Pair) => "packet",
    }
}

/// What ran, in half a line.
pub(crate) fn title(spec: &Spec) -> String {
    let shape = format!("{:?}", spec.shape).to_lowercase();
    if spec.shape == Shape::Churn {
        let window = spec.window * spec.threads;
        return format!("{shape}: allocate, permit, bind, refresh, close, {window} at once");
    }
    let who = match spec.route {
        Route::Relay | Route::Pair => "allocations",
        Route::Direct | Route::Binding => "clients",
    };
    let how = match spec.route {
        Route::Direct => ", no relay",
        Route::Binding => "",
        Route::Relay | Route::Pair if spec.indications => ", Send and Data indications",
        Route::Relay | Route::Pair => ", channels",
    };
    let pair = if spec.route == Route::Pair { ", relay to relay" } else { "" };
    let trains = if spec.trains { ", sent as trains" } else { "" };
    let gro = if spec.gro { "" } else { ", received one by one" };
    format!("{shape}: {} {who}{how}{pair}{trains}{gro}", spec.allocations)
}

pub(crate) fn offered(spec: &Spec) -> Offered {
    if spec.shape == Shape::Churn {
        return Offered { pps: spec.rate, ..offered_packets(spec) };
    }
    offered_packets(spec)
}

fn offered_packets(spec: &Spec) -> Offered {
    let rates: Vec<f64> = spec.streams.iter().filter_map(Stream::packets_per_second).collect();
    let flows = spec.route.flows(spec.allocations) as f64 / 2.0;
    let paced = rates.len() == spec.streams.len();
    let pps = rates.iter().sum::<f64>() * flows / spec.streams.len().max(1) as f64;
    Offered {
        shape: spec.shape,
        allocations: spec.allocations,
        pps: paced.then_some(pps),
        payload_bytes: spec.streams.iter().map(|s| s.payload_bytes).max().unwrap_or_default(),
        trains: spec.trains,
        gro: spec.gro,
        duration_s: spec.duration_ns as f64 / 1e9,
    }
}

fn direction(spec: &Spec, way: usize) -> &'static str {
    match (spec.route, way) {
        _ if spec.shape == Shape::Churn => "cycles",
        (Route::Binding, _) => "requests",
        (Route::Pair, 0) => "A → B",
        (Route::Pair, _) => "B → A",
        (Route::Direct | Route::Relay, 0) => "client → peer",
        (Route::Direct | Route::Relay, _) => "peer → client",
    }
}

fn way_outcome(spec: &Spec, way: usize, measured: &Measured) -> WayOutcome {
    let WayTotal { sent, received } = &measured.ways[way];
    let seconds = measured.measured_ns as f64 / 1e9;
    let lost = sent.packets.saturating_sub(received.packets);
    WayOutcome {
        direction: direction(spec, way).to_owned(),
        sent: sent.packets,
        relayed: received.packets,
        lost,
        loss_percent: 100.0 * ratio(lost, sent.packets),
        reordered: received.reordered,
        duplicates: received.duplicates,
        corrupt: received.corrupt,
        misrouted: received.misrouted,
        ancient: received.ancient,
        refused: sent.refused,
        pps: received.packets as f64 / seconds,
        gbps: received.payload_bytes as f64 * 8e-9 / seconds,
        latency: Latency::of(&received.latency),
        curve: latency::curve(&received.latency),
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

/// What the server used.
pub(crate) fn server(
    used: &ServerUse,
    spec: &Spec,
    measured: &Measured,
    memory: Option<Memory>,
) -> ServerOutcome {
    let packets = measured.delivered();
    let per_packet = |amount: u64| (packets > 0).then(|| ratio(amount, packets));
    let cpu_ns = per_packet(used.whole.cpu_ns);
    let user = used.whole.user_share();
    let switches = used.whole.voluntary_switches + used.whole.involuntary_switches;
    ServerOutcome {
        cpu_ns_per_packet: cpu_ns,
        user_ns_per_packet: cpu_ns.zip(user).map(|(cpu_ns, share)| cpu_ns * share),
        system_ns_per_packet: cpu_ns.zip(user).map(|(cpu_ns, share)| cpu_ns * (1.0 - share)),
        cores_busy: ratio(used.measured_cpu_ns, measured.measured_ns),
        resident_bytes: used.whole.resident_bytes,
        bytes_per_allocation: memory.map(|memory| memory.per_allocation(spec)),
        switches_per_packet: per_packet(switches),
        voluntary_switches: used.whole.voluntary_switches,
        involuntary_switches: used.whole.involuntary_switches,
        socket_drops: used.drops,
    }
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

fn ratio(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}
