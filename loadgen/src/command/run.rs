//! `run`: one shape of traffic, one measurement.

use std::net::SocketAddr;

use crate::{
    clock::Clock,
    command::{
        args::{RunArgs, ServerArgs},
        outputs::Outputs,
    },
    fault::Fault,
    measure::{churn, floor, measure},
    offer::{
        address::ServerAddress,
        spec::{Route, Spec, Times},
    },
    procfs,
    report::{self, progress::Progress},
    result::{
        about::{About, ServerAbout},
        outcome::{Known, Outcome},
        server::Memory,
        verdict::Limits,
    },
    rig::Rig,
    stop::{self, Second},
    stream::Transport,
};

/// Of one run: long enough to see the tail of the latencies.
const TIMES: Times = Times { duration_s: 10.0, warmup_s: 1.0 };

/// More loss than this is a failure unless told otherwise, in percent.
const USUAL_LOSS_PERCENT: f64 = 1.0;

/// Runs, reports, and says whether the limits held.
pub(crate) fn run(args: &RunArgs) -> Result<bool, Fault> {
    stop::listen(Second::Ends)?;
    let mut spec = Spec::settle(&args.load, TIMES)?;
    spec.name_server(args.server.server.as_ref());
    let mut outputs = Outputs::open(&args.report, None)?;
    let about = About { servers: args.server.about(spec.transport), ..About::now() };
    let mut progress = Progress::new(&spec, "run");
    progress.prepare("setting up");
    let outcome = match spec.shape.has_packets() {
        false => churned(&spec, args, about, &mut progress),
        true => relayed(&spec, args, about, &mut progress),
    };
    progress.finish();
    let outcome = outcome?;
    let said = outputs.text(&report::run::text(&outcome));
    outputs.json(&outcome)?;
    outputs.page(|| report::run::page(&outcome))?;
    said?;
    Ok(outcome.verdict.held())
}

fn relayed(
    spec: &Spec,
    args: &RunArgs,
    mut about: About,
    progress: &mut Progress,
) -> Result<Outcome, Fault> {
    let floor = floor::of(spec)?;
    let (mut rig, memory) = set_up(spec, &args.server)?;
    about.servers.iter_mut().for_each(|server| server.learn(&rig));
    let measured = measure(&mut rig, spec, args.server.pid, &mut |sample| progress.show(sample));
    let known = Known { about, memory, floor, limits: limits(args) };
    let outcome = measured.map(|measured| Outcome::new(&rig.set_up, spec, &measured, known));
    let left = rig.close();
    let mut outcome = outcome?;
    outcome.end(left);
    Ok(outcome)
}

fn churned(
    spec: &Spec,
    args: &RunArgs,
    mut about: About,
    progress: &mut Progress,
) -> Result<Outcome, Fault> {
    let server = args.server.address(spec.transport);
    let server = server.ok_or_else(|| Fault::usage("this shape needs --server HOST[:PORT]"))?;
    let (measured, set_up) =
        churn::measure(spec, server, args.server.pid, &mut |sample| progress.show(sample))?;
    let secured = measured.shaken.as_ref().and_then(|shaken| shaken.secured.clone());
    about.servers.iter_mut().for_each(|server| server.tls = secured.clone());
    let known = Known { limits: limits(args), ..Known::about(about) };
    Ok(Outcome::new(&set_up, spec, &measured, known))
}

fn limits(args: &RunArgs) -> Limits {
    let loss_percent = args.limits.max_loss.or(Some(USUAL_LOSS_PERCENT));
    Limits { loss_percent, p99_ms: args.limits.max_p99 }
}

impl ServerArgs {
    /// The server by its name, if there is one.
    pub(super) fn about(&self, transport: Transport) -> Vec<ServerAbout> {
        let about = |server: &ServerAddress| {
            ServerAbout::new(&server.name, server.over(transport), self.pid)
        };
        self.server.iter().map(about).collect()
    }
}

/// Builds the rig and says what memory the server had before and after.
pub(super) fn set_up(spec: &Spec, server: &ServerArgs) -> Result<(Rig, Option<Memory>), Fault> {
    refuse_server_of_direct(spec.route == Route::Direct, server)?;
    build(spec, server.address(spec.transport), server.pid)
}

/// Nothing is measured of a server that nothing goes through.
pub(super) fn refuse_server_of_direct(direct: bool, server: &ServerArgs) -> Result<(), Fault> {
    if direct && (server.server.is_some() || server.pid.is_some()) {
        return Err(Fault::usage(
            "--direct measures without a server: leave --server and --pid out",
        ));
    }
    Ok(())
}

/// The same for a server at an address.
pub(super) fn build(
    spec: &Spec,
    server: Option<SocketAddr>,
    pid: Option<u32>,
) -> Result<(Rig, Option<Memory>), Fault> {
    let resident = || pid.and_then(|pid| procfs::usage(pid).ok()).map(|used| used.resident_bytes);
    let before = resident();
    let rig = Rig::build(spec, server, Clock::start())?;
    let memory = before.zip(resident());
    let memory = memory.map(|(before_bytes, set_up_bytes)| Memory { before_bytes, set_up_bytes });
    Ok((rig, memory))
}
