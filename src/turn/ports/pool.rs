//! The free relay ports of one address in one worker's slice.
//!
//! A port is drawn uniformly by the seeded generator, so that a relayed address cannot be guessed,
//! and in constant time whatever is taken: the free ports stand in two dense lists, even and odd,
//! and each port knows its place in its list.

use std::ops::RangeInclusive;

use crate::turn::Chance;

/// Marks a port that is in neither list.
const TAKEN: u16 = u16::MAX;

/// Random draws for a pair before the pool is searched from end to end.
const PAIR_DRAWS: usize = 32;

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

/// Free ports of one address.
#[derive(Debug)]
pub(in crate::turn) struct PortPool {
    first: u16,
    /// Free even and free odd ports, each in no order.
    free: [Vec<u16>; 2],
    /// Place of each port of the slice in its list, or [`TAKEN`].
    place: Vec<u16>,
}

impl PortPool {
    /// Begins with every port of the slice free.
    pub(in crate::turn) fn new(slice: RangeInclusive<u16>) -> PortPool {
        let mut pool = PortPool {
            first: *slice.start(),
            free: [Vec::new(), Vec::new()],
            place: vec![TAKEN; slice.len()],
        };
        for port in slice {
            pool.put(port);
        }
        pool
    }

    /// Ports that are free.
    pub(in crate::turn) fn free_count(&self) -> usize {
        self.free[0].len() + self.free[1].len()
    }

    /// Takes a port, or the even one of a pair; `None` when none will do.
    pub(in crate::turn) fn take(&mut self, parity: Parity, chance: &mut Chance) -> Option<u16> {
        match parity {
            Parity::Any => self.take_any(chance),
            Parity::Even => self.take_from(0, chance),
            Parity::Pair => self.take_pair(chance),
        }
    }

    /// Puts a port back that was taken from here.
    pub(in crate::turn) fn put(&mut self, port: u16) {
        let Some(offset) = self.offset(port) else { return };
        if self.place[offset] == TAKEN {
            let list = &mut self.free[usize::from(port & 1)];
            self.place[offset] = list.len() as u16;
            list.push(port);
        }
    }

    fn take_any(&mut self, chance: &mut Chance) -> Option<u16> {
        let even = self.free[0].len();
        let drawn = chance.below(even + self.free[1].len())?;
        self.take_from(usize::from(drawn >= even), chance)
    }

    fn take_from(&mut self, list: usize, chance: &mut Chance) -> Option<u16> {
        let port = self.free[list][chance.below(self.free[list].len())?];
        self.remove(port);
        Some(port)
    }

    fn take_pair(&mut self, chance: &mut Chance) -> Option<u16> {
        let even = self.draw_pair(chance)?;
        self.remove(even);
        self.remove(even + 1);
        Some(even)
    }

    /// Draws a few times, which nearly always finds one, then looks at every even port once.
    fn draw_pair(&self, chance: &mut Chance) -> Option<u16> {
        for _ in 0..PAIR_DRAWS {
            let even = self.free[0][chance.below(self.free[0].len())?];
            if self.is_free(even + 1) {
                return Some(even);
            }
        }
        self.free[0].iter().copied().find(|even| self.is_free(even + 1))
    }

    fn is_free(&self, port: u16) -> bool {
        self.offset(port).is_some_and(|offset| self.place[offset] != TAKEN)
    }

    fn remove(&mut self, port: u16) {
        let Some(offset) = self.offset(port) else { return };
        let list = &mut self.free[usize::from(port & 1)];
        let place = self.place[offset];
        list.swap_remove(usize::from(place));
        if let Some(moved) = list.get(usize::from(place)) {
            self.place[usize::from(moved - self.first)] = place;
        }
        self.place[offset] = TAKEN;
    }

    fn offset(&self, port: u16) -> Option<usize> {
        let offset = usize::from(port.checked_sub(self.first)?);
        (offset < self.place.len()).then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    use super::*;

    fn chance() -> Chance {
        Chance::new([3; 32])
    }

    #[test]
    fn every_port_is_handed_out_once_and_then_none() {
        let mut pool = PortPool::new(50_000..=50_099);
        let mut chance = chance();
        let taken: HashSet<u16> =
            (0..100).map(|_| pool.take(Parity::Any, &mut chance).unwrap()).collect();
        assert_eq!(taken.len(), 100);
        assert_eq!(pool.take(Parity::Any, &mut chance), None);
        pool.put(50_042);
        pool.put(50_042);
        assert_eq!(pool.take(Parity::Even, &mut chance), Some(50_042));
        assert_eq!(pool.free_count(), 0);
    }

    #[test]
    fn the_last_port_of_all_is_not_half_of_a_pair() {
        let mut pool = PortPool::new(65_535..=65_535);
        assert_eq!(pool.take(Parity::Pair, &mut chance()), None);
        assert_eq!(pool.take(Parity::Even, &mut chance()), None);
        assert_eq!(pool.take(Parity::Any, &mut chance()), Some(65_535));
        let empty = RangeInclusive::new(1, 0);
        assert_eq!(PortPool::new(empty).take(Parity::Any, &mut chance()), None);
    }

    #[test]
    fn ports_are_not_handed_out_in_a_row() {
        let mut pool = PortPool::new(49_152..=65_535);
        let mut chance = chance();
        let drawn: Vec<u16> =
            (0..64).map(|_| pool.take(Parity::Any, &mut chance).unwrap()).collect();
        let neighbours = drawn.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) <= 2).count();
        assert!(neighbours < 4, "{drawn:?}");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(Parity),
        Put(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let parity = prop_oneof![Just(Parity::Any), Just(Parity::Even), Just(Parity::Pair)];
        let step = prop_oneof![
            parity.prop_map(Step::Take),
            any::<prop::sample::Index>().prop_map(Step::Put)
        ];
        prop::collection::vec(step, 0..200)
    }

    proptest! {
        #[test]
        fn a_port_is_free_or_taken_never_both(
            first in 1_000_u16..1_002, ports in 1_u16..40, steps in steps(), seed: [u8; 32],
        ) {
            let slice = first..=first + ports - 1;
            let mut pool = PortPool::new(slice.clone());
            let mut chance = Chance::new(seed);
            let mut taken: Vec<u16> = Vec::new();
            for step in steps {
                match step {
                    Step::Put(at) if taken.is_empty() => { let _ = at; }
                    Step::Put(at) => pool.put(taken.swap_remove(at.index(taken.len()))),
                    Step::Take(parity) => {
                        let drawn = pool.take(parity, &mut chance);
                        let fits = |port: &u16| match parity {
                            Parity::Any => true,
                            Parity::Even => port.is_multiple_of(2),
                            Parity::Pair => port.is_multiple_of(2)
                                && slice.contains(&(port + 1)) && !taken.contains(&(port + 1)),
                        };
                        let mut free = slice.clone().filter(|port| !taken.contains(port));
                        assert_eq!(drawn.is_some(), free.any(|port| fits(&port)));
                        if let Some(port) = drawn {
                            assert!(slice.contains(&port) && !taken.contains(&port) && fits(&port));
                            taken.push(port);
                            if parity == Parity::Pair { taken.push(port + 1); }
                        }
                    }
                }
                assert_eq!(pool.free_count() + taken.len(), usize::from(ports));
            }
        }
    }
}
