//! What the server carries: the highest of many short loads that came through.

use crate::{
    clock::{MILLI_NS, SECOND_NS},
    command::{
        args::OverloadArgs,
        sweep::search::{Search, Tried},
    },
    fault::Fault,
    measure::{measure, observe::Look},
    offer::spec::Spec,
    report::{self, progress::Progress},
    result::{
        outcome::{Known, Outcome},
        overload::Capacity,
        sweep,
        verdict::Limits,
    },
    rig::Rig,
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

/// What became of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Held,
    Lost,
    /// The generator did not get it sent, or what came back received.
    GeneratorsFault,
}

/// Takes what was told, or searches.
///
/// # Errors
/// When the generator or the server fails, and when not even a hundredth of `--from` comes through.
pub(super) fn find(rig: &mut Rig, spec: &Spec, args: &OverloadArgs) -> Result<Capacity, Fault> {
    let ways = spec.ways.iter().filter(|way| **way).count() as f64;
    if let Some(rate) = spec.rate {
        return Ok(Capacity { pps: rate * ways, is_given: true, is_generators: false });
    }
    let search = Search { from: args.from, to: MOST_PPS, factor: FACTOR, narrow: NARROW };
    let limits = Limits { loss_percent: Some(args.max_loss), p99_ms: None };
    let mut step_spec = Spec { duration_ns: STEP_NS, warmup_ns: WARMUP_NS, ..spec.clone() };
    let mut tried = Vec::new();
    let mut is_generators = false;
    while let Some(rate) = search.next(&tried) {
        step_spec.offer(rate);
        let mut fate = Fate::Lost;
        for _ in 0..TRIES {
            fate = step(rig, &step_spec, args, limits)?;
            if fate == Fate::Held {
                break;
            }
        }
        is_generators |= fate == Fate::GeneratorsFault;
        let held = fate == Fate::Held;
        tried.push(Tried { rate, held });
        if !held && rate < args.from / 100.0 {
            break;
        }
    }
    let best = tried.iter().filter(|step| step.held).map(|step| step.rate).fold(0.0, f64::max);
    if best > 0.0 {
        return Ok(Capacity { pps: best * ways, is_given: false, is_generators });
    }
    Err(Fault::usage(format!(
        "no load of {} packets/s or less came through with at most {} % of loss; see `loadgen run`",
        args.from, args.max_loss
    )))
}

fn step(rig: &mut Rig, spec: &Spec, args: &OverloadArgs, limits: Limits) -> Result<Fate, Fault> {
    let mut progress = Progress::new(spec.quiet, spec.warmup_ns + spec.duration_ns);
    let mut watch = |look: &Look| progress.show(look);
    let measured = measure(rig, spec, args.server.pid, &mut watch);
    progress.finish();
    let known = Known { limits, ..Known::default() };
    let outcome = Outcome::new(&rig.set_up, spec, &measured?, known);
    let step = sweep::step(&outcome);
    eprint!("{}", if spec.quiet { String::new() } else { report::lists::step_line(&step) });
    let sent: u64 = outcome.ways.iter().map(|way| way.sent).sum();
    let unsent = outcome.generator.unsent as f64;
    let fell_short = unsent > UNSENT * sent as f64 || outcome.generator.socket_drops > 0;
    Ok(match outcome.verdict.held() {
        _ if fell_short => Fate::GeneratorsFault,
        true => Fate::Held,
        false => Fate::Lost,
    })
}
