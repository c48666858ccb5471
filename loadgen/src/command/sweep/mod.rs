//! `sweep`: more load step by step, until loss or latency passes its limit.

pub(crate) mod search;

use serde::{Deserialize, Serialize};

use self::search::{Search, Tried};
use crate::{
    command::{
        args::SweepArgs,
        run::{self, Times},
    },
    count::latency::Latency,
    fault::Fault,
    measure::{floor::Floor, measure, observe::Look},
    offer::{shape::Shape, spec::Spec},
    procfs,
    report::{self, progress::Progress},
    result::{
        outcome::{FORMAT, Known, Memory, Offered, Outcome},
        verdict::Limits,
    },
    rig::Rig,
};

/// Limits when none are given: loss nobody hears, latency nobody notices.
const USUAL_LOSS_PERCENT: f64 = 0.1;
const USUAL_P99_MS: f64 = 20.0;

/// A step is measured for this long when nothing else is said.
const TIMES: Times = Times { duration_s: 3.0, warmup_s: 0.5 };

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

/// Sweeps, reports, and says whether any step held.
pub(crate) fn run(args: &SweepArgs) -> Result<bool, Fault> {
    let mut spec = Spec::settle(&args.load, TIMES)?;
    check(args, &spec)?;
    let others = others(&args.beside)?;
    let limits = Limits {
        loss_percent: args.limits.max_loss.or(Some(USUAL_LOSS_PERCENT)),
        p99_ms: args.limits.max_p99.or(Some(USUAL_P99_MS)),
    };
    let (mut rig, memory) = run::set_up(&spec, &args.server)?;
    let steps = climb(&mut rig, &mut spec, args, limits)?;
    let mut sweep = summary(&spec, limits, steps, memory, args.server.pid.is_some());
    sweep.warnings.extend(rig.close());
    print!("{}", report::lists::sweep(&sweep));
    if let Some(path) = &args.report.json {
        report::write_json(path, &sweep)?;
    }
    if let Some(path) = &args.report.report {
        report::html::write(path, &report::html::sweep(&sweep))?;
    }
    let held = sweep.best.is_some();
    if let Some(path) = &args.plot {
        let all = std::iter::once((args.name.clone(), sweep)).chain(others).collect::<Vec<_>>();
        report::html::write(path, &report::html::sweeps_picture(&all))?;
    }
    Ok(held)
}

/// Sweeps of other servers, read before hours are spent on one's own.
fn others(beside: &[String]) -> Result<Vec<(String, Sweep)>, Fault> {
    let read = |option: &String| {
        let usage = || Fault::usage(format!("--beside {option}: expected NAME=FILE"));
        let (name, path) = option.split_once('=').ok_or_else(usage)?;
        Ok((name.to_owned(), Sweep::read(path)?))
    };
    beside.iter().map(read).collect()
}

impl Sweep {
    /// Reads a sweep's JSON.
    pub(crate) fn read(path: &str) -> Result<Sweep, Fault> {
        let text = std::fs::read_to_string(path).map_err(|error| Fault::file(path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| Fault::file(path, format!("not a sweep's JSON: {error}")))
    }
}

fn check(args: &SweepArgs, spec: &Spec) -> Result<(), Fault> {
    if spec.shape == Shape::Churn {
        return Err(Fault::usage("a sweep raises packets/s: use `run churn --rate` instead"));
    }
    if args.load.rate.is_some() {
        return Err(Fault::usage("a sweep sets the rate itself: use --from and --to"));
    }
    let climbs = args.from > 0.0 && args.to >= args.from && args.factor > 1.0;
    if climbs && args.to.is_finite() && args.factor.is_finite() {
        return Ok(());
    }
    Err(Fault::usage("--from must be above 0, --to not below it, --factor above 1"))
}

fn climb(
    rig: &mut Rig,
    spec: &mut Spec,
    args: &SweepArgs,
    limits: Limits,
) -> Result<Vec<Step>, Fault> {
    let search = Search { from: args.from, to: args.to, factor: args.factor, narrow: args.narrow };
    let mut floor = Floor::build(spec)?;
    let mut tried = Vec::new();
    let mut steps: Vec<Step> = Vec::new();
    while let Some(rate) = search.next(&tried) {
        spec.offer(rate);
        let known = Known { floor: floor.measure(spec)?, limits, ..Known::default() };
        let mut progress = Progress::new(spec.quiet, spec.warmup_ns + spec.duration_ns);
        let mut watch = |look: &Look| progress.show(look);
        let measured = measure(rig, spec, args.server.pid, &mut watch);
        progress.finish();
        let outcome = Outcome::new(&rig.set_up, spec, &measured?, known);
        let step = step(&outcome);
        eprint!("{}", if spec.quiet { String::new() } else { report::lists::step_line(&step) });
        tried.push(Tried { rate, held: step.held });
        steps.push(step);
    }
    steps.sort_by(|a, b| a.offered_pps.total_cmp(&b.offered_pps));
    Ok(steps)
}

/// What a run of one offered load says.
pub(crate) fn step(outcome: &Outcome) -> Step {
    let worst = |value: fn(&crate::result::outcome::WayOutcome) -> f64| {
        outcome.ways.iter().map(value).fold(0.0, f64::max)
    };
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

fn summary(
    spec: &Spec,
    limits: Limits,
    steps: Vec<Step>,
    memory: Option<Memory>,
    watched: bool,
) -> Sweep {
    let best = steps.iter().rev().find(|step| step.held).cloned();
    Sweep {
        format: FORMAT,
        title: format!("sweep of {}", crate::result::outcome::title(spec)),
        machine: procfs::machine(),
        offered: crate::result::outcome::offered(spec),
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
