//! What a driver says of itself.
//!
//! ```text
//! counters.rs        what it counts
//! size_histogram.rs  how often there were how many, of which counters has several
//! hold_times.rs      how long it holds datagrams
//! core_use.rs        how much of its core it uses
//! ```

pub(in crate::io) mod core_use;
pub(in crate::io) mod counters;
pub(in crate::io) mod hold_times;
pub(in crate::io) mod size_histogram;
