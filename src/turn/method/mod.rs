//! One TURN method per file: what the request must say, what it does, and why it is refused.
//!
//! [`request`] is what they have in common: the verified request and its answer. Only Allocate is
//! more than a file, because it waits for its sockets: [`allocate`].

pub(super) mod allocate;
mod binding;
mod channel_bind;
mod connect;
mod connection_bind;
mod create_permission;
mod refresh;
pub(super) mod request;
mod send;
