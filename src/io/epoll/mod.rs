//! Datagrams through plain system calls, for where io_uring is absent or forbidden.

mod driver;
pub(in crate::io) mod mmsg;
mod poll;

pub use driver::PortableDriver;
