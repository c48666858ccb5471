//! When each connection is to be looked at again.
//!
//! A connection's deadline moves with almost everything that happens to it, mostly to a later
//! time. So an entry stays where it is while the deadline moves later; it is looked at when it is
//! due, and put where it belongs then. Only a deadline that moves to an earlier time is a new
//! entry, of which there are few.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::io::StreamId;

/// Deadlines are as late as this, so that many of them are one turn.
const GRAIN_MS: u64 = 100;

/// Entries of all connections, the earliest first.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BinaryHeap<Reverse<(u64, StreamId)>>);

/// The entry that a connection waits for; none at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Armed(u64);

impl Armed {
    pub(super) const NO: Armed = Armed(u64::MAX);
}

impl Deadlines {
    /// Sees that a connection is looked at when its deadline has passed; `u64::MAX` is never.
    pub(super) fn arm(&mut self, stream: StreamId, deadline_ms: u64, armed: &mut Armed) {
        let Some(due_ms) = deadline_ms.checked_next_multiple_of(GRAIN_MS) else { return };
        if due_ms < armed.0 {
            *armed = Armed(due_ms);
            self.0.push(Reverse((due_ms, stream)));
        }
    }

    /// Takes a connection whose entry is due. The connection says whether it really is: the entry
    /// may be a former one.
    pub(super) fn pop(&mut self, now_ms: u64) -> Option<(StreamId, Armed)> {
        let Reverse((due_ms, stream)) = *self.0.peek()?;
        if due_ms > now_ms {
            return None;
        }
        self.0.pop();
        Some((stream, Armed(due_ms)))
    }

    /// When the next entry is due.
    pub(super) fn next_ms(&self) -> Option<u64> {
        self.0.peek().map(|Reverse((due_ms, _))| *due_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> StreamId {
        StreamId::new(1)
    }

    #[test]
    fn a_deadline_that_moves_later_is_no_new_entry() {
        let (mut deadlines, mut armed) = (Deadlines::default(), Armed::NO);
        deadlines.arm(one(), 5_001, &mut armed);
        (6_000..7_000).for_each(|ms| deadlines.arm(one(), ms, &mut armed));
        deadlines.arm(one(), u64::MAX, &mut armed);
        assert_eq!(deadlines.next_ms(), Some(5_100));
        assert_eq!(deadlines.pop(5_099), None);
        assert_eq!(deadlines.pop(5_100), Some((one(), armed)));
        assert_eq!(deadlines.pop(u64::MAX), None);
    }

    #[test]
    fn a_deadline_that_moves_earlier_is_due_first() {
        let (mut deadlines, mut armed) = (Deadlines::default(), Armed::NO);
        deadlines.arm(one(), 5_000, &mut armed);
        let before = armed;
        deadlines.arm(one(), 1_000, &mut armed);
        assert_eq!(deadlines.pop(6_000), Some((one(), armed)));
        assert_eq!(deadlines.pop(6_000), Some((one(), before)), "a former one");
    }

    #[test]
    fn never_is_never_due() {
        let (mut deadlines, mut armed) = (Deadlines::default(), Armed::NO);
        deadlines.arm(one(), u64::MAX, &mut armed);
        assert_eq!((deadlines.next_ms(), armed), (None, Armed::NO));
    }
}
