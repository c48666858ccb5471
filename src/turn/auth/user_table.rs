//! Users and their keys in one piece of memory.
//!
//! ```text
//! slots    [ 0 | 1 | 0 | 30 | …    where a record begins, plus one; 0 is empty
//! records  key (16) | length (2) | name | key (16) | length (2) | name | …
//! ```
//!
//! A map of names to prepared keys takes 300 bytes for each user, and while the configuration is
//! read again there are two of them. Here it is 18 bytes, the name, and six to twelve bytes of
//! slots; the two hashes that prepare a key are computed when its user allocates.
//!
//! Law: no copy of a key is left in memory that is free.

use std::hash::BuildHasher;

use foldhash::fast::FixedState;
use zeroize::Zeroizing;

/// Bytes of a long-term key: those of MD5.
pub(super) const KEY_BYTES: usize = 16;
const HEAD_BYTES: usize = KEY_BYTES + 2;

/// Users, each with a long-term key.
#[derive(Clone, Default)]
pub(super) struct UserTable {
    records: Zeroizing<Vec<u8>>,
    /// A power of two, at most two thirds of them in use; none as long as there is no user.
    slots: Vec<u32>,
    users: usize,
}

impl std::fmt::Debug for UserTable {
    /// Never shows a key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UserTable").field("users", &self.users).finish_non_exhaustive()
    }
}

impl UserTable {
    /// Makes room for so many more users, whose names have so many bytes together.
    pub(super) fn reserve(&mut self, users: usize, name_bytes: usize) {
        self.make_room(users * HEAD_BYTES + name_bytes);
        let slots = slots_for(self.users + users);
        if slots > self.slots.len() {
            self.spread_over(slots);
        }
    }

    /// Keeps the key of a user, in place of one that it had before. The name has 65,535 bytes at
    /// most.
    pub(super) fn insert(&mut self, name: &str, key: &[u8; KEY_BYTES]) {
        if let Some(at) = self.find(name) {
            return self.records[at..at + KEY_BYTES].copy_from_slice(key);
        }
        self.reserve(1, name.len());
        let length = u16::try_from(name.len()).expect("no name is that long");
        let at = self.records.len();
        self.records.extend_from_slice(key);
        self.records.extend_from_slice(&length.to_ne_bytes());
        self.records.extend_from_slice(name.as_bytes());
        self.users += 1;
        self.occupy(at);
    }

    /// The key of a user.
    pub(super) fn key(&self, name: &str) -> Option<&[u8; KEY_BYTES]> {
        self.find(name).and_then(|at| self.records[at..].first_chunk())
    }

    /// Where the record of a user begins.
    fn find(&self, name: &str) -> Option<usize> {
        let mut slot = self.first_slot(name.as_bytes())?;
        loop {
            let at = self.slots[slot].checked_sub(1)? as usize;
            if self.name(at) == name.as_bytes() {
                return Some(at);
            }
            slot = (slot + 1) % self.slots.len();
        }
    }

    /// Where the search for a name begins; `None` where there is no slot at all.
    fn first_slot(&self, name: &[u8]) -> Option<usize> {
        // The names are the operator's own, so nobody can choose them to collide.
        let hash = FixedState::default().hash_one(name);
        (hash as usize).checked_rem(self.slots.len())
    }

    fn name(&self, record: usize) -> &[u8] {
        let begin = record + HEAD_BYTES;
        let length = [self.records[begin - 2], self.records[begin - 1]];
        &self.records[begin..begin + usize::from(u16::from_ne_bytes(length))]
    }

    /// Takes the next empty slot for a record.
    fn occupy(&mut self, record: usize) {
        let mut slot = self.first_slot(self.name(record)).expect("there is room for it");
        while self.slots[slot] != 0 {
            slot = (slot + 1) % self.slots.len();
        }
        // Whoever reads users from files bounds their length (control/config/file/text.rs).
        self.slots[slot] = u32::try_from(record + 1).expect("records take less than 4 GiB");
    }

    fn spread_over(&mut self, slots: usize) {
        self.slots = vec![0; slots];
        let mut record = 0;
        while record < self.records.len() {
            self.occupy(record);
            record += HEAD_BYTES + self.name(record).len();
        }
    }

    /// A vector that grows by itself would leave its keys behind.
    fn make_room(&mut self, bytes: usize) {
        let needed = self.records.len() + bytes;
        if needed > self.records.capacity() {
            let room = needed.max(2 * self.records.capacity());
            let mut records = Zeroizing::new(Vec::with_capacity(room));
            records.extend_from_slice(&self.records);
            self.records = records;
        }
    }
}

/// As few as keep one of three empty.
fn slots_for(users: usize) -> usize {
    (users + users.div_ceil(2)).next_power_of_two()
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::{any, prop, proptest};

    use super::*;

    #[test]
    fn nobody_is_in_an_empty_table() {
        let table = UserTable::default();
        assert_eq!(table.key(""), None);
        assert_eq!(table.key("ann"), None);
    }

    #[test]
    fn a_user_takes_18_bytes_the_name_and_a_slot() {
        const USERS: usize = 100_000;
        let mut table = UserTable::default();
        table.reserve(USERS, 10 * USERS);
        for user in 0..USERS {
            table.insert(&format!("user-{user:05}"), &(user as u128).to_be_bytes());
        }
        assert_eq!(table.records.capacity(), USERS * 28);
        assert_eq!(table.slots.len(), 1 << 18);
        for user in 0..USERS {
            let key = table.key(&format!("user-{user:05}"));
            assert_eq!(key, Some(&(user as u128).to_be_bytes()));
        }
        assert_eq!(table.key("user-100000"), None);
    }

    #[test]
    fn what_is_shown_of_it_is_no_key() {
        let mut table = UserTable::default();
        table.insert("ann", &[77; KEY_BYTES]);
        assert_eq!(format!("{table:?}"), "UserTable { users: 1, .. }");
    }

    proptest! {
        #[test]
        fn it_is_a_map(
            users in prop::collection::vec(("[ab]{0,4}", any::<[u8; KEY_BYTES]>()), 0..60),
            room in 0_usize..8,
            asked in "[abc]{0,4}",
        ) {
            let (mut table, mut map) = (UserTable::default(), HashMap::new());
            table.reserve(room, 3 * room);
            for (name, key) in &users {
                table.insert(name, key);
                map.insert(name.clone(), *key);
            }
            assert_eq!(table.users, map.len());
            for (name, key) in &map {
                assert_eq!(table.key(name), Some(key));
            }
            assert_eq!(table.key(&asked), map.get(&asked));
        }
    }
}
