//! Exact counts of one flow: what arrived once, twice, late, or never.
//!
//! A window of bits remembers which sequence numbers were seen. A packet is *reordered* when one
//! with a higher number came before it (RFC 4737 §3), a *duplicate* when its own number was seen.
//! Older than the window cannot be told apart and is counted as neither, but said.

/// What one arrival was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next number, or one further on.
    InOrder,
    /// A number that later ones have overtaken.
    Reordered,
    /// A number that was seen before.
    Duplicate,
    /// Too old for the window to tell.
    Ancient,
}

impl Arrival {
    /// A packet that was not seen before.
    pub(crate) fn is_fresh(self) -> bool {
        match self {
            Arrival::InOrder | Arrival::Reordered => true,
            Arrival::Duplicate | Arrival::Ancient => false,
        }
    }
}

/// Which sequence numbers of one flow were seen.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Highest number seen, plus one.
    next: u64,
    seen: Box<[u64]>,
}

impl Tally {
    /// Remembers at least `window` numbers back, rounded up to a power of two of at least 64.
    pub(crate) fn new(window: usize) -> Tally {
        let words = window.div_ceil(64).next_power_of_two();
        Tally { next: 0, seen: vec![0; words].into_boxed_slice() }
    }

    /// Forgets everything. Costs what was seen, not what could be: a run of a fifth of a second
    /// must not begin with 64 MiB to clear.
    pub(crate) fn reset(&mut self) {
        let used = (self.next.div_ceil(64) as usize).min(self.seen.len());
        self.seen[..used].fill(0);
        self.next = 0;
    }

    /// Takes note of one arrival.
    pub(crate) fn note(&mut self, sequence: u64) -> Arrival {
        if sequence >= self.next {
            self.advance(sequence);
            self.mark(sequence);
            return Arrival::InOrder;
        }
        if self.next - sequence > self.window() {
            return Arrival::Ancient;
        }
        if self.mark(sequence) { Arrival::Duplicate } else { Arrival::Reordered }
    }

    /// Moves the window up to `sequence` and forgets what stood where the new numbers go.
    fn advance(&mut self, sequence: u64) {
        if sequence - self.next >= self.window() {
            self.seen.fill(0);
        } else {
            for skipped in self.next..=sequence {
                let (word, bit) = self.place(skipped);
                self.seen[word] &= !bit;
            }
        }
        self.next = sequence + 1;
    }

    /// Sets the bit of a number and says whether it was set before.
    fn mark(&mut self, sequence: u64) -> bool {
        let (word, bit) = self.place(sequence);
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        before
    }

    fn window(&self) -> u64 {
        self.seen.len() as u64 * 64
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        let word = (sequence / 64) as usize & (self.seen.len() - 1);
        (word, 1 << (sequence % 64))
    }
}

/// Numbers each flow remembers, so that all flows together take about 64 MiB and each at most
/// 128 KiB.
pub(crate) fn window_for(flows: usize) -> usize {
    (64 * 1_024 * 1_024 * 8 / flows.max(1)).clamp(1_024, 1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note_all(window: usize, sequences: &[u64]) -> Vec<Arrival> {
        let mut tally = Tally::new(window);
        sequences.iter().map(|sequence| tally.note(*sequence)).collect()
    }

    #[test]
    fn a_gap_is_no_reordering_and_filling_it_late_is() {
        use Arrival::{Duplicate, InOrder, Reordered};
        let got = note_all(64, &[0, 1, 4, 2, 2, 3, 4, 5]);
        let expected =
            [InOrder, InOrder, InOrder, Reordered, Duplicate, Reordered, Duplicate, InOrder];
        assert_eq!(got, expected);
    }

    #[test]
    fn the_window_forgets_what_lies_behind_it() {
        let mut tally = Tally::new(64);
        for sequence in 0..200 {
            assert_eq!(tally.note(sequence), Arrival::InOrder);
        }
        assert_eq!(tally.note(135), Arrival::Ancient);
        assert_eq!(tally.note(136), Arrival::Duplicate);
        assert_eq!(tally.note(1_000_000), Arrival::InOrder);
        assert_eq!(tally.note(999_990), Arrival::Reordered);
        assert_eq!(tally.note(999_990), Arrival::Duplicate);
    }

    #[test]
    fn nothing_is_left_after_a_reset() {
        let mut tally = Tally::new(256);
        for up_to in [0, 1, 63, 64, 65, 256, 1_000] {
            (0..up_to).for_each(|sequence| _ = tally.note(sequence));
            tally.reset();
            assert!(tally.seen.iter().all(|word| *word == 0), "after {up_to}");
            assert_eq!(tally.note(0), Arrival::InOrder);
            tally.reset();
        }
    }

    /// Every arrival against a set that never forgets.
    #[test]
    fn agrees_with_a_plain_set() {
        let mut tally = Tally::new(4_096);
        let mut seen = std::collections::BTreeSet::new();
        for step in 0..200_000_u64 {
            let jitter = crate::offer::packet::mix(step) % 300;
            let sequence = (step / 2).saturating_sub(jitter);
            let expected = match seen.last() {
                _ if seen.contains(&sequence) => Arrival::Duplicate,
                Some(highest) if *highest > sequence => Arrival::Reordered,
                _ => Arrival::InOrder,
            };
            assert_eq!(tally.note(sequence), expected, "step {step}");
            seen.insert(sequence);
        }
    }

    #[test]
    fn memory_is_bounded() {
        assert_eq!(window_for(1), 1 << 20);
        assert_eq!(window_for(100_000) * 100_000 / 8, 67_100_000);
    }
}
