//! The real binary, driven from outside over loopback: one test per rule that can be seen there.
//!
//! What they stand on is in `rig`. Those that want the machine for themselves are the target
//! `alone`.

#![expect(
    unreachable_pub,
    reason = "a test binary exports nothing; `pub` marks what a module offers"
)]

#[path = "../rig/mod.rs"]
mod rig;

use rig::{client, http, link, machine, memory, namespace, relay, stun};

mod addresses;
mod auth;
mod control;
mod observation;
mod streams;
mod turn;
mod workers;
