//! How a client is reached: its five-tuple, and what carries its messages there.
//!
//! The server is given a path with each datagram of a client and names it wherever something goes
//! back. It looks allocations up by the five-tuple, keeps the path with them, and knows no socket:
//! the worker finds the socket of a path.

use std::net::SocketAddr;

use crate::turn::api::identity::FiveTuple;

/// What carries the messages of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One message in each datagram.
    Udp,
}

impl Transport {
    /// One word for it, in metrics, records and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
        }
    }
}

/// The way from a client to the server and back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Path {
    /// The listener and the client's address. Two paths never share one.
    pub flow: FiveTuple,
    /// What carries the messages.
    pub transport: Transport,
}

impl Path {
    /// The path of datagrams of a five-tuple.
    pub const fn udp(flow: FiveTuple) -> Path {
        Path { flow, transport: Transport::Udp }
    }

    /// The client as the server sees it.
    pub const fn client(&self) -> SocketAddr {
        self.flow.client
    }
}
