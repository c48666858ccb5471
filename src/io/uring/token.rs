//! What a completion is about, in the 64 bits that travel with each operation.
//!
//! ```text
//! kind 8 │ generation 24 │ slot or train 32
//! ```

use crate::io::table::{GENERATION_MASK, Key};

/// The subject of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Receive(Key),
    Cancel(Key),
    Send(u32),
    Wake,
}

const RECEIVE: u8 = 1;
const CANCEL: u8 = 2;
const SEND: u8 = 3;
const WAKE: u8 = 4;

impl Token {
    pub(super) fn pack(self) -> u64 {
        match self {
            Self::Receive(key) => packed(RECEIVE, key.generation, key.slot),
            Self::Cancel(key) => packed(CANCEL, key.generation, key.slot),
            Self::Send(train) => packed(SEND, 0, train),
            Self::Wake => packed(WAKE, 0, 0),
        }
    }

    /// Reads a token back. `None` for bits that no operation of ours carries.
    pub(super) fn unpack(bits: u64) -> Option<Self> {
        let slot = bits as u32;
        let key = Key { slot, generation: (bits >> 32) as u32 & GENERATION_MASK };
        match (bits >> 56) as u8 {
            RECEIVE => Some(Self::Receive(key)),
            CANCEL => Some(Self::Cancel(key)),
            SEND => Some(Self::Send(slot)),
            WAKE => Some(Self::Wake),
            _ => None,
        }
    }
}

fn packed(kind: u8, generation: u32, slot: u32) -> u64 {
    u64::from(kind) << 56 | u64::from(generation & GENERATION_MASK) << 32 | u64::from(slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_survive_the_ring() {
        let key = Key { slot: u32::MAX, generation: GENERATION_MASK };
        for token in [Token::Receive(key), Token::Cancel(key), Token::Send(7), Token::Wake] {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(0), None);
    }
}
