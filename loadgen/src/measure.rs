//! One measurement of a rig: lanes run, the main thread watches.

use std::{
    io,
    sync::{Arc, atomic::Ordering},
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

use hdrhistogram::Histogram;

use crate::{
    clock::{Clock, MILLI_NS},
    fault::Fault,
    lane::{Gauge, Lane, Manner, ThreadUse},
    latency,
    procfs::{self, Usage},
    rig::Rig,
    schedule::Schedule,
    sender::{SentCount, Window},
    sink::Way,
    spec::Spec,
};

/// Slack before the first packet, for threads to start.
const START_SLACK_NS: u64 = 5 * MILLI_NS;

/// How often the watcher looks; longer in long runs, so that at most this many looks are kept.
const LOOK_NS: u64 = 100 * MILLI_NS;
const MAX_LOOKS: u64 = 600;

/// What was seen in one moment, totals since the start.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Look {
    pub(crate) at_ns: u64,
    pub(crate) sent: u64,
    pub(crate) received: u64,
    pub(crate) received_bytes: u64,
    pub(crate) behind_ns: u64,
}

/// What one direction came to, all lanes together.
#[derive(Debug)]
pub(crate) struct WayTotal {
    pub(crate) sent: SentCount,
    pub(crate) received: Way,
}

/// What the server used.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ServerUse {
    /// From before the first packet to after the last.
    pub(crate) whole: Usage,
    /// CPU time within the measurement, ns.
    pub(crate) measured_cpu_ns: u64,
    pub(crate) drops: u64,
}

/// Everything one measurement brought.
#[derive(Debug)]
pub(crate) struct Measured {
    pub(crate) ways: [WayTotal; 2],
    pub(crate) measured_ns: u64,
    pub(crate) lag: Histogram<u64>,
    pub(crate) unsent: u64,
    pub(crate) own_drops: u64,
    pub(crate) threads: Vec<ThreadUse>,
    pub(crate) server: Option<ServerUse>,
    pub(crate) looks: Vec<Look>,
    /// Refreshes that failed, and the last in words.
    pub(crate) failures: (u64, Option<String>),
}

impl Measured {
    /// Distinct packets delivered both ways, warm-up included: what the server's CPU time over the
    /// whole run is divided by.
    pub(crate) fn delivered(&self) -> u64 {
        self.ways.iter().map(|way| way.received.all).sum()
    }
}

/// Offers the load of `spec` (which may differ from the rig's in pace and time) through a rig.
/// `watch` is called with every look.
pub(crate) fn measure(
    rig: &mut Rig,
    spec: &Spec,
    pid: Option<u32>,
    watch: &mut dyn FnMut(&Look),
) -> Result<Measured, Fault> {
    let (clock, window) = (rig.clock, begin(rig, spec));
    let own_before = own_drops();
    let probe = pid.map(Probe::start).transpose()?;
    let manner = Manner { clock, window, spin: spec.spin };
    let mut observer = Observer { window, probe, looks: Vec::new(), cpu_ns: [0; 2], watch };
    let threads = run(&mut rig.lanes, manner, &spec.cores, &mut observer)?;
    let Observer { probe, looks, cpu_ns, .. } = observer;
    let server = probe.map(|probe| probe.stop(cpu_ns)).transpose()?;
    Ok(Measured {
        ways: [0, 1].map(|way| total(&rig.lanes, way)),
        measured_ns: window.until_ns - window.from_ns,
        lag: lag(&rig.lanes),
        unsent: rig.lanes.iter_mut().map(|lane| lane.sender.unsent()).sum(),
        own_drops: own_drops().saturating_sub(own_before),
        threads,
        server,
        looks,
        failures: failures(&mut rig.lanes),
    })
}

/// Sets every lane to the beginning of a new window.
fn begin(rig: &mut Rig, spec: &Spec) -> Window {
    rig.run = rig.run.wrapping_add(1);
    let start_ns = rig.clock.now() + START_SLACK_NS;
    let from_ns = start_ns + spec.warmup_ns;
    let window = Window { run: rig.run, start_ns, from_ns, until_ns: from_ns + spec.duration_ns };
    for lane in &mut rig.lanes {
        let all = 0..lane.sender.flows.len();
        let own: Vec<usize> = all.filter(|flow| spec.ways[flow % 2]).collect();
        lane.sender.begin(Schedule::new(&spec.streams, &own, start_ns), window);
        lane.sink.begin(window);
        lane.gauge = Arc::default();
    }
    window
}

fn run(
    lanes: &mut [Lane],
    manner: Manner,
    cores: &[usize],
    observer: &mut Observer<'_>,
) -> Result<Vec<ThreadUse>, Fault> {
    let parted = cores.len() >= lanes.len() * 2;
    thread::scope(|scope| {
        let mut gauges = Vec::with_capacity(lanes.len());
        let mut handles = Vec::with_capacity(lanes.len());
        for (at, lane) in lanes.iter_mut().enumerate() {
            gauges.push(lane.gauge.clone());
            handles.push(scope.spawn(move || run_lane(lane, manner, cores, at, parted)));
        }
        while !handles.iter().all(ScopedJoinHandle::is_finished) {
            observer.look(&gauges, manner.clock)?;
        }
        let results = handles
            .into_iter()
            .map(|handle| handle.join().expect("a thread that panics ends the program"));
        results.collect::<Result<Vec<_>, Fault>>().map(|threads| threads.concat())
    })
}

