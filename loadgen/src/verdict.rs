//! Whether the limits held, and whether the numbers can be trusted at all.

use serde::{Deserialize, Serialize};

use crate::{
    args::LimitArgs,
    measure::Measured,
    outcome::{GeneratorOutcome, WayOutcome},
    shape::Shape,
    spec::Spec,
};

/// A thread above this share of its time is a limit itself.
const BUSY: f64 = 0.9;

/// A schedule later than this, at the 99th percentile, is not kept.
const LATE_US: f64 = 1_000.0;

/// A share of packets never sent above this is more than an accident.
const UNSENT: f64 = 0.001;

/// Loss in percent below which a server is taken to have kept up.
const KEPT_UP_PERCENT: f64 = 0.1;

/// What must hold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limits {
    pub(crate) loss_percent: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
}

impl From<&LimitArgs> for Limits {
    fn from(args: &LimitArgs) -> Limits {
        Limits { loss_percent: args.max_loss, p99_ms: args.max_p99 }
    }
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
    let p99_ms = way.latency.p99_us / 1e3;
    let p99 = limits.p99_ms.filter(|limit| p99_ms > *limit);
    let p99 = p99.map(|limit| format!("{name}: p99 of {p99_ms:.3} ms is above {limit} ms"));
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
    let behind = generator.unsent as f64 > sent as f64 * UNSENT || generator.lag.p50_us > LATE_US;
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
    if generator_limited(spec, ways, generator) {
        warnings.push(limit_warning(spec, generator));
    } else if spec.shape != Shape::Churn && generator.lag.p99_us > LATE_US && !spec.is_unpaced() {
        warnings.push(format!(
            "the generator was late now and then: 1 % of the bursts left more than {:.1} ms after \
             they were due; latencies contain that (--spin, or a core of its own, help)",
            generator.lag.p99_us / 1e3
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
        generator.lag.p50_us / 1e3
    )
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
    use crate::latency::Latency;

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
            latency: Latency { p99_us, ..Latency::default() },
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
    fn a_limit_on_nothing_is_not_held() {
        let limits = Limits { loss_percent: None, p99_ms: Some(5.0) };
        assert!(!Verdict::of(&limits, &[way(100.0, 0.0, 0)]).held());
    }
}
