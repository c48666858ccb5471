//! The open loop: when each burst of each flow is due, whether or not anyone keeps up.
//!
//! Flows of one stream take turns at equal distances, so that the next due time is one addition
//! away however many flows there are.

use std::collections::VecDeque;

use crate::offer::shape::Stream;

/// Due times are kept in 1/65,536 ns: flows need not divide the interval.
const FRACTION_BITS: u32 = 16;

/// A burst that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Burst {
    pub(crate) flow: usize,
    pub(crate) due_ns: u64,
    pub(crate) packets: u32,
    pub(crate) payload_bytes: u16,
    pub(crate) last_bytes: u16,
}

/// Flows that carry the same stream.
#[derive(Debug)]
struct Group {
    stream: Stream,
    flows: Vec<usize>,
    start_ns: u64,
    /// Distance between two bursts of the group, and of the next from the start, both in fractions.
    step: u64,
    next: u64,
    /// The flow whose turn it is, and how often all had theirs.
    turn: usize,
    frame: u64,
}

impl Group {
    fn new(stream: Stream, flows: Vec<usize>, start_ns: u64) -> Group {
        let step = (stream.interval_ns << FRACTION_BITS) / flows.len().max(1) as u64;
        Group { stream, flows, start_ns, step, next: 0, turn: 0, frame: 0 }
    }

    /// An unpaced group is always due.
    fn due_ns(&self, now_ns: u64) -> u64 {
        if self.step == 0 { now_ns } else { self.start_ns + (self.next >> FRACTION_BITS) }
    }

    /// Passes over the bursts that were due before a time.
    fn skip_to(&mut self, from_ns: u64) {
        let passed =
            (from_ns.saturating_sub(self.start_ns) << FRACTION_BITS).saturating_sub(self.next);
        let bursts = passed.checked_div(self.step).unwrap_or_default();
        let turns = self.turn as u64 + bursts;
        self.next += bursts * self.step;
        self.turn = (turns % self.flows.len() as u64) as usize;
        self.frame += turns / self.flows.len() as u64;
    }

    /// Packets that are due until a time, by the mean of its bursts.
    fn left(&self, until_ns: u64) -> f64 {
        let left =
            (until_ns.saturating_sub(self.start_ns) << FRACTION_BITS).saturating_sub(self.next);
        let bursts = left.checked_div(self.step).unwrap_or_default();
        bursts as f64 * self.stream.mean_packets()
    }

    fn pop(&mut self, now_ns: u64) -> Burst {
        let due_ns = self.due_ns(now_ns);
        // Flows have their long frames at different times, as callers do.
        let packets = self.stream.packets_of(self.frame + self.turn as u64);
        let burst = Burst {
            flow: self.flows[self.turn],
            due_ns,
            packets,
            payload_bytes: self.stream.payload_bytes,
            last_bytes: self.stream.last_bytes,
        };
        self.next += self.step;
        self.turn += 1;
        if self.turn == self.flows.len() {
            self.turn = 0;
            self.frame += 1;
        }
        burst
    }
}

/// A time with traffic of its own.
#[derive(Debug)]
struct Stage {
    groups: Vec<Group>,
    until_ns: u64,
}

impl Stage {
    /// When its next burst is due; `None` when that is not in its time.
    fn next_due(&self, now_ns: u64) -> Option<u64> {
        let due_ns = self.groups.iter().map(|group| group.due_ns(now_ns)).min()?;
        (due_ns < self.until_ns).then_some(due_ns)
    }

    fn pop(&mut self, now_ns: u64) -> Option<Burst> {
        self.next_due(now_ns).filter(|due_ns| *due_ns <= now_ns)?;
        let group = self.groups.iter_mut().min_by_key(|group| group.due_ns(now_ns))?;
        Some(group.pop(now_ns))
    }
}

/// All bursts of all flows in the order they are due.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    stages: VecDeque<Stage>,
    /// How late a burst may leave; `None`: however late it is.
    latest_ns: Option<u64>,
}

