//! What of an overload did not hold, a line for each.

use super::{Overload, Phase};
use crate::args::OverloadArgs;

/// Memory that comes and goes: pages of stacks, lists that grew by one step.
const SLACK_BYTES: u64 = 4 << 20;

/// The lines; none when everything held.
pub(super) fn broken(overload: &Overload, args: &OverloadArgs) -> Vec<String> {
    let lines = [collapse(overload, args), recovery(overload, args), growth(overload)];
    let silence = [silence(&overload.over, "in overload"), silence(&overload.then, "afterwards")];
    lines.into_iter().chain(silence).flatten().collect()
}

fn collapse(overload: &Overload, args: &OverloadArgs) -> Option<String> {
    let (carried, kept) = (overload.capacity.pps, overload.over.delivered_pps);
    (kept < args.min_kept * carried).then(|| {
        format!(
            "throughput fell to {:.2} times what the server carries ({kept:.0} of {carried:.0} \
             packets/s): below {}",
            kept / carried,
            args.min_kept
        )
    })
}

fn recovery(overload: &Overload, args: &OverloadArgs) -> Option<String> {
    let limit = args.max_recovery;
    match overload.recovery_s {
        None => Some("packets were lost until the end, long after the overload".to_owned()),
        Some(seconds) if seconds > limit => Some(format!(
            "packets were lost for {seconds:.1} s after the overload: above {limit} s"
        )),
        Some(_) => None,
    }
}

fn growth(overload: &Overload) -> Option<String> {
    let memory = overload.memory?;
    let allowed = memory.before_bytes + (memory.before_bytes / 20).max(SLACK_BYTES);
    (memory.after_bytes > allowed).then(|| {
        let [before, after] = [memory.before_bytes, memory.after_bytes].map(|bytes| bytes >> 10);
        format!("the server's memory grew from {before} to {after} KiB")
    })
}

fn silence(phase: &Phase, when: &str) -> Option<String> {
    let (failed, why) = (phase.failed_cycles, phase.failure.as_deref().unwrap_or_default());
    if failed > 0 {
        return Some(format!("{failed} requests came to nothing {when} ({why})"));
    }
    let unasked = phase.answers.iter().any(|(_, took)| took.samples == 0);
    unasked.then(|| format!("not every kind of request was answered {when}"))
}
