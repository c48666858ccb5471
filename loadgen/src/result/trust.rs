//! Whether the numbers can be trusted: what limited the generator, and what else makes them say
//! less than they seem to.

use crate::{
    count::latency::{FIGURES, Latency},
    measure::Measured,
    offer::{shape::Shape, spec::Spec},
    result::{generator::GeneratorOutcome, way::WayOutcome},
};

/// A thread of cycles above this share of its time is a limit itself. One that sends packets is
/// none as long as they leave on time and all that arrives is taken, however busy that keeps it.
const BUSY: f64 = 0.9;

/// A schedule later than this, at the 99th percentile, is not kept.
const LATE_US: f64 = 1_000.0;

/// A share of packets never sent above this is more than an accident.
const UNSENT: f64 = 0.001;

/// A latency below so many times what the generator shows without a relay is not the server's
/// alone.
const NEAR_FLOOR: f64 = 3.0;

/// Figures that are compared with the floor: p50, p90 and p99. What lies beyond is single packets.
const FLOOR_FIGURES: usize = 3;

/// Cores that something else may keep busy before figures are said to be those of a busy machine:
/// the kernel's own threads, which carry packets, too, come to less.
const OTHERS_CORES: f64 = 0.2;

/// Below so much of a core a server waits for most of its packets one by one: what a packet costs
/// it then is mostly what waking up costs.
const IDLE_CORES: f64 = 0.1;

/// Loss in percent below which a server is taken to have kept up.
const KEPT_UP_PERCENT: f64 = 0.1;

/// Why Binding requests are lost that no buffer was too small for.
const UNANSWERED: &str = "requests were not answered: a server may bound what it answers to one \
                          network that has proved nothing (uturn does, and counts them in \
                          uturn_stranger_replies_refused_total; for a benchmark start it with \
                          --stranger-reply-bytes 0)";

/// Why the generator, not the server, was what could do no more; nothing when it was not.
pub(crate) fn limits_of_generator(
    spec: &Spec,
    ways: &[WayOutcome],
    generator: &GeneratorOutcome,
) -> Vec<String> {
    if spec.is_unpaced() {
        let kept_up = |way: &WayOutcome| way.loss_percent < KEPT_UP_PERCENT && way.blocked == 0;
        let kept_up = ways.iter().all(kept_up);
        let why = "it sent as fast as it could and (nearly) all arrived".to_owned();
        return kept_up.then_some(why).into_iter().collect();
    }
    if !spec.shape.has_packets() {
        // A cycle that waits for a free place waits for the server: being busy is what tells.
        let busy = generator.threads.iter().filter(|thread| thread.busy > BUSY);
        return busy
            .map(|thread| format!("a thread was {:.0} % busy", 100.0 * thread.busy))
            .collect();
    }
    let mut limits = Vec::new();
    let sent: u64 = ways.iter().map(|way| way.sent).sum();
    let unsent = generator.unsent;
    if unsent as f64 > sent as f64 * UNSENT {
        limits.push(format!("{unsent} packets were due and never sent"));
    }
    if let Some(lag) = generator.lag.filter(|lag| lag.p50_us > LATE_US) {
        limits.push(format!("half of the bursts left more than {:.1} ms late", lag.p50_us / 1e3));
    }
    if generator.socket_drops > 0 {
        limits.push("its own receive buffers were full".to_owned());
    }
    limits
}

/// Everything that makes the numbers say less than they seem to.
pub(crate) fn warnings(
    spec: &Spec,
    ways: &[WayOutcome],
    generator: &GeneratorOutcome,
    limits: &[String],
    measured: &Measured,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let late = generator.lag.filter(|lag| lag.p99_us > LATE_US);
    let late = late.filter(|_| spec.shape.has_packets() && !spec.is_unpaced());
    if !limits.is_empty() {
        let help = "more --threads, cores of its own (--pin) or --trains offer more";
        warnings.push(format!("GENERATOR WAS THE LIMIT: {}; {help}", limits.join(", ")));
    } else if let Some(lag) = late {
        warnings.push(format!(
            "the generator was late now and then: 1 % of the bursts left more than {:.1} ms after \
             they were due; latencies contain that (a core of its own helps: --pin)",
            lag.p99_us / 1e3
        ));
    }
    let (took_s, planned_s) = (measured.measured_ns as f64 / 1e9, spec.duration_ns as f64 / 1e9);
    if measured.measured_ns < spec.duration_ns {
        warnings.push(format!("stopped after {took_s:.1} of {planned_s:.1} s"));
    }
    if let (false, unsent @ 1..) = (spec.shape.has_packets(), generator.unsent) {
        warnings.push(format!(
            "{unsent} were due and never begun: all places were taken, or the generator had no time \
             (more --window, more --threads)"
        ));
    }
    drop_warnings(spec, ways, generator, &mut warnings);
    warnings.extend(unanswered(spec.shape, ways).map(str::to_owned));
    if let (count @ 1.., Some(text)) = &measured.failures {
        warnings.push(format!("{count} requests failed while the load ran ({text})"));
    }
    warnings
}

/// What a server may do with Binding requests, which anybody can send with a forged source.
fn unanswered(shape: Shape, ways: &[WayOutcome]) -> Option<&'static str> {
    let is_lost = ways.iter().any(|way| way.loss_percent > KEPT_UP_PERCENT);
    (shape == Shape::Binding && is_lost).then_some(UNANSWERED)
}

