//! Streams or acceptors by number.
//!
//! Slots are reused, so whatever is under way carries the slot's generation too, and is recognised
//! as stale when the two differ.

use crate::io::engine::table::{GENERATION_MASK, Key};

/// Up to `capacity` values, each in a slot of its own.
#[derive(Debug)]
pub(super) struct Numbered<T> {
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    capacity: usize,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

impl<T> Numbered<T> {
    pub(super) fn new(capacity: usize) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), capacity }
    }

    /// Numbered in use.
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Numbered that have been in use: each key's is below.
    pub(super) fn ever(&self) -> u32 {
        self.slots.len() as u32
    }

    pub(super) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Puts a value into a free slot; `None` when there is none.
    pub(super) fn insert(&mut self, value: T) -> Option<Key> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None if self.slots.len() < self.capacity => {
                self.slots.push(Slot { generation: 0, value: None });
                self.slots.len() as u32 - 1
            }
            None => return None,
        };
        let place = &mut self.slots[slot as usize];
        place.value = Some(value);
        Some(Key { slot, generation: place.generation })
    }

    /// Frees a slot and ends its generation.
    pub(super) fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        slot.generation = slot.generation.wrapping_add(1) & GENERATION_MASK;
        self.free.push(key.slot);
        Some(value)
    }

    /// What a key was made for, unless that life is over.
    pub(super) fn at(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.slot as usize)?;
        if slot.generation == key.generation { slot.value.as_mut() } else { None }
    }

    /// The key of what is in a slot now.
    pub(super) fn key(&self, slot: u32) -> Option<Key> {
        let place = self.slots.get(slot as usize)?;
        place.value.as_ref().map(|_| Key { slot, generation: place.generation })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_is_another_life() {
        let mut slots = Numbered::new(2);
        let first = slots.insert('a').expect("room");
        assert_eq!(slots.remove(first), Some('a'));
        assert_eq!(slots.remove(first), None);
        let second = slots.insert('b').expect("room");
        assert_eq!(first.slot, second.slot);
        assert!(slots.at(first).is_none() && slots.remove(first).is_none());
        assert_eq!(slots.key(first.slot), Some(second));
        assert_eq!(slots.at(second), Some(&mut 'b'));
    }

    #[test]
    fn a_full_table_takes_nothing_until_a_slot_is_free() {
        let mut slots = Numbered::new(2);
        let keys = ['a', 'b'].map(|value| slots.insert(value).expect("room"));
        assert_eq!((slots.insert('c'), slots.len()), (None, 2));
        slots.remove(keys[0]);
        assert_eq!(
            (slots.len(), slots.ever(), slots.key(0), slots.key(1)),
            (1, 2, None, Some(keys[1]))
        );
        assert!(slots.insert('c').is_some());
    }
}
