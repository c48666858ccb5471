//! What changes while a server runs: its rules, the machine's addresses, whether it takes clients.
//!
//! ```text
//! reload   the configuration, read again      rules    those that hold, and those still in use
//! follow   the machine's addresses            drain    no new clients, and the end with the last
//!
//! draining, following, reloading              what the supervisor does with drain, follow, reload
//! ```

pub(in crate::control) mod drain;
mod draining;
pub(in crate::control) mod follow;
mod following;
pub(in crate::control) mod reload;
mod reloading;
pub(in crate::control) mod rules;
