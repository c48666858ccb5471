//! Whether the limits held, and whether the numbers can be trusted at all.

use serde::{Deserialize, Serialize};

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

/// Loss in percent below which a server is taken to have kept up.
const KEPT_UP_PERCENT: f64 = 0.1;

/// Why Binding requests are lost that no buffer was too small for.
const UNANSWERED: &str = "requests were not answered: a server may bound what it answers to one \
                          network that has proved nothing (uturn does, and counts them in \
                          uturn_stranger_replies_refused_total; for a benchmark start it with \
                          --stranger-reply-bytes 0)";

/// What must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) loss_percent: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// What ended meanwhile and should not have.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ended {
    pub(crate) server: bool,
    /// How many, and why the last did.
    pub(crate) connections: (u64, Option<String>),
}

impl Ended {
    /// What is wrong with that, in a line each.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        let server = self.server.then(|| "the server's process ended meanwhile".to_owned());
        let connections = match &self.connections {
            (0, _) => None,
            (count, why) => Some(format!(
                "{count} connections ended meanwhile ({})",
                why.as_deref().unwrap_or("for no known reason")
            )),
        };
        server.into_iter().chain(connections)
    }
}

/// What of it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) limits: Limits,
    pub(crate) broken: Vec<String>,
}

impl Verdict {
    pub(crate) fn of(limits: &Limits, ways: &[WayOutcome], ended: &Ended) -> Verdict {
        let broken = ways.iter().flat_map(|way| broken(limits, way)).chain(ended.lines());
        Verdict { limits: *limits, broken: broken.collect() }
    }

    pub(crate) fn held(&self) -> bool {
        self.broken.is_empty()
    }
}

fn broken(limits: &Limits, way: &WayOutcome) -> impl Iterator<Item = String> {
    let name = &way.direction;
    let loss = limits.loss_percent.filter(|limit| way.loss_percent > *limit);
    let loss =
        loss.map(|limit| format!("{name}: loss {:.3} % is above {limit} %", way.loss_percent));
    let p99 = limits.p99_ms.zip(way.latency.map(|latency| latency.p99_us / 1e3));
    let p99 = p99.filter(|(limit, p99_ms)| p99_ms > limit);
    let p99 =
        p99.map(|(limit, p99_ms)| format!("{name}: p99 of {p99_ms:.3} ms is above {limit} ms"));
    let silence = limits.loss_percent.or(limits.p99_ms).filter(|_| way.relayed == 0);
    let what = if way.sent == 0 { "nothing was sent" } else { "nothing arrived" };
    let silence = silence.map(|_| format!("{name}: {what}"));
    loss.into_iter().chain(p99).chain(silence)
}

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
    drop_warnings(ways, generator, &mut warnings);
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

/// What to say when neither the server nor the generator kept so many cores busy.
pub(crate) fn disturbed(others_cores: f64) -> Option<String> {
    (others_cores > OTHERS_CORES).then(|| {
        format!(
            "something else kept {others_cores:.1} cores of this machine busy, or its host kept \
             them from it: on a quiet machine the figures are others"
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

fn drop_warnings(ways: &[WayOutcome], generator: &GeneratorOutcome, warnings: &mut Vec<String>) {
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
            warnings.push(format!(
                "{name}: NOTHING ARRIVED; is the server's way to the peer open, and the peer's \
                 address none of the server's own relay ports?"
            ));
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

    fn way(loss_percent: f64, p99_us: f64, relayed: u64) -> WayOutcome {
        WayOutcome {
            direction: "up".to_owned(),
            sent: 100,
            relayed,
            lost: 0,
            loss_percent,
            reordered: 0,
            duplicates: 0,
            corrupt: 0,
            misrouted: 0,
            ancient: 0,
            refused: 0,
            blocked: 0,
            pps: 1.0,
            gbps: 1.0,
            latency: (relayed > 0).then(|| Latency { p99_us, ..Latency::default() }),
            curve: Vec::new(),
        }
    }

    #[test]
    fn limits_hold_up_to_their_value() {
        let limits = Limits { loss_percent: Some(1.0), p99_ms: Some(5.0) };
        let none = Ended::default();
        let broken = |ways: &[WayOutcome]| Verdict::of(&limits, ways, &none).broken.len();
        assert_eq!(broken(&[way(1.0, 5_000.0, 99)]), 0);
        assert_eq!(broken(&[way(1.1, 5_001.0, 99)]), 2);
        assert_eq!(broken(&[way(0.0, 0.0, 99), way(1.1, 0.0, 99)]), 1);
        assert!(Verdict::of(&Limits::default(), &[way(100.0, 0.0, 0)], &none).held());
        for ended in [
            Ended { server: true, ..Ended::default() },
            Ended { connections: (2, Some("reset".to_owned())), ..Ended::default() },
        ] {
            assert!(!Verdict::of(&limits, &[way(0.0, 0.0, 99)], &ended).held());
        }
    }

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
    fn binding_requests_that_are_lost_may_have_met_a_limit() {
        let lost = [way(30.0, 0.0, 70)];
        assert!(unanswered(Shape::Binding, &lost).unwrap().contains("--stranger-reply-bytes 0"));
        assert_eq!(unanswered(Shape::Binding, &[way(0.0, 0.0, 100)]), None);
        assert_eq!(unanswered(Shape::Voice, &lost), None);
    }

    #[test]
    fn a_limit_on_nothing_is_not_held() {
        let limits = Limits { loss_percent: None, p99_ms: Some(5.0) };
        assert!(!Verdict::of(&limits, &[way(100.0, 0.0, 0)], &Ended::default()).held());
    }
}
