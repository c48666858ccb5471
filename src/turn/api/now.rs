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

/// The earlier of two deadlines, where there is one.
pub const fn earliest(one_ms: Option<u64>, other_ms: Option<u64>) -> Option<u64> {
    match (one_ms, other_ms) {
        (Some(one), Some(other)) if other < one => Some(other),
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_deadline_is_later_than_any() {
        assert_eq!(earliest(Some(3), Some(2)), Some(2));
        assert_eq!(earliest(Some(2), Some(3)), Some(2));
        assert_eq!((earliest(Some(3), None), earliest(None, Some(3))), (Some(3), Some(3)));
        assert_eq!(earliest(None, None), None);
    }
}
