//! What happened, in numbers. Plain words of one thread: nobody else writes them.

use crate::turn::{
    api::{names::path::Transport, per_family::Families, reason::Reason, report::Load},
    auth::{authenticator::Refusal, reply_budget::kind::ReplyKind},
};
use crate::wire::{ErrorCode, Method};

/// A bound that a request ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QuotaHit {
    /// Allocations of one user (486).
    User,
    /// Allocations of the whole server (508).
    Total,
    /// Permissions of one allocation (508).
    Permissions,
    /// Channels of one allocation (508).
    Channels,
    /// Relay ports of a family: no worker has one that will do (508, or ADDRESS-ERROR-CODE).
    Ports,
    /// Allocates of this worker that wait for their sockets (508).
    PendingAllocates,
    /// Peer connections of one TCP allocation (508).
    Connections,
}

impl QuotaHit {
    /// All of them, in the order of the counters.
    pub const ALL: [QuotaHit; 7] = [
        QuotaHit::User,
        QuotaHit::Total,
        QuotaHit::Permissions,
        QuotaHit::Channels,
        QuotaHit::Ports,
        QuotaHit::PendingAllocates,
        QuotaHit::Connections,
    ];

    /// One word for it, in metrics.
    pub const fn name(self) -> &'static str {
        match self {
            QuotaHit::User => "user",
            QuotaHit::Total => "total",
            QuotaHit::Permissions => "permissions",
            QuotaHit::Channels => "channels",
            QuotaHit::Ports => "ports",
            QuotaHit::PendingAllocates => "openings",
            QuotaHit::Connections => "connections",
        }
    }
}

/// The methods that are answered, in the order of the counters.
pub const METHODS: [Method; 7] = [
    Method::Binding,
    Method::Allocate,
    Method::Refresh,
    Method::CreatePermission,
    Method::ChannelBind,
    Method::Connect,
    Method::ConnectionBind,
];

/// Everything one server counts. All but `live` and `connections_live` only ever grow.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters {
    /// Payload that left for peers through a relay socket.
    pub to_peers: Load,
    /// Payload that came from peers through a relay socket and went to clients.
    pub to_clients: Load,
    /// Payload that went from client to client of this worker without a socket in between.
    pub hairpin: Load,
    /// Payload handed over to another worker.
    pub handed_over: Load,
    /// Payload handed over by another worker and delivered here.
    pub taken_over: Load,
    /// Allocations made.
    pub opened: u64,
    /// Allocations ended.
    pub closed: u64,
    /// Allocations that live now.
    pub live: u64,
    /// Reservations made.
    pub reserved: u64,
    /// Reservations redeemed, here or by another worker.
    pub redeemed: u64,
    /// Peer connections of TCP allocations: being made, waiting to be bound, or bound.
    pub connections_live: u64,
    /// Peer connections that a client has bound.
    pub connections_bound: u64,
    /// Requests whose sender was found out.
    pub authenticated: u64,
    live_over: [[u64; Families::ALL.len()]; Transport::ALL.len()],
    opened_over: [[u64; Families::ALL.len()]; Transport::ALL.len()],
    refusals: [u64; Refusal::ALL.len()],
    refused_replies: [u64; ReplyKind::ALL.len()],
    quota_hits: [u64; QuotaHit::ALL.len()],
    drops: [u64; Reason::ALL.len()],
    successes: [u64; METHODS.len()],
    errors: [[u64; ErrorCode::ALL.len()]; METHODS.len()],
}

impl Counters {
    /// Datagrams dropped for a reason.
    pub fn drops(&self, reason: Reason) -> u64 {
        self.drops[reason as usize]
    }

    /// Allocations that live now, of clients on such a transport, with such relayed addresses.
    pub fn live_over(&self, transport: Transport, families: Families) -> u64 {
        self.live_over[transport as usize][families as usize]
    }

    /// Allocations made by clients on such a transport, with such relayed addresses.
    pub fn opened_over(&self, transport: Transport, families: Families) -> u64 {
        self.opened_over[transport as usize][families as usize]
    }

