//! Buffers, and who may touch them.

pub(in crate::io) mod pool;
