//! What is to be told of streams, in order.

use std::net::SocketAddr;

use bytes::BytesMut;

use crate::io::{engine::table::Key, memory::pool::Lease};

/// An event before it is looked at.
#[derive(Debug)]
pub(super) enum News {
    Accepted { acceptor: Key, stream: Key, peer: SocketAddr, local: SocketAddr },
    Connected(Key),
    Bytes(Key, Lease),
    Finished(Key),
    Written(Key, BytesMut),
    Ended(Key),
    AcceptorBroken(Key, i32),
}

impl News {
    /// The stream whose bytes it follows, or is.
    pub(super) fn follows(&self) -> Option<Key> {
        match self {
            Self::Bytes(key, _) | Self::Finished(key) | Self::Ended(key) => Some(*key),
            Self::Accepted { .. }
            | Self::Connected(_)
            | Self::Written(..)
            | Self::AcceptorBroken(..) => None,
        }
    }
}
