//! What one source and one client may have, and what the log hears of those that wanted more.
//!
//! ```text
//! rules.rs     what the operator decides about connections
//! sources.rs   how many connections a source has, and how fast it opens them
//! share.rs     whose media goes where all queues together are full
//! refusals.rs  which refusals the log hears of; faults.rs tells it
//! ```

mod faults;
pub(super) mod refusals;
pub(in crate::worker) mod rules;
mod share;
pub(in crate::worker) mod sources;
