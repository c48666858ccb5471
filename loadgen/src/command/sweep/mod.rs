//! `sweep`: more load step by step, until loss or latency passes its limit.

pub(crate) mod search;

use self::search::{Search, Tried};
use crate::{
    command::{args::SweepArgs, run},
    fault::Fault,
    measure::{floor::Floor, measure, observe::Look},
    offer::{
        shape::Shape,
        spec::{Spec, Times},
    },
    report::{self, progress::Progress},
    result::{
        outcome::{Known, Outcome},
        sweep::{Step, Sweep, step, summary},
        verdict::Limits,
    },
    rig::Rig,
};

/// Limits when none are given: loss nobody hears, latency nobody notices.
const USUAL_LOSS_PERCENT: f64 = 0.1;
const USUAL_P99_MS: f64 = 20.0;

/// A step is measured for this long when nothing else is said.
const TIMES: Times = Times { duration_s: 3.0, warmup_s: 0.5 };

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
