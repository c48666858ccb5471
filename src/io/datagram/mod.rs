//! Datagrams on their way: how they lie in a buffer, and how pieces become trains.

pub(in crate::io) mod cursor;
pub(in crate::io) mod gather;
pub(in crate::io) mod layout;
pub(in crate::io) mod outbox;
mod recent_trains;
pub(in crate::io) mod segmentation;
pub(in crate::io) mod train;
