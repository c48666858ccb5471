//! What a comparison came to: each server's rounds, and the ratios to the first server inside each.

use serde::{Deserialize, Serialize};

use super::{about::About, outcome::Outcome, way::WayOutcome};
use crate::{
    count::{
        latency::{FIGURES, Latency},
        stats::{self, Quartiles},
    },
    stream::Transport,
};

/// A comparison as it is reported.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Comparison {
    pub(crate) about: About,
    pub(crate) title: String,
    /// Between clients and servers.
    #[serde(default)]
    pub(crate) transport: Transport,
    /// What CPU time is counted for.
    pub(crate) unit: String,
    pub(crate) rounds: usize,
    /// Latency of the same shape without a relay, measured before the first round; `None` for what
    /// has no schedule.
    pub(crate) floor: Option<Latency>,
    pub(crate) spins: bool,
    pub(crate) servers: Vec<Contender>,
    /// Servers that ended meanwhile.
    pub(crate) broken: Vec<String>,
    pub(crate) warnings: Vec<String>,
}

/// One server's part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Contender {
    pub(crate) name: String,
    /// CPU time per packet (churn: per cycle), ns; `None` when nothing was delivered, here and
    /// below.
    pub(crate) cpu_ns: Option<Quartiles>,
    /// CPU time per packet, as multiple of the first server's in the same round.
    pub(crate) cpu: Option<Ratio>,
    /// Packets per CPU second, likewise.
    pub(crate) packets: Option<Ratio>,
    pub(crate) relayed_pps: Option<Quartiles>,
    /// Cores the server kept busy.
    pub(crate) cores_busy: Option<Quartiles>,
    pub(crate) loss_percent: Option<Quartiles>,
    /// p50, p90, p99, p99.9, max.
    pub(crate) latency: Vec<LatencyFigure>,
    pub(crate) runs: Vec<Run>,
}

/// How many times the first server's, taken in each round.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Ratio {
    pub(crate) quartiles: Quartiles,
    /// More rounds lie on one side of 1 than chance would put there.
    pub(crate) differs: bool,
}

/// One figure of the latency, of the worse direction.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct LatencyFigure {
    pub(crate) name: String,
    pub(crate) us: Quartiles,
    /// `None` when the first server delivered nothing.
    pub(crate) ratio: Option<Ratio>,
}

/// One server in one round.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Run {
    /// `None` when nothing was delivered, and of the latency too.
    pub(crate) cpu_ns: Option<f64>,
    pub(crate) relayed_pps: f64,
    pub(crate) cores_busy: Option<f64>,
    /// Of the worse direction, here and below.
    pub(crate) loss_percent: f64,
    pub(crate) latency: Option<Latency>,
}

impl Run {
    pub(crate) fn of(outcome: &Outcome) -> Run {
        let worst =
            |value: fn(&WayOutcome) -> f64| outcome.ways.iter().map(value).fold(0.0, f64::max);
        Run {
            cpu_ns: outcome.server.as_ref().and_then(|server| server.cpu_ns_per_packet),
            relayed_pps: outcome.ways.iter().map(|way| way.pps).sum(),
            cores_busy: outcome.server.as_ref().map(|server| server.cores_busy),
            loss_percent: worst(|way| way.loss_percent),
            latency: outcome.worst_latency(),
        }
    }
}

impl Contender {
    /// Its name, and the cores it kept busy.
    pub(crate) fn busy(&self) -> Option<(&str, f64)> {
        Some((&self.name, self.cores_busy?.median))
    }

    /// Of each figure of the latency, µs.
    pub(crate) fn medians_us(&self) -> impl Iterator<Item = f64> {
        self.latency.iter().map(|figure| figure.us.median)
    }

    /// True when it ran, and nothing came through.
    pub(crate) fn is_silent(&self) -> bool {
        !self.runs.is_empty() && self.runs.iter().all(|run| run.relayed_pps == 0.0)
    }
}

