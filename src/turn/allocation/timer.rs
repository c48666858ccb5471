//! One timer per allocation, on a wheel of one-second slots.
//!
//! A timer walks: it is armed for the allocation's next deadline of any kind, and when it fires
//! the allocation says what is over and what comes next. A deadline that moves away costs nothing,
//! the timer fires early once and is armed again; a deadline beyond the wheel waits in its farthest
//! slot. Slots are doubly linked lists through flat arrays, so arming, moving and disarming are
//! constant time and allocate nothing once the arrays have grown; two levels of bitmap say which
//! slot comes next, so an idle server can sleep until then and not a second less.
//!
//! Time may begin anywhere: an empty wheel takes the clock as it is, and turns through no slot for
//! the time that passed without a timer.

/// Slots, one second each: the farthest a timer is armed ahead (68 minutes).
const SLOTS: u64 = 4096;

/// Milliseconds of a slot. A timer fires up to one slot late, never early.
const SLOT_MS: u64 = 1000;

/// No neighbour, or no slot.
const NONE: u32 = u32::MAX;

/// Neighbours of one timer in its slot's list.
#[derive(Debug, Clone, Copy)]
struct Link {
    slot: u32,
    before: u32,
    after: u32,
}

const LOOSE: Link = Link { slot: NONE, before: NONE, after: NONE };

/// The wheel. Timers are numbered by the slot of their allocation.
#[derive(Debug)]
pub(in crate::turn) struct Wheel {
    /// The tick up to which every slot has been emptied.
    now_tick: u64,
    heads: Box<[u32]>,
    /// One bit for each slot that holds a timer.
    occupied: [u64; 64],
    /// One bit for each word of `occupied` that is not zero.
    summary: u64,
    links: Vec<Link>,
}

impl Wheel {
    pub(in crate::turn) fn new() -> Wheel {
        Wheel {
            now_tick: 0,
            heads: vec![NONE; SLOTS as usize].into(),
            occupied: [0; 64],
            summary: 0,
            links: Vec::new(),
        }
    }

    /// Arms a timer, or moves it, to fire at the first slot that begins no earlier than
    /// `deadline_ms`; one that is due already fires at the slot after `now_ms`.
    pub(in crate::turn) fn arm(&mut self, timer: u32, deadline_ms: u64, now_ms: u64) {
        self.disarm(timer);
        if self.summary == 0 {
            self.now_tick = self.now_tick.max(now_ms / SLOT_MS);
        }
        let last = self.now_tick + SLOTS - 1;
        let tick = deadline_ms.div_ceil(SLOT_MS).clamp(self.now_tick + 1, last);
        self.link(timer, (tick % SLOTS) as u32);
    }

    /// Disarms a timer; one that is not armed stays so.
    pub(in crate::turn) fn disarm(&mut self, timer: u32) {
        let Some(link) = self.links.get_mut(timer as usize) else { return };
        let Link { slot, before, after } = std::mem::replace(link, LOOSE);
        if slot == NONE {
            return;
        }
        match before {
            NONE => self.heads[slot as usize] = after,
            before => self.links[before as usize].after = after,
        }
        if after != NONE {
            self.links[after as usize].before = before;
        }
        if self.heads[slot as usize] == NONE {
            self.mark_empty(slot);
        }
    }

    /// Takes one timer that is due, disarmed; `None` when all of them have been taken.
    ///
    /// The wheel's clock follows from slot to slot, so that a timer that is armed again meanwhile
    /// lands ahead of it however long nobody had asked.
    pub(in crate::turn) fn next_due(&mut self, now_ms: u64) -> Option<u32> {
        let now_tick = now_ms / SLOT_MS;
        match self.next_tick() {
            Some(tick) if tick <= now_tick => {
                self.now_tick = tick - 1;
                let timer = self.heads[(tick % SLOTS) as usize];
                self.disarm(timer);
                Some(timer)
            }
            Some(_) | None => {
                self.now_tick = self.now_tick.max(now_tick);
                None
            }
        }
    }

