//! What a completion is about, in the 64 bits that travel with each operation.
//!
//! ```text
//! kind 8 │ generation 24 │ slot or train 32
//! ```

use crate::io::{
    engine::table::{GENERATION_MASK, Key},
    stream::kernel::Operation,
};

/// The subject of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Receive(Key),
    Cancel(Key),
    Send(u32),
    Wake,
    /// Makes a socket, or sets it; completes only if it fails.
    Make(Key),
    Bind(Key),
    Leave(Key),
    Install(Key),
    /// A descriptor that the driver waits for.
    Descriptor,
    /// An accept, by its number.
    Accept(u32),
    StreamConnect(Key),
    StreamReceive(Key),
    StreamWrite(Key),
    StopAccept(Key),
    StopStream(Key, Operation),
}

const RECEIVE: u8 = 1;
const CANCEL: u8 = 2;
const SEND: u8 = 3;
const WAKE: u8 = 4;
const MAKE: u8 = 5;
const BIND: u8 = 6;
const LEAVE: u8 = 7;
const DESCRIPTOR: u8 = 8;
const INSTALL: u8 = 9;
const ACCEPT: u8 = 10;
const STREAM_CONNECT: u8 = 11;
const STREAM_RECEIVE: u8 = 12;
const STREAM_WRITE: u8 = 13;
const STOP_ACCEPT: u8 = 14;
const STOP_CONNECT: u8 = 15;
const STOP_RECEIVE: u8 = 16;
const STOP_WRITE: u8 = 17;

impl Token {
    pub(super) fn pack(self) -> u64 {
        match self {
            Self::Receive(key) => packed(RECEIVE, key.generation, key.slot),
            Self::Cancel(key) => packed(CANCEL, key.generation, key.slot),
            Self::Send(train) => packed(SEND, 0, train),
            Self::Wake => packed(WAKE, 0, 0),
            Self::Make(key) => packed(MAKE, key.generation, key.slot),
            Self::Bind(key) => packed(BIND, key.generation, key.slot),
            Self::Leave(key) => packed(LEAVE, key.generation, key.slot),
            Self::Install(key) => packed(INSTALL, key.generation, key.slot),
            Self::Descriptor => packed(DESCRIPTOR, 0, 0),
            Self::Accept(number) => packed(ACCEPT, 0, number),
            Self::StreamConnect(key) => packed(STREAM_CONNECT, key.generation, key.slot),
            Self::StreamReceive(key) => packed(STREAM_RECEIVE, key.generation, key.slot),
            Self::StreamWrite(key) => packed(STREAM_WRITE, key.generation, key.slot),
            Self::StopAccept(key) => packed(STOP_ACCEPT, key.generation, key.slot),
            Self::StopStream(key, operation) => {
                let kind = match operation {
                    Operation::Connect => STOP_CONNECT,
                    Operation::Receive => STOP_RECEIVE,
                    Operation::Write => STOP_WRITE,
                };
                packed(kind, key.generation, key.slot)
            }
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
            MAKE => Some(Self::Make(key)),
            BIND => Some(Self::Bind(key)),
            LEAVE => Some(Self::Leave(key)),
            INSTALL => Some(Self::Install(key)),
            DESCRIPTOR => Some(Self::Descriptor),
            ACCEPT => Some(Self::Accept(slot)),
            STREAM_CONNECT => Some(Self::StreamConnect(key)),
            STREAM_RECEIVE => Some(Self::StreamReceive(key)),
            STREAM_WRITE => Some(Self::StreamWrite(key)),
            STOP_ACCEPT => Some(Self::StopAccept(key)),
            STOP_CONNECT => Some(Self::StopStream(key, Operation::Connect)),
            STOP_RECEIVE => Some(Self::StopStream(key, Operation::Receive)),
            STOP_WRITE => Some(Self::StopStream(key, Operation::Write)),
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
        let of_socket: [fn(Key) -> Token; 6] =
            [Token::Receive, Token::Cancel, Token::Make, Token::Bind, Token::Leave, Token::Install];
        let of_stream: [fn(Key) -> Token; 7] = [
            Token::StreamConnect,
            Token::StreamReceive,
            Token::StreamWrite,
            Token::StopAccept,
            |key| Token::StopStream(key, Operation::Connect),
            |key| Token::StopStream(key, Operation::Receive),
            |key| Token::StopStream(key, Operation::Write),
        ];
        let others = [Token::Send(7), Token::Accept(8), Token::Wake, Token::Descriptor];
        let of_keys = of_socket.into_iter().chain(of_stream).map(|token| token(key));
        for token in of_keys.chain(others) {
            assert_eq!(Token::unpack(token.pack()), Some(token));
        }
        assert_eq!(Token::unpack(0), None);
    }
}