/// Why nothing came through at all.
fn nothing_arrived(spec: &Spec) -> &'static str {
    match spec.shape.has_packets() && spec.route.has_peer() {
        true => {
            "NOTHING ARRIVED; is the server's way to the peer open, and the peer's address none of \
             the server's own relay ports?"
        }
        false => "NOTHING CAME BACK",
    }
}

/// What to say when neither the server nor the generator kept so many cores busy.
pub(crate) fn disturbed(others_cores: f64) -> Option<String> {
    (others_cores > OTHERS_CORES).then(|| {
        format!(
            "something else kept {others_cores:.1} cores of this machine busy, or its host kept \
             them from it: on a quiet machine the figures are others"
        )
    })
}

/// What to say of servers that were hardly busy, by name and cores.
pub(crate) fn idle<'a>(servers: impl Iterator<Item = (&'a str, f64)>) -> Option<String> {
    let idle = servers.filter(|(_, cores)| *cores < IDLE_CORES);
    let idle: Vec<String> = idle.map(|(name, cores)| format!("{name} {cores:.2}")).collect();
    (!idle.is_empty()).then(|| {
        format!(
            "hardly busy ({} of a core): what waking up costs is most of what is compared; a higher \
             --rate says what a packet costs",
            idle.join(", ")
        )
    })
}

/// What to say of latencies that the generator shows without any relay, or nearly.
pub(crate) fn near_floor(
    name: &str,
    seen_us: impl IntoIterator<Item = f64>,
    floor: &Latency,
) -> Option<String> {
    let figures = seen_us.into_iter().zip(floor.figures_us()).zip(FIGURES).take(FLOOR_FIGURES);
    let near = figures.filter(|((seen_us, floor_us), _)| *seen_us < NEAR_FLOOR * floor_us);
    let near: Vec<String> = near
        .map(|((seen_us, floor_us), figure)| format!("{figure} {seen_us:.0} of {floor_us:.0} µs"))
        .collect();
    (!near.is_empty()).then(|| {
        format!(
            "{name}: latency within {NEAR_FLOOR} times the generator's own floor ({}): it says as \
             much about the generator as about the server",
            near.join(", ")
        )
    })
}

fn drop_warnings(
    spec: &Spec,
    ways: &[WayOutcome],
    generator: &GeneratorOutcome,
    warnings: &mut Vec<String>,
) {
    if generator.socket_drops > 0 {
        warnings.push(format!(
            "SINK WAS THE LIMIT: {} datagrams arrived and found the generator's own receive \
             buffers full; they are counted as lost (raise net.core.rmem_max, or use more threads)",
            generator.socket_drops
        ));
    }
    for way in ways {
        let name = &way.direction;
        if way.relayed == 0 && way.sent > 0 {
            warnings.push(format!("{name}: {}", nothing_arrived(spec)));
        }
        if way.refused > 0 {
            let refused = way.refused;
            warnings.push(format!(
                "{name}: the generator's own kernel refused {refused} packets, or their connection \
                 had ended"
            ));
        }
        if way.corrupt + way.misrouted > 0 {
            warnings.push(format!(
                "{name}: {} CORRUPT and {} MISROUTED packets",
                way.corrupt, way.misrouted
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        offer::{options::parse, spec::Times},
        result::verdict::tests::way,
    };

    #[test]
    fn a_latency_near_the_floor_is_told_with_both_figures() {
        let seen = Latency { p50_us: 29.0, p90_us: 90.0, p99_us: 400.0, ..Latency::default() };
        let floor = Latency { p50_us: 10.0, p90_us: 30.0, p99_us: 100.0, ..Latency::default() };
        let line = near_floor("up", seen.figures_us(), &floor).unwrap();
        assert!(line.contains("floor (p50 29 of 10 µs)"), "{line}");
        assert_eq!(near_floor("up", floor.figures_us().map(|us| 3.0 * us), &floor), None);
    }

    #[test]
    fn a_busy_machine_is_told_of_and_a_quiet_one_is_not() {
        assert_eq!(disturbed(0.1), None);
        assert!(disturbed(1.25).unwrap().contains("1.2 cores"));
    }

    #[test]
    fn servers_that_are_hardly_busy_are_told_of() {
        let line = idle([("a", 0.02), ("b", 0.7)].into_iter()).unwrap();
        assert!(line.contains("(a 0.02 of a core)"), "{line}");
        assert_eq!(idle([("a", 0.1), ("b", 0.7)].into_iter()), None);
    }

    #[test]
    fn binding_requests_that_are_lost_may_have_met_a_limit() {
        let lost = [way(30.0, 0.0, 70)];
        assert!(unanswered(Shape::Binding, &lost).unwrap().contains("--stranger-reply-bytes 0"));
        assert_eq!(unanswered(Shape::Binding, &[way(0.0, 0.0, 100)]), None);
        assert_eq!(unanswered(Shape::Voice, &lost), None);
    }

    #[test]
    fn a_peer_is_blamed_only_where_there_is_one() {
        for (line, expected) in
            [("voice", "the peer"), ("binding", "CAME BACK"), ("churn", "CAME BACK")]
        {
            let args = parse(line).unwrap();
            let spec = Spec::settle(&args, Times { duration_s: 1.0, warmup_s: 0.0 }).unwrap();
            assert!(nothing_arrived(&spec).contains(expected), "{line}");
        }
    }
}
