//! Allocates that wait for the world, between the request and [`crate::turn::Server::complete`].
//!
//! All that the answer needs is kept here, so nobody keeps the request. One five-tuple waits at
//! most once, and the whole server for at most [`MAX_PENDING_ALLOCATES`].

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::turn::{
    allocation::Owner,
    api::{
        names::{
            identity::{FiveTuple, PendingId, RelayId},
            path::Path,
        },
        per_family::PerFamily,
    },
    ports::{relays::DrawnFirst, table::Parity},
    rng::Rng,
};
use crate::wire::{ErrorCode, Family, TransactionId};

/// Allocates that may wait at a time. The kernel answers for a socket by the next turn of the
/// worker's loop, so that only what one turn brings adds up, and reservations asked for at other
/// workers.
const MAX_PENDING_ALLOCATES: usize = 4096;

/// Times another port is tried when the one drawn is in use by somebody else. None is tried twice,
/// so that a client gets one of a few that are free beside a neighbour with dozens.
pub(in crate::turn) const BIND_RETRIES: u8 = 64;
/// So many of them draw from all ports first: the worker's own slice may be a neighbour's.
const RETRIES_ANYWHERE: u8 = 60;

/// What a socket that was asked for is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum Part {
    /// The relayed address of a family.
    Relay(Family),
    /// The reserved next port.
    Reserve,
}

/// One socket that was asked for.
#[derive(Debug, Clone, Copy)]
pub(in crate::turn) struct AskedSocket {
    pub(in crate::turn) relay: RelayId,
    pub(in crate::turn) part: Part,
}

/// What relayed addresses relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum RelayProtocol {
    /// Datagrams.
    Udp,
    /// Connections (RFC 6062).
    Tcp,
}

impl PendingAllocate {
    /// Which ports are drawn first.
    pub(in crate::turn) fn drawn_first(&self) -> DrawnFirst {
        let is_anywhere = self.retries < RETRIES_ANYWHERE;
        if is_anywhere { DrawnFirst::Anyones } else { DrawnFirst::OwnSlice }
    }
}

/// One waiting Allocate.
#[derive(Debug)]
pub(in crate::turn) struct PendingAllocate {
    pub(in crate::turn) path: Path,
    pub(in crate::turn) transaction: TransactionId,
    pub(in crate::turn) fingerprint: bool,
    pub(in crate::turn) owner: Owner,
    pub(in crate::turn) lifetime_s: u32,
    pub(in crate::turn) protocol: RelayProtocol,
    pub(in crate::turn) parity: Parity,
    /// Places taken of the account's quota: one for the allocation, one for a reservation.
    pub(in crate::turn) quota_held: u8,
    /// What was asked for last, in the order of the effect.
    pub(in crate::turn) asked: Vec<AskedSocket>,
    /// What is bound.
    pub(in crate::turn) bound: PerFamily<RelayId>,
    pub(in crate::turn) reserved: Option<RelayId>,
    /// Why a family that was wanted has nothing bound.
    pub(in crate::turn) missing: PerFamily<ErrorCode>,
    /// Ports that somebody else uses, held back until the end so that none is tried twice.
    pub(in crate::turn) ports_in_use: Vec<RelayId>,
    pub(in crate::turn) retries: u8,
    /// The client's connection has ended: what is bound is given back.
    pub(in crate::turn) is_abandoned: bool,
}

/// Every waiting Allocate of one worker.
#[derive(Debug)]
pub(in crate::turn) struct PendingAllocates {
    waiting: HashMap<PendingId, PendingAllocate, FixedState>,
    flows: HashMap<FiveTuple, PendingId, FixedState>,
    next: u32,
}

impl PendingAllocates {
    pub(in crate::turn) fn new(rng: &mut Rng) -> PendingAllocates {
        PendingAllocates {
            waiting: HashMap::with_hasher(rng.hash_state()),
            flows: HashMap::with_hasher(rng.hash_state()),
            next: 0,
        }
    }

    /// True when no more may wait.
    pub(in crate::turn) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_PENDING_ALLOCATES
    }

    /// The transaction a five-tuple waits with.
    pub(in crate::turn) fn transaction(&self, flow: FiveTuple) -> Option<TransactionId> {
        let pending = self.flows.get(&flow)?;
        self.waiting.get(pending).map(|waiting| waiting.transaction)
    }

    /// A name no waiting Allocate has.
    pub(in crate::turn) fn name(&mut self) -> PendingId {
        while self.waiting.contains_key(&PendingId(self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let name = PendingId(self.next);
        self.next = self.next.wrapping_add(1);
        name
    }

    /// Lets an Allocate wait under a name.
    pub(in crate::turn) fn insert(&mut self, pending: PendingId, waiting: PendingAllocate) {
        self.flows.insert(waiting.path.flow, pending);
        self.waiting.insert(pending, waiting);
    }

    /// Takes a waiting Allocate.
    pub(in crate::turn) fn take(&mut self, pending: PendingId) -> Option<PendingAllocate> {
        let waiting = self.waiting.remove(&pending)?;
        if !waiting.is_abandoned {
            self.flows.remove(&waiting.path.flow);
        }
        Some(waiting)
    }

    /// Frees a five-tuple whose client has gone. What was asked of the world for it still waits.
    pub(in crate::turn) fn abandon(&mut self, flow: FiveTuple) {
        let pending = self.flows.remove(&flow);
        if let Some(waiting) = pending.and_then(|pending| self.waiting.get_mut(&pending)) {
            waiting.is_abandoned = true;
        }
    }
}
