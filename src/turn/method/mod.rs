//! One TURN method per file: what the request must say, what it does, and why it is refused.
//!
//! [`request`] is a verified request with its allocation, [`attributes`] lists what a request may
//! carry, [`answer`] is the one place where answers are written, and [`pending`] holds the
//! Allocates that wait for a socket.

mod allocate;
pub(super) mod answer;
pub(super) mod attributes;
mod binding;
mod channel_bind;
mod connect;
mod connection_bind;
mod create_permission;
mod open;
mod ownership;
pub(super) mod pending;
mod redeem;
mod refresh;
pub(super) mod request;
mod send;
