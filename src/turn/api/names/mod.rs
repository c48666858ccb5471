//! The names of things, by which turn and the world outside mean the same one.
//!
//! ```text
//! identity.rs    listeners, five-tuples, relays, workers
//! path.rs        a client: its five-tuple, and what carries its messages there
//! connection.rs  a connection between a relayed address and a peer
//! session.rs     an allocation, as operators speak of it
//! ```

pub(in crate::turn) mod connection;
pub(in crate::turn) mod identity;
pub(in crate::turn) mod path;
pub(in crate::turn) mod session;
