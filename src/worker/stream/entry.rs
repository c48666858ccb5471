//! What one of the driver's numbers stands for.

use std::{net::SocketAddr, os::fd::OwnedFd};

use bytes::BytesMut;

use crate::worker::stream::{
    bounds::sources::SourceKey,
    buffers::{ReaderPace, WriteSize},
    deadlines::Armed,
};
use crate::{
    io::StreamId,
    stream::{Connection, StreamKind, Then},
    turn::{ConnectionId, FiveTuple, ListenerId, Path, Transport, WorkerIndex},
};

/// One client's connection.
#[derive(Debug)]
pub(in crate::worker) struct Client {
    pub(super) connection: Connection,
    pub(super) listener: ListenerId,
    /// Who connected, perhaps a balancer.
    pub(super) peer: SocketAddr,
    /// Whose it is; `None` for a balancer's until it has said.
    pub(super) source: Option<SourceKey>,
    /// Tells it from others that had its number.
    pub(super) serial: u64,
    /// When it came.
    pub(super) since_ms: u64,
    /// It has shown no credentials that were good.
    pub(super) is_stranger: bool,
    /// Its name for the state machine, from its first frame on.
    pub(super) flow: Option<FiveTuple>,
    /// It is listed among those that have something to write.
    pub(super) is_dirty: bool,
    /// It is listed among those whose handshake waits.
    pub(super) waits_for_step: bool,
    /// Its FIN has come, and means something once its handshake has had that step.
    pub(super) fin_waits: bool,
    /// The write that is under way.
    pub(super) writing: Option<Writing>,
    /// How fast it takes what is written.
    pub(super) pace: ReaderPace,
    /// All is said and our FIN is on its way: the client's is waited for.
    pub(super) is_lingering: bool,
    /// Where its bytes go as they are.
    pub(super) far: Option<StreamId>,
    pub(super) ends: Ends,
    pub(super) reading: Reading,
    pub(super) armed: Armed,
    /// What it has of the memory of all queues.
    pub(super) queue_bytes: usize,
}

/// A write to a client that is under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Writing {
    pub(super) size: WriteSize,
    /// The turn in which it began.
    pub(super) turn: u64,
    /// What follows it.
    pub(super) then: Then,
}

/// The other side of a client whose bytes pass as they are.
#[derive(Debug)]
pub(super) struct Far {
    pub(super) purpose: FarPurpose,
    /// Whose it is, once the two belong together.
    pub(super) client: Option<StreamId>,
    pub(super) is_connected: bool,
    /// What came from it before it had a client.
    pub(super) early: BytesMut,
    /// What waits to be written to it.
    pub(super) waiting: BytesMut,
    /// The write that is under way.
    pub(super) writing: Option<WriteSize>,
    /// Nothing follows what waits.
    pub(super) wants_finish: bool,
    pub(super) ends: Ends,
    pub(super) reading: Reading,
    /// Its client is gone, and had said all: that is still written.
    pub(super) is_parting: bool,
    /// Until when it has to be connected, or to have parted.
    pub(super) due_ms: u64,
    /// Until when the write under way has to end.
    pub(super) write_by_ms: u64,
    pub(super) armed: Armed,
}

/// Who is on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FarPurpose {
    /// A peer of a TCP allocation (RFC 6062).
    Peer(ConnectionId),
    /// The web backend.
    Web,
}

/// Which directions of a connection are over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ends {
    /// The other side's FIN has come.
    pub(super) heard: bool,
    /// Ours has gone.
    pub(super) said: bool,
}

/// Whether a connection is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) is_paused: bool,
    /// While it is paused, it is not read before then.
    pub(super) until_ms: u64,
}

/// A client's connection on its way to the worker that has what it asks for.
#[derive(Debug)]
pub(super) struct Moving {
    pub(super) client: Box<Client>,
    pub(super) worker: WorkerIndex,
    /// What it asks for.
    pub(super) request: Box<[u8]>,
}

/// A connection between two workers.
#[derive(Debug)]
pub(in crate::worker) struct MovedClient {
    pub(super) socket: OwnedFd,
    /// What had arrived and was not read.
    pub(super) unread: BytesMut,
    pub(super) client: Box<Client>,
    /// The ConnectionBind.
    pub(super) request: Box<[u8]>,
}

/// What a number stands for.
#[derive(Debug)]
pub(super) enum Entry {
    Client(Box<Client>),
    Far(Box<Far>),
    Moving(Moving),
    /// It is hung up and the driver has not let go of it; a write may be under way.
    Leaving {
        writing: Option<WriteSize>,
    },
}

impl Ends {
    pub(super) fn are_both(self) -> bool {
        self.heard && self.said
    }
}

impl Client {
    pub(super) fn new(
        connection: Connection,
        listener: ListenerId,
        peer: SocketAddr,
        since_ms: u64,
    ) -> Client {
        Client {
            connection,
            listener,
            peer,
            source: None,
            serial: 0,
            since_ms,
            is_stranger: true,
            flow: None,
            is_dirty: false,
            waits_for_step: false,
            fin_waits: false,
            writing: None,
            pace: ReaderPace::default(),
            is_lingering: false,
            far: None,
            ends: Ends::default(),
            reading: Reading::default(),
            armed: Armed::NO,
            queue_bytes: 0,
        }
    }

    /// How the state machine knows it, once its first frame is there.
    pub(super) fn path(&self) -> Path {
        let flow = FiveTuple { listener: self.listener, client: self.connection.client() };
        let transport = match self.connection.transport() {
            StreamKind::Tcp => Transport::Tcp,
            StreamKind::Tls => Transport::Tls,
        };
        Path { flow, transport }
    }
}

impl Far {
    pub(super) fn new(purpose: FarPurpose, due_ms: u64) -> Far {
        Far {
            purpose,
            client: None,
            is_connected: false,
            early: BytesMut::new(),
            waiting: BytesMut::new(),
            writing: None,
            wants_finish: false,
            ends: Ends::default(),
            reading: Reading::default(),
            is_parting: false,
            due_ms,
            write_by_ms: u64::MAX,
            armed: Armed::NO,
        }
    }

    /// One that came by itself.
    pub(super) fn connected(purpose: FarPurpose) -> Far {
        Far { is_connected: true, ..Far::new(purpose, u64::MAX) }
    }

    /// Until when something of it has to come to its end.
    pub(super) fn deadline_ms(&self) -> u64 {
        self.due_ms.min(self.write_by_ms)
    }
}
