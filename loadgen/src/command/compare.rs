//! `compare`: several servers in alternating rounds, and the ratio between them.
//!
//! All servers are up and set up at once, and idle but one. Machines change speed from second to
//! second; inside one round of short runs they change little, so each server is compared with the
//! first of the same round, and the median of those ratios is the result.

use crate::{
    clock::Clock,
    command::{args::CompareArgs, outputs::Outputs, server::Server},
    fault::Fault,
    measure::{churn, floor, measure},
    offer::spec::{Spec, Times},
    report::{self, progress::Progress},
    result::{
        about::About,
        comparison::{Comparison, Contender, Run, contender},
        offered::{paced_title, unit},
        outcome::{Known, Outcome},
        trust::{idle, near_floor},
    },
    rig::{self, Left, Rig},
    stop::{self, Second},
};

const MIN_ROUNDS: usize = 3;

/// Runs are short: a machine's speed holds for so long.
const TIMES: Times = Times { duration_s: 0.2, warmup_s: 0.05 };

/// Compares, reports, and says whether all servers lived through it.
pub(crate) fn run(args: &CompareArgs) -> Result<bool, Fault> {
    stop::listen(if args.server_cmd.is_empty() { Second::Ends } else { Second::Waits })?;
    let spec = Spec::settle(&args.load, TIMES)?;
    if args.rounds < MIN_ROUNDS {
        return Err(Fault::usage("--rounds must be at least 3: the spread is part of the result"));
    }
    let mut outputs = Outputs::open(&args.report, None)?;
    let servers = servers(args)?;
    rig::allow_sockets((spec.allocations * servers.len()) as u64)?;
    let comparison = compare(&spec, &servers, args.rounds)?;
    let said = outputs.text(&report::comparison::text(&comparison));
    outputs.json(&comparison)?;
    outputs.page(|| report::comparison::page(&comparison))?;
    said?;
    Ok(comparison.broken.is_empty())
}

fn servers(args: &CompareArgs) -> Result<Vec<Server>, Fault> {
    let named = args.server_cmd.iter().chain(&args.server).filter_map(|it| it.split_once('='));
    let mut names: Vec<&str> = named.map(|(name, _)| name).collect();
    names.sort_unstable();
    if let Some(two) = names.windows(2).find(|two| two[0] == two[1]) {
        return Err(Fault::usage(format!("two servers are called {}", two[0])));
    }
    let transport = args.load.transport;
    let start = |option: &String| Server::start(option, args.listen_ip, transport);
    let started = args.server_cmd.iter().map(start);
    let running = args.server.iter().map(|option| Server::running(option, transport));
    let servers = started.chain(running).collect::<Result<Vec<_>, Fault>>()?;
    match servers.len() {
        0 | 1 => Err(Fault::usage("a comparison needs two servers: --server-cmd, --server")),
        _ => Ok(servers),
    }
}

fn compare(spec: &Spec, servers: &[Server], rounds: usize) -> Result<Comparison, Fault> {
    let about = About { servers: servers.iter().map(Server::about).collect(), ..About::now() };
    let mut entrants = servers
        .iter()
        .map(|server| Entrant::enter(spec, server, &about))
        .collect::<Result<Vec<_>, Fault>>()?;
    let floor = floor::of(spec)?;
    let mut warnings = Vec::new();
    let mut broken = take_turns(spec, &mut entrants, rounds, &mut warnings)?;
    let mut about = about;
    for (server, entrant) in about.servers.iter_mut().zip(&entrants) {
        entrant.rig.iter().for_each(|rig| server.learn(rig));
    }
    let runs: Vec<Vec<Run>> = entrants.iter().map(|entrant| entrant.runs.clone()).collect();
    leave(entrants, &mut broken, &mut warnings);
    let rounds = runs.iter().map(Vec::len).min().unwrap_or_default();
    if rounds == 0 && broken.is_empty() {
        return Err(Fault::Stopped);
    }
    let contenders: Vec<Contender> = servers
        .iter()
        .zip(&runs)
        .map(|(server, own)| contender(&server.name, own, &runs[0]))
        .collect();
    let silent = contenders.iter().filter(|server| server.is_silent());
    broken.extend(silent.map(|server| format!("{}: nothing was delivered", server.name)));
    let near = |server: &Contender| near_floor(&server.name, server.medians_us(), &floor?);
    warnings.extend(contenders.iter().filter_map(near));
    warnings.extend(idle(contenders.iter().filter_map(Contender::busy)));
    Ok(Comparison {
        about,
        title: format!("comparison, {}", paced_title(spec)),
        transport: spec.transport,
        unit: unit(spec).to_owned(),
        rounds,
        floor,
        spins: spec.spin,
        servers: contenders,
        broken,
        warnings,
    })
}

