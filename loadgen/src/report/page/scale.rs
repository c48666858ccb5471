//! Where an axis begins and ends, and where its ticks are: at whole numbers, the first and the last
//! beyond everything drawn.

/// Ticks of an axis that are not too many to read.
const MOST_TICKS: usize = 6;

/// How a value becomes a place on an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From zero.
    FromZero,
    /// Powers of ten at equal distances.
    Log,
}

/// An axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    pub(super) from: f64,
    pub(super) to: f64,
    pub(super) ticks: Vec<f64>,
}

impl Scale {
    /// An axis for values; `None` of nothing.
    pub(super) fn of(kind: Kind, values: impl Iterator<Item = f64> + Clone) -> Option<Scale> {
        let most = values.clone().reduce(f64::max)?;
        let least = values.reduce(f64::min)?;
        Some(match kind {
            Kind::FromZero => Scale::from_zero(most),
            Kind::Log => Scale::log(least, most),
        })
    }

    fn from_zero(most: f64) -> Scale {
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10_f64.powf((most / (MOST_TICKS - 1) as f64).log10().floor());
        let steps = [1.0, 2.0, 2.5, 5.0, 10.0, 20.0].map(|times| times * power);
        // A value on a tick must not need another above it.
        let ticks = |step: f64| (most / step - 1e-9).ceil();
        let step = steps.into_iter().find(|step| ticks(*step) < MOST_TICKS as f64);
        let step = step.unwrap_or(most);
        let place = |tick: usize| round(tick as f64 * step, power);
        let last = ticks(step) as usize;
        Scale { from: 0.0, to: place(last), ticks: (0..=last).map(place).collect() }
    }

    fn log(least: f64, most: f64) -> Scale {
        let least = least.max(f64::MIN_POSITIVE);
        let most = most.max(least);
        let powers = least.log10().floor() as i32..=most.log10().ceil() as i32 + 1;
        let all = |parts: &'static [f64]| {
            powers
                .clone()
                .flat_map(move |power| parts.iter().map(move |part| part * 10_f64.powi(power)))
        };
        let covering = |parts: &'static [f64]| {
            let from = all(parts).rfind(|tick| *tick <= least * 1.000_001);
            let to = all(parts).find(|tick| *tick >= most * 0.999_999);
            let (from, to) = (from.unwrap_or(least), to.unwrap_or(most));
            let to = if to > from { to } else { from * 10.0 };
            let ticks: Vec<f64> = all(parts).filter(|tick| (from..=to).contains(tick)).collect();
            Scale { from, to, ticks }
        };
        let fine = covering(&[1.0, 2.0, 5.0]);
        if fine.ticks.len() <= MOST_TICKS { fine } else { covering(&[1.0]) }
    }
}

/// A tick as people write it: sums of 0.2 are no 0.6, by a hair.
fn round(tick: f64, power: f64) -> f64 {
    // Two and a half times a power has one digit more.
    let digits = 10_f64.powf((1.0 - power.log10().floor()).max(0.0));
    (tick * digits).round() / digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(kind: Kind, values: &[f64]) -> Scale {
        Scale::of(kind, values.iter().copied()).unwrap()
    }

    #[test]
    fn the_highest_value_has_a_tick_at_or_above_it() {
        for kind in [Kind::FromZero, Kind::Log] {
            for most in [1.0, 1.1, 7.3, 10.0, 99.0, 148_000.0, 4.1e6] {
                for least in [most / 1_000.0, most / 7.0, most * 0.9, most] {
                    let scale = of(kind, &[least, most]);
                    let (first, last) = (scale.ticks[0], scale.ticks[scale.ticks.len() - 1]);
                    assert!(first <= least * 1.001 && last >= most * 0.999, "{kind:?} {scale:?}");
                    assert_eq!((scale.from, scale.to), (first, last), "{kind:?} {least} {most}");
                    assert!((2..=MOST_TICKS).contains(&scale.ticks.len()), "{kind:?} {scale:?}");
                }
            }
        }
    }

    #[test]
    fn ticks_are_written_in_a_few_digits() {
        for most in [0.004, 0.3, 0.7, 1.0, 1.3, 2.2, 6.9, 8.9, 33.0, 410.0, 7e3, 3.1e6] {
            for tick in of(Kind::FromZero, &[most]).ticks {
                assert!(tick.to_string().len() <= 7, "{most}: {tick}");
            }
        }
        assert_eq!(of(Kind::FromZero, &[0.9]).ticks, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]);
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(of(Kind::FromZero, &[148_000.0]).ticks, [0.0, 5e4, 1e5, 1.5e5]);
        assert_eq!(of(Kind::FromZero, &[0.0]).ticks.first(), Some(&0.0));
        assert_eq!(of(Kind::Log, &[20.0, 170.0]).ticks, [20.0, 50.0, 100.0, 200.0]);
        assert_eq!(of(Kind::Log, &[20.0, 17_000.0]).ticks, [10.0, 100.0, 1e3, 1e4, 1e5]);
        assert_eq!(Scale::of(Kind::Log, std::iter::empty()), None);
    }
}
