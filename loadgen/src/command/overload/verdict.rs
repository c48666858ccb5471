//! What of an overload did not hold, a line for each.

use crate::{
    command::args::OverloadArgs,
    result::{
        overload::{Memory, Overload, Phase},
        verdict::Ended,
    },
};

/// Memory that comes and goes: pages of stacks, lists that grew by one step.
const SLACK_BYTES: u64 = 4 << 20;

/// The lines; none when everything held.
pub(super) fn broken(overload: &Overload, args: &OverloadArgs) -> Vec<String> {
    let connections = overload.lost_connections.clone();
    let ended: Vec<String> = Ended { server: overload.server_died, connections }.lines().collect();
    if !ended.is_empty() {
        return ended;
    }
    if overload.was_stopped {
        return vec!["it was stopped, so that nothing is known of what came after".to_owned()];
    }
    let grown = overload.memory.and_then(growth);
    let lines = [collapse(overload, args), recovery(overload, args), grown];
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

fn growth(memory: Memory) -> Option<String> {
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
    let unasked = phase.answers.iter().any(|(_, took)| took.is_none());
    unasked.then(|| format!("not every kind of request was answered {when}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_may_come_and_go_and_not_stay() {
        let grown = |after_bytes| {
            growth(Memory { before_bytes: 200 << 20, most_bytes: 900 << 20, after_bytes })
        };
        assert_eq!(grown(209 << 20), None);
        assert_eq!(grown(100 << 20), None);
        let line = grown(211 << 20).unwrap();
        assert_eq!(line, "the server's memory grew from 204800 to 216064 KiB");
        let small = Memory { before_bytes: 8 << 20, most_bytes: 12 << 20, after_bytes: 12 << 20 };
        assert_eq!(growth(small), None);
    }
}
