//! What a server did, summed over its workers.

use std::ops::AddAssign;

use crate::io::HoldTimes;
use crate::turn::{Load, Reason};
use crate::worker::Snapshot;

/// What was done from start to end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Totals {
    /// Allocations made.
    pub(in crate::control) allocations: u64,
    /// Payload that left for peers.
    pub(in crate::control) to_peers: Load,
    /// Payload that came from peers.
    pub(in crate::control) to_clients: Load,
    /// Payload that went from client to client without a socket in between.
    pub(in crate::control) between_clients: Load,
    /// Datagrams dropped, for any reason.
    pub(in crate::control) dropped: u64,
}

impl AddAssign<&Snapshot> for Totals {
    fn add_assign(&mut self, snapshot: &Snapshot) {
        let turn = &snapshot.turn;
        self.allocations += turn.opened;
        add(&mut self.to_peers, turn.to_peers);
        add(&mut self.to_clients, turn.to_clients);
        add(&mut self.between_clients, turn.hairpin);
        add(&mut self.between_clients, turn.taken_over);
        self.dropped += drops(snapshot).map(|(_, packets)| packets).sum::<u64>();
    }
}

/// How long workers held datagrams, all of them together.
pub(in crate::control) fn held(snapshots: &[Snapshot]) -> HoldTimes {
    let mut sum = HoldTimes::default();
    snapshots.iter().for_each(|snapshot| sum.add(&snapshot.held));
    sum
}

fn add(sum: &mut Load, more: Load) {
    sum.packets += more.packets;
    sum.bytes += more.bytes;
}

/// Every reason a worker drops datagrams for, and how many it has dropped for it so far.
pub(in crate::control) fn drops(snapshot: &Snapshot) -> impl Iterator<Item = (&'static str, u64)> {
    let (turn, io, worker) = (&snapshot.turn, &snapshot.io, &snapshot.worker);
    let streams = &snapshot.streams;
    let rules = Reason::ALL.iter().map(|reason| (reason.name(), turn.drops(*reason)));
    let means = [
        ("hand_over_full", worker.hand_over_dropped),
        ("no_buffer", worker.no_buffer),
        ("stream_late", streams.dropped_late),
        ("stream_full", streams.dropped_full),
        ("stream_gone", streams.dropped_gone),
        ("send_full", io.dropped_full),
        ("send_forbidden", io.dropped_forbidden),
        ("send_unreachable", io.dropped_unreachable),
        ("send_too_long", io.dropped_too_long + worker.too_long),
        ("send_error", io.dropped_error),
    ];
    rules.chain(means)
}
