//! The numbers turn knows the outside world by: listeners, five-tuples, relays, workers.

use std::{
    hash::{Hash, Hasher},
    net::{IpAddr, SocketAddr},
};

/// A local listening address and its transport, by its place in the worker's list. TCP and TLS on
/// one port share one, UDP on that port has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// A worker, by its place in the process. Slices of the port range, tokens and mailboxes go by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct WorkerIndex(pub u8);

/// A relay socket, by the slot turn has chosen for it; the worker keeps the socket behind it.
///
/// A slot is reused only after [`crate::turn::Server::released`], so that a late event of a closed
/// socket never reaches the allocation that came next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RelayId(pub u32);

/// An Allocate that waits for the world: sockets, or a port another worker reserved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PendingId(pub u32);

/// Where a client's packets come from and where its answers go (RFC 8656 §3): the listener stands
/// for the server's address, its port and the transport.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FiveTuple {
    /// Which of our addresses the client uses.
    pub listener: ListenerId,
    /// The client as the server sees it.
    pub client: SocketAddr,
}

impl Hash for FiveTuple {
    /// Feeds one or two words: the derived form costs a call for every field of the address.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let low = u64::from(self.listener.0) << 16 | u64::from(self.client.port());
        match self.client.ip() {
            IpAddr::V4(ip) => state.write_u64(u64::from(ip.to_bits()) << 32 | low),
            IpAddr::V6(ip) => {
                state.write_u128(ip.to_bits());
                state.write_u64(low);
            }
        }
    }
}
