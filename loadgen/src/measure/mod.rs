//! One measurement of a rig: every lane takes up the window, runs, and is counted.

pub(crate) mod churn;
pub(crate) mod floor;
pub(crate) mod observe;

use std::sync::Arc;

use hdrhistogram::Histogram;

use crate::{
    clock::MILLI_NS,
    count::{latency, ledger::Way, slices::Slices},
    fault::Fault,
    measure::observe::{Observation, Observed, Sample, observe},
    offer::{
        schedule::Schedule,
        shape::Stream,
        spec::{Spec, WAYS},
        window::Window,
    },
    rig::{
        Rig,
        lane::{Lane, RunMode, ThreadUse},
        sender::SentCount,
    },
    stop::Until,
};

/// Slack before the first packet, for threads to start.
const START_SLACK_NS: u64 = 5 * MILLI_NS;

/// What one direction came to, all lanes together.
#[derive(Debug)]
pub(crate) struct WayTotal {
    pub(crate) sent: SentCount,
    pub(crate) received: Way,
}

impl WayTotal {
    /// A way that nothing went.
    pub(crate) fn none() -> WayTotal {
        WayTotal { sent: SentCount::default(), received: Way::new() }
    }
}

/// Everything one measurement brought.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) ways: [WayTotal; WAYS],
    pub(crate) measured_ns: u64,
    pub(crate) lag: Histogram<u64>,
    /// Packets that were due and never sent.
    pub(crate) unsent: u64,
    /// Refreshes that failed, and the last in words.
    pub(crate) failures: (u64, Option<String>),
    /// Connections that ended, since they were set up, and why the last did.
    pub(crate) lost_connections: (u64, Option<String>),
    /// Of handshakes alone.
    pub(crate) shaken: Option<Shaken>,
    pub(crate) observed: Observed,
    /// Sent and distinct received packets, both ways, by when they were due.
    pub(crate) slices: [Slices; 2],
}

/// What became of handshakes.
#[derive(Debug, Clone)]
pub(crate) struct Shaken {
    /// Of the measurement.
    pub(crate) full: u64,
    pub(crate) resumed: u64,
    /// Of the warm-up, too: why they failed, and how many each.
    pub(crate) failures: Vec<(String, u64)>,
    /// What TLS connections agreed on.
    pub(crate) secured: Option<String>,
}

/// What is offered when.
pub(crate) struct Course<'a> {
    pub(crate) window: Window,
    pub(crate) until: &'a Until,
    /// How late a burst may leave; `None`: however late it is.
    pub(crate) latest_ns: Option<u64>,
    /// One after the other; each from its time on.
    pub(crate) stages: Vec<(Vec<Stream>, u64)>,
}

/// What a thread of a measurement does.
pub(crate) type Job<'a> = Box<dyn FnOnce() -> Result<Vec<ThreadUse>, Fault> + Send + 'a>;

impl Measured {
    /// Distinct packets delivered both ways, warm-up included: what the server's CPU time over the
    /// whole run is divided by.
    pub(crate) fn delivered(&self) -> u64 {
        self.ways.iter().map(|way| way.received.all).sum()
    }
}

/// Offers the load of `spec` (which may differ from the rig's in pace and time) through a rig.
/// `watch` is called with every sample.
pub(crate) fn measure(
    rig: &mut Rig,
    spec: &Spec,
    pid: Option<u32>,
    watch: &mut dyn FnMut(&Sample),
) -> Result<Measured, Fault> {
    let window = window(rig.next_run(), rig.clock.now(), spec);
    let until = &Until::new(window.until_ns);
    let stages = vec![(spec.streams.clone(), window.start_ns)];
    let course = Course { window, until, latest_ns: None, stages };
    measure_beside(rig, spec, &course, Beside { jobs: Vec::new(), pid, watch })
}

/// What goes on beside the load.
pub(crate) struct Beside<'a> {
    pub(crate) jobs: Vec<Job<'a>>,
    /// The server's process.
    pub(crate) pid: Option<u32>,
    /// Is called with every sample.
    pub(crate) watch: &'a mut dyn FnMut(&Sample),
}

