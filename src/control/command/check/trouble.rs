//! Why a request, or a connection, came to nothing.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;

use crate::stream::ClientFault;

/// Why a request came to nothing.
#[derive(Debug)]
pub(super) enum Trouble {
    /// No answer in time.
    Silence,
    /// The machine says that nobody listens there.
    Closed,
    /// An answer without what it must carry, or without the server's signature.
    Nonsense,
    /// A refusal, and the server that it names instead.
    Refused { code: u16, instead: Option<SocketAddr> },
    /// A connection that stands, and no answer on it.
    Mute,
    /// The server ended the connection.
    Ended,
    /// The server did not prove who it is.
    Unproved(ClientFault),
    /// The socket failed.
    Broken(io::Error),
}

impl Trouble {
    pub(super) fn of(error: io::Error) -> Trouble {
        match error.kind() {
            ErrorKind::ConnectionRefused => Trouble::Closed,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Trouble::Ended,
            _ => Trouble::Broken(error),
        }
    }
}
