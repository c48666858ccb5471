//! Latency histograms: nanoseconds, three digits, up to a minute.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::clock::SECOND_NS;

/// A histogram every part of the program agrees on, so that they can be added.
pub(crate) fn empty() -> Histogram<u64> {
    Histogram::new_with_max(60 * SECOND_NS, 3).expect("three digits up to a minute are in bounds")
}

/// Adds the samples of another histogram made by [`empty`].
pub(crate) fn add(sum: &mut Histogram<u64>, other: &Histogram<u64>) {
    sum.add(other).expect("both were made with the same bounds");
}

/// The names of what is reported.
pub(crate) const FIGURES: [&str; 5] = ["p50", "p90", "p99", "p99.9", "max"];

/// What is said of a distribution of at least one sample, µs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) samples: u64,
    pub(crate) mean_us: f64,
    pub(crate) p50_us: f64,
    pub(crate) p90_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) p999_us: f64,
    pub(crate) max_us: f64,
}

impl Latency {
    /// `None` of nothing.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Option<Latency> {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        (!histogram.is_empty()).then(|| Latency {
            samples: histogram.len(),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(histogram.max()),
        })
    }

    /// What is reported everywhere, in the order of [`FIGURES`].
    pub(crate) fn figures_us(&self) -> [f64; 5] {
        [self.p50_us, self.p90_us, self.p99_us, self.p999_us, self.max_us]
    }

    /// Of each figure the larger: two directions, of which the worse counts.
    pub(crate) fn worse(self, other: Latency) -> Latency {
        Latency {
            samples: self.samples.min(other.samples),
            mean_us: self.mean_us.max(other.mean_us),
            p50_us: self.p50_us.max(other.p50_us),
            p90_us: self.p90_us.max(other.p90_us),
            p99_us: self.p99_us.max(other.p99_us),
            p999_us: self.p999_us.max(other.p999_us),
            max_us: self.max_us.max(other.max_us),
        }
    }
}

/// The curve of a distribution: share of packets below, and the latency at it in µs. At most 60
/// points, dense where it is steep towards the tail.
pub(crate) fn curve(histogram: &Histogram<u64>) -> Vec<(f64, f64)> {
    if histogram.is_empty() {
        return Vec::new();
    }
    let nines = (0..60).map(|step| 1.0 - 10_f64.powf(-f64::from(step) / 10.0));
    let counted = nines.take_while(|share| (1.0 - share) * histogram.len() as f64 >= 1.0);
    counted.map(|share| (share, micros(histogram.value_at_quantile(share)))).collect()
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_in_microseconds() {
        let mut histogram = empty();
        (1..=1_000).for_each(|micros| histogram.saturating_record(micros * 1_000));
        assert_eq!(Latency::of(&empty()), None);
        let latency = Latency::of(&histogram).unwrap();
        assert!((latency.p50_us - 500.0).abs() < 1.0, "{latency:?}");
        assert!((latency.p99_us - 990.0).abs() < 1.5, "{latency:?}");
        assert!((latency.max_us - 1_000.0).abs() < 1.5, "{latency:?}");
        assert_eq!(latency.samples, 1_000);
    }

    #[test]
    fn the_curve_rises_and_ends_where_single_packets_begin() {
        let mut histogram = empty();
        (1..=1_000).for_each(|micros| histogram.saturating_record(micros * 1_000));
        let curve = curve(&histogram);
        assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 <= b.1));
        assert_eq!(curve.len(), 31);
    }
}
