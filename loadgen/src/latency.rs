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

/// What is said of a distribution, µs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
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
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        let at = |quantile| micros(histogram.value_at_quantile(quantile));
        Latency {
            samples: histogram.len(),
            mean_us: histogram.mean() / 1e3,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: micros(histogram.max()),
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
        let latency = Latency::of(&histogram);
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
