//! What a sweep came to: for each server a step for each load, and the highest load that held.

use serde::{Deserialize, Serialize};

use super::{
    about::About, offered::Offered, outcome::Outcome, trust::disturbed, verdict::Limits,
    way::WayOutcome,
};
use crate::{
    count::{latency::Latency, stats::Quartiles},
    fault::Fault,
};

/// Runs of a search whose answers lie further apart, as a part of their median, have no answer.
const AGREE: f64 = 0.1;

/// A sweep as it is reported, and what a plan is made from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Sweep {
    pub(crate) about: About,
    pub(crate) title: String,
    pub(crate) offered: Offered,
    pub(crate) limits: Limits,
    pub(crate) servers: Vec<Swept>,
    pub(crate) warnings: Vec<String>,
}

/// One server's part of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Swept {
    pub(crate) name: String,
    /// In ascending order of load.
    pub(crate) steps: Vec<Step>,
    /// What each run of the search came to.
    pub(crate) runs: Vec<Limit>,
    pub(crate) answer: Answer,
    /// The highest step that held and does not lie above the answer.
    pub(crate) best: Option<Step>,
    /// Memory the server took for each allocation; `None` when it had it already.
    pub(crate) bytes_per_allocation: Option<f64>,
    /// Memory the server had before the first.
    pub(crate) base_bytes: Option<u64>,
    /// Its process ended meanwhile.
    pub(crate) died: bool,
    pub(crate) warnings: Vec<String>,
}

/// One offered load.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Step {
    /// Packets/s, all directions together, here and below.
    pub(crate) offered_pps: f64,
    pub(crate) relayed_pps: f64,
    /// Payload.
    pub(crate) gbps: f64,
    /// Of the worse direction, here and below.
    pub(crate) loss_percent: f64,
    pub(crate) latency: Option<Latency>,
    /// Of the generator alone at this load.
    pub(crate) floor: Option<Latency>,
    pub(crate) cpu_ns_per_packet: Option<f64>,
    pub(crate) cores_busy: Option<f64>,
    /// What else kept this machine busy, cores.
    #[serde(default)]
    pub(crate) others_busy: Option<f64>,
    /// The generator did not keep to the schedule: the step says nothing about the server.
    pub(crate) generator_limited: bool,
    pub(crate) held: bool,
    /// How often it was tried; the figures are those of the last time that came to the same.
    pub(crate) tries: u32,
}

/// What one run of a search came to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// The highest load that held, packets/s; 0 when none did.
    pub(crate) pps: f64,
    /// What ended the search was the generator, or that it was to go no further.
    pub(crate) is_at_least: bool,
}

/// The highest load that held.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub(crate) enum Answer {
    /// The runs agree, and the server ended most of them: their median.
    Found { pps: f64 },
    /// Nobody offered more than the server carries: it may carry any amount beyond.
    AtLeast { pps: f64 },
    /// The runs do not agree.
    Unsteady { least_pps: f64, most_pps: f64 },
    /// No step held.
    Nothing,
}

impl Answer {
    pub(crate) fn of(runs: &[Limit]) -> Answer {
        let all = || runs.iter().map(|run| run.pps);
        let (least_pps, most_pps) = (all().fold(f64::MAX, f64::min), all().fold(0.0, f64::max));
        if let Some(pps) = agreed(runs, most_pps) {
            return Answer::Found { pps };
        }
        match Quartiles::of(all()).map(|runs| runs.median) {
            None => Answer::Nothing,
            Some(_) if most_pps == 0.0 => Answer::Nothing,
            // Most runs found nothing that holds: what one of them found is no bound of anything.
            Some(0.0) => Answer::Unsteady { least_pps, most_pps },
            Some(pps) if runs.iter().any(|run| run.is_at_least) => Answer::AtLeast { pps },
            Some(_) => Answer::Unsteady { least_pps, most_pps },
        }
    }

    /// The load it names.
    pub(crate) fn pps(self) -> Option<f64> {
        match self {
            Answer::Found { pps } | Answer::AtLeast { pps } => Some(pps),
            Answer::Unsteady { .. } | Answer::Nothing => None,
        }
    }
}

/// The median of the runs that the server ended, if they are most of them and agree, and no other
/// run found more.
fn agreed(runs: &[Limit], most_pps: f64) -> Option<f64> {
    let ended = || runs.iter().filter(|run| !run.is_at_least).map(|run| run.pps);
    let median = Quartiles::of(ended())?.median;
    let least = ended().fold(f64::MAX, f64::min);
    let are_most = ended().count() * 2 > runs.len();
    (median > 0.0 && are_most && most_pps - least <= AGREE * median).then_some(median)
}

