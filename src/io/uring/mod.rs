//! Datagrams through io_uring: one ring, one call into the kernel per turn.
//!
//! A receive is multishot: armed once, it completes for every datagram or train, each into a buffer
//! of the shared pool.

mod buffer_ring;
mod kernel;
mod ring;
mod stream_memory;
mod streams;
mod token;

pub(in crate::io) use kernel::Kernel;

use crate::io::engine::Engine;

/// Datagrams through io_uring.
pub type UringDriver = Engine<Kernel>;
