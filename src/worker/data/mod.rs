//! The way of a datagram: [`inbound`] carries it from socket to socket through the state machine,
//! [`sockets`] knows which socket is which listener or relay, and [`owners`] knows the clients
//! whose packets arrive at another worker's core.

pub(super) mod inbound;
pub(super) mod owners;
pub(super) mod sockets;