/// Gives everybody's allocations back. A server that does not take them has ended, unless one is
/// known to have.
fn leave(entrants: Vec<Entrant<'_>>, broken: &mut Vec<String>, warnings: &mut Vec<String>) {
    let has_ended = !broken.is_empty();
    for (name, left) in entrants.into_iter().filter_map(Entrant::leave) {
        match left.is_servers_end() && !has_ended {
            true => broken.push(format!("{name} does not answer any more; {left}")),
            false => warnings.push(format!("{name}: {left}")),
        }
    }
}

/// Lets each server run once in each round, until all are through, one ends, or somebody asks to
/// stop. Says which ended.
fn take_turns(
    spec: &Spec,
    entrants: &mut [Entrant<'_>],
    rounds: usize,
    warnings: &mut Vec<String>,
) -> Result<Vec<String>, Fault> {
    let progress = Progress::lasting(spec.quiet, rounds as u64 + 1, "compare");
    for round in 0..=rounds {
        let mut outcomes = Vec::with_capacity(entrants.len());
        for at in 0..entrants.len() {
            let name = entrants[at].server.name.clone();
            progress.step(round as u64, format!("round {round} of {rounds}: {name}"));
            let outcome = entrants[at].measure();
            if stop::is_asked() {
                progress.finish();
                warnings
                    .push(format!("stopped after {} of {rounds} rounds", round.saturating_sub(1)));
                return Ok(Vec::new());
            }
            let outcome = outcome?;
            if outcome.server_died {
                progress.finish();
                return Ok(vec![format!("{name} ended in round {round}")]);
            }
            outcomes.push(outcome);
            entrants.iter_mut().try_for_each(Entrant::tend)?;
        }
        // The first run after a start finds cold caches and empty tables.
        let counted = entrants.iter_mut().zip(&outcomes).filter(|_| round > 0);
        for (entrant, outcome) in counted {
            entrant.runs.push(Run::of(outcome));
            note(warnings, &entrant.server.name, outcome);
        }
    }
    progress.finish();
    Ok(Vec::new())
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
    spec: Spec,
    /// `None` for churn and handshakes, which set up as they go.
    rig: Option<Rig>,
    runs: Vec<Run>,
    about: About,
}

impl<'a> Entrant<'a> {
    fn enter(spec: &Spec, server: &'a Server, about: &About) -> Result<Entrant<'a>, Fault> {
        let mut spec = spec.clone();
        spec.name_server(Some(&server.at));
        let lasting = spec.shape.has_packets();
        let build = || Rig::build(&spec, Some(server.address), Clock::start());
        let rig = lasting.then(build).transpose()?;
        Ok(Entrant { server, spec, rig, runs: Vec::new(), about: about.clone() })
    }

    fn measure(&mut self) -> Result<Outcome, Fault> {
        let spec = &self.spec;
        let pid = Some(self.server.pid);
        let watch = &mut |_: &_| {};
        let known = Known::about(self.about.clone());
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

    /// Its name, and what was in the way of giving allocations back.
    fn leave(self) -> Option<(&'a str, Left)> {
        Some((&self.server.name, self.rig?.close()?))
    }
}
