//! The trial itself: one uninterrupted course of two loads, and the probe beside both.

use crate::{
    clock::{MILLI_NS, SECOND_NS},
    command::args::OverloadArgs,
    count::slices::Slices,
    fault::Fault,
    measure::{
        Beside, Course, Job, Measured,
        churn::{Place, Probe},
        measure_beside,
        observe::Sample,
    },
    offer::{spec::Spec, window::Window},
    procfs,
    report::progress::Progress,
    result::{
        about::About,
        generator::generator,
        offered::{self, offered},
        overload::{Capacity, Memory, Overload, Phase, Slice},
        server,
    },
    rig::{self, Rig},
    stop::Until,
};

/// A burst later than this is not sent: an overload is of now, not of what was due long ago.
const LATEST_NS: u64 = 50 * MILLI_NS;

/// Slack before the first packet, for threads to start.
const START_SLACK_NS: u64 = 20 * MILLI_NS;

/// Overloads a rig that is set up.
pub(super) fn run(
    rig: &mut Rig,
    spec: &Spec,
    args: &OverloadArgs,
    (capacity, about): (Capacity, About),
) -> Result<Overload, Fault> {
    let server = args.server.address(spec.transport);
    let server = server.ok_or_else(|| Fault::usage("give --server HOST[:PORT]"))?;
    let loads = Loads::new(rig, spec, args, capacity);
    let until = &Until::new(loads.whole.until_ns);
    let (peer_ip, clock) = (rig::peer_ip(spec, Some(server))?, rig.clock);
    let place = |window| Place { server, peer_ip, clock, window, until };
    let mut probes = [
        Probe::new(spec, args.probes, place(loads.over))?,
        Probe::new(spec, args.probes, place(loads.then))?,
    ];
    let jobs = probes.iter_mut().map(|probe| -> Job<'_> { Box::new(move || probe.run()) });
    let jobs = jobs.collect();
    let mut resident = Resident::new(args.server.pid)?;
    let whole_ns = loads.whole.until_ns - loads.whole.start_ns;
    let mut progress = Progress::lasting(spec.quiet, whole_ns, "overload");
    let mut watch = |sample: &Sample| {
        progress.show(sample);
        resident.sample();
    };
    let (window, stages) = (loads.whole, loads.stages.clone());
    let course = Course { window, until, latest_ns: Some(LATEST_NS), stages };
    let beside = Beside { jobs, pid: args.server.pid, watch: &mut watch };
    let measured = measure_beside(rig, spec, &course, beside);
    progress.finish();
    let measured = measured?;
    let trial = Trial { spec, args, loads: &loads, until, probes: &probes, measured: &measured };
    Ok(trial.outcome(capacity, about, resident.memory()))
}

/// A trial that is over.
struct Trial<'a> {
    spec: &'a Spec,
    args: &'a OverloadArgs,
    loads: &'a Loads,
    until: &'a Until,
    probes: &'a [Probe<'a>; 2],
    measured: &'a Measured,
}

impl Trial<'_> {
    /// What it came to; nothing is judged yet.
    fn outcome(&self, capacity: Capacity, about: About, memory: Option<Memory>) -> Overload {
        let Trial { spec, args, loads, until, probes, measured } = self;
        let over = loads.phase((loads.over, until), loads.over_pps, measured, &probes[0]);
        let then = loads.phase((loads.then, until), loads.then_pps, measured, &probes[1]);
        let was_stopped = until.ns() < loads.whole.until_ns;
        let mut warnings = warnings(&over, capacity, measured);
        warnings.extend(was_stopped.then(|| "stopped before the course was over".to_owned()));
        let used = measured.observed.server;
        Overload {
            title: title(spec, args),
            about,
            offered: offered(spec),
            capacity,
            recovery_s: loads.recovery_s(&measured.slices),
            server: used.map(|used| server::server(&used, spec, measured, None)),
            warnings,
            was_stopped,
            over,
            then,
            memory,
            generator: generator(spec, measured),
            server_died: measured.observed.server_died,
            lost_connections: measured.lost_connections.clone(),
            broken: Vec::new(),
            series: series(&measured.slices),
        }
    }
}

fn title(spec: &Spec, args: &OverloadArgs) -> String {
    let (over_s, times) = (spec.duration_ns as f64 / 1e9, args.times);
    let (then_s, then) = (args.then_for, args.then);
    let what = offered::title(spec);
    format!("overload of {what}: {over_s} s at {times} times, {then_s} s at {then} times")
}

/// Both loads and their times.
struct Loads {
    whole: Window,
    over: Window,
    then: Window,
    over_pps: f64,
    then_pps: f64,
    stages: Vec<(Vec<crate::offer::shape::Stream>, u64)>,
}

