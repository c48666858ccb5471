//! The ports of one relay address, one table for all workers.
//!
//! ```text
//! taken   a bit a port    set when a worker draws it, cleared when the kernel has let go of it
//! live    a word a port   the worker and the relay of the allocation that has it, or 0;
//!                         for a TCP relay, that there is one
//! ```
//!
//! A port belongs to the worker that has set its bit, and to nobody else. A worker draws from its
//! own slice of the range, where hardly any other writes, and from everybody's when nothing there
//! will do. There is nobody to ask and nothing to wait for: a worker that is busy or stuck keeps
//! no free port from the others, and no port is ever on its way between two of them.
//!
//! A port is drawn uniformly by the seeded generator, so that a relayed address cannot be guessed.
//! Packets only read `live`, which is written when an allocation begins and when it ends.

use std::{
    ops::RangeInclusive,
    sync::atomic::{
        AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use crate::turn::{
    api::names::identity::{RelayId, WorkerIndex},
    rng::Rng,
};

/// Ports of one word of bits.
const WORD_PORTS: u16 = 64;

/// The bits of even ports.
const EVEN: u64 = 0x5555_5555_5555_5555;

/// Random draws before the words are searched: as long as a tenth of the ports is free, 29 of 30
/// Allocates need no search.
const DRAWS: usize = 32;

/// Searches of a whole range in which others kept giving ports back and taking them before us.
const SEARCHES: usize = 16;

/// What `live` says of a port where a TCP relay listens: no datagram leads there.
const TCP: u64 = 1 << 63;

/// Which ports will do (RFC 8656 §18.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum Parity {
    /// Any.
    Any,
    /// An even one.
    Even,
    /// An even one whose odd successor is free too; both are taken.
    Pair,
}

/// Who relays on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortHolder {
    /// The worker that has the allocation.
    pub worker: WorkerIndex,
    /// The relay in that worker.
    pub relay: RelayId,
}

/// Which ports of one address are taken, and who relays on which.
#[derive(Debug)]
pub struct PortTable {
    range: RangeInclusive<u16>,
    /// Ports outside the range count as taken.
    taken: Box<[AtomicU64]>,
    /// How many ports have been given back.
    given_back: AtomicU64,
    live: Box<[AtomicU64]>,
}

impl PortTable {
    /// Begins with every port of the range free.
    pub fn new(range: RangeInclusive<u16>) -> PortTable {
        let taken = words(&range).map(|word| AtomicU64::new(!bits_within(&range, word)));
        PortTable {
            taken: taken.collect(),
            given_back: AtomicU64::new(0),
            live: range.clone().map(|_| AtomicU64::new(0)).collect(),
            range,
        }
    }

    /// True for a port that relays may have.
    pub fn has(&self, port: u16) -> bool {
        self.range.contains(&port)
    }

    /// Who relays on a port at this moment; `None` while nobody does: it is free, reserved, on its
    /// way up, closed, or outside the range. The one look that a packet between two relays costs.
    pub fn holder(&self, port: u16) -> Option<PortHolder> {
        let word = self.live_word(port)?.load(Relaxed);
        if word == TCP {
            return None;
        }
        let worker = (word >> 32).checked_sub(1)?;
        Some(PortHolder { worker: WorkerIndex(worker as u8), relay: RelayId(word as u32) })
    }

    /// Takes a port of a slice, or the even one of a pair; `None` when none of it will do.
    pub(super) fn take_from(
        &self,
        slice: &RangeInclusive<u16>,
        parity: Parity,
        rng: &mut Rng,
    ) -> Option<u16> {
        self.draw(slice, parity, rng).or_else(|| self.search(slice, parity, rng))
    }

