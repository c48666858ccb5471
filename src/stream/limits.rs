//! What a stream may take: bytes and milliseconds, each with a name.

/// Bytes of one write at most; one is in flight for each stream.
pub const MOST_WRITE_BYTES: usize = 16_384;

/// Bytes of a write to a client that takes what it is sent at once, where so much waits.
pub const BULK_WRITE_BYTES: usize = 65_536;

/// Bytes of a small write, which every stream may have in flight: a record of TLS.
pub const SMALL_WRITE_BYTES: usize = 4_160;

/// Plaintext bytes of a TLS record at most. A record is useless before its last byte is there, and
/// once sealed it can no longer be dropped.
pub const MOST_RECORD_BYTES: usize = 4_096;

/// Bytes of a frame that a client without an allocation may send: what a request takes.
pub const MOST_UNALLOCATED_FRAME_BYTES: usize = 2_048;

/// Bytes that may wait behind a ConnectionBind request for its answer.
pub const MOST_HELD_BYTES: usize = 65_556;

/// Answers that may come to wait while a write is under way. Those of one turn do not count where
/// none is: whoever sends many requests at once and reads the answers is no burden.
pub const MOST_ANSWERS: usize = 64;
/// Bytes of answers that may wait.
pub const MOST_ANSWER_BYTES: usize = 65_536;

/// Raw bytes that may wait before the side they come from is no longer read.
pub const MOST_RAW_BYTES: usize = 65_536;

/// From the accept to the last byte of the PROXY header.
pub const PROXY_MS: u64 = 5_000;
/// From the accept, or from the end of the PROXY header, to the byte that decides what it is.
pub const FIRST_MS: u64 = 5_000;
/// From the first byte of a ClientHello to its last.
pub const HELLO_MS: u64 = 5_000;
/// From the accept to the end of the TLS handshake.
pub const HANDSHAKE_MS: u64 = 10_000;
/// From the first frame that may come to an allocation or a ConnectionBind.
pub const UNALLOCATED_MS: u64 = 15_000;
/// The same for a client that sends Binding requests.
pub const BINDINGS_MS: u64 = 60_000;
/// From the end of one allocation to the next.
pub const BETWEEN_ALLOCATIONS_MS: u64 = 60_000;
/// From the first part of a frame or record to its last byte.
pub const FRAME_MS: u64 = 10_000;
/// From the start of a write to its end.
pub const WRITE_MS: u64 = 30_000;
/// Without a byte either way between a browser and the web backend.
pub const WEB_IDLE_MS: u64 = 300_000;
/// The same once one of the two has said that it sends no more. HAProxy's `timeout client-fin` is
/// there for this and mostly as long; nginx closes both at the first FIN, unless it is told to wait
/// (`proxy_half_close`).
pub const WEB_HALF_CLOSED_MS: u64 = 30_000;
/// From the decision to close to the end of what is still written.
pub const DRAINING_MS: u64 = 2_000;

/// What the configuration says about streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// Media that waited longer is not sent any more, milliseconds; 50 to 5,000.
    pub delay_ms: u32,
    /// Bytes of plaintext that may wait for one client; beyond them the oldest media is dropped.
    pub queued_bytes: u32,
}

impl Default for StreamLimits {
    /// 250 ms is about what a jitter buffer still plays.
    fn default() -> StreamLimits {
        StreamLimits { delay_ms: 250, queued_bytes: 512 * 1_024 }
    }
}
