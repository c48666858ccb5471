//! `overload`: more than the server carries for a while, then little, with a probe beside it.
//!
//! A server that is asked for too much must lose the rest and nothing else: what comes through stays
//! at its maximum, requests are answered, and when the load falls nothing is left of it.

mod capacity;
mod trial;
mod verdict;

use crate::{
    command::{args::OverloadArgs, run},
    fault::Fault,
    offer::{
        shape::Shape,
        spec::{Route, Spec, Times},
        units::Rate,
    },
    report,
    result::overload::Overload,
};

/// The time of overload when nothing else is said.
const TIMES: Times = Times { duration_s: 60.0, warmup_s: 0.0 };

/// Overloads, reports, and says whether everything held.
pub(crate) fn run(args: &OverloadArgs) -> Result<bool, Fault> {
    let spec = Spec::settle(&args.load, TIMES)?;
    check(args, &spec)?;
    let (mut rig, _) = run::set_up(&spec, &args.server)?;
    let capacity = capacity::find(&mut rig, &spec, args)?;
    let mut overload = trial::run(&mut rig, &spec, args, capacity)?;
    overload.warnings.extend(rig.close());
    overload.broken = verdict::broken(&overload, args);
    publish(&overload, args)?;
    Ok(overload.broken.is_empty())
}

fn check(args: &OverloadArgs, spec: &Spec) -> Result<(), Fault> {
    let whole = |value: f64| value > 0.0 && value.is_finite();
    let wrong = match args {
        _ if spec.shape == Shape::Churn => "an overload is of packets: churn has none",
        _ if spec.route == Route::Direct => "--direct has no server to overload",
        _ if args.load.warmup.is_some() => "an overload has no use for --warmup",
        _ if args.load.rate == Some(Rate::Max) => {
            "an overload is so many times what the server carries: --rate max has no such number"
        }
        _ if !(whole(args.times) && args.times >= 1.0) => "--times must be at least 1",
        _ if !(whole(args.then) && args.then <= 1.0) => "--then must be above 0 and at most 1",
        _ if !(args.then_for >= 1.0 && args.then_for <= 100_000.0) => {
            "--then-for must be at least a second"
        }
        _ if !(whole(args.probes) && args.probes <= 1_000.0) => {
            "--probes must be above 0 and at most 1000"
        }
        _ if !whole(args.from) => "--from must be above 0",
        _ => return Ok(()),
    };
    Err(Fault::usage(wrong))
}

fn publish(overload: &Overload, args: &OverloadArgs) -> Result<(), Fault> {
    print!("{}", report::overload::text(overload));
    if let Some(path) = &args.report.json {
        report::write_json(path, overload)?;
    }
    if let Some(path) = &args.report.report {
        report::html::write(path, &report::overload::page(overload))?;
    }
    if let Some(path) = &args.plot {
        report::html::write(path, &report::overload::picture(overload))?;
    }
    Ok(())
}
