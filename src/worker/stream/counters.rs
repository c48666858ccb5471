//! What a worker counts of its connections.

use crate::{
    io::SizeHistogram,
    stream::{Handshake, HangUp},
};

/// Buckets of times in a queue: 0, 1, 2, 4 … 4,096 ms, which is about the longest that media may
/// wait, and above.
const QUEUE_AGES: usize = 15;

/// Connections, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCounters {
    /// Clients connected now.
    pub open: u64,
    /// Of these, those that have shown no credentials that were good.
    pub strangers: u64,
    /// Bytes of memory that hold what waits for clients to read.
    pub queued_bytes: u64,
    /// Connections taken.
    pub accepted: u64,
    /// Media dropped because its client reads too slowly: it had waited too long.
    pub dropped_late: u64,
    /// The same: too many bytes waited.
    pub dropped_full: u64,
    /// Payload for a client whose connection is gone.
    pub dropped_gone: u64,
    /// How long the oldest frame of each write had waited, milliseconds.
    pub queue_ages_ms: SizeHistogram<QUEUE_AGES>,
    /// Connections whose bytes pass as they are.
    pub pipes: PipeCounters,
    handshakes: [u64; HANDSHAKES.len()],
    hang_ups: [u64; HangUp::ALL.len()],
}

/// What a TLS handshake that led to a client can have come to, in the order of the counters.
pub const HANDSHAKES: [Handshake; 4] = [
    Handshake { is_tls13: false, is_resumed: false },
    Handshake { is_tls13: false, is_resumed: true },
    Handshake { is_tls13: true, is_resumed: false },
    Handshake { is_tls13: true, is_resumed: true },
];

/// Connections to peers and to the web backend, and pairs of them with those of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PipeCounters {
    /// Pairs whose bytes pass as they are, now.
    pub open: u64,
    /// Connections to and from peers and to the web backend, now.
    pub far_sides: u64,
    /// Those that were not made or taken because there were as many as there may be.
    pub far_sides_refused: u64,
    /// Connections made to peers (RFC 6062).
    pub connects_made: u64,
    /// Connections to peers that could not be made.
    pub connects_failed: u64,
    /// Connections of peers that were taken.
    pub peers_taken: u64,
    /// Connections of peers that were closed at once.
    pub peers_refused: u64,
    /// Connections made to the web backend.
    pub web_made: u64,
    /// Connections to the web backend that could not be made.
    pub web_failed: u64,
    /// Connections of clients that went to another worker.
    pub moved: u64,
    /// Connections of clients that were to go to another worker, and were closed.
    pub moves_failed: u64,
}

impl Default for StreamCounters {
    fn default() -> StreamCounters {
        StreamCounters {
            open: 0,
            strangers: 0,
            queued_bytes: 0,
            accepted: 0,
            dropped_late: 0,
            dropped_full: 0,
            dropped_gone: 0,
            queue_ages_ms: SizeHistogram::default(),
            handshakes: [0; HANDSHAKES.len()],
            pipes: PipeCounters::default(),
            hang_ups: [0; HangUp::ALL.len()],
        }
    }
}

impl StreamCounters {
    /// Connections closed or refused for a reason.
    pub fn hang_ups(&self, reason: HangUp) -> u64 {
        self.hang_ups[reason as usize]
    }

    /// TLS handshakes that led to a client and came to this.
    pub fn handshakes(&self, handshake: Handshake) -> u64 {
        self.handshakes[place(handshake)]
    }

    pub(super) fn count_handshake(&mut self, handshake: Handshake) {
        self.handshakes[place(handshake)] += 1;
    }

    /// Counts what was dropped for a write, and how long the oldest frame in it had waited.
    pub(super) fn count_fill(&mut self, dropped_late: u32, oldest_age_ms: Option<u64>) {
        self.dropped_late += u64::from(dropped_late);
        oldest_age_ms.into_iter().for_each(|age_ms| self.queue_ages_ms.count(age_ms as usize));
    }

    pub(super) fn count(&mut self, reason: HangUp) {
        self.hang_ups[reason as usize] += 1;
    }
}

const fn place(handshake: Handshake) -> usize {
    let Handshake { is_tls13, is_resumed } = handshake;
    2 * is_tls13 as usize + is_resumed as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_handshake_has_its_own_place() {
        let places = HANDSHAKES.map(place);
        assert_eq!(places, [0, 1, 2, 3]);
    }
}
