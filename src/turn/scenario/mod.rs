//! Rules of the protocol, told as scenes: who asks what, when, and what must come of it.
//!
//! A [`World`] is one process with a few workers, a virtual clock and a kernel that binds what it
//! is asked to, except the ports somebody else uses. Relays are bound to 10.0.0.1 and advertised
//! as 45.0.0.1 (a 1:1 NAT), and to 2a0a::1.

mod allocate;
mod channels;
mod client;
mod counting;
mod draining;
mod forwarding;
mod hairpin;
mod handover;
mod hostile;
mod kernel;
mod lifetimes;
mod limits;
mod moving;
mod permissions;
mod ports;
mod reload;
mod reservations;
mod sessions;
mod size;
mod strangers;
mod trains;
mod world;

use client::{Client, Heard};
use world::{BOOT_MS, PEER, PEER_V6, World};
