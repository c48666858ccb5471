//! What the kernel says of this machine's addresses, that it says something new, and what they are
//! on the other side of a NAT.
//!
//! ```text
//! kernel.rs   every address of every interface, every network routed to this machine
//! watch.rs    something about them has changed
//! stun.rs     which public address a STUN server sees
//! ```
//!
//! The first two ask over rtnetlink (rtnetlink(7)), which needs no privilege and answers for the
//! network namespace this process is in.

pub(super) mod kernel;
pub(super) mod stun;
pub(super) mod watch;

pub(super) use kernel::{addresses, local_networks};