/// Offers a course of load through a rig, with other jobs beside it.
pub(crate) fn measure_beside(
    rig: &mut Rig,
    spec: &Spec,
    course: &Course<'_>,
    beside: Beside<'_>,
) -> Result<Measured, Fault> {
    begin(rig, spec, course);
    let (clock, window, until) = (rig.clock, course.window, course.until);
    let mode = RunMode { clock, until, spin: spec.spin };
    let gauges = rig.lanes.iter().map(|lane| lane.gauge.clone()).collect();
    let sockets = rig.sockets().cloned().collect();
    let parted = spec.is_parted();
    let lanes = rig.lanes.iter_mut().enumerate();
    let lanes = lanes.map(|(at, lane)| -> Job<'_> {
        Box::new(move || run_lane(lane, mode, &spec.cores, at, parted))
    });
    let jobs = lanes.chain(beside.jobs).collect();
    let Beside { pid, watch, .. } = beside;
    let observation = Observation { clock, window, until, gauges, sockets, pid, watch };
    let observed = observe(observation, jobs)?;
    Ok(Measured {
        ways: std::array::from_fn(|way| total(&rig.lanes, way)),
        measured_ns: measured_ns(window, until)?,
        lag: lag(&rig.lanes),
        unsent: rig.lanes.iter_mut().map(|lane| lane.sender.unsent(until.ns())).sum(),
        failures: failures(&mut rig.lanes),
        lost_connections: lost_connections(&rig.lanes),
        shaken: None,
        observed,
        slices: slices(&rig.lanes, window),
    })
}

/// The window of the measurement that begins now.
pub(crate) fn window(run: u16, now_ns: u64, spec: &Spec) -> Window {
    let start_ns = now_ns + START_SLACK_NS;
    let from_ns = start_ns + spec.warmup_ns;
    Window { run, start_ns, from_ns, until_ns: from_ns + spec.duration_ns }
}

/// How long was measured until the end, planned or not.
pub(crate) fn measured_ns(window: Window, until: &Until) -> Result<u64, Fault> {
    let measured_ns = until.ns().saturating_sub(window.from_ns);
    if measured_ns == 0 { Err(Fault::Stopped) } else { Ok(measured_ns) }
}

/// Sets every lane to the beginning of a new course.
fn begin(rig: &mut Rig, spec: &Spec, course: &Course<'_>) {
    for lane in &mut rig.lanes {
        let all = 0..lane.sender.flows.len();
        let own: Vec<usize> = all.filter(|flow| spec.ways[flow % 2]).collect();
        let stages = course.stages.iter();
        let schedule = stages.fold(Schedule::default(), |schedule, (streams, start_ns)| {
            schedule.then(streams, &own, *start_ns)
        });
        let schedule = match course.latest_ns {
            Some(latest_ns) => schedule.never_later_than(latest_ns),
            None => schedule,
        };
        lane.sender.begin(schedule, course.window, !spec.is_unpaced());
        lane.gauge = Arc::default();
        lane.sink.begin(course.window, spec.ways, lane.gauge.recent.clone());
    }
}

/// Runs a lane on one thread, or on two where each may have a core of its own.
fn run_lane(
    lane: &mut Lane,
    mode: RunMode<'_>,
    cores: &[usize],
    at: usize,
    parted: bool,
) -> Result<Vec<ThreadUse>, Fault> {
    if parted {
        return lane.run_parted(mode, [cores[at * 2], cores[at * 2 + 1]]).map(Vec::from);
    }
    let core = (!cores.is_empty()).then(|| cores[at % cores.len()]);
    lane.run(mode, core).map(|thread| vec![thread])
}

fn total(lanes: &[Lane], way: usize) -> WayTotal {
    let mut total = WayTotal { sent: SentCount::default(), received: Way::new() };
    for lane in lanes {
        total.sent.add(&lane.sender.ways[way]);
        total.received.add(&lane.sink.ways()[way]);
    }
    total
}

fn slices(lanes: &[Lane], window: Window) -> [Slices; 2] {
    let mut slices = [Slices::new(window), Slices::new(window)];
    for lane in lanes {
        slices[0].join(&lane.sender.slices);
        slices[1].join(lane.sink.slices());
    }
    slices
}

fn lag(lanes: &[Lane]) -> Histogram<u64> {
    let mut lag = latency::empty();
    lanes.iter().for_each(|lane| latency::add(&mut lag, &lane.sender.lag));
    lag
}

fn lost_connections(lanes: &[Lane]) -> (u64, Option<String>) {
    let each = lanes.iter().map(|lane| lane.sink.lost_connections().clone());
    each.fold((0, None), |(count, last), (more, text)| (count + more, text.or(last)))
}

fn failures(lanes: &mut [Lane]) -> (u64, Option<String>) {
    let each = lanes.iter_mut().map(|lane| std::mem::take(&mut lane.sink.failures));
    each.fold((0, None), |(count, last), (more, text)| (count + more, text.or(last)))
}