    /// Requests whose sender was not found out.
    pub fn refusals(&self, refusal: Refusal) -> u64 {
        self.refusals[refusal as usize]
    }

    /// Answers that strangers did not get.
    pub fn refused_replies(&self, kind: ReplyKind) -> u64 {
        self.refused_replies[kind as usize]
    }

    /// How often a quota was reached.
    pub fn quota_hits(&self, quota: QuotaHit) -> u64 {
        self.quota_hits[quota as usize]
    }

    /// Success answers to one of [`METHODS`]; 0 for any other.
    pub fn successes(&self, method: Method) -> u64 {
        row(method).map_or(0, |row| self.successes[row])
    }

    /// Error answers to one of [`METHODS`]; 0 for any other.
    pub fn errors(&self, method: Method, code: ErrorCode) -> u64 {
        row(method).map_or(0, |row| self.errors[row][column(code)])
    }

    pub(in crate::turn) fn drop(&mut self, reason: Reason) {
        self.drop_run(reason, 1);
    }

    pub(in crate::turn) fn drop_run(&mut self, reason: Reason, packets: usize) {
        self.drops[reason as usize] += packets as u64;
    }

    /// Counts an allocation that was made.
    pub(in crate::turn) fn open(&mut self, transport: Transport, families: Families) {
        self.opened += 1;
        self.live += 1;
        self.opened_over[transport as usize][families as usize] += 1;
        self.live_over[transport as usize][families as usize] += 1;
    }

    /// Counts an allocation that lives on from another process.
    pub(in crate::turn) fn import(&mut self, transport: Transport, families: Families) {
        self.live += 1;
        self.live_over[transport as usize][families as usize] += 1;
    }

    /// Counts an allocation that ended with such relayed addresses.
    pub(in crate::turn) fn close(&mut self, transport: Transport, families: Families) {
        self.closed += 1;
        self.live -= 1;
        self.live_over[transport as usize][families as usize] -= 1;
    }

    /// Counts a dual allocation that goes on with one relayed address.
    pub(in crate::turn) fn narrow(&mut self, transport: Transport, to: Families) {
        let live = &mut self.live_over[transport as usize];
        live[Families::Both as usize] -= 1;
        live[to as usize] += 1;
    }

    pub(in crate::turn) fn refuse_replies(&mut self, kind: ReplyKind, answers: usize) {
        self.refused_replies[kind as usize] += answers as u64;
    }

    pub(in crate::turn) fn refuse(&mut self, refusal: Refusal) {
        self.refusals[refusal as usize] += 1;
    }

    pub(in crate::turn) fn reach(&mut self, quota: QuotaHit) {
        self.quota_hits[quota as usize] += 1;
    }

    pub(in crate::turn) fn success(&mut self, method: Method) {
        if let Some(row) = row(method) {
            self.successes[row] += 1;
        }
    }

    pub(in crate::turn) fn error(&mut self, method: Method, code: ErrorCode) {
        if let Some(row) = row(method) {
            self.errors[row][column(code)] += 1;
        }
    }
}

fn row(method: Method) -> Option<usize> {
    METHODS.iter().position(|known| *known == method)
}

fn column(code: ErrorCode) -> usize {
    ErrorCode::ALL.binary_search(&code).expect("ALL lists every code in ascending order")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_stand_in_the_order_of_their_enums() {
        assert!(Transport::ALL.into_iter().enumerate().all(|(n, over)| over as usize == n));
        assert!(Families::ALL.into_iter().enumerate().all(|(n, families)| families as usize == n));
        assert!(QuotaHit::ALL.into_iter().enumerate().all(|(n, quota)| quota as usize == n));
        assert!(Refusal::ALL.into_iter().enumerate().all(|(n, refusal)| refusal as usize == n));
        assert!(ReplyKind::ALL.into_iter().enumerate().all(|(n, kind)| kind as usize == n));
    }
}