impl Schedule {
    /// Traffic from `start_ns` on, and no other after it.
    #[cfg(test)]
    pub(crate) fn new(streams: &[Stream], flows: &[usize], start_ns: u64) -> Schedule {
        Schedule::default().then(streams, flows, start_ns)
    }

    /// From `start_ns` on, other traffic, the flows dealt out to its streams. What was due before
    /// and was not sent by then never is.
    pub(crate) fn then(mut self, streams: &[Stream], flows: &[usize], start_ns: u64) -> Schedule {
        let dealt = streams.iter().enumerate().map(|(at, stream)| {
            let own = flows.iter().copied().filter(|flow| (flow / 2) % streams.len() == at);
            Group::new(*stream, own.collect(), start_ns)
        });
        let groups = dealt.filter(|group| !group.flows.is_empty()).collect();
        if let Some(last) = self.stages.back_mut() {
            last.until_ns = start_ns;
        }
        self.stages.push_back(Stage { groups, until_ns: u64::MAX });
        self
    }

    /// Never sends what is later than this: the load is then always that of now, and what is beyond
    /// the sender's means is left out instead of put off.
    pub(crate) fn never_later_than(mut self, latest_ns: u64) -> Schedule {
        self.latest_ns = Some(latest_ns);
        self
    }

    /// When the next burst is due; `now_ns` for what is always due, `u64::MAX` when nothing is.
    pub(crate) fn next_due(&self, now_ns: u64) -> u64 {
        let mut stages = self.stages.iter().filter(|stage| stage.until_ns > now_ns);
        stages.find_map(|stage| stage.next_due(now_ns)).unwrap_or(u64::MAX)
    }

    /// Packets that are left of those due until a time, in the stage that it lies in.
    pub(crate) fn left(&self, until_ns: u64) -> u64 {
        let stage = self.stages.iter().find(|stage| stage.until_ns > until_ns);
        stage.map_or(0.0, |stage| stage.groups.iter().map(|group| group.left(until_ns)).sum())
            as u64
    }

