//! TCP and TLS connections of clients: bytes out of frames, frames out of bytes.
//!
//! ```text
//! transport.rs    UDP, TCP or TLS, by name
//! frames.rs       where one message of a stream ends and the next begins
//! connection.rs   one connection that never blocks
//! tls.rs          what every TLS connection of a measurement has in common
//! tickets.rs      sessions that later connections resume
//! ```

mod connection;
mod frames;
mod tickets;
mod tls;
mod transport;

pub(crate) use connection::{Connection, Options, is_tls_fault};
pub(crate) use frames::Frames;
pub(crate) use tls::{Resumption, Terms, Tls};
pub(crate) use transport::{TlsVersion, Transport};
