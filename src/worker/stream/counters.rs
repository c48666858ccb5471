//! What a worker counts of its connections.

use crate::stream::HangUp;

/// Connections, by what became of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamCounters {
    /// Clients connected now.
    pub open: u64,
    /// Of these, those that have shown no credentials that were good.
    pub strangers: u64,
    /// Plaintext bytes that wait for clients to read.
    pub queued_bytes: u64,
    /// Connections taken.
    pub accepted: u64,
    /// TLS handshakes that came to an end.
    pub handshakes: u64,
    /// Media dropped because its client reads too slowly: it had waited too long.
    pub dropped_late: u64,
    /// The same: too many bytes waited.
    pub dropped_full: u64,
    /// Payload for a client whose connection is gone.
    pub dropped_gone: u64,
    hang_ups: [u64; HangUp::ALL.len()],
}

impl Default for StreamCounters {
    fn default() -> StreamCounters {
        StreamCounters {
            open: 0,
            strangers: 0,
            queued_bytes: 0,
            accepted: 0,
            handshakes: 0,
            dropped_late: 0,
            dropped_full: 0,
            dropped_gone: 0,
            hang_ups: [0; HangUp::ALL.len()],
        }
    }
}

impl StreamCounters {
    /// Connections closed or refused for a reason.
    pub fn hang_ups(&self, reason: HangUp) -> u64 {
        self.hang_ups[reason as usize]
    }

    pub(super) fn count(&mut self, reason: HangUp) {
        self.hang_ups[reason as usize] += 1;
    }
}
