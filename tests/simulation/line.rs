//! Clients' ends of their connections: how their bytes are cut, how they read, and what they make
//! of what they have read.

use std::{collections::BTreeMap, net::SocketAddr};

use super::rng::Rng;

/// How a client's bytes are cut on their way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    Bytewise,
    Anywhere,
    Nowhere,
}

impl Cut {
    pub(crate) fn of(rng: &mut Rng) -> Cut {
        match rng.below(8) {
            0 => Cut::Bytewise,
            1..5 => Cut::Anywhere,
            _ => Cut::Nowhere,
        }
    }

    pub(crate) fn parts(self, rng: &mut Rng, bytes: &[u8]) -> Vec<Vec<u8>> {
        let (mut parts, mut rest) = (Vec::new(), bytes);
        while !rest.is_empty() {
            let most = rest.len() as u64;
            let part = match self {
                Cut::Bytewise => 1,
                Cut::Anywhere => 1 + rng.below(most),
                Cut::Nowhere => most,
            };
            let (part, left) = rest.split_at(part as usize);
            parts.push(part.to_vec());
            rest = left;
        }
        parts
    }
}

/// Frames in what a client has received, by the rules of RFC 8489 §6.2.2 and RFC 8656 §12.5, and
/// what is left behind the last whole one.
pub(crate) fn frames(bytes: &[u8]) -> (Vec<Vec<u8>>, Vec<u8>) {
    let (mut frames, mut rest) = (Vec::new(), bytes);
    while let [first, _, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let bytes = if *first < 4 { 20 + length } else { (4 + length).next_multiple_of(4) };
        let Some((frame, left)) = rest.split_at_checked(bytes) else { break };
        frames.push(frame.to_vec());
        rest = left;
    }
    (frames, rest.to_vec())
}

/// Connections that end, by client.
pub(crate) type Lines = BTreeMap<SocketAddr, Line>;

/// A client's end of its connection.
#[derive(Debug)]
pub(crate) struct Line {
    pub(crate) worker: usize,
    pub(crate) cut: Cut,
    /// How much it reads at a time, and how often; `None` for all at once.
    pub(crate) reads: Option<(usize, u64)>,
    /// When what it sent last arrives, and what it was sent.
    pub(crate) up_ms: u64,
    pub(crate) down_ms: u64,
    pub(crate) unread: Vec<u8>,
    pub(crate) has_finished: bool,
}
