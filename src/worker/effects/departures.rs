//! Sockets that go to another worker: who asked for them, and what is given.

use std::{
    collections::HashMap,
    net::{SocketAddr, UdpSocket},
    sync::Arc,
};

use crate::{
    io::SocketId,
    turn::{Path, PendingId, RelayId, WorkerIndex},
};

/// A reservation token on its way to the worker that made it, and back.
#[derive(Debug)]
pub(in crate::worker) struct Redemption {
    /// Who asks.
    pub worker: WorkerIndex,
    /// The Allocate that waits.
    pub pending: PendingId,
    /// The client that waits.
    pub path: Path,
    /// The name the socket will have at the worker that asks.
    pub relay: RelayId,
    /// The token.
    pub token: [u8; 8],
    /// Who redeems.
    pub user: Arc<str>,
}

/// A reserved port that goes to another worker.
#[derive(Debug)]
pub(in crate::worker) struct GivenPort {
    /// What it is.
    pub local: SocketAddr,
    /// Its socket; `None` when the process could have no descriptor for it.
    pub socket: Option<UdpSocket>,
}

/// The sockets that leave the driver, and where they go.
#[derive(Debug, Default)]
pub(in crate::worker) struct Departures(pub(super) HashMap<SocketId, (Redemption, SocketAddr)>);
