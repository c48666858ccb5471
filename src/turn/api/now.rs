//! The time, as an argument.

/// One reading of the clocks, taken by the caller once for a whole batch of datagrams.
///
/// Deadlines count on `mono_ms`, which never goes back. `unix_s` serves only what the outside
/// world dates: nonces and the expiry of time-limited usernames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds since the machine booted (CLOCK_MONOTONIC), or since any other moment before
    /// the first call.
    pub mono_ms: u64,
    /// Seconds since 1970-01-01 00:00 UTC.
    pub unix_s: u64,
}
