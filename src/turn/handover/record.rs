//! What is said of a worker, an allocation, a reservation. Plain values: a record owes nothing to
//! the server it came from.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::turn::{
    allocation::peer_log::PeerLog,
    api::{
        names::{
            identity::{FiveTuple, ListenerId, WorkerIndex},
            path::{Path, Transport},
            session::SessionId,
        },
        per_family::{Families, PerFamily},
        report::{Load, Traffic},
    },
};
use crate::wire::Family;

/// No number of a record counts as more, so that sums with it never overflow.
pub(super) const LATEST: u64 = 1 << 62;

/// One thing that is said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Record {
    /// The worker itself; the first of all.
    Worker(WorkerRecord),
    /// An allocation.
    Allocation(Box<AllocationRecord>),
    /// A reserved port.
    Reservation(ReservationRecord),
}

/// What a worker says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerRecord {
    /// Its index.
    pub worker: u8,
    /// The serial number of the last allocation it named; the next names go on from here.
    pub last_serial: u64,
}

/// An allocation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllocationRecord {
    /// The worker that made it.
    pub worker: u8,
    /// Its number among the allocations of that worker.
    pub serial: u64,
    /// The listener its client uses.
    pub listener: u16,
    /// The client.
    pub client: SocketAddr,
    /// What carries the client's messages.
    pub transport: TransportRecord,
    /// USERNAME.
    pub user: String,
    /// Whose quota it counts against.
    pub account: String,
    /// The relayed address of IPv4, while there is one.
    pub v4: Option<RelayedRecord>,
    /// The relayed address of IPv6, while there is one.
    pub v6: Option<RelayedRecord>,
    /// What its Allocate was answered.
    pub granted: GrantRecord,
    /// Its permissions, by address.
    pub permissions: Vec<PermissionRecord>,
    /// Its channels, by number, those in their guard time included.
    pub channels: Vec<ChannelRecord>,
    /// Packets and bytes relayed to peers.
    pub to_peers: (u64, u64),
    /// Packets and bytes relayed to the client.
    pub to_client: (u64, u64),
    /// Datagrams dropped.
    pub dropped: u64,
    /// The first peers it had permissions for.
    pub peers: Vec<IpAddr>,
    /// How many more there were.
    pub peers_more: u64,
    /// What it owes under the limits, towards peers.
    pub debts_to_peers: Debts,
    /// What it owes under the limits, towards the client.
    pub debts_to_client: Debts,
    /// When it was made.
    pub opened_ms: u64,
}

/// What carries a client's messages. A variant keeps its place: bytes name it by that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TransportRecord {
    /// One message in each datagram.
    Udp,
}

/// A relayed address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayedRecord {
    /// What its socket is bound to.
    pub local: SocketAddr,
    /// When it is over.
    pub expires_ms: u64,
}

/// What an Allocate was answered, for its retransmissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    /// The transaction id.
    pub transaction: [u8; 12],
    /// XOR-RELAYED-ADDRESS of IPv4.
    pub v4: Option<SocketAddr>,
    /// XOR-RELAYED-ADDRESS of IPv6.
    pub v6: Option<SocketAddr>,
    /// LIFETIME.
    pub lifetime_s: u32,
    /// RESERVATION-TOKEN.
    pub reservation: Option<[u8; 8]>,
    /// The code of ADDRESS-ERROR-CODE for IPv4.
    pub missing_v4: Option<u16>,
    /// The code of ADDRESS-ERROR-CODE for IPv6.
    pub missing_v6: Option<u16>,
}

/// A permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PermissionRecord {
    /// Who may reach the client.
    pub peer: IpAddr,
    /// When it is over.
    pub expires_ms: u64,
}

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelRecord {
    /// Its number.
    pub number: u16,
    /// Who it stands for.
    pub peer: SocketAddr,
    /// When the binding is over; its guard time follows.
    pub bound_until_ms: u64,
}

/// What passed one way and is not yet paid off, in thousandths, as of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Debts {
    /// Bytes.
    pub bytes_milli: u64,
    /// Packets.
    pub packets_milli: u64,
    /// The moment.
    pub at_ms: u64,
}

/// A reserved port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReservationRecord {
    /// RESERVATION-TOKEN.
    pub token: [u8; 8],
    /// What its socket is bound to.
    pub local: SocketAddr,
    /// Who may redeem it.
    pub user: String,
    /// Whose quota it counts against.
    pub account: String,
    /// When it is over.
    pub expires_ms: u64,
}

impl AllocationRecord {
    pub(super) fn session(&self) -> SessionId {
        SessionId { worker: WorkerIndex(self.worker), serial: self.serial }
    }

    pub(super) fn path(&self) -> Path {
        let flow = FiveTuple { listener: ListenerId(self.listener), client: self.client };
        match self.transport {
            TransportRecord::Udp => Path { flow, transport: Transport::Udp },
        }
    }

    /// The relayed addresses there are.
    pub(super) fn relayed(&self) -> PerFamily<RelayedRecord> {
        PerFamily::from_fn(|family| match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        })
    }

    pub(super) fn families(&self) -> Option<Families> {
        self.relayed().families()
    }

    pub(super) fn traffic(&self) -> Traffic {
        let load = |(packets, bytes): (u64, u64)| Load {
            packets: packets.min(LATEST),
            bytes: bytes.min(LATEST),
        };
        let (to_peers, to_client) = (load(self.to_peers), load(self.to_client));
        Traffic { to_peers, to_client, dropped: self.dropped.min(LATEST) }
    }

    pub(super) fn peer_log(&self) -> PeerLog {
        PeerLog::from_parts(self.peers.clone(), self.peers_more.min(LATEST))
    }
}
