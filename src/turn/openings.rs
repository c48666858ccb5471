//! Allocates that wait for the world, between the request and [`super::Server::complete`].
//!
//! All that the answer needs is kept here, so nobody keeps the request. One five-tuple waits at
//! most once, and the whole server for at most [`MAX_OPENINGS`].

use std::collections::HashMap;

use foldhash::fast::FixedState;

use super::{Chance, FiveTuple, PendingId, RelayId, allocation::Owner, ports::Parity};
use crate::wire::{ErrorCode, Family, TransactionId};

/// Allocates that may wait at a time. The kernel answers for a socket by the next turn of the worker's
/// loop, so that only what one turn brings adds up, and reservations asked for at other workers.
const MAX_OPENINGS: usize = 4096;

/// Times another port is tried when the one drawn is in use by somebody else.
pub(super) const BIND_RETRIES: u8 = 16;

/// What a socket that was asked for is to become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// The relayed address of a family.
    End(Family),
    /// The reserved next port.
    Reserve,
}

/// One socket that was asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked {
    pub(super) relay: RelayId,
    pub(super) part: Part,
}

/// One waiting Allocate.
#[derive(Debug)]
pub(super) struct Opening {
    pub(super) flow: FiveTuple,
    pub(super) transaction: TransactionId,
    pub(super) fingerprint: bool,
    pub(super) owner: Owner,
    pub(super) lifetime_s: u32,
    pub(super) parity: Parity,
    /// Places taken of the account's quota: one for the allocation, one for a reservation.
    pub(super) places: u8,
    /// What was asked for last, in the order of the effect.
    pub(super) asked: Vec<Asked>,
    /// What is bound.
    pub(super) bound: [Option<RelayId>; 2],
    pub(super) reserved: Option<RelayId>,
    /// Why a family that was wanted has nothing bound.
    pub(super) missing: [Option<ErrorCode>; 2],
    /// Ports that somebody else uses, held back until the end so that none is tried twice.
    pub(super) spoiled: Vec<RelayId>,
    pub(super) retries: u8,
}

/// Every waiting Allocate of one worker.
#[derive(Debug)]
pub(super) struct Openings {
    waiting: HashMap<PendingId, Opening, FixedState>,
    flows: HashMap<FiveTuple, PendingId, FixedState>,
    next: u32,
}

impl Openings {
    pub(super) fn new(chance: &mut Chance) -> Openings {
        Openings {
            waiting: HashMap::with_hasher(chance.hash_state()),
            flows: HashMap::with_hasher(chance.hash_state()),
            next: 0,
        }
    }

    /// True when no more may wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting.len() >= MAX_OPENINGS
    }

    /// The transaction a five-tuple waits with.
    pub(super) fn transaction(&self, flow: FiveTuple) -> Option<TransactionId> {
        let pending = self.flows.get(&flow)?;
        self.waiting.get(pending).map(|opening| opening.transaction)
    }

    /// A name no waiting Allocate has.
    pub(super) fn name(&mut self) -> PendingId {
        while self.waiting.contains_key(&PendingId(self.next)) {
            self.next = self.next.wrapping_add(1);
        }
        let name = PendingId(self.next);
        self.next = self.next.wrapping_add(1);
        name
    }

    /// Lets an Allocate wait under a name.
    pub(super) fn insert(&mut self, pending: PendingId, opening: Opening) {
        self.flows.insert(opening.flow, pending);
        self.waiting.insert(pending, opening);
    }

    /// Takes a waiting Allocate.
    pub(super) fn take(&mut self, pending: PendingId) -> Option<Opening> {
        let opening = self.waiting.remove(&pending)?;
        self.flows.remove(&opening.flow);
        Some(opening)
    }
}
