//! [`spawn`] opens every socket, as [`listen`] says, then starts one pinned thread for each worker.

pub(super) mod listen;
pub(super) mod spawn;
