//! Sockets before anything is sent or received: opened, set, named, and chosen among by the kernel.

pub(in crate::io) mod address;
pub mod open;
pub mod steer;
