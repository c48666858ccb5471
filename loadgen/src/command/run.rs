//! `run`: one shape of traffic, one measurement.

use crate::{
    clock::Clock,
    command::args::{ReportArgs, RunArgs, ServerArgs},
    fault::Fault,
    measure::{churn, floor, measure},
    offer::{
        shape::Shape,
        spec::{Route, Spec, Times},
    },
    procfs,
    report::{self, progress::Progress, table},
    result::{
        outcome::{Known, Outcome},
        server::Memory,
    },
    rig::Rig,
};

/// Of one run: long enough to see the tail of the latencies.
pub(crate) const TIMES: Times = Times { duration_s: 10.0, warmup_s: 1.0 };

/// Runs, reports, and says whether the limits held.
pub(crate) fn run(args: &RunArgs) -> Result<bool, Fault> {
    let spec = Spec::settle(&args.load, TIMES)?;
    let mut progress = Progress::new(spec.quiet, spec.warmup_ns + spec.duration_ns);
    let outcome = match spec.shape {
        Shape::Churn => churned(&spec, args, &mut progress),
        _ => relayed(&spec, args, &mut progress),
    };
    progress.finish();
    let outcome = outcome?;
    publish(&outcome, &args.report)?;
    Ok(outcome.verdict.held())
}

fn relayed(spec: &Spec, args: &RunArgs, progress: &mut Progress) -> Result<Outcome, Fault> {
    let floor = floor::of(spec)?;
    let (mut rig, memory) = set_up(spec, &args.server)?;
    let measured = measure(&mut rig, spec, args.server.pid, &mut |look| progress.show(look))?;
    let known = Known { memory, floor, limits: args.limits.limits() };
    let mut outcome = Outcome::new(&rig.set_up, spec, &measured, known);
    outcome.warnings.extend(rig.close());
    Ok(outcome)
}

fn churned(spec: &Spec, args: &RunArgs, progress: &mut Progress) -> Result<Outcome, Fault> {
    let server = args.server.address().ok_or_else(|| Fault::usage("churn needs --server"))?;
    let (measured, set_up) =
        churn::measure(spec, server, args.server.pid, &mut |look| progress.show(look))?;
    let known = Known { limits: args.limits.limits(), ..Known::default() };
    Ok(Outcome::new(&set_up, spec, &measured, known))
}

/// Builds the rig and says what memory the server had before and after.
pub(crate) fn set_up(spec: &Spec, server: &ServerArgs) -> Result<(Rig, Option<Memory>), Fault> {
    if spec.route == Route::Direct && (server.server.is_some() || server.pid.is_some()) {
        return Err(Fault::usage(
            "--direct measures without a server: leave --server and --pid out",
        ));
    }
    let resident = || server.pid.and_then(|pid| procfs::usage(pid).ok()).map(|u| u.resident_bytes);
    let before = resident();
    let rig = Rig::build(spec, server.address(), Clock::start())?;
    let memory = before.zip(resident());
    let memory = memory.map(|(before_bytes, set_up_bytes)| Memory { before_bytes, set_up_bytes });
    Ok((rig, memory))
}

fn publish(outcome: &Outcome, report: &ReportArgs) -> Result<(), Fault> {
    print!("{}", table::render(outcome));
    if let Some(path) = &report.json {
        report::write_json(path, outcome)?;
    }
    if let Some(path) = &report.report {
        report::html::write(path, &report::html::run(outcome))?;
    }
    Ok(())
}
