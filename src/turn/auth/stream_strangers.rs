//! How often one TCP or TLS connection is answered before its client shows who he is.
//!
//! The handshake of a connection has proved the way back, so no answer amplifies anything and the
//! reply budget has nothing to say: a network that floods with forged datagrams costs the stream
//! clients in it nothing. What is left to bound is work. A connection gets [`STRANGER_ANSWERS`]
//! answers without good credentials, wrong passwords among them; after that its requests are
//! dropped unread, and the worker may close it.
//!
//! One entry for each connection that has been answered or came from another worker, until
//! credentials are good or the connection ends: no more than there are connections.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::turn::api::{names::identity::FiveTuple, reason::Reason};

/// Answers of one connection. A login takes one or two; Binding requests that keep a connection
/// open for the minute it is given come every 15 s or so.
pub(in crate::turn) const STRANGER_ANSWERS: u8 = 64;

/// The connections whose clients have not shown who they are.
#[derive(Debug)]
pub(in crate::turn) struct StreamStrangers {
    known: HashMap<FiveTuple, Known, FixedState>,
}

/// What is known of one connection.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    answers: u8,
    /// It came from another worker, and goes to no other.
    is_settled: bool,
}

impl StreamStrangers {
    pub(in crate::turn) fn new(hash: FixedState) -> StreamStrangers {
        StreamStrangers { known: HashMap::with_hasher(hash) }
    }

    /// Says whether a connection is still answered.
    pub(in crate::turn) fn admit(&self, flow: FiveTuple) -> Result<(), Reason> {
        let answers = self.known.get(&flow).map_or(0, |known| known.answers);
        if answers < STRANGER_ANSWERS { Ok(()) } else { Err(Reason::TooManyAnswers) }
    }

    /// Counts an answer.
    pub(in crate::turn) fn charge(&mut self, flow: FiveTuple) {
        let known = self.known.entry(flow).or_default();
        known.answers = known.answers.saturating_add(1);
    }

    /// Lets a connection that came from another worker stay here.
    pub(in crate::turn) fn settle(&mut self, flow: FiveTuple) {
        self.known.entry(flow).or_default().is_settled = true;
    }

    /// True for a connection that came from another worker.
    pub(in crate::turn) fn is_settled(&self, flow: FiveTuple) -> bool {
        self.known.get(&flow).is_some_and(|known| known.is_settled)
    }

    /// Forgets a connection that has ended, or whose client is known by now.
    pub(in crate::turn) fn forget(&mut self, flow: FiveTuple) {
        self.known.remove(&flow);
    }

    /// Connections that are remembered.
    #[cfg(test)]
    pub(in crate::turn) fn count(&self) -> usize {
        self.known.len()
    }
}
