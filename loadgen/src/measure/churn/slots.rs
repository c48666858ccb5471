//! Slots for what runs many at once, and when the next begins.
//!
//! With a rate the loop is open: something is due whether or not the server keeps up. Without one
//! it begins whenever a slot is free.

use std::time::Duration;

use crate::{
    clock::{MILLI_NS, SECOND_NS},
    offer::spec::Spec,
};

/// How often what is under way is looked at: for a retransmission, or to give it up.
const TICK_NS: u64 = 10 * MILLI_NS;

/// Without a rate, so many begin before answers are read again.
const UNPACED_AT_ONCE: usize = 8;

/// One thread's.
pub(super) struct Slots<T> {
    slots: Vec<Option<T>>,
    free: Vec<usize>,
    /// Distance between beginnings; 0: whenever a slot is free.
    interval_ns: u64,
    next_ns: u64,
    tick_ns: u64,
}

impl<T> Slots<T> {
    /// All of them free, the first beginning due at `start_ns`.
    pub(super) fn new(spec: &Spec, start_ns: u64) -> Slots<T> {
        let threads = spec.threads as f64;
        let interval = spec.rate.map_or(0.0, |rate| SECOND_NS as f64 * threads / rate);
        Slots {
            slots: (0..spec.window).map(|_| None).collect(),
            free: (0..spec.window).rev().collect(),
            interval_ns: interval as u64,
            next_ns: start_ns,
            tick_ns: 0,
        }
    }

    /// How many may begin before answers are read again.
    pub(super) fn at_once(&self) -> usize {
        if self.interval_ns == 0 { UNPACED_AT_ONCE } else { usize::MAX }
    }

    /// A free slot and since when something for it is due, if it is.
    pub(super) fn next_due(&mut self, now: u64) -> Option<(usize, u64)> {
        let slot = if self.next_ns <= now { self.free.pop()? } else { return None };
        let due_ns = if self.interval_ns == 0 { now } else { self.next_ns };
        self.next_ns += self.interval_ns;
        Some((slot, due_ns))
    }

    pub(super) fn put(&mut self, slot: usize, item: T) {
        self.slots[slot] = Some(item);
    }

    pub(super) fn get(&self, slot: usize) -> Option<&T> {
        self.slots[slot].as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut T> {
        self.slots[slot].as_mut()
    }

    pub(super) fn release(&mut self, slot: usize) {
        self.slots[slot] = None;
        self.free.push(slot);
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_idle(&self) -> bool {
        self.free.len() == self.slots.len()
    }

    /// True once a tick: then what is under way is to be looked at.
    pub(super) fn is_tick(&mut self, now: u64) -> bool {
        let is_tick = now >= self.tick_ns;
        self.tick_ns = if is_tick { now + TICK_NS } else { self.tick_ns };
        is_tick
    }

    /// Until the next beginning, as far as there may be one, or the next tick.
    pub(super) fn wait(&self, now: u64, may_begin: bool) -> Duration {
        let tick_ns = self.tick_ns.saturating_sub(now).min(TICK_NS);
        Duration::from_nanos(match may_begin && !self.free.is_empty() {
            true => self.next_ns.saturating_sub(now).min(tick_ns),
            false => tick_ns,
        })
    }

    /// What was due before the end and has not begun.
    pub(super) fn never_begun(&self, end_ns: u64) -> u64 {
        let left_ns = end_ns.saturating_sub(self.next_ns);
        if self.interval_ns == 0 { 0 } else { left_ns.div_ceil(self.interval_ns) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::offer::{options::parse, spec::Times};

    fn slots(line: &str) -> Slots<()> {
        let args = parse(line).unwrap();
        let spec = Spec::settle(&args, Times { duration_s: 1.0, warmup_s: 0.0 }).unwrap();
        Slots::new(&spec, 100)
    }

    #[test]
    fn what_is_due_at_the_end_is_no_more() {
        let mut slots = slots("churn --rate 100M");
        assert_eq!(slots.interval_ns, 10);
        for (next_ns, never_begun) in [(100, 0), (99, 1), (90, 1), (89, 2), (200, 0)] {
            slots.next_ns = next_ns;
            assert_eq!(slots.never_begun(100), never_begun, "{next_ns}");
        }
        assert_eq!(self::slots("churn").never_begun(1_000), 0);
    }

    #[test]
    fn with_a_rate_it_is_due_whether_or_not_a_slot_is_free() {
        let mut slots = slots("churn --rate 100M --window 2");
        assert_eq!(slots.next_due(99), None);
        assert_eq!((slots.next_due(125), slots.next_due(125)), (Some((0, 100)), Some((1, 110))));
        assert_eq!((slots.next_due(125), slots.is_idle()), (None, false));
        slots.release(0);
        assert_eq!((slots.next_due(500), slots.next_due(500)), (Some((0, 120)), None));
    }

    #[test]
    fn without_one_it_is_due_when_a_slot_is_free() {
        let mut slots = slots("churn --window 1");
        assert_eq!((slots.next_due(500), slots.next_due(500)), (Some((0, 500)), None));
        slots.release(0);
        assert_eq!(slots.next_due(600), Some((0, 600)));
    }

    #[test]
    fn a_wait_ends_with_the_next_beginning_or_tick() {
        let mut slots = slots("churn --rate 1000 --window 1");
        assert!(slots.is_tick(100) && !slots.is_tick(101));
        assert_eq!(slots.wait(60, true), Duration::from_nanos(40));
        assert_eq!(slots.wait(60, false), Duration::from_nanos(TICK_NS));
        slots.next_due(100);
        assert_eq!(slots.wait(200, true), Duration::from_nanos(TICK_NS - 100), "no slot is free");
    }
}
