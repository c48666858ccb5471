//! The last minutes, second by second, and what a row of so many bars shows of them.

use std::collections::VecDeque;

/// Seconds that are kept, and shown.
const SECONDS: usize = 300;

/// A rate, once a second; the latest last.
#[derive(Clone, Debug, Default)]
pub(super) struct Trace(VecDeque<f64>);

impl Trace {
    pub(super) fn push(&mut self, rate: f64) {
        if self.0.len() == SECONDS {
            self.0.pop_front();
        }
        self.0.push_back(rate);
    }

    /// The greatest rate there was.
    pub(super) fn peak(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    /// Seconds that one of so many bars stands for.
    pub(super) fn seconds_each(bars: usize) -> usize {
        SECONDS.div_ceil(bars.max(1))
    }

    /// The mean of each bar's seconds, the latest last; fewer bars while there is less to show.
    pub(super) fn bars(&self, bars: usize) -> Vec<u64> {
        let each = Self::seconds_each(bars);
        let latest_first: Vec<f64> = self.0.iter().rev().copied().collect();
        let mean = |rates: &[f64]| (rates.iter().sum::<f64>() / rates.len() as f64).round() as u64;
        let mut means: Vec<_> = latest_first.chunks(each).take(bars).map(mean).collect();
        means.reverse();
        means
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(rates: std::ops::Range<u32>) -> Trace {
        let mut trace = Trace::default();
        rates.for_each(|rate| trace.push(f64::from(rate)));
        trace
    }

    #[test]
    fn a_bar_is_the_mean_of_its_seconds() {
        assert_eq!(Trace::seconds_each(60), 5);
        assert_eq!(trace(0..10).bars(60), [2, 7]);
        assert_eq!(trace(0..7).bars(60), [1, 4], "the latest bar is always whole");
        assert_eq!(trace(0..10).bars(300), (0..10).collect::<Vec<_>>());
        assert_eq!(Trace::default().bars(60), [0; 0]);
    }

    #[test]
    fn five_minutes_are_kept() {
        let trace = trace(0..1000);
        assert_eq!(trace.bars(300).len(), 300);
        assert_eq!((trace.bars(300)[0], trace.peak()), (700, 999.0));
        assert_eq!(trace.bars(1).len(), 1);
    }
}
