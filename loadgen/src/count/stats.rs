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
    /// `None` of nothing.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Quartiles> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let [q1, median, q3] = [0.25, 0.5, 0.75].map(|share| at(&values, share));
        (!values.is_empty()).then_some(Quartiles { q1, median, q3 })
    }
}

/// True when measurements lie above or below a value so unevenly that an even chance would do so in
/// less than one of 15 cases (two-sided sign test: all of 5, 9 of 11 and so on).
pub(crate) fn is_off(values: &[f64], value: f64) -> bool {
    let [above, below] = [1.0, -1.0]
        .map(|side| values.iter().filter(|measured| (**measured - value) * side > 0.0).count());
    let rounds = above + below;
    let mut ways = 1.0;
    let mut tail = 0.0;
    for fewer in 0..=above.min(below) {
        tail += ways;
        ways *= (rounds - fewer) as f64 / (fewer + 1) as f64;
    }
    2.0 * tail / 2_f64.powi(rounds as i32) < 1.0 / 15.0
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
        let odd = Quartiles::of([5.0, 1.0, 3.0, 2.0, 4.0]).unwrap();
        assert_eq!(odd, Quartiles { q1: 2.0, median: 3.0, q3: 4.0 });
        let even = Quartiles::of([1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!(even, Quartiles { q1: 1.75, median: 2.5, q3: 3.25 });
        assert_eq!(Quartiles::of([]), None);
        assert_eq!(Quartiles::of([7.0]).unwrap().q3, 7.0);
    }

    #[test]
    fn a_few_measurements_on_both_sides_show_no_difference() {
        let sides = |above: usize, below: usize| [vec![1.1; above], vec![0.9; below]].concat();
        for (above, below) in [(5, 0), (0, 5), (7, 0), (9, 2), (10, 2)] {
            assert!(is_off(&sides(above, below), 1.0), "{above} {below}");
        }
        for (above, below) in [(0, 0), (3, 0), (4, 0), (6, 1), (8, 2), (6, 6)] {
            assert!(!is_off(&sides(above, below), 1.0), "{above} {below}");
        }
        assert!(!is_off(&[1.0; 50], 1.0));
    }
}
