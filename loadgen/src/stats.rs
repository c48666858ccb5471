//! Medians and quartiles: what a noisy machine still says honestly.

use serde::{Deserialize, Serialize};

/// The middle of a set of measurements, and the range its middle half lies in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Quartiles {
    pub(crate) q1: f64,
    pub(crate) median: f64,
    pub(crate) q3: f64,
}

impl Quartiles {
    /// Of nothing: zeros.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Quartiles {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|share| at(&values, share));
        Quartiles { q1, median, q3 }
    }
}

/// Between two measurements, in proportion.
fn at(sorted: &[f64], share: f64) -> f64 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let below = sorted.get(place as usize).copied().unwrap_or_default();
    let above = sorted.get(place.ceil() as usize).copied().unwrap_or_default();
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quartiles_of_known_sets() {
        let odd = Quartiles::of([5.0, 1.0, 3.0, 2.0, 4.0]);
        assert_eq!(odd, Quartiles { q1: 2.0, median: 3.0, q3: 4.0 });
        let even = Quartiles::of([1.0, 2.0, 3.0, 4.0]);
        assert_eq!(even, Quartiles { q1: 1.75, median: 2.5, q3: 3.25 });
        assert_eq!(Quartiles::of([]), Quartiles::default());
        assert_eq!(Quartiles::of([7.0]).q3, 7.0);
    }
}
