//! The relay ports: [`plan`] cuts the range into slices, [`table`] says which ports of an address
//! are taken, and by which worker, [`relays`] are the sockets that have one, and [`reservation`]
//! keeps a port for a client that will come for it.

pub(super) mod plan;
pub(super) mod relays;
pub(super) mod reservation;
pub(super) mod table;
