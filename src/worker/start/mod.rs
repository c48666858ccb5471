//! [`spawn`] opens every socket, as [`listen`] says, then starts one pinned thread for each worker.
//! [`init`] is what a worker is made from, and [`assemble`] makes workers without threads.

pub(super) mod assemble;
mod init;
pub(super) mod listen;
pub(super) mod plan;
pub(super) mod spawn;
