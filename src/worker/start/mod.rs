//! [`spawn`] opens every socket, then starts one pinned thread for each worker.

pub(super) mod spawn;
