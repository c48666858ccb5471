//! The relay ports: [`plan`] shares the range out between workers, [`pool`] draws from a worker's
//! slice, [`relays`] are the sockets that have a port, and [`reservation`] keeps a port for a client
//! that will come for it.

pub(super) mod plan;
pub(super) mod pool;
pub(super) mod relays;
pub(super) mod reservation;
