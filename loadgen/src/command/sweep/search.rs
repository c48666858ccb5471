//! Which rate to try next: up by a factor until one fails, then narrower between the highest that
//! held and the lowest that failed.

/// The bounds of a search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Search {
    pub(crate) from: f64,
    pub(crate) to: f64,
    pub(crate) factor: f64,
    /// Steps after the first that failed.
    pub(crate) narrow: u32,
}

/// What became of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Held,
    /// The server lost too much, or took too long.
    Failed,
    /// The generator did not get it sent, or what came back received.
    GeneratorsFault,
}

/// A rate is tried until it holds, or until so many tries have failed in the same way: a stall of
/// the machine is no limit of the server, and what the generator could not offer says nothing of
/// it.
const TRIES: usize = 3;

/// What becomes of a rate after some tries, in their order; `None` when it is to be tried again.
pub(crate) fn believed(tries: &[Fate]) -> Option<Fate> {
    let count = |fate| tries.iter().filter(|other| **other == fate).count();
    match () {
        () if count(Fate::Held) > 0 => Some(Fate::Held),
        () if count(Fate::Failed) >= TRIES => Some(Fate::Failed),
        () if count(Fate::GeneratorsFault) >= TRIES => Some(Fate::GeneratorsFault),
        () => None,
    }
}

/// A rate that was tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tried {
    pub(crate) rate: f64,
    pub(crate) fate: Fate,
}

impl Search {
    /// The next rate, or `None` when the search is over.
    pub(crate) fn next(&self, tried: &[Tried]) -> Option<f64> {
        let Some(last) = tried.last() else { return Some(self.from) };
        let (held, lowest) = (highest_held(tried), lowest_failed(tried));
        let Some(lowest) = lowest.map(|step| step.rate) else {
            let next = (last.rate * self.factor).min(self.to);
            return (next > last.rate).then_some(next);
        };
        let first_failure = tried.iter().position(|step| step.fate != Fate::Held);
        let narrowed = tried.len() - first_failure.unwrap_or_default() - 1;
        let next = if held > 0.0 { (held * lowest).sqrt() } else { lowest / self.factor };
        (narrowed < self.narrow as usize && next >= 1.0).then_some(next)
    }
}

/// The highest rate that held; 0 when none did.
pub(crate) fn highest_held(tried: &[Tried]) -> f64 {
    let held = tried.iter().filter(|step| step.fate == Fate::Held);
    held.map(|step| step.rate).fold(0.0, f64::max)
}

/// What the search ended at, if it failed anywhere.
pub(crate) fn lowest_failed(tried: &[Tried]) -> Option<Tried> {
    let failed = tried.iter().filter(|step| step.fate != Fate::Held);
    failed.min_by(|a, b| a.rate.total_cmp(&b.rate)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEARCH: Search = Search { from: 100.0, to: 10_000.0, factor: 2.0, narrow: 5 };

    fn rates(limit: f64) -> Vec<f64> {
        let mut tried = Vec::new();
        while let Some(rate) = SEARCH.next(&tried) {
            tried.push(Tried { rate, fate: if rate <= limit { Fate::Held } else { Fate::Failed } });
            assert!(tried.len() < 50);
        }
        tried.iter().map(|step| step.rate.round()).collect()
    }

    #[test]
    fn climbs_and_then_closes_in() {
        let rates = rates(1_000.0);
        assert_eq!(rates[..5], [100.0, 200.0, 400.0, 800.0, 1_600.0]);
        assert_eq!(rates.len(), 5 + 5);
        let best = rates.iter().filter(|rate| **rate <= 1_000.0).fold(0.0, |a, b| f64::max(a, *b));
        assert!((950.0..=1_000.0).contains(&best), "{rates:?}");
    }

    #[test]
    fn stops_at_the_highest_rate_allowed() {
        assert_eq!(rates(1e9).last(), Some(&10_000.0));
    }

    #[test]
    fn goes_down_when_the_first_fails() {
        assert_eq!(rates(30.0)[..4], [100.0, 50.0, 25.0, 35.0]);
    }

    #[test]
    fn a_rate_is_believed_to_fail_when_it_fails_three_times_in_the_same_way() {
        use Fate::{Failed, GeneratorsFault as Fault, Held};
        assert_eq!(believed(&[Failed, Failed]), None);
        assert_eq!(believed(&[Failed, Fault, Failed]), None, "one of them says nothing");
        assert_eq!(believed(&[Failed, Fault, Failed, Failed]), Some(Failed));
        assert_eq!(believed(&[Fault, Failed, Fault, Failed, Fault]), Some(Fault));
        assert_eq!(believed(&[Failed, Fault, Failed, Fault, Held]), Some(Held));
    }

    #[test]
    fn the_end_of_a_search_is_its_lowest_failure() {
        let tried = |rate, fate| Tried { rate, fate };
        let all = [
            tried(10.0, Fate::Held),
            tried(40.0, Fate::Failed),
            tried(30.0, Fate::GeneratorsFault),
            tried(20.0, Fate::Held),
        ];
        assert_eq!(highest_held(&all), 20.0);
        assert_eq!(lowest_failed(&all).unwrap().fate, Fate::GeneratorsFault);
        assert_eq!((highest_held(&[]), lowest_failed(&all[..1]).is_none()), (0.0, true));
    }
}
