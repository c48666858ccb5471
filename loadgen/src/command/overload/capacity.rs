//! What the server carries: the highest of many short loads that came through.

use crate::{
    clock::{MILLI_NS, SECOND_NS},
    command::{
        args::OverloadArgs,
        sweep::search::{Fate, Search, Tried, highest_held},
    },
    fault::Fault,
    measure::{measure, observe::Sample},
    offer::spec::Spec,
    report::{self, output, progress::Progress},
    result::{
        about::About,
        outcome::{Known, Outcome},
        overload::Capacity,
        sweep::Step,
        verdict::Limits,
    },
    rig::Rig,
    stop,
};

/// Length of a step, and of the same traffic before it.
const STEP_NS: u64 = SECOND_NS;
const WARMUP_NS: u64 = 300 * MILLI_NS;

/// Each step offers so many times the last, and so many narrow the limit down.
const FACTOR: f64 = 1.4;
const NARROW: u32 = 4;

/// No step goes beyond.
const MOST_PPS: f64 = 20e6;

/// A step that did not hold is tried once more: a moment's trouble of the machine is no limit.
const TRIES: u32 = 2;

/// Part of what was sent that may have been left unsent in a step that counts as offered.
const UNSENT: f64 = 0.01;

/// Takes what was told, or searches.
///
/// # Errors
/// When the generator or the server fails, and when not even a hundredth of `--from` comes through.
pub(super) fn find(
    rig: &mut Rig,
    spec: &Spec,
    args: &OverloadArgs,
    about: &About,
) -> Result<Capacity, Fault> {
    let ways = spec.ways.iter().filter(|way| **way).count() as f64;
    if let Some(rate) = spec.rate {
        return Ok(Capacity { pps: rate * ways, is_given: true, is_generators: false });
    }
    let search = Search { from: args.from, to: MOST_PPS, factor: FACTOR, narrow: NARROW };
    let limits = Limits { loss_percent: Some(args.max_loss), p99_ms: None };
    let known = Known { limits, ..Known::about(about.clone()) };
    let mut step_spec = Spec { duration_ns: STEP_NS, warmup_ns: WARMUP_NS, ..spec.clone() };
    let mut tried = Vec::new();
    while let Some(rate) = search.next(&tried) {
        step_spec.offer(rate);
        let mut fate = Fate::Failed;
        for tries in 1..=TRIES {
            fate = step(rig, &step_spec, args.server.pid, (&known, tries))?;
            if fate == Fate::Held {
                break;
            }
        }
        tried.push(Tried { rate, fate });
        if fate != Fate::Held && rate < args.from / 100.0 {
            break;
        }
    }
    let best = highest_held(&tried);
    let is_generators = tried.iter().any(|step| step.fate == Fate::GeneratorsFault);
    if best > 0.0 {
        return Ok(Capacity { pps: best * ways, is_given: false, is_generators });
    }
    Err(Fault::usage(format!(
        "no load of {} packets/s or less came through with at most {} % of loss; see `loadgen run`",
        args.from, args.max_loss
    )))
}

fn step(
    rig: &mut Rig,
    spec: &Spec,
    pid: Option<u32>,
    (known, tries): (&Known, u32),
) -> Result<Fate, Fault> {
    let mut progress = Progress::new(spec, "search");
    let mut watch = |sample: &Sample| progress.show(sample);
    let measured = measure(rig, spec, pid, &mut watch);
    progress.finish();
    if stop::is_asked() {
        return Err(Fault::Stopped);
    }
    let outcome = Outcome::new(&rig.set_up, spec, &measured?, known.clone());
    if !spec.quiet {
        output::say_aside(&report::sweep::line("search", &Step::of(&outcome, tries)));
    }
    let sent: u64 = outcome.ways.iter().map(|way| way.sent).sum();
    let unsent = outcome.generator.unsent as f64;
    let fell_short = unsent > UNSENT * sent as f64 || outcome.generator.socket_drops > 0;
    Ok(match outcome.verdict.held() {
        _ if fell_short => Fate::GeneratorsFault,
        true => Fate::Held,
        false => Fate::Failed,
    })
}
