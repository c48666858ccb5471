//! The far side of a client's connection: a peer (RFC 6062) or the web backend.
//!
//! ```text
//! peers.rs  connections to peers, as the state machine orders them
//! web.rs    browsers that have come to this port
//! pipe.rs   bytes that pass as they are, between a client and its far side
//! moved.rs  a client whose far side is with another worker, to which its connection goes
//! ```

pub(super) mod moved;
mod peers;
mod pipe;
mod web;
