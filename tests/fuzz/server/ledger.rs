//! What the counters must say: each datagram stands in them exactly once.

use uturn::{
    turn::{Counters, METHODS, Reason},
    wire::ErrorCode,
};

/// What happened at one worker, as its callers see it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) answers: u64,
    pub(super) dropped: u64,
    pub(super) to_peers: u64,
    pub(super) to_clients: u64,
    pub(super) hairpins: u64,
    pub(super) handed_over: u64,
    pub(super) taken_over: u64,
    pub(super) opened: u64,
    pub(super) closed: u64,
}

impl Ledger {
    pub(super) fn of(counters: &Counters) -> Ledger {
        assert_eq!(counters.live, counters.opened - counters.closed);
        let successes: u64 = METHODS.iter().map(|method| counters.successes(*method)).sum();
        let errors = |code: &ErrorCode| {
            METHODS.iter().map(|method| counters.errors(*method, *code)).sum::<u64>()
        };
        Ledger {
            answers: successes + ErrorCode::ALL.iter().map(errors).sum::<u64>(),
            dropped: Reason::ALL.iter().map(|reason| counters.drops(*reason)).sum(),
            to_peers: counters.to_peers.packets,
            to_clients: counters.to_clients.packets,
            hairpins: counters.hairpin.packets,
            handed_over: counters.handed_over.packets,
            taken_over: counters.taken_over.packets,
            opened: counters.opened,
            closed: counters.closed,
        }
    }
}
