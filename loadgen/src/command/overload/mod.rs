//! `overload`: more than the server carries for a while, then little, with a probe beside it.
//!
//! A server that is asked for too much must lose the rest and nothing else: what comes through stays
//! at its maximum, requests are answered, and when the load falls nothing is left of it.

mod capacity;
mod trial;
mod verdict;

use serde::{Deserialize, Serialize};

use crate::{
    command::{
        args::OverloadArgs,
        run::{self, Times},
    },
    count::latency::Latency,
    fault::Fault,
    offer::{
        shape::Shape,
        spec::{Route, Spec},
    },
    report,
    result::outcome::{GeneratorOutcome, Offered, ServerOutcome},
};

/// The time of overload when nothing else is said.
const TIMES: Times = Times { duration_s: 60.0, warmup_s: 0.0 };

/// An overload as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Overload {
    pub(crate) format: u32,
    pub(crate) title: String,
    /// Where the generator ran.
    pub(crate) machine: String,
    pub(crate) offered: Offered,
    pub(crate) capacity: Capacity,
    /// More than the server carries, and what came after.
    pub(crate) over: Phase,
    pub(crate) then: Phase,
    /// From the end of the overload to the end of the last loss; `None`: it never ended.
    pub(crate) recovery_s: Option<f64>,
    pub(crate) memory: Option<Memory>,
    pub(crate) server: Option<ServerOutcome>,
    pub(crate) generator: GeneratorOutcome,
    pub(crate) broken: Vec<String>,
    pub(crate) warnings: Vec<String>,
    pub(crate) series: Vec<Slice>,
}

/// What the server carries.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Capacity {
    /// Packets/s, all directions together, here and below.
    pub(crate) pps: f64,
    /// Not found but told.
    pub(crate) is_given: bool,
    /// The generator could not offer more: the server may carry more.
    pub(crate) is_generators: bool,
}

/// A time of equal load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Phase {
    pub(crate) seconds: f64,
    /// As was asked for.
    pub(crate) offered_pps: f64,
    /// As was sent: less where the generator could not keep up.
    pub(crate) sent_pps: f64,
    pub(crate) delivered_pps: f64,
    pub(crate) loss_percent: f64,
    /// How long the answers to each kind of request took; `None` where none came.
    pub(crate) answers: Vec<(String, Option<Latency>)>,
    /// Cycles of requests in which an answer never came or was an error, and the last in words.
    pub(crate) failed_cycles: u64,
    pub(crate) failure: Option<String>,
}

/// Memory of the server.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Memory {
    pub(crate) before_bytes: u64,
    pub(crate) most_bytes: u64,
    pub(crate) after_bytes: u64,
}

/// Packets by when they were due, a second.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Slice {
    pub(crate) at_s: f64,
    pub(crate) sent_pps: f64,
    pub(crate) delivered_pps: f64,
    pub(crate) lost_pps: f64,
}

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
        _ if args.load.rate.is_some() && args.from != 20_000.0 => {
            "--from is for the search that --rate makes needless"
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
