//! Rules of the protocol, told as scenes: who asks what, when, and what must come of it.
//!
//! A [`World`] is one process with a few workers, a virtual clock and a kernel that binds what it
//! is asked to, except the ports somebody else uses. Relays are bound to 10.0.0.1 and advertised
//! as 45.0.0.1 (a 1:1 NAT), and to 2a0a::1.

mod changes;
mod counting;
mod relaying;
mod requests;
mod sessions;
mod size;
mod stage;
mod streams;

use stage::client::{Client, Heard};
use stage::world::{BOOT_MS, PEER, PEER_V6, World};