    /// Takes a port wherever there is one; `None` when none of the address will do. A search during
    /// which no port came back has seen them all.
    pub(super) fn take_anywhere(&self, parity: Parity, rng: &mut Rng) -> Option<u16> {
        for _ in 0..SEARCHES {
            let given_back = self.given_back.load(SeqCst);
            let found = self.search(&self.range, parity, rng);
            if found.is_some() || self.given_back.load(SeqCst) == given_back {
                return found;
            }
        }
        None
    }

    /// Takes one particular port of the range; false while somebody has it.
    pub(super) fn claim(&self, port: u16) -> bool {
        let bit = 1 << (port % WORD_PORTS);
        self.word(port / WORD_PORTS).fetch_or(bit, SeqCst) & bit == 0
    }

    /// Frees a port that its holder is done with.
    pub(super) fn give_back(&self, port: u16) {
        debug_assert!(self.has(port), "{port} was never taken");
        let bit = 1 << (port % WORD_PORTS);
        let before = self.word(port / WORD_PORTS).fetch_and(!bit, SeqCst);
        debug_assert!(before & bit != 0, "{port} is given back twice");
        self.given_back.fetch_add(1, SeqCst);
    }

    /// Says that an allocation relays on a port that its worker has taken.
    pub(super) fn go_live(&self, port: u16, holder: PortHolder) {
        let word = (u64::from(holder.worker.0) + 1) << 32 | u64::from(holder.relay.0);
        if let Some(live) = self.live_word(port) {
            live.store(word, Relaxed);
        }
    }

    /// Says that a TCP relay listens on a port that its worker has taken.
    pub(super) fn listen(&self, port: u16) {
        if let Some(live) = self.live_word(port) {
            live.store(TCP, Relaxed);
        }
    }

    /// True while a TCP relay of any worker listens on a port.
    pub(super) fn listens(&self, port: u16) -> bool {
        self.live_word(port).is_some_and(|live| live.load(Relaxed) == TCP)
    }

    /// Says that nobody relays on a port any more.
    pub(super) fn silence(&self, port: u16) {
        if let Some(live) = self.live_word(port) {
            live.store(0, Relaxed);
        }
    }

    /// Draws a few times at random.
    fn draw(&self, range: &RangeInclusive<u16>, parity: Parity, rng: &mut Rng) -> Option<u16> {
        (0..DRAWS).find_map(|_| {
            let port = parity.aligned(range.start() + rng.below(range.len())? as u16);
            let wanted = parity.bits() << (port % WORD_PORTS);
            self.take_in(port / WORD_PORTS, wanted, parity, rng)
        })
    }

    /// Looks at every word of a range once, from a random one on.
    fn search(&self, range: &RangeInclusive<u16>, parity: Parity, rng: &mut Rng) -> Option<u16> {
        let words = words(range);
        let (first, count) = (*words.start(), words.len());
        let begin = rng.below(count)?;
        (0..count).find_map(|step| {
            let word = first + ((begin + step) % count) as u16;
            self.take_in(word, bits_within(range, word), parity, rng)
        })
    }

    /// Takes a port of a word, one of those wanted at random.
    fn take_in(&self, word: u16, wanted: u64, parity: Parity, rng: &mut Rng) -> Option<u16> {
        let bits = self.word(word);
        let mut taken = bits.load(SeqCst);
        loop {
            let bit = any_of(parity.fitting(!taken & wanted), rng)?;
            let claimed = taken | parity.bits() << bit;
            match bits.compare_exchange_weak(taken, claimed, SeqCst, SeqCst) {
                Ok(_) => return Some(word * WORD_PORTS + bit),
                Err(changed) => taken = changed,
            }
        }
    }

    fn word(&self, word: u16) -> &AtomicU64 {
        &self.taken[usize::from(word - self.range.start() / WORD_PORTS)]
    }

    fn live_word(&self, port: u16) -> Option<&AtomicU64> {
        self.live.get(usize::from(port.checked_sub(*self.range.start())?))
    }
}

