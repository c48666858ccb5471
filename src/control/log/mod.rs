//! What the server writes into its log, a bounded number of lines a second.
//!
//! [`output`] says how lines look and where they go, [`queue`] how they get there without anybody
//! waiting. [`events`] turns workers' reports into lines and usage records: [`allocations`] opened
//! and closed, [`sockets`] that fail, [`strangers`] that are not answered, [`refusals`] of
//! requests, [`streams`] that are refused or closed for a fault. [`recent`] keeps the last of both.
//! [`drops`] is one line a minute about everything dropped, [`totals`] what was done in all, and
//! [`rate`] bounds each kind of line.

pub(super) mod allocations;
pub(super) mod drops;
pub(super) mod events;
pub(super) mod output;
mod queue;
pub(super) mod rate;
pub(super) mod recent;
pub(super) mod refusals;
pub(super) mod sockets;
pub(super) mod strangers;
pub(super) mod streams;
pub(super) mod totals;
