//! What workers tell the control thread: records for the log, and facts.

use std::{net::SocketAddr, sync::Arc};

use crate::turn::{self, WorkerIndex};
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
    /// The worker ended as it was told to; its last report.
    Stopped(Box<Snapshot>),
    /// The worker cannot go on; its last report.
    Failed(std::io::Error),
}

/// A worker's way to the control thread. It is called on the worker's thread and never waits,
/// except for the last report.
pub type Tell = Arc<dyn Fn(WorkerIndex, Report) + Send + Sync>;
