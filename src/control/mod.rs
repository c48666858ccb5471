//! Cold work: configuration, logging, signals.
//!
//! Everything here happens once, or a few times a second at most; it may allocate and it may log.
//! Nothing here is called for a packet.

pub mod config;
