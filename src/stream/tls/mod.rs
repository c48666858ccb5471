//! TLS 1.2 and 1.3: the only folder that names the library.
//!
//! The rest of the floor knows three calls: bytes are opened, plaintext is sealed, the end is
//! said. The library's buffered and unbuffered interfaces both go away with its next version, and
//! what takes their place has the shape of these calls.
//!
//! ```text
//! context.rs   certificates, and what all connections share
//! session.rs   one connection
//! client.rs    the other side of one, for a command that tries a server
//! trust.rs     how that side verifies a certificate; the load generator does it the same way
//! ```

mod client;
mod context;
#[cfg(test)]
mod oracle;
#[cfg(test)]
mod peer;
mod session;
#[cfg(test)]
mod tests;
mod trust;

pub use client::ClientSession;
pub use context::{Pair, TlsContext, TlsError, TlsFault};
pub use session::Handshake;
pub(super) use session::{SEAL_BYTES, Tls, Unsealed};
pub use trust::{ClientFault, Distrust, server_verifier};
