//! How a client is reached: its five-tuple, and what carries its messages there.
//!
//! The server is given a path with each datagram of a client and names it wherever something goes
//! back. It looks allocations up by the five-tuple, keeps the path with them, and knows no socket:
//! the worker finds the socket of a path.

use std::net::SocketAddr;

use crate::turn::api::names::identity::FiveTuple;

/// What carries the messages of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One message in each datagram.
    Udp,
    /// Messages one after another on a TCP connection.
    Tcp,
    /// The same inside TLS.
    Tls,
}

impl Transport {
    /// All of them, in the order of the counters.
    pub const ALL: [Transport; 3] = [Transport::Udp, Transport::Tcp, Transport::Tls];

    /// One word for it, in metrics, records and lists.
    pub const fn name(self) -> &'static str {
        match self {
            Transport::Udp => "udp",
            Transport::Tcp => "tcp",
            Transport::Tls => "tls",
        }
    }

    /// True for a connection: its client was reached at its address before it sent a byte, it is
    /// told when the client has gone, and frames on it are padded to a multiple of 4
    /// (RFC 8656 §12.5).
    pub const fn is_stream(self) -> bool {
        match self {
            Transport::Udp => false,
            Transport::Tcp | Transport::Tls => true,
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

    /// The path of a TCP connection.
    pub const fn tcp(flow: FiveTuple) -> Path {
        Path { flow, transport: Transport::Tcp }
    }

    /// The path of a TLS connection.
    pub const fn tls(flow: FiveTuple) -> Path {
        Path { flow, transport: Transport::Tls }
    }

    /// The client as the server sees it.
    pub const fn client(&self) -> SocketAddr {
        self.flow.client
    }

    /// What a nonce is bound to. Over UDP that is the client's address and port: a nonce that comes
    /// back proves that there is a way back. A connection has proved it before it sent a byte, so
    /// port 0 stands for all connections of an address: clients of RFC 6062 use one nonce on all of
    /// theirs. No datagram is answered at port 0, so neither kind of nonce serves for the other.
    pub const fn nonce_address(&self) -> SocketAddr {
        match self.transport {
            Transport::Udp => self.flow.client,
            Transport::Tcp | Transport::Tls => SocketAddr::new(self.flow.client.ip(), 0),
        }
    }
}
