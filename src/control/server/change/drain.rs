//! A drain, as long as it is under way.

use std::net::SocketAddr;
use std::time::Instant;

/// A drain under way.
#[derive(Debug)]
pub(in crate::control) struct Drain {
    pub(in crate::control) servers: Vec<SocketAddr>,
    pub(in crate::control) deadline: Option<Instant>,
    /// Allocations when it began, once they have been counted.
    pub(in crate::control) begun_with: Option<u64>,
    pub(in crate::control) next_log: Instant,
}

/// Whether a drain is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Left {
    /// Nobody is left, or the deadline has come.
    Over,
    /// Somebody is.
    Some,
}
