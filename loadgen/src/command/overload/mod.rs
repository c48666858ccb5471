//! `overload`: more than the server carries for a while, then little, with a probe beside it.
//!
//! A server that is asked for too much must lose the rest and nothing else: what comes through
//! stays at its maximum, requests are answered, and when the load falls nothing is left of it.

mod capacity;
mod trial;
mod verdict;

use crate::{
    command::{args::OverloadArgs, outputs::Outputs, run},
    fault::Fault,
    offer::{
        spec::{Route, Spec, Times},
        units::Rate,
    },
    report,
    result::{about::About, overload::Overload},
    rig::Rig,
    stop::{self, Second},
};

/// The time of overload when nothing else is said.
const TIMES: Times = Times { duration_s: 60.0, warmup_s: 0.0 };

/// Overloads, reports, and says whether everything held.
pub(crate) fn run(args: &OverloadArgs) -> Result<bool, Fault> {
    stop::listen(Second::Ends)?;
    let mut spec = Spec::settle_unpaced(&args.load, TIMES)?;
    spec.name_server(args.server.server.as_ref());
    check(args, &spec)?;
    let mut outputs = Outputs::open(&args.report, args.plot.as_ref())?;
    let mut about = About { servers: args.server.about(spec.transport), ..About::now() };
    let (mut rig, _) = run::set_up(&spec, &args.server)?;
    about.servers.iter_mut().for_each(|server| server.learn(&rig));
    let overload = measure(&mut rig, &spec, args, about);
    let left = rig.close();
    let mut overload = overload?;
    overload.broken = verdict::broken(&overload, args);
    match left {
        Some(left) if left.is_servers_end() && !overload.server_died => {
            overload.broken.push(format!("the server does not answer any more; {left}"));
        }
        left => overload.warnings.extend(left.map(|left| left.to_string())),
    }
    let said = outputs.text(&report::overload::text(&overload));
    outputs.json(&overload)?;
    outputs.page(|| report::overload::page(&overload))?;
    outputs.picture(|| report::overload::picture(&overload))?;
    said?;
    Ok(overload.broken.is_empty())
}

fn measure(
    rig: &mut Rig,
    spec: &Spec,
    args: &OverloadArgs,
    about: About,
) -> Result<Overload, Fault> {
    let capacity = capacity::find(rig, spec, args, &about)?;
    trial::run(rig, spec, args, (capacity, about))
}

fn check(args: &OverloadArgs, spec: &Spec) -> Result<(), Fault> {
    let whole = |value: f64| value > 0.0 && value.is_finite();
    let wrong = match args {
        _ if !spec.shape.has_packets() => "an overload is of packets: this shape has none",
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
        _ if !(0.0..=1.0).contains(&args.min_kept) => "--min-kept must be from 0 to 1",
        _ => return Ok(()),
    };
    Err(Fault::usage(wrong))
}
