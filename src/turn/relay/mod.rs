//! The packet path: [`payload`] judges what comes from clients and from peers, [`hairpin`] passes
//! it from one of our own relays to another without a socket between them, [`forwarding`] says
//! which channels somebody else may serve, and [`connection`] follows the connections of TCP
//! allocations.

pub(super) mod connection;
pub(super) mod forwarding;
pub(super) mod hairpin;
pub(super) mod payload;
pub(super) mod peer;
pub(super) mod told;
