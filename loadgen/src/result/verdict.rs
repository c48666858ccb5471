//! Whether the limits held, and whether the numbers can be trusted at all.

use serde::{Deserialize, Serialize};

use crate::{
    count::latency::{FIGURES, Latency},
    measure::Measured,
    offer::{shape::Shape, spec::Spec},
    result::{generator::GeneratorOutcome, way::WayOutcome},
};

/// A thread above this share of its time is a limit itself.
const BUSY: f64 = 0.9;

/// A schedule later than this, at the 99th percentile, is not kept.
const LATE_US: f64 = 1_000.0;

/// A share of packets never sent above this is more than an accident.
const UNSENT: f64 = 0.001;

/// A latency below so many times what the generator shows without a relay is not the server's alone.
const NEAR_FLOOR: f64 = 3.0;

/// Figures that are compared with the floor: p50, p90 and p99. What lies beyond is single packets.
const FLOOR_FIGURES: usize = 3;

/// Loss in percent below which a server is taken to have kept up.
const KEPT_UP_PERCENT: f64 = 0.1;

/// What must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) loss_percent: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

/// What of it did not.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Verdict {
    pub(crate) limits: Limits,
    pub(crate) broken: Vec<String>,
}

impl Verdict {
    pub(crate) fn of(limits: &Limits, ways: &[WayOutcome]) -> Verdict {
        let broken = ways.iter().flat_map(|way| broken(limits, way)).collect();
        Verdict { limits: *limits, broken }
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
    let silence = silence.map(|_| format!("{name}: nothing arrived"));
    loss.into_iter().chain(p99).chain(silence)
}

/// True when the generator, not the server, was what could do no more.
pub(crate) fn generator_limited(
    spec: &Spec,
    ways: &[WayOutcome],
    generator: &GeneratorOutcome,
) -> bool {
    if spec.is_unpaced() {
        return ways.iter().all(|way| way.loss_percent < KEPT_UP_PERCENT);
    }
    let busy = generator.threads.iter().any(|thread| thread.busy > BUSY);
    if spec.shape == Shape::Churn {
        // A cycle that waits for a free place waits for the server.
        return busy;
    }
    let sent: u64 = ways.iter().map(|way| way.sent).sum();
    let late = generator.lag.is_some_and(|lag| lag.p50_us > LATE_US);
    let behind = generator.unsent as f64 > sent as f64 * UNSENT || late;
    behind || busy || generator.socket_drops > 0
}

/// Everything that makes the numbers say less than they seem to.
pub(crate) fn warnings(
    spec: &Spec,
    ways: &[WayOutcome],
    generator: &GeneratorOutcome,
    measured: &Measured,
) -> Vec<String> {
    let mut warnings = Vec::new();
    let late = generator.lag.filter(|lag| lag.p99_us > LATE_US);
    let late = late.filter(|_| spec.shape != Shape::Churn && !spec.is_unpaced());
    if generator_limited(spec, ways, generator) {
        warnings.push(limit_warning(spec, generator));
    } else if let Some(lag) = late {
        warnings.push(format!(
            "the generator was late now and then: 1 % of the bursts left more than {:.1} ms after \
             they were due; latencies contain that (a core of its own helps: --pin)",
            lag.p99_us / 1e3
        ));
    }
    drop_warnings(ways, generator, &mut warnings);
    if let (count @ 1.., Some(text)) = &measured.failures {
        warnings.push(format!("{count} requests failed while the load ran ({text})"));
    }
    warnings
}

fn limit_warning(spec: &Spec, generator: &GeneratorOutcome) -> String {
    if spec.is_unpaced() {
        return "GENERATOR WAS THE LIMIT: it sent as fast as it could and (nearly) all arrived; more \
                --threads, or --trains, offer more"
            .to_owned();
    }
    let busiest = generator.threads.iter().map(|thread| thread.busy).fold(0.0, f64::max);
    format!(
        "GENERATOR WAS THE LIMIT: busiest thread {:.0} %, {} packets never sent, half of the bursts \
         more than {:.1} ms late; give it more --threads, or cores of its own (--pin)",
        100.0 * busiest,
        generator.unsent,
        generator.lag.map_or(0.0, |lag| lag.p50_us / 1e3)
    )
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
                "{name}: NOTHING ARRIVED; is the server's way to the peer open, and the peer's address \
                 none of the server's own relay ports?"
            ));
        }
        if way.refused > 0 {
            let refused = way.refused;
            warnings.push(format!("{name}: the generator's own kernel refused {refused} packets"));
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
            pps: 1.0,
            gbps: 1.0,
            latency: (relayed > 0).then(|| Latency { p99_us, ..Latency::default() }),
            curve: Vec::new(),
        }
    }

    #[test]
    fn limits_hold_up_to_their_value() {
        let limits = Limits { loss_percent: Some(1.0), p99_ms: Some(5.0) };
        assert!(Verdict::of(&limits, &[way(1.0, 5_000.0, 99)]).held());
        assert_eq!(Verdict::of(&limits, &[way(1.1, 5_001.0, 99)]).broken.len(), 2);
        assert_eq!(Verdict::of(&limits, &[way(0.0, 0.0, 99), way(1.1, 0.0, 99)]).broken.len(), 1);
        assert!(Verdict::of(&Limits::default(), &[way(100.0, 0.0, 0)]).held());
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
    fn a_limit_on_nothing_is_not_held() {
        let limits = Limits { loss_percent: None, p99_ms: Some(5.0) };
        assert!(!Verdict::of(&limits, &[way(100.0, 0.0, 0)]).held());
    }
}