impl Ratio {
    /// Of pairs of one round each; one that lacks a figure, or has none to divide by, is left out.
    fn of(pairs: impl Iterator<Item = (Option<f64>, Option<f64>)>) -> Option<Ratio> {
        let both = pairs.filter_map(|(own, first)| own.zip(first.filter(|first| *first > 0.0)));
        let ratios: Vec<f64> = both.map(|(own, first)| own / first).collect();
        let quartiles = Quartiles::of(ratios.iter().copied())?;
        Some(Ratio { quartiles, differs: stats::is_off(&ratios, 1.0) })
    }
}

/// A server's part, beside that of the first.
pub(crate) fn contender(name: &str, runs: &[Run], reference: &[Run]) -> Contender {
    let of = |value: fn(&Run) -> Option<f64>| Quartiles::of(runs.iter().filter_map(value));
    let pairs = || runs.iter().zip(reference);
    Contender {
        name: name.to_owned(),
        cpu_ns: of(|run| run.cpu_ns),
        cpu: Ratio::of(pairs().map(|(own, first)| (own.cpu_ns, first.cpu_ns))),
        packets: Ratio::of(pairs().map(|(own, first)| (first.cpu_ns, own.cpu_ns))),
        relayed_pps: of(|run| Some(run.relayed_pps)),
        cores_busy: of(|run| run.cores_busy),
        loss_percent: of(|run| Some(run.loss_percent)),
        latency: latency_figures(runs, reference),
        runs: runs.to_vec(),
    }
}

fn latency_figures(runs: &[Run], reference: &[Run]) -> Vec<LatencyFigure> {
    let figure = |(at, name): (usize, &str)| {
        let us = |run: &Run| run.latency.map(|latency| latency.figures_us()[at]);
        let pairs = runs.iter().zip(reference).map(|(own, first)| (us(own), us(first)));
        let quartiles = Quartiles::of(runs.iter().filter_map(us))?;
        Some(LatencyFigure { name: name.to_owned(), us: quartiles, ratio: Ratio::of(pairs) })
    };
    FIGURES.into_iter().enumerate().filter_map(figure).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu_ns: f64, p50_us: f64) -> Run {
        let latency = Latency { p50_us, p99_us: 2.0 * p50_us, ..Latency::default() };
        Run { cpu_ns: Some(cpu_ns), latency: Some(latency), ..Run::default() }
    }

    #[test]
    fn ratios_are_taken_inside_each_round() {
        // The machine is three times as slow in the second round; the ratio does not see it.
        let first = [run(1_000.0, 20.0), run(3_000.0, 60.0), run(1_000.0, 20.0)];
        let other = [run(500.0, 30.0), run(1_500.0, 90.0), run(500.0, 30.0)];
        let contender = contender("b", &other, &first);
        let half = Quartiles { q1: 0.5, median: 0.5, q3: 0.5 };
        assert_eq!(contender.cpu, Some(Ratio { quartiles: half, differs: false }));
        assert_eq!(contender.packets.unwrap().quartiles.median, 2.0);
        let names: Vec<_> = contender.latency.iter().map(|figure| &figure.name[..]).collect();
        assert_eq!(names, FIGURES);
        assert_eq!(contender.latency[0].ratio.unwrap().quartiles.median, 1.5);
        assert_eq!(contender.latency[2].us.median, 60.0);
    }

    #[test]
    fn nothing_delivered_has_no_figures() {
        let first = [run(1_000.0, 20.0); 5];
        let silent = contender("silent", &[Run::default(); 5], &first);
        assert_eq!((silent.cpu_ns, silent.cpu, silent.packets), (None, None, None));
        assert!(silent.latency.is_empty() && silent.is_silent());
        assert!(!contender("none", &[], &first).is_silent(), "it never ran");
        let beside = contender("b", &first, &[Run::default(); 5]);
        assert_eq!((beside.cpu, beside.latency[0].ratio), (None, None));
    }

    #[test]
    fn five_rounds_that_agree_show_a_difference() {
        let [first, faster] = [[run(1_000.0, 20.0); 5], [run(900.0, 20.0); 5]];
        let contender = contender("b", &faster, &first);
        assert!(contender.packets.unwrap().differs);
        assert!(!contender.latency[0].ratio.unwrap().differs);
    }
}