impl Sweep {
    /// Reads a sweep's JSON.
    pub(crate) fn read(path: &str) -> Result<Sweep, Fault> {
        let text = std::fs::read_to_string(path).map_err(|error| Fault::file(path, error))?;
        serde_json::from_str(&text)
            .map_err(|error| Fault::file(path, format!("not a sweep's JSON: {error}")))
    }
}

impl Step {
    /// What a run of one offered load says, the last of some tries.
    pub(crate) fn of(outcome: &Outcome, tries: u32) -> Step {
        let worst =
            |value: fn(&WayOutcome) -> f64| outcome.ways.iter().map(value).fold(0.0, f64::max);
        let server = outcome.server.as_ref();
        let generator_limited = outcome.generator_limited;
        Step {
            offered_pps: outcome.offered.pps.unwrap_or_default() * outcome.ways.len() as f64,
            relayed_pps: outcome.ways.iter().map(|way| way.pps).sum(),
            gbps: outcome.ways.iter().map(|way| way.gbps).sum(),
            loss_percent: worst(|way| way.loss_percent),
            latency: outcome.worst_latency(),
            floor: outcome.floor,
            cpu_ns_per_packet: server.and_then(|server| server.cpu_ns_per_packet),
            cores_busy: server.map(|server| server.cores_busy),
            others_busy: server.map(|server| server.others_busy),
            generator_limited,
            held: outcome.verdict.held() && !generator_limited,
            tries,
        }
    }
}

impl Swept {
    /// True when there is a load to plan with, and the server lived to carry it.
    pub(crate) fn has_answer(&self) -> bool {
        self.answer.pps().is_some() && !self.died
    }

    /// One server's part, from its steps in any order.
    pub(crate) fn new(name: &str, mut steps: Vec<Step>, runs: Vec<Limit>) -> Swept {
        steps.sort_by(|a, b| a.offered_pps.total_cmp(&b.offered_pps));
        let answer = Answer::of(&runs);
        let most_pps = answer.pps().unwrap_or(f64::MAX) * 1.000_1;
        let best = steps.iter().rfind(|step| step.held && step.offered_pps <= most_pps);
        let others = steps.iter().filter_map(|step| step.others_busy).fold(0.0, f64::max);
        Swept {
            name: name.to_owned(),
            best: best.cloned(),
            steps,
            runs,
            answer,
            bytes_per_allocation: None,
            base_bytes: None,
            died: false,
            warnings: disturbed(others).into_iter().collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn runs(pps: &[f64]) -> Vec<Limit> {
        pps.iter().map(|pps| Limit { pps: *pps, is_at_least: false }).collect()
    }

    #[test]
    fn runs_that_agree_have_an_answer() {
        assert_eq!(Answer::of(&runs(&[100.0, 109.0, 104.0])), Answer::Found { pps: 104.0 });
        assert_eq!(Answer::of(&runs(&[100.0])), Answer::Found { pps: 100.0 });
        let apart = Answer::of(&runs(&[100.0, 120.0, 104.0]));
        assert_eq!(apart, Answer::Unsteady { least_pps: 100.0, most_pps: 120.0 });
        assert_eq!(Answer::of(&runs(&[0.0, 0.0])), Answer::Nothing);
        assert_eq!(Answer::of(&[]), Answer::Nothing);
        assert_eq!(apart.pps(), None);
    }

    #[test]
    fn one_run_that_the_generator_ended_takes_no_answer_from_those_that_agree_with_it() {
        let mut runs = runs(&[100.0, 102.0, 98.0]);
        runs[2].is_at_least = true;
        assert_eq!(Answer::of(&runs), Answer::Found { pps: 101.0 });
        runs[2].pps = 30.0;
        assert_eq!(
            Answer::of(&runs),
            Answer::Found { pps: 101.0 },
            "30 or more is no contradiction"
        );
        runs[2].pps = 130.0;
        assert_eq!(Answer::of(&runs), Answer::AtLeast { pps: 102.0 }, "130 or more is one");
        runs[2].pps = 98.0;
        runs[0].is_at_least = true;
        assert_eq!(Answer::of(&runs), Answer::AtLeast { pps: 100.0 }, "one of three is not enough");
    }

    #[test]
    fn what_the_generator_ended_is_a_lower_bound() {
        let mut runs = runs(&[100.0, 150.0, 104.0]);
        runs[1].is_at_least = true;
        assert_eq!(Answer::of(&runs), Answer::AtLeast { pps: 104.0 });
        (runs[0].pps, runs[2].pps) = (0.0, 0.0);
        let nearly_nothing = Answer::Unsteady { least_pps: 0.0, most_pps: 150.0 };
        assert_eq!(Answer::of(&runs), nearly_nothing, "two runs of three found nothing");
    }
}
