//! What became of the packets, counted.

pub(crate) mod latency;
pub(crate) mod ledger;
pub(crate) mod recent;
pub(crate) mod slices;
pub(crate) mod stats;
pub(crate) mod tally;
