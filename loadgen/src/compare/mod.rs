//! `compare`: several servers in alternating rounds, and the ratio between them.
//!
//! All servers are up and set up at once, and idle but one. Machines change speed from second to
//! second; inside one round of short runs they change little, so each server is compared with the
//! first of the same round, and the median of those ratios is the result.

mod server;

use serde::{Deserialize, Serialize};

use self::server::Server;
use crate::{
    args::CompareArgs,
    churn,
    clock::Clock,
    fault::Fault,
    measure::measure,
    outcome::{FORMAT, Outcome, title, unit},
    procfs,
    report::{self, progress::Progress},
    rig::{self, Rig},
    run::Times,
    shape::Shape,
    spec::Spec,
    stats::Quartiles,
    verdict::Limits,
};

const MIN_ROUNDS: usize = 3;

/// Runs are short: a machine's speed holds for so long.
const TIMES: Times = Times { duration_s: 0.2, warmup_s: 0.05 };

/// A comparison as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) format: u32,
    pub(crate) title: String,
    /// Where the generator ran.
    pub(crate) machine: String,
    /// What CPU time is counted for.
    pub(crate) unit: String,
    pub(crate) rounds: usize,
    pub(crate) servers: Vec<Contender>,
    pub(crate) warnings: Vec<String>,
}

/// One server's part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// CPU time per packet (churn: per cycle), ns.
    pub(crate) cpu_ns: Quartiles,
    /// CPU time per packet, as multiple of the first server's in the same round.
    pub(crate) cpu_ratio: Quartiles,
    /// Packets per CPU second, likewise.
    pub(crate) packets_ratio: Quartiles,
    pub(crate) relayed_pps: Quartiles,
    pub(crate) loss_percent: Quartiles,
    pub(crate) p50_us: Quartiles,
    pub(crate) p99_us: Quartiles,
    pub(crate) runs: Vec<Run>,
}

/// One server in one round.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) cpu_ns: f64,
    pub(crate) relayed_pps: f64,
    pub(crate) loss_percent: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
}

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
    Ok(Comparison {
        format: FORMAT,
        title: format!("comparison, {}", title(spec)),
        machine: procfs::machine(),
        unit: unit(spec).to_owned(),
        rounds,
        servers: contenders.collect(),
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
        let limits = Limits::default();
        match &mut self.rig {
            Some(rig) => {
                let measured = measure(rig, spec, pid, watch)?;
                Ok(Outcome::new(&rig.set_up, spec, &measured, None, limits))
            }
            None => {
                let (measured, set_up) = churn::measure(spec, self.server.address, pid, watch)?;
                Ok(Outcome::new(&set_up, spec, &measured, None, limits))
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

impl Run {
    fn of(outcome: &Outcome) -> Run {
        let worst = |value: fn(&crate::outcome::WayOutcome) -> f64| {
            outcome.ways.iter().map(value).fold(0.0, f64::max)
        };
        Run {
            cpu_ns: outcome.server.as_ref().map_or(0.0, |server| server.cpu_ns_per_packet),
            relayed_pps: outcome.ways.iter().map(|way| way.pps).sum(),
            loss_percent: worst(|way| way.loss_percent),
            p50_us: worst(|way| way.latency.p50_us),
            p99_us: worst(|way| way.latency.p99_us),
        }
    }
}

fn contender(name: &str, runs: &[Run], reference: &[Run]) -> Contender {
    let of = |value: fn(&Run) -> f64| Quartiles::of(runs.iter().map(value));
    let pairs = || runs.iter().zip(reference).filter(|(a, b)| a.cpu_ns > 0.0 && b.cpu_ns > 0.0);
    Contender {
        name: name.to_owned(),
        cpu_ns: of(|run| run.cpu_ns),
        cpu_ratio: Quartiles::of(pairs().map(|(own, first)| own.cpu_ns / first.cpu_ns)),
        packets_ratio: Quartiles::of(pairs().map(|(own, first)| first.cpu_ns / own.cpu_ns)),
        relayed_pps: of(|run| run.relayed_pps),
        loss_percent: of(|run| run.loss_percent),
        p50_us: of(|run| run.p50_us),
        p99_us: of(|run| run.p99_us),
        runs: runs.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_taken_inside_each_round() {
        let run = |cpu_ns| Run { cpu_ns, ..Run::default() };
        // The machine is three times as slow in the second round; the ratio does not see it.
        let first = [run(1_000.0), run(3_000.0), run(1_000.0)];
        let other = [run(500.0), run(1_500.0), run(500.0)];
        let contender = contender("b", &other, &first);
        assert_eq!(contender.cpu_ratio, Quartiles { q1: 0.5, median: 0.5, q3: 0.5 });
        assert_eq!(contender.packets_ratio.median, 2.0);
    }
}
