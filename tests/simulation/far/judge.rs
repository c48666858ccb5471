//! What holds after every step, and at the end of a story.

use std::net::SocketAddr;

use super::{
    Far,
    end::{End, Role},
};

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) whole_pairs: u32,
    pub(super) bytes: usize,
    pub(super) moved: u64,
    pub(super) connects: u32,
    pub(super) refused: u32,
    pub(super) from_peers: u32,
    pub(super) behind_balancers: u32,
    pub(super) resets: u32,
    pub(super) moves_failed: u64,
}

impl Far {
    /// Nobody hears what nobody has said, and an allocation ends with its connection.
    pub(super) fn check(&self) {
        let silent = |who: &SocketAddr| self.ends[who].heard.is_empty();
        for (who, end) in self.ends.iter().filter(|(_, end)| end.role == Role::Peer) {
            let known = self.known.iter().find(|known| known.peer == *who);
            let Some(data) = known.and_then(|known| known.data) else {
                assert!(silent(who), "{who} hears somebody");
                continue;
            };
            check_heard(who, &end.heard, (&data, &self.ends[&data].said));
            check_heard(&data, &self.ends[&data].heard, (who, &end.said));
        }
        if self.control_over_ms.is_some_and(|over_ms| self.now_ms > over_ms + 3_000) {
            assert_eq!(self.live, 0, "an allocation without its connection");
            let machine = self.node.machine.lock();
            assert_eq!(machine.sides.iter().flat_map(|side| side.wires.relays()).count(), 0);
        }
    }

    /// Where nobody was cut off, everything has arrived, both ends included.
    pub(super) fn check_whole_pairs(&mut self) {
        for known in &self.known {
            let Some(data) = known.data else { continue };
            let (client, peer) = (&self.ends[&data], &self.ends[&known.peer]);
            let is_whole = client.is_bound && self.control_over_ms.is_none();
            if !is_whole || [client, peer].iter().any(|end| end.is_cut()) {
                continue;
            }
            let state = |end: &End| {
                let End { reads, has_finished, heard_end, is_over, outbox, said, heard, .. } = end;
                let (outbox, said, heard) = (outbox.len(), said.len(), heard.len());
                format!("{reads} {has_finished} {heard_end} {is_over} {outbox} {said} {heard}")
            };
            let both = [client, peer].map(state);
            assert!(
                client.heard_end && peer.heard_end,
                "{data} and {}: no end: {both:?}",
                known.peer
            );
            assert!(peer.heard == client.said && client.heard == peer.said, "{data}: bytes lost");
            self.tally.whole_pairs += 1;
            self.tally.bytes += client.heard.len() + peer.heard.len();
        }
    }

    pub(super) fn check_nothing_is_left(&mut self) {
        let machine = self.node.machine.lock();
        assert!(machine.adrift.is_empty(), "{:?}", machine.adrift);
        assert!(machine.sides.iter().all(|side| side.wires.is_empty()), "connections are left");
        drop(machine);
        for worker in self.node.workers.iter().flatten() {
            let snapshot = worker.snapshot();
            assert_eq!(snapshot.ports.iter().map(|ports| ports.in_use).sum::<usize>(), 0);
            self.tally.moved += snapshot.streams.pipes.moved;
            self.tally.moves_failed += snapshot.streams.pipes.moves_failed;
        }
        assert_eq!(self.live, 0);
    }
}

impl Tally {
    pub(super) fn add(&mut self, other: &Tally) {
        self.whole_pairs += other.whole_pairs;
        self.bytes += other.bytes;
        self.moved += other.moved;
        self.connects += other.connects;
        self.refused += other.refused;
        self.from_peers += other.from_peers;
        self.behind_balancers += other.behind_balancers;
        self.resets += other.resets;
        self.moves_failed += other.moves_failed;
    }

    /// Stories in which nothing happens prove nothing.
    pub(super) fn assert_rich(&self) {
        let few =
            [self.connects, self.refused, self.from_peers, self.behind_balancers, self.resets];
        assert!(few.iter().all(|count| *count > 20), "{self:?}");
        assert!(self.whole_pairs > 100 && self.bytes > 1 << 20 && self.moved > 100, "{self:?}");
        assert!(self.moves_failed > 0, "{self:?}");
    }
}

/// What somebody has heard is the beginning of what the other has said.
fn check_heard(who: &SocketAddr, heard: &[u8], (other, said): (&SocketAddr, &[u8])) {
    if said.starts_with(heard) {
        return;
    }
    let same = heard.iter().zip(said).take_while(|(one, other)| one == other).count();
    panic!(
        "{who} hears {} bytes of {other}, who has said {}, and those after {same} are others",
        heard.len(),
        said.len()
    );
}