    /// When the next timer fires, in milliseconds; `None` when none is armed.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        Some(self.next_tick()? * SLOT_MS)
    }

    /// The tick of the first occupied slot after `now_tick`, once around the wheel.
    fn next_tick(&self) -> Option<u64> {
        let begin = ((self.now_tick + 1) % SLOTS) as u32;
        let slot = self.occupied_from(begin).or_else(|| self.occupied_from(0))?;
        let ahead = (u64::from(slot) + SLOTS - u64::from(begin)) % SLOTS;
        Some(self.now_tick + 1 + ahead)
    }

    /// The first occupied slot not below `slot`: a look at one word, then at the summary.
    fn occupied_from(&self, slot: u32) -> Option<u32> {
        let word = slot / 64;
        let rest = self.occupied[word as usize] & (u64::MAX << (slot % 64));
        if rest != 0 {
            return Some(word * 64 + rest.trailing_zeros());
        }
        let later = self.summary & u64::MAX.checked_shl(word + 1).unwrap_or(0);
        let word = (later != 0).then(|| later.trailing_zeros())?;
        Some(word * 64 + self.occupied[word as usize].trailing_zeros())
    }

    fn link(&mut self, timer: u32, slot: u32) {
        if self.links.len() <= timer as usize {
            self.links.resize(timer as usize + 1, LOOSE);
        }
        let after = std::mem::replace(&mut self.heads[slot as usize], timer);
        self.links[timer as usize] = Link { slot, before: NONE, after };
        if after != NONE {
            self.links[after as usize].before = timer;
        }
        self.occupied[slot as usize / 64] |= 1 << (slot % 64);
        self.summary |= 1 << (slot / 64);
    }

    fn mark_empty(&mut self, slot: u32) {
        let word = &mut self.occupied[slot as usize / 64];
        *word &= !(1 << (slot % 64));
        if *word == 0 {
            self.summary &= !(1 << (slot / 64));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{Strategy, any, prop, prop_oneof, proptest};

    use super::*;

    fn due(wheel: &mut Wheel, now_ms: u64) -> Vec<u32> {
        let mut timers: Vec<u32> = std::iter::from_fn(|| wheel.next_due(now_ms)).collect();
        timers.sort_unstable();
        timers
    }

    #[test]
    fn fires_in_its_slot_and_not_before() {
        let mut wheel = Wheel::new();
        assert_eq!(wheel.next_deadline_ms(), None);
        wheel.arm(7, 600_001, 0);
        wheel.arm(8, 600_000, 0);
        assert_eq!(wheel.next_deadline_ms(), Some(600_000));
        assert!(due(&mut wheel, 599_999).is_empty());
        assert_eq!(due(&mut wheel, 600_999), [8]);
        assert_eq!(due(&mut wheel, 601_000), [7]);
        assert_eq!(wheel.next_deadline_ms(), None);
    }

    #[test]
    fn a_deadline_beyond_the_wheel_waits_in_the_farthest_slot() {
        let mut wheel = Wheel::new();
        wheel.arm(0, 10_000_000, 0);
        assert_eq!(wheel.next_deadline_ms(), Some(4_095_000));
        assert_eq!(due(&mut wheel, 4_095_000), [0]);
    }

    #[test]
    fn a_deadline_in_the_past_fires_at_the_next_slot() {
        let mut wheel = Wheel::new();
        assert!(due(&mut wheel, 50_000).is_empty());
        wheel.arm(3, 1_000, 50_000);
        assert_eq!(wheel.next_deadline_ms(), Some(51_000));
        assert_eq!(due(&mut wheel, 51_000), [3]);
    }

    #[test]
    fn a_long_sleep_loses_no_timer() {
        let mut wheel = Wheel::new();
        for timer in 0..100 {
            wheel.arm(timer, u64::from(timer) * 40_000, 0);
        }
        assert_eq!(due(&mut wheel, 40_000_000).len(), 100);
    }

    #[test]
    fn a_timer_that_walks_through_a_long_sleep_arrives() {
        let mut wheel = Wheel::new();
        wheel.arm(0, 90_000_000, 0);
        let mut fired = 0;
        while let Some(timer) = wheel.next_due(80_000_000) {
            wheel.arm(timer, 90_000_000, 80_000_000);
            fired += 1;
        }
        assert_eq!(fired, 1, "an empty wheel turns at once to where the time is");
        assert_eq!(wheel.next_deadline_ms(), Some(84_095_000));
    }

    // A machine that has been up for 49 days, for 2^32 ms and for years.
    #[test]
    fn a_deadline_after_a_late_begin_fires_once_and_in_its_slot() {
        for begin_ms in [4_233_600_000, (1 << 32) - 300_000, 1 << 40, 1 << 53] {
            let mut wheel = Wheel::new();
            wheel.arm(0, begin_ms + 600_000, begin_ms);
            let fires_ms = (begin_ms + 600_000).next_multiple_of(SLOT_MS);
            assert_eq!(wheel.next_deadline_ms(), Some(fires_ms));
            assert!(due(&mut wheel, fires_ms - 1).is_empty());
            assert_eq!(due(&mut wheel, fires_ms), [0]);
            wheel.arm(1, begin_ms + 90_000_000, begin_ms + 80_000_000);
            assert_eq!(wheel.next_deadline_ms().unwrap() / SLOT_MS, begin_ms / SLOT_MS + 84_095);
        }
    }

    fn begin_ms() -> impl Strategy<Value = u64> {
        prop_oneof![0_u64..10_000_000, (1_u64 << 32) - 5_000_000..1 << 32, 0_u64..1 << 50]
    }

    #[derive(Debug, Clone)]
    enum Step {
        Arm(u32, u64),
        Disarm(u32),
        Pass(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            (0_u32..20, 0_u64..5_000_000).prop_map(|(timer, ms)| Step::Arm(timer, ms)),
            (0_u32..20).prop_map(Step::Disarm),
            any::<u32>().prop_map(|ms| Step::Pass(u64::from(ms) % 2_000_000)),
        ];
        prop::collection::vec(step, 0..100)
    }

    proptest! {
        #[test]
        fn behaves_like_a_sorted_map_wherever_time_begins(steps in steps(), begin in begin_ms()) {
            let mut wheel = Wheel::new();
            let mut model: BTreeMap<u32, u64> = BTreeMap::new();
            let mut now_ms = begin;
            for step in steps {
                match step {
                    Step::Arm(timer, ahead_ms) => {
                        let tick = (now_ms + ahead_ms).div_ceil(SLOT_MS);
                        let tick = tick.clamp(now_ms / SLOT_MS + 1, now_ms / SLOT_MS + SLOTS - 1);
                        wheel.arm(timer, now_ms + ahead_ms, now_ms);
                        model.insert(timer, tick * SLOT_MS);
                    }
                    Step::Disarm(timer) => {
                        wheel.disarm(timer);
                        model.remove(&timer);
                    }
                    Step::Pass(ms) => {
                        now_ms += ms;
                        let expected: Vec<u32> = model
                            .extract_if(.., |_, fires_ms| *fires_ms <= now_ms)
                            .map(|(timer, _)| timer)
                            .collect();
                        assert_eq!(due(&mut wheel, now_ms), expected);
                    }
                }
                assert_eq!(wheel.next_deadline_ms(), model.values().min().copied());
            }
        }
    }
}
