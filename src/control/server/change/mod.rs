//! What changes while a server runs: its rules, the machine's addresses, whether it takes clients.
//!
//! ```text
//! reload   the configuration, read again      rules    those that hold, and those still in use
//! follow   the machine's addresses            drain    no new clients, and the end with the last
//! renewal  certificates that are replaced
//!
//! draining, following, reloading, renewing    what the supervisor does with each
//! ```

pub(in crate::control) mod drain;
mod draining;
pub(in crate::control) mod follow;
mod following;
pub(in crate::control) mod reload;
mod reloading;
pub(in crate::control) mod renewal;
mod renewing;
pub(in crate::control) mod rules;
