//! What happened, in numbers. Plain words of one thread: nobody else writes them.

use super::{Load, Reason};
use crate::wire::{ErrorCode, Method};

/// The methods that are answered, in the order of the counters.
pub const METHODS: [Method; 5] = [
    Method::Binding,
    Method::Allocate,
    Method::Refresh,
    Method::CreatePermission,
    Method::ChannelBind,
];

/// Everything one server counts. All but `live` only ever grow.
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
    drops: [u64; Reason::ALL.len()],
    successes: [u64; METHODS.len()],
    errors: [[u64; ErrorCode::ALL.len()]; METHODS.len()],
}

impl Counters {
    /// Datagrams dropped for a reason.
    pub fn drops(&self, reason: Reason) -> u64 {
        self.drops[reason as usize]
    }

    /// Success answers to one of [`METHODS`]; 0 for any other.
    pub fn successes(&self, method: Method) -> u64 {
        row(method).map_or(0, |row| self.successes[row])
    }

    /// Error answers to one of [`METHODS`]; 0 for any other.
    pub fn errors(&self, method: Method, code: ErrorCode) -> u64 {
        row(method).map_or(0, |row| self.errors[row][column(code)])
    }

    pub(super) fn drop(&mut self, reason: Reason) {
        self.drop_run(reason, 1);
    }

    pub(super) fn drop_run(&mut self, reason: Reason, packets: usize) {
        self.drops[reason as usize] += packets as u64;
    }

    pub(super) fn success(&mut self, method: Method) {
        if let Some(row) = row(method) {
            self.successes[row] += 1;
        }
    }

    pub(super) fn error(&mut self, method: Method, code: ErrorCode) {
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
