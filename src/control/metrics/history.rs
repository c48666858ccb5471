//! What the last hour was like, in points that cost nothing: whoever has the workers asked leaves
//! one behind. Where Prometheus scrapes, a page that is opened has a past to show.

use std::collections::VecDeque;
use std::time::Duration;

use serde::Serialize;

use super::refusals::refusals;
use crate::control::log::totals::Totals;
use crate::worker::Snapshot;

/// Points closer together than this are one.
const APART: Duration = Duration::from_secs(5);
/// Points that are kept: an hour of those that are closest together, in 35 kB.
const POINTS: usize = 720;

/// Counters of one moment, all workers together; rates are the differences of two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Point {
    /// Milliseconds since the server was started.
    pub(super) at_ms: u64,
    /// Packets relayed, in all directions.
    pub(super) packets: u64,
    /// Their payload.
    pub(super) bytes: u64,
    /// Datagrams dropped.
    pub(super) dropped: u64,
    /// Requests refused.
    pub(super) refused: u64,
    /// Allocations that live.
    pub(super) allocations: u64,
}

impl Point {
    /// The sum of all workers.
    pub(super) fn of(at: Duration, snapshots: &[Snapshot]) -> Self {
        let mut totals = Totals::default();
        snapshots.iter().for_each(|snapshot| totals += snapshot);
        let loads = [totals.to_peers, totals.to_clients, totals.between_clients];
        Self {
            at_ms: u64::try_from(at.as_millis()).unwrap_or(u64::MAX),
            packets: loads.iter().map(|load| load.packets).sum(),
            bytes: loads.iter().map(|load| load.bytes).sum(),
            dropped: totals.dropped,
            refused: snapshots.iter().flat_map(refusals).map(|(_, requests)| requests).sum(),
            allocations: snapshots.iter().map(|snapshot| snapshot.turn.live).sum(),
        }
    }
}

/// The points there are, the oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<Point>);

impl History {
    /// Keeps a point, unless one that is hardly older is there.
    pub(super) fn record(&mut self, point: Point) {
        let apart_ms = APART.as_millis() as u64;
        if self.0.back().is_some_and(|last| point.at_ms < last.at_ms + apart_ms) {
            return;
        }
        if self.0.len() == POINTS {
            self.0.pop_front();
        }
        self.0.push_back(point);
    }

    /// Every point, the oldest first.
    pub(super) fn points(&self) -> Vec<Point> {
        self.0.iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_are_apart_and_the_oldest_go() {
        let mut history = History::default();
        let at = |at_ms| Point { at_ms, ..Point::default() };
        [0, 4_999, 5_000, 9_000, 12_000].into_iter().for_each(|ms| history.record(at(ms)));
        let times = |history: &History| {
            history.points().iter().map(|point| point.at_ms).collect::<Vec<_>>()
        };
        assert_eq!(times(&history), [0, 5_000, 12_000]);
        (3..2_000).for_each(|step| history.record(at(step * 5_000)));
        let times = times(&history);
        assert_eq!((times.len(), times[0], times[POINTS - 1]), (720, 1_280 * 5_000, 1_999 * 5_000));
    }
}
