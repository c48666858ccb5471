//! What workers tell the control thread: records for the log, and facts.

use std::{net::SocketAddr, sync::Arc};

use ipnet::IpNet;

use crate::stream::HangUp;
use crate::turn::{self, Transport, WorkerIndex};
use crate::worker::{data::sockets::Role, status::snapshot::Snapshot};

/// One thing to be written down.
#[derive(Debug)]
pub enum Report {
    /// The state machine's own news.
    Turn(turn::Report),
    /// The kernel refuses segmentation offload to whomever; trains leave datagram by datagram.
    SegmentationOff,
    /// It takes trains again.
    SegmentationOn,
    /// A socket could not be opened or no longer receives.
    SocketBroken {
        /// What it was for.
        role: Role,
        /// What a relay's is bound to; whoever named a listener knows its address.
        local: Option<SocketAddr>,
        /// Why.
        errno: i32,
    },
    /// A client of the web backend was closed, because the backend could not be reached.
    WebBackendFailed {
        /// Why.
        errno: i32,
    },
    /// A connection was refused, or closed for a fault.
    StreamRefused(StreamRefused),
    /// In the last minute connections were refused that their sources may not have.
    SourceRefused(SourceRefused),
    /// The worker ended as it was told to; its last report.
    Stopped(Box<Snapshot>),
    /// The worker cannot go on; its last report.
    Failed(std::io::Error),
}

/// A connection that was refused, or closed for a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamRefused {
    /// Whose it was, behind a balancer as that says.
    pub client: SocketAddr,
    /// What it carried.
    pub transport: Transport,
    /// Why.
    pub reason: HangUp,
    /// How many more there were since the last report.
    pub left_out: u64,
}

/// Who was refused most connections in a minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SourceRefused {
    /// The source: an IPv4 address, or an IPv6 /64.
    pub network: IpNet,
    /// Connections that it was refused at least.
    pub at_least: u64,
    /// Connections that all sources were refused.
    pub refused: u64,
}

/// A worker's way to the control thread. It is called on the worker's thread and never waits,
/// except for the last report.
pub type Tell = Arc<dyn Fn(WorkerIndex, Report) + Send + Sync>;
