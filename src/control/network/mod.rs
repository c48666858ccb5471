//! What the kernel says of this machine's addresses, and that it says something new.
//!
//! ```text
//! kernel.rs   every address of every interface, every network routed to this machine
//! watch.rs    something about them has changed
//! ```
//!
//! Both ask over rtnetlink (rtnetlink(7)), which needs no privilege and answers for the network
//! namespace this process is in.

pub(super) mod kernel;
pub(super) mod watch;

pub(super) use kernel::{addresses, local_networks};
