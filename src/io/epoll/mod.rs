//! Datagrams through plain system calls, for where io_uring is absent or forbidden.

mod kernel;
pub(in crate::io) mod mmsg;
mod poll;

pub(in crate::io) use kernel::Kernel;
