//! Datagrams through plain system calls, for where io_uring is absent or forbidden.

mod kernel;
pub(in crate::io) mod mmsg;
mod poll;
mod streams;

pub(in crate::io) use kernel::Kernel;

use crate::io::engine::Engine;

/// Datagrams through epoll, `recvmmsg` and `sendmmsg`, for where io_uring is absent or forbidden.
///
/// The same sockets, leases, joining and trains; only the calls differ, and there are more of them.
pub type PortableDriver = Engine<Kernel>;