impl Parity {
    /// The bits that a port takes, counted from its own.
    const fn bits(self) -> u64 {
        match self {
            Parity::Any | Parity::Even => 1,
            Parity::Pair => 0b11,
        }
    }

    /// Those of some free ports that will do.
    const fn fitting(self, free: u64) -> u64 {
        match self {
            Parity::Any => free,
            Parity::Even => free & EVEN,
            Parity::Pair => free & free >> 1 & EVEN,
        }
    }

    /// The port itself, or the even one below it.
    const fn aligned(self, port: u16) -> u16 {
        match self {
            Parity::Any => port,
            Parity::Even | Parity::Pair => port & !1,
        }
    }
}

/// The words that hold the bits of a range; none for an empty one.
fn words(range: &RangeInclusive<u16>) -> RangeInclusive<u16> {
    if range.is_empty() {
        return RangeInclusive::new(1, 0);
    }
    range.start() / WORD_PORTS..=range.end() / WORD_PORTS
}

/// The bits of a word that belong to a range.
fn bits_within(range: &RangeInclusive<u16>, word: u16) -> u64 {
    let first = u32::from(word) * u32::from(WORD_PORTS);
    let below = |port: u32| {
        let bits = port.saturating_sub(first);
        1_u64.checked_shl(bits).map_or(u64::MAX, |bit| bit - 1)
    };
    below(u32::from(*range.end()) + 1) & !below(u32::from(*range.start()))
}

