//! Datagrams on their way: how they lie in a buffer, and how pieces become trains.

mod flows;
pub(in crate::io) mod gather;
pub(in crate::io) mod layout;
pub(in crate::io) mod outbox;
pub(in crate::io) mod run;
