//! Whether the limits held.

use serde::{Deserialize, Serialize};

use crate::result::way::WayOutcome;

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

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::count::latency::Latency;

    pub(in crate::result) fn way(loss_percent: f64, p99_us: f64, relayed: u64) -> WayOutcome {
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
    fn a_limit_on_nothing_is_not_held() {
        let limits = Limits { loss_percent: None, p99_ms: Some(5.0) };
        assert!(!Verdict::of(&limits, &[way(100.0, 0.0, 0)], &Ended::default()).held());
    }
}