/// One of the bits that are set, each equally likely.
fn any_of(mut bits: u64, rng: &mut Rng) -> Option<u16> {
    let skipped = rng.below(bits.count_ones() as usize)?;
    for _ in 0..skipped {
        bits &= bits - 1;
    }
    Some(bits.trailing_zeros() as u16)
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, sync::atomic::AtomicU8, thread};

    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::*;

    fn rng() -> Rng {
        Rng::new([3; 32])
    }

    fn taken(table: &PortTable, parity: Parity, count: usize) -> Vec<u16> {
        let mut rng = rng();
        (0..count).map_while(|_| table.take_anywhere(parity, &mut rng)).collect()
    }

    #[test]
    fn every_port_is_handed_out_once_and_then_none() {
        let table = PortTable::new(50_000..=50_099);
        let ports: HashSet<u16> = taken(&table, Parity::Any, 200).into_iter().collect();
        assert_eq!(ports, (50_000..=50_099).collect());
        table.give_back(50_042);
        assert_eq!(taken(&table, Parity::Even, 2), [50_042]);
    }

    #[test]
    fn the_last_port_of_all_is_not_half_of_a_pair() {
        let table = PortTable::new(65_535..=65_535);
        assert!(taken(&table, Parity::Pair, 1).is_empty());
        assert!(taken(&table, Parity::Even, 1).is_empty());
        assert_eq!(taken(&table, Parity::Any, 2), [65_535]);
    }

    #[test]
    fn an_empty_slice_has_no_port() {
        let table = PortTable::new(49_152..=65_535);
        let nothing = RangeInclusive::new(1, 0);
        assert_eq!(table.take_from(&nothing, Parity::Any, &mut rng()), None);
    }

    #[test]
    fn ports_are_not_handed_out_in_a_row() {
        let (table, mut rng) = (PortTable::new(49_152..=65_535), rng());
        let mut draw = || table.take_from(&(51_200..=53_247), Parity::Any, &mut rng).unwrap();
        let drawn: Vec<u16> = (0..64).map(|_| draw()).collect();
        let neighbours = drawn.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 2).count();
        assert!(neighbours < 4, "{drawn:?}");
    }

    #[test]
    fn a_holder_is_known_while_it_relays() {
        let table = PortTable::new(50_001..=50_100);
        let holder =
            |worker, relay| PortHolder { worker: WorkerIndex(worker), relay: RelayId(relay) };
        table.go_live(50_001, holder(0, 0));
        table.go_live(50_100, holder(255, u32::MAX));
        assert_eq!(table.holder(50_001), Some(holder(0, 0)));
        assert_eq!(table.holder(50_100), Some(holder(255, u32::MAX)));
        for port in [0, 50_000, 50_002, 50_101, u16::MAX] {
            assert_eq!(table.holder(port), None, "{port}");
        }
        table.silence(50_001);
        assert_eq!(table.holder(50_001), None);
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(Parity, prop::sample::Index),
        TakeAnywhere(Parity),
        GiveBack(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let parity = || prop_oneof![Just(Parity::Any), Just(Parity::Even), Just(Parity::Pair)];
        let step = prop_oneof![
            (parity(), any::<prop::sample::Index>()).prop_map(|(p, at)| Step::Take(p, at)),
            parity().prop_map(Step::TakeAnywhere),
            any::<prop::sample::Index>().prop_map(Step::GiveBack)
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        /// Whatever is taken and given back, from slices or from everywhere: a port is free or
        /// taken, never both, and is refused only when none would do.
        #[test]
        fn a_port_is_free_or_taken_never_both(
            first in 1_000_u16..1_070, ports in 1_u16..200, steps in steps(), seed: [u8; 32],
        ) {
            let range = first..=first + ports - 1;
            let (table, mut rng) = (PortTable::new(range.clone()), Rng::new(seed));
            let mut taken: Vec<u16> = Vec::new();
            for step in steps {
                let (parity, within, drawn) = match step {
                    Step::GiveBack(at) => {
                        if !taken.is_empty() {
                            table.give_back(taken.swap_remove(at.index(taken.len())));
                        }
                        continue;
                    }
                    Step::Take(parity, at) => {
                        let begin = parity.aligned(first + at.index(ports.into()) as u16);
                        let slice = begin.max(first)..=*range.end();
                        (parity, slice.clone(), table.take_from(&slice, parity, &mut rng))
                    }
                    Step::TakeAnywhere(parity) => {
                        (parity, range.clone(), table.take_anywhere(parity, &mut rng))
                    }
                };
                let is_free = |port: u16| within.contains(&port) && !taken.contains(&port);
                let fits = |port: u16| is_free(port) && match parity {
                    Parity::Any => true,
                    Parity::Even => port.is_multiple_of(2),
                    Parity::Pair => port.is_multiple_of(2) && is_free(port + 1),
                };
                assert_eq!(drawn.is_some(), within.clone().any(fits));
                if let Some(port) = drawn {
                    assert!(fits(port), "{port}");
                    taken.push(port);
                    if parity == Parity::Pair {
                        taken.push(port + 1);
                    }
                }
            }
        }
    }

    /// A port for each thread, in words of their own: nobody is refused, nothing is had by two.
    /// Without the second search, or with a store in place of the exchange, some of so many rounds
    /// go wrong.
    #[test]
    fn threads_never_share_a_port_and_none_is_refused_while_one_is_free() {
        const THREADS: u16 = 4;
        let range = 0..=THREADS * WORD_PORTS - 1;
        let table = &PortTable::new(range.clone());
        taken(table, Parity::Any, range.len());
        let holders: Vec<AtomicU8> = range.map(|_| AtomicU8::new(0)).collect();
        let come_and_go = |thread: u16| {
            let mut rng = Rng::new([thread as u8; 32]);
            for _ in 0..1_000_000 {
                let port = table.take_anywhere(Parity::Any, &mut rng);
                let port = port.expect("the others have one each");
                let holder = &holders[usize::from(port)];
                assert_eq!(holder.swap(1, SeqCst), 0, "{port} is had by two");
                holder.store(0, SeqCst);
                table.give_back(port);
            }
        };
        thread::scope(|scope| {
            for thread in 0..THREADS {
                table.give_back(thread * WORD_PORTS + thread);
                scope.spawn(move || come_and_go(thread));
            }
        });
    }
}
