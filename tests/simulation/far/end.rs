//! Somebody at the other end of a connection.

use std::{collections::VecDeque, net::SocketAddr};

use super::AMPLE_BYTES;
use crate::{
    line::Cut,
    rng::Rng,
    wires::{MOST_READ_BYTES, StreamNews},
};

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Control,
    /// A client's connection for a peer's of this name.
    Data(u32),
    Peer,
}

#[derive(Debug)]
pub(super) struct End {
    pub(super) role: Role,
    /// Where it arrives.
    pub(super) worker: usize,
    /// Whose it is, where a balancer connects for it.
    pub(super) client: SocketAddr,
    pub(super) cut: Cut,
    /// What it has to bring, in order.
    pub(super) outbox: VecDeque<StreamNews>,
    /// How much its window opens at each step.
    pub(super) reads: usize,
    /// Frames that have not come as a whole.
    pub(super) unread: Vec<u8>,
    pub(super) is_bound: bool,
    /// What passes as it is.
    pub(super) said: Vec<u8>,
    pub(super) heard: Vec<u8>,
    pub(super) has_finished: bool,
    pub(super) heard_end: bool,
    /// It is reset, refused, or closed by the server.
    pub(super) is_over: bool,
    pub(super) is_closed: bool,
}

impl End {
    pub(super) fn new(rng: &mut Rng, role: Role, worker: usize, client: SocketAddr) -> End {
        let slow = rng.within(100..5_000) as usize;
        End {
            role,
            worker,
            client,
            cut: Cut::of(rng),
            outbox: VecDeque::new(),
            reads: if rng.percent(30) { slow } else { AMPLE_BYTES },
            unread: Vec::new(),
            is_bound: false,
            said: Vec::new(),
            heard: Vec::new(),
            has_finished: false,
            heard_end: false,
            is_over: false,
            is_closed: false,
        }
    }

    /// It has something to bring.
    pub(super) fn push(&mut self, rng: &mut Rng, bytes: &[u8]) {
        // Bytewise, a story with as many bytes as there are here would take a day.
        let cut = if bytes.len() > 200 { Cut::Anywhere } else { self.cut };
        let parts = cut.parts(rng, bytes);
        let read = parts.iter().flat_map(|part| part.chunks(MOST_READ_BYTES));
        self.outbox.extend(read.map(|part| StreamNews::Bytes(part.to_vec())));
    }

    pub(super) fn may_say(&self) -> bool {
        !self.has_finished && !self.is_over
    }

    /// A worker waits for its answer.
    pub(super) fn is_asked_for(&self) -> bool {
        matches!(self.outbox.front(), Some(StreamNews::Connected(_) | StreamNews::Refused(_)))
    }

    /// It was reset by itself, or by the server before all was over.
    pub(super) fn is_cut(&self) -> bool {
        self.is_over && !(self.is_closed && self.has_finished && self.heard_end)
    }
}
