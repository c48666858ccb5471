//! `compare`: several servers in alternating rounds, and the ratio between them.
//!
//! All servers are up and set up at once, and idle but one. Machines change speed from second to
//! second; inside one round of short runs they change little, so each server is compared with the
//! first of the same round, and the median of those ratios is the result.

mod server;

use self::server::Server;
use crate::{
    clock::Clock,
    command::args::CompareArgs,
    fault::Fault,
    measure::{churn, floor, measure},
    offer::{
        shape::Shape,
        spec::{Spec, Times},
    },
    procfs,
    report::{self, progress::Progress},
    result::{
        comparison::{Comparison, Contender, Run, contender},
        offered::{title, unit},
        outcome::{FORMAT, Known, Outcome},
        verdict::near_floor,
    },
    rig::{self, Rig},
};

const MIN_ROUNDS: usize = 3;

/// Runs are short: a machine's speed holds for so long.
const TIMES: Times = Times { duration_s: 0.2, warmup_s: 0.05 };

/// Compares and reports; there is no limit to break.
pub(crate) fn run(args: &CompareArgs) -> Result<bool, Fault> {
    let spec = Spec::settle(&args.load, TIMES)?;
    if args.rounds < MIN_ROUNDS {
        return Err(Fault::usage("--rounds must be at least 3: the spread is part of the result"));
    }
    let servers = servers(args)?;
    rig::allow_sockets((spec.allocations * servers.len()) as u64)?;
    let comparison = compare(&spec, &servers, args.rounds)?;
    print!("{}", report::lists::comparison(&comparison));
    if let Some(path) = &args.report.json {
        report::write_json(path, &comparison)?;
    }
    if let Some(path) = &args.report.report {
        report::html::write(path, &report::html::comparison(&comparison))?;
    }
    Ok(true)
}

fn servers(args: &CompareArgs) -> Result<Vec<Server>, Fault> {
    let started = args.server_cmd.iter().map(|option| Server::start(option, args.listen_ip));
    let running = args.server.iter().map(|option| Server::running(option));
    let servers = started.chain(running).collect::<Result<Vec<_>, Fault>>()?;
    match servers.len() {
        0 | 1 => Err(Fault::usage("a comparison needs two servers: --server-cmd, --server")),
        _ => Ok(servers),
    }
}

fn compare(spec: &Spec, servers: &[Server], rounds: usize) -> Result<Comparison, Fault> {
    let mut entrants = servers
        .iter()
        .map(|server| Entrant::enter(spec, server))
        .collect::<Result<Vec<_>, Fault>>()?;
    let floor = floor::of(spec)?;
    let progress = Progress::new(spec.quiet, rounds as u64 + 1);
    let mut warnings = Vec::new();
    for round in 0..=rounds {
        for at in 0..entrants.len() {
            progress.step(round as u64, format!("round {round} of {rounds}: {}", servers[at].name));
            let outcome = entrants[at].measure(spec)?;
            // The first run after a start finds cold caches and empty tables.
            if round > 0 {
                entrants[at].runs.push(Run::of(&outcome));
                note(&mut warnings, &servers[at].name, &outcome);
            }
            entrants.iter_mut().try_for_each(Entrant::tend)?;
        }
    }
    progress.finish();
    let runs: Vec<Vec<Run>> = entrants.iter().map(|entrant| entrant.runs.clone()).collect();
    warnings.extend(entrants.into_iter().filter_map(Entrant::leave));
    let contenders =
        servers.iter().zip(&runs).map(|(server, own)| contender(&server.name, own, &runs[0]));
    let contenders: Vec<Contender> = contenders.collect();
    warnings.extend(contenders.iter().filter_map(|server| {
        let seen_us = server.latency.iter().map(|figure| figure.us.median);
        near_floor(&server.name, seen_us, &floor?)
    }));
    Ok(Comparison {
        format: FORMAT,
        title: format!("comparison, {}", title(spec)),
        machine: procfs::machine(),
        unit: unit(spec).to_owned(),
        rounds,
        floor,
        spins: spec.spin,
        servers: contenders,
        warnings,
    })
}

/// Keeps each warning once per server; figures in it are those of the first time.
fn note(warnings: &mut Vec<String>, name: &str, outcome: &Outcome) {
    let kind = |text: &str| text.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    for warning in &outcome.warnings {
        let line = format!("{name}: {warning}");
        if !warnings.iter().any(|known| kind(known) == kind(&line)) {
            warnings.push(line);
        }
    }
}

/// A server with what is set up for it.
struct Entrant<'a> {
    server: &'a Server,
    /// `None` for churn, which sets up as it goes.
    rig: Option<Rig>,
    runs: Vec<Run>,
}

impl<'a> Entrant<'a> {
    fn enter(spec: &Spec, server: &'a Server) -> Result<Entrant<'a>, Fault> {
        let lasting = spec.shape != Shape::Churn;
        let build = || Rig::build(spec, Some(server.address), Clock::start());
        let rig = lasting.then(build).transpose()?;
        Ok(Entrant { server, rig, runs: Vec::new() })
    }

    fn measure(&mut self, spec: &Spec) -> Result<Outcome, Fault> {
        let pid = Some(self.server.pid);
        let watch = &mut |_: &_| {};
        let known = Known::default();
        match &mut self.rig {
            Some(rig) => {
                let measured = measure(rig, spec, pid, watch)?;
                Ok(Outcome::new(&rig.set_up, spec, &measured, known))
            }
            None => {
                let (measured, set_up) = churn::measure(spec, self.server.address, pid, watch)?;
                Ok(Outcome::new(&set_up, spec, &measured, known))
            }
        }
    }

    fn tend(&mut self) -> Result<(), Fault> {
        self.rig.as_mut().map_or(Ok(()), Rig::tend)
    }

    fn leave(self) -> Option<String> {
        let trouble = self.rig.and_then(Rig::close)?;
        Some(format!("{}: {trouble}", self.server.name))
    }
}
