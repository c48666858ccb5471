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

mod allocate;
mod auth;
mod binding;
mod broken;
mod channel;
mod check;
mod control;
mod data;
mod drain;
mod dual;
mod external;
mod families;
mod faults;
mod hairpin;
mod hang;
mod health;
mod interfaces;
mod limits;
mod listening;
mod log;
mod metrics;
mod own;
mod permission;
mod pipes;
mod policy;
mod ports;
mod proxy;
mod quota;
mod refresh;
mod reload;
mod reservation;
mod secrecy;
mod service;
mod silence;
mod start;
mod steer;
mod stop;
mod strangers;
mod streams;
mod tcp_relay;
mod time_limited;
mod tls;
mod top;
mod unfit_files;
mod usage;
mod web;
mod workers;
