//! `sweep`: more load step by step, until loss or latency passes its limit.
//!
//! Several servers take turns, a step each, so that all of them see the same machine. The search is
//! run more than once: what the runs do not agree on is no answer.

mod climber;
pub(crate) mod search;

use std::net::SocketAddr;

use self::{
    climber::{Climber, Shared},
    search::Search,
};
use crate::{
    command::{args::SweepArgs, outputs::Outputs, run, server::Server},
    fault::Fault,
    measure::floor::Floor,
    offer::spec::{Spec, Times},
    report,
    result::{
        about::{About, ServerAbout},
        offered::{offered, title},
        sweep::{Sweep, Swept},
        verdict::Limits,
    },
    rig,
    stop::{self, Second},
};

/// Limits when none are given: loss nobody hears, latency nobody notices.
const USUAL_LOSS_PERCENT: f64 = 0.1;
const USUAL_P99_MS: f64 = 20.0;

/// A step is measured for this long when nothing else is said.
const TIMES: Times = Times { duration_s: 2.0, warmup_s: 0.5 };

/// Sweeps, reports, and says whether every server has an answer.
pub(crate) fn run(args: &SweepArgs) -> Result<bool, Fault> {
    stop::listen(if args.server_cmd.is_empty() { Second::Ends } else { Second::Waits })?;
    let mut spec = Spec::settle_unpaced(&args.load, TIMES)?;
    spec.name_server(args.server.server.as_ref());
    check(args, &spec)?;
    let mut outputs = Outputs::open(&args.report, args.plot.as_ref())?;
    let others = others(&args.beside)?;
    let targets = targets(args)?;
    rig::allow_sockets((spec.allocations * (targets.len() + 1)) as u64)?;
    let servers = targets.iter().filter_map(|target| target.about.clone()).collect();
    let about = About { servers, ..About::now() };
    let mut shared = Shared { about, limits: limits(args), floor: Floor::build(&spec)? };
    let (swept, warnings) = sweep(args, &spec, &targets, &mut shared)?;
    let mut sweep = Sweep {
        about: shared.about,
        title: format!("sweep of {}", title(&spec)),
        offered: offered(&spec),
        limits: shared.limits,
        servers: swept,
        warnings,
    };
    let said = outputs.text(&report::sweep::text(&sweep));
    outputs.json(&sweep)?;
    outputs.page(|| report::sweep::page(&sweep))?;
    let have_answers = sweep.servers.iter().all(Swept::has_answer);
    sweep.servers.extend(others);
    outputs.picture(|| report::sweep::picture(&sweep))?;
    said?;
    Ok(have_answers)
}

fn limits(args: &SweepArgs) -> Limits {
    Limits {
        loss_percent: args.limits.max_loss.or(Some(USUAL_LOSS_PERCENT)),
        p99_ms: args.limits.max_p99.or(Some(USUAL_P99_MS)),
    }
}

/// Sweeps of other servers, read before minutes are spent on one's own.
fn others(beside: &[String]) -> Result<Vec<Swept>, Fault> {
    let read = |option: &String| {
        let usage = || Fault::usage(format!("--beside {option}: expected NAME=FILE"));
        let (name, path) = option.split_once('=').ok_or_else(usage)?;
        let first = Sweep::read(path)?.servers.into_iter().next();
        let swept = first.ok_or_else(|| Fault::file(path, "a sweep of no server"))?;
        Ok(Swept { name: name.to_owned(), ..swept })
    };
    beside.iter().map(read).collect()
}

fn check(args: &SweepArgs, spec: &Spec) -> Result<(), Fault> {
    let wrong = match args {
        _ if !spec.shape.has_packets() => {
            "a sweep raises packets/s: use `run` with this shape and --rate instead"
        }
        _ if args.load.rate.is_some() => "a sweep sets the rate itself: use --from and --to",
        _ if !(args.to >= args.from && args.factor > 1.0 && args.factor.is_finite()) => {
            "--to must not be below --from, and --factor above 1"
        }
        _ if args.runs == 0 => "--runs must be at least 1",
        _ => return Ok(()),
    };
    Err(Fault::usage(wrong))
}

/// A server that is swept.
struct Target {
    name: String,
    address: Option<SocketAddr>,
    pid: Option<u32>,
    about: Option<ServerAbout>,
    /// Ends with the sweep.
    _started: Option<Server>,
}

fn targets(args: &SweepArgs) -> Result<Vec<Target>, Fault> {
    if args.server_cmd.is_empty() {
        run::refuse_server_of_direct(args.load.direct, &args.server)?;
        let transport = args.load.transport;
        let about = args.server.about(transport).pop();
        let (address, pid) = (args.server.address(transport), args.server.pid);
        return Ok(vec![Target { name: args.name.clone(), address, pid, about, _started: None }]);
    }
    let start = |option: &String| {
        let server = Server::start(option, args.listen_ip, args.load.transport)?;
        let (address, pid, about) = (Some(server.address), Some(server.pid), Some(server.about()));
        Ok(Target { name: server.name.clone(), address, pid, about, _started: Some(server) })
    };
    args.server_cmd.iter().map(start).collect()
}

/// Lets all climb in turns until none has a step left, one ends, or somebody asks to stop.
fn sweep(
    args: &SweepArgs,
    spec: &Spec,
    targets: &[Target],
    shared: &mut Shared,
) -> Result<(Vec<Swept>, Vec<String>), Fault> {
    let search = Search { from: args.from, to: args.to, factor: args.factor, narrow: args.narrow };
    let climber = |target: &Target| {
        let built = run::build(spec, target.address, target.pid)?;
        Ok(Climber::new(&target.name, built, target.pid, (search, args.runs)))
    };
    let mut climbers = targets.iter().map(climber).collect::<Result<Vec<_>, Fault>>()?;
    for (about, climber) in shared.about.servers.iter_mut().zip(&climbers) {
        about.learn(&climber.rig);
    }
    let mut goes_on = true;
    while goes_on && !stop::is_asked() {
        goes_on = false;
        for at in 0..climbers.len() {
            goes_on |= climbers[at].advance(shared)?;
            climbers.iter_mut().try_for_each(|climber| climber.rig.tend())?;
        }
    }
    let mut warnings = Vec::new();
    if stop::is_asked() {
        warnings.push("stopped before the search was over".to_owned());
    }
    if targets.iter().any(|target| target.pid.is_none()) {
        warnings.push("without --pid there is no CPU time and no memory to plan with".to_owned());
    }
    Ok((climbers.into_iter().map(Climber::finish).collect(), warnings))
}