fn run_lane(
    lane: &mut Lane,
    manner: Manner,
    cores: &[usize],
    at: usize,
    parted: bool,
) -> Result<Vec<ThreadUse>, Fault> {
    if parted {
        lane.run_parted(manner, [cores[at * 2], cores[at * 2 + 1]]).map(Vec::from)
    } else {
        let core = (!cores.is_empty()).then(|| cores[at % cores.len()]);
        lane.run(manner, core).map(|thread| vec![thread])
    }
}

/// Looks at gauges and at the server while the lanes run.
struct Observer<'a> {
    window: Window,
    probe: Option<Probe>,
    looks: Vec<Look>,
    /// The server's CPU time at begin and end of what is measured.
    cpu_ns: [u64; 2],
    watch: &'a mut dyn FnMut(&Look),
}

impl Observer<'_> {
    /// Sleeps until there is something to look at, and looks.
    fn look(&mut self, gauges: &[Arc<Gauge>], clock: Clock) -> Result<(), Fault> {
        let before = clock.now();
        thread::sleep(Duration::from_nanos(self.next_ns(before).saturating_sub(before)));
        let now = clock.now();
        for (edge_ns, cpu_ns) in
            [self.window.from_ns, self.window.until_ns].into_iter().zip(&mut self.cpu_ns)
        {
            if before < edge_ns && edge_ns <= now {
                *cpu_ns = self.probe.as_ref().map_or(Ok(0), Probe::cpu_ns)?;
            }
        }
        let mut look = Look { at_ns: now.saturating_sub(self.window.start_ns), ..Look::default() };
        for gauge in gauges {
            let (packets, bytes) = gauge.received();
            look.sent += gauge.sent.load(Ordering::Relaxed);
            look.received += packets;
            look.received_bytes += bytes;
            look.behind_ns = look.behind_ns.max(gauge.behind_ns.load(Ordering::Relaxed));
        }
        (self.watch)(&look);
        if now <= self.window.until_ns + LOOK_NS {
            self.looks.push(look);
        }
        Ok(())
    }

    /// The next regular look, or an edge of the measurement if that comes first.
    fn next_ns(&self, now: u64) -> u64 {
        let Window { start_ns, from_ns, until_ns, .. } = self.window;
        let step = LOOK_NS.max((until_ns - start_ns) / MAX_LOOKS);
        let regular = match now {
            _ if now >= until_ns => now + 2 * MILLI_NS,
            _ => start_ns + (now.saturating_sub(start_ns) / step + 1) * step,
        };
        let edges = [from_ns, until_ns].into_iter().filter(|edge| *edge > now);
        edges.fold(regular, u64::min)
    }
}

/// The server's process.
struct Probe {
    pid: u32,
    before: Usage,
    drops: u64,
}

impl Probe {
    fn start(pid: u32) -> Result<Probe, Fault> {
        let drops = procfs::socket_drops(pid).map_err(|error| gone(pid, &error))?;
        let before = procfs::usage(pid).map_err(|error| gone(pid, &error))?;
        Ok(Probe { pid, before, drops })
    }

    fn cpu_ns(&self) -> Result<u64, Fault> {
        procfs::cpu_ns(self.pid).map_err(|error| gone(self.pid, &error))
    }

    fn stop(&self, [from_ns, until_ns]: [u64; 2]) -> Result<ServerUse, Fault> {
        let after = procfs::usage(self.pid).map_err(|error| gone(self.pid, &error))?;
        let drops = procfs::socket_drops(self.pid).map_err(|error| gone(self.pid, &error))?;
        Ok(ServerUse {
            whole: after.since(&self.before),
            measured_cpu_ns: until_ns.saturating_sub(from_ns),
            drops: drops.saturating_sub(self.drops),
        })
    }
}

fn gone(pid: u32, error: &io::Error) -> Fault {
    Fault::usage(format!("--pid {pid}: cannot look at that process ({error})"))
}

fn own_drops() -> u64 {
    procfs::socket_drops(std::process::id()).unwrap_or_default()
}

fn total(lanes: &[Lane], way: usize) -> WayTotal {
    let mut total = WayTotal { sent: SentCount::default(), received: Way::new() };
    for lane in lanes {
        total.sent.add(&lane.sender.ways[way]);
        total.received.add(&lane.sink.ways()[way]);
    }
    total
}

fn lag(lanes: &[Lane]) -> Histogram<u64> {
    let mut lag = latency::empty();
    for lane in lanes {
        latency::add(&mut lag, &lane.sender.lag);
    }
    lag
}

fn failures(lanes: &mut [Lane]) -> (u64, Option<String>) {
    let each = lanes.iter_mut().map(|lane| std::mem::take(&mut lane.sink.failures));
    each.fold((0, None), |(count, last), (more, text)| (count + more, text.or(last)))
}