    /// The next burst, if it is due by now.
    pub(crate) fn pop(&mut self, now_ns: u64) -> Option<Burst> {
        while self.stages.front().is_some_and(|stage| stage.until_ns <= now_ns) {
            self.stages.pop_front();
        }
        let stage = self.stages.front_mut()?;
        if let Some(latest_ns) = self.latest_ns {
            let from_ns = now_ns.saturating_sub(latest_ns);
            stage.groups.iter_mut().for_each(|group| group.skip_to(from_ns));
        }
        stage.pop(now_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::SECOND_NS,
        offer::shape::{Changes, Shape, pace},
    };

    fn flows(count: usize) -> Vec<usize> {
        (0..count).map(|flow| flow * 2).collect()
    }

    fn offered(schedule: &mut Schedule, until_ns: u64) -> Vec<Burst> {
        std::iter::from_fn(|| schedule.pop(until_ns)).collect()
    }

    #[test]
    fn offers_what_the_rate_says_whatever_the_number_of_flows() {
        for count in [1, 3, 7, 999, 1_000] {
            let mut streams = Shape::Voice.streams(Changes::default());
            pace(&mut streams, count, 50_000.0);
            let mut schedule = Schedule::new(&streams, &flows(count), 5);
            let bursts = offered(&mut schedule, 5 + SECOND_NS - 1);
            assert!((49_999..=50_001).contains(&bursts.len()), "{count}: {}", bursts.len());
            assert_eq!(bursts[0].due_ns, 5);
            assert!(bursts.is_sorted_by_key(|burst| burst.due_ns));
        }
    }

    #[test]
    fn what_is_left_is_what_would_be_offered() {
        for shape in [Shape::Voice, Shape::Mixed] {
            let mut streams = shape.streams(Changes::default());
            pace(&mut streams, 10, 50_000.0);
            let mut schedule = Schedule::new(&streams, &flows(10), 5);
            let begun = offered(&mut schedule, SECOND_NS).len();
            let left = schedule.left(10 * SECOND_NS) as f64;
            let rest = offered(&mut schedule, 10 * SECOND_NS);
            let packets = f64::from(rest.iter().map(|burst| burst.packets).sum::<u32>());
            assert!(begun > 100 && (left / packets - 1.0).abs() < 0.01, "{left} {packets}");
        }
    }

    #[test]
    fn flows_take_turns() {
        let streams = Shape::Voice.streams(Changes::default());
        let mut schedule = Schedule::new(&streams, &flows(4), 0);
        let bursts = offered(&mut schedule, 39_999_999);
        let order: Vec<usize> = bursts.iter().map(|burst| burst.flow).collect();
        assert_eq!(order, [0, 2, 4, 6, 0, 2, 4, 6]);
        assert_eq!(bursts[1].due_ns, 5_000_000);
    }

    #[test]
    fn nothing_is_due_early_and_what_is_late_stays_due() {
        let streams = Shape::Voice.streams(Changes::default());
        let mut schedule = Schedule::new(&streams, &flows(1), 1_000);
        assert_eq!(schedule.pop(999), None);
        assert_eq!(schedule.next_due(0), 1_000);
        assert_eq!(offered(&mut schedule, SECOND_NS).len(), 50);
    }

    #[test]
    fn unpaced_bursts_are_due_when_asked_for() {
        let streams = Shape::Bulk.streams(Changes::default());
        let mut schedule = Schedule::new(&streams, &flows(2), 0);
        let due: Vec<u64> = (0..4).map(|now| schedule.pop(now).unwrap().due_ns).collect();
        assert_eq!(due, [0, 1, 2, 3]);
    }

    #[test]
    fn one_traffic_ends_where_the_other_begins() {
        let mut streams = Shape::Voice.streams(Changes::default());
        pace(&mut streams, 4, 1_000.0);
        let fast = Schedule::new(&streams, &flows(4), 0);
        pace(&mut streams, 4, 100.0);
        let mut schedule = fast.then(&streams, &flows(4), SECOND_NS);
        let mut sent = [0, 0];
        for now_ns in (0..2 * SECOND_NS).step_by(1_000_000) {
            assert!(schedule.next_due(now_ns) < u64::MAX);
            while let Some(burst) = schedule.pop(now_ns) {
                sent[(burst.due_ns / SECOND_NS) as usize] += 1;
            }
        }
        assert_eq!(sent, [1_000, 100]);
    }

    #[test]
    fn what_is_too_late_is_left_out() {
        let streams = Shape::Voice.streams(Changes::default());
        let mut schedule = Schedule::new(&streams, &flows(3), 1_000).never_later_than(100_000_000);
        assert_eq!(schedule.pop(1_000).unwrap().due_ns, 1_000);
        let late = offered(&mut schedule, SECOND_NS);
        assert!((15..=16).contains(&late.len()), "{}", late.len());
        assert!(late.iter().all(|burst| burst.due_ns >= 900_000_000 - 7_000_000), "{late:?}");
        let turns: Vec<usize> = late.iter().map(|burst| burst.flow / 2).collect();
        assert!(turns.windows(2).all(|two| two[1] == (two[0] + 1) % 3), "{turns:?}");
    }

    #[test]
    fn what_is_overdue_when_the_traffic_changes_is_not_sent() {
        let streams = Shape::Voice.streams(Changes::default());
        let schedule = Schedule::new(&streams, &flows(1), 0);
        let mut schedule = schedule.then(&streams, &flows(1), SECOND_NS);
        assert_eq!(schedule.pop(SECOND_NS - 1).unwrap().due_ns, 0);
        assert_eq!(schedule.next_due(SECOND_NS), SECOND_NS);
        assert_eq!(schedule.pop(SECOND_NS).unwrap().due_ns, SECOND_NS);
    }

    #[test]
    fn mixed_flows_are_dealt_out() {
        let streams = Shape::Mixed.streams(Changes::default());
        let mut schedule = Schedule::new(&streams, &flows(4), 0);
        let bursts = offered(&mut schedule, SECOND_NS - 1);
        let voice = bursts.iter().filter(|burst| burst.payload_bytes == 160);
        assert!(voice.clone().all(|burst| burst.flow % 4 == 0));
        assert_eq!(voice.count(), 100);
        assert!(bursts.iter().any(|burst| burst.packets == 40));
    }
}
