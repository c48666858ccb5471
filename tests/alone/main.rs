//! The real binary with the machine to itself: floods, overload, hostile input, crowds, a browser.
//!
//! They fill every core, or take ports and open files that others need: each competes with nothing,
//! and nothing with it. So they are a target that is not run unless it is named, one test at a
//! time: `cargo test --profile ci --test alone -- --test-threads 1`. `tests/run` does that.

#![expect(
    unreachable_pub,
    reason = "a test binary exports nothing; `pub` marks what a module offers"
)]

#[expect(dead_code, reason = "the end-to-end tests use all of it, these a part")]
#[path = "../rig/mod.rs"]
mod rig;

use rig::{client, http, link, machine, memory, relay, stun};

mod attacks;
mod browser;
mod devtools;
mod empty;
mod fairness;
mod flood;
mod hostile;
mod icmp;
mod overload;
mod page;
mod resident;
mod secured;
mod size;
mod stamped;
mod storms;
mod stranger;
