//! What a stream begins with: the bytes that say what it is, before the first frame.
//!
//! ```text
//! first.rs    what a stream's first bytes say it is
//! proxy.rs    the PROXY header that a balancer sends in front of a stream
//! hello.rs    a look at a TLS ClientHello
//! peeked.rs   what a look at the beginning of a stream brings
//! ```

pub(super) mod first;
pub(super) mod hello;
pub(super) mod peeked;
pub(super) mod proxy;
