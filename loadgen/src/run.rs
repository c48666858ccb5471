//! `run`: one shape of traffic, one measurement.

use crate::{
    args::{ReportArgs, RunArgs, ServerArgs},
    clock::Clock,
    fault::Fault,
    measure::measure,
    outcome::{Memory, Outcome},
    procfs,
    report::{self, progress::Progress, table},
    rig::Rig,
    spec::Spec,
};

/// Runs, reports, and says whether the limits held.
pub(crate) fn run(args: &RunArgs) -> Result<bool, Fault> {
    let spec = Spec::settle(&args.load)?;
    let pid = args.server.pid;
    let (mut rig, memory) = set_up(&spec, &args.server)?;
    let mut progress = Progress::new(spec.quiet, spec.warmup_ns + spec.duration_ns);
    let measured = measure(&mut rig, &spec, pid, &mut |look| progress.show(look));
    progress.finish();
    let measured = measured?;
    let outcome = Outcome::new(&rig, &spec, &measured, memory, (&args.limits).into());
    rig.close()?;
    publish(&outcome, &args.report)?;
    Ok(outcome.verdict.held())
}

/// Builds the rig and says what memory the server had before and after.
pub(crate) fn set_up(spec: &Spec, server: &ServerArgs) -> Result<(Rig, Option<Memory>), Fault> {
    let resident = || server.pid.and_then(|pid| procfs::usage(pid).ok()).map(|u| u.resident_bytes);
    let before = resident();
    let rig = Rig::build(spec, server.server, Clock::start())?;
    let memory = before.zip(resident());
    let memory = memory.map(|(before_bytes, set_up_bytes)| Memory { before_bytes, set_up_bytes });
    Ok((rig, memory))
}

fn publish(outcome: &Outcome, report: &ReportArgs) -> Result<(), Fault> {
    print!("{}", table::render(outcome));
    if let Some(path) = &report.json {
        report::write_json(path, outcome)?;
    }
    Ok(())
}