impl Loads {
    fn new(rig: &mut Rig, spec: &Spec, args: &OverloadArgs, capacity: Capacity) -> Loads {
        let start_ns = rig.clock.now() + START_SLACK_NS;
        let turn_ns = start_ns + spec.duration_ns;
        let until_ns = turn_ns + (args.then_for * SECOND_NS as f64) as u64;
        let run = rig.next_run();
        let window = |start_ns, until_ns| Window { run, start_ns, from_ns: start_ns, until_ns };
        let ways = spec.ways.iter().filter(|way| **way).count().max(1) as f64;
        let (over_pps, then_pps) = (capacity.pps * args.times, capacity.pps * args.then);
        let streams = |pps: f64| {
            let mut spec = spec.clone();
            spec.offer(pps / ways);
            spec.streams
        };
        Loads {
            whole: window(start_ns, until_ns),
            over: window(start_ns, turn_ns),
            then: window(turn_ns, until_ns),
            over_pps,
            then_pps,
            stages: vec![(streams(over_pps), start_ns), (streams(then_pps), turn_ns)],
        }
    }

    fn phase(
        &self,
        (window, until): (Window, &Until),
        offered_pps: f64,
        measured: &Measured,
        probe: &Probe<'_>,
    ) -> Phase {
        let until_ns = window.until_ns.min(until.ns());
        let seconds = until_ns.saturating_sub(window.start_ns) as f64 / 1e9;
        let each_second = |packets: u64| if seconds > 0.0 { packets as f64 / seconds } else { 0.0 };
        let [sent, received] = measured.slices.each_ref().map(|slices| {
            let places = slices.place(window.start_ns)..slices.place(window.until_ns);
            slices.counts().get(places).unwrap_or_default().iter().sum::<u64>()
        });
        let (failed_cycles, failure) = probe.failures();
        Phase {
            seconds,
            offered_pps,
            sent_pps: each_second(sent),
            delivered_pps: each_second(received),
            loss_percent: 100.0 * sent.saturating_sub(received) as f64 / sent.max(1) as f64,
            answers: probe.answers(),
            failed_cycles,
            failure,
        }
    }

    /// How long after the overload the last packet was lost, in whole slices; `None` when packets
    /// of the last slice still were.
    fn recovery_s(&self, slices: &[Slices; 2]) -> Option<f64> {
        let [sent, received] = slices;
        let turn = sent.place(self.then.start_ns);
        let lost = |place: &usize| sent.counts().get(*place) > received.counts().get(*place);
        let last = (turn..sent.counts().len()).rev().find(lost);
        let ended = last.map_or(turn, |last| last + 1);
        let is_over = ended < sent.counts().len();
        is_over.then(|| (ended - turn) as f64 * sent.each_ns() as f64 / 1e9)
    }
}

fn series(slices: &[Slices; 2]) -> Vec<Slice> {
    let [sent, received] = slices;
    let seconds = sent.each_ns() as f64 / 1e9;
    let pairs = sent.counts().iter().zip(received.counts()).enumerate();
    let slice = |(at, (sent, received)): (usize, (&u64, &u64))| Slice {
        at_s: at as f64 * seconds,
        sent_pps: *sent as f64 / seconds,
        delivered_pps: *received as f64 / seconds,
        lost_pps: sent.saturating_sub(*received) as f64 / seconds,
    };
    pairs.map(slice).collect()
}

fn warnings(over: &Phase, capacity: Capacity, measured: &Measured) -> Vec<String> {
    let mut warnings = Vec::new();
    if capacity.is_generators {
        warnings.push(
            "GENERATOR WAS THE LIMIT of the search: the server may carry more than is said here"
                .to_owned(),
        );
    }
    if over.sent_pps < 0.9 * over.offered_pps {
        warnings.push(format!(
            "the generator sent {:.2} times what the server carries instead of {:.2} times; \
             --trains, more --threads or a slower server make an overload",
            over.sent_pps / capacity.pps,
            over.offered_pps / capacity.pps
        ));
    }
    let dropped = measured.observed.own_drops;
    if dropped > 0 {
        warnings.push(format!(
            "SINK WAS THE LIMIT: {dropped} datagrams arrived and found the generator's own receive \
             buffers full; they are counted as lost"
        ));
    }
    if let (count @ 1.., Some(text)) = &measured.failures {
        warnings.push(format!("{count} refreshes of the load's own failed ({text})"));
    }
    warnings
}

/// The server's memory, looked at now and then.
struct Resident {
    pid: Option<u32>,
    seen: Option<Memory>,
}

impl Resident {
    fn new(pid: Option<u32>) -> Result<Resident, Fault> {
        let Some(number) = pid else { return Ok(Resident { pid, seen: None }) };
        let usage = procfs::usage(number).map_err(|error| {
            Fault::usage(format!("process {number} of the server cannot be looked at: {error}"))
        })?;
        let bytes = usage.resident_bytes;
        let seen = Memory { before_bytes: bytes, most_bytes: bytes, after_bytes: bytes };
        Ok(Resident { pid, seen: Some(seen) })
    }

    fn sample(&mut self) {
        let usage = self.pid.and_then(|pid| procfs::usage(pid).ok());
        if let (Some(usage), Some(seen)) = (usage, &mut self.seen) {
            seen.after_bytes = usage.resident_bytes;
            seen.most_bytes = seen.most_bytes.max(usage.resident_bytes);
        }
    }

    fn memory(&self) -> Option<Memory> {
        self.seen
    }
}
