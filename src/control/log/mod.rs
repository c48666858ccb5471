//! What the server writes into its log, a bounded number of lines a second.
//!
//! [`output`] says how lines look, where they go, and how they get there without anybody waiting.
//! [`events`] turns workers' reports into lines and usage records: [`allocations`] opened and
//! closed, [`sockets`] that fail, [`refused`] requests and connections. [`drops`] is one line a
//! minute about everything dropped, [`totals`] what was done in all, and [`rate`] bounds each kind
//! of line.

pub(super) mod allocations;
pub(super) mod drops;
pub(super) mod events;
pub(super) mod output;
mod rate;
pub(super) mod refused;
mod sockets;
pub(super) mod totals;
