//! Allocates that wait for sockets.

use std::net::SocketAddr;

use uturn::{
    turn::{Report as News, WorkerIndex},
    worker::Report,
};

use super::payload::Buffer;
use crate::{
    machine::Deed,
    model::{Arrival as Asked, Expect, Opening},
    run::Story,
};

impl Story {
    /// A worker asked for a socket on behalf of a client.
    pub(super) fn bound(
        &mut self,
        worker: u8,
        client: Option<SocketAddr>,
        local: SocketAddr,
        errno: Option<i32>,
    ) {
        let client = client.expect("an Allocate is under way");
        let slice = self.model.scenario.plan().slice(WorkerIndex(worker));
        self.tally.drawn_elsewhere += u64::from(!slice.contains(&local.port()));
        self.node.drawn.entry(client).or_default().insert(local);
        let is_alone = self.model.openings.get(&client);
        let is_alone = is_alone.is_some_and(Opening::is_for_one_socket);
        let attempt = self.node.attempts.entry(client).or_default();
        // Another try, after one that failed.
        attempt.failed &= !is_alone;
        match errno {
            None => {
                attempt.awaited.insert(local);
                self.node.taken.insert(local);
                self.node.asked.insert(local, client);
            }
            Some(errno) => {
                attempt.failed = true;
                self.count_refused(local, errno);
            }
        }
    }

    /// A port that somebody else has is no fault.
    pub(super) fn count_refused(&mut self, local: SocketAddr, errno: i32) {
        self.tally.refused += 1;
        if errno != libc::EADDRINUSE {
            self.broken.push(local);
            self.model.sums.relays_broken += 1;
        }
    }

    /// An Allocate has an answer about one of its sockets.
    pub(super) fn answered_for(&mut self, worker: u8, local: SocketAddr, errno: Option<i32>) {
        let client = self.node.asked.remove(&local).expect("somebody waits for it");
        if let Some(errno) = errno {
            self.node.taken.remove(&local);
            self.count_refused(local, errno);
        }
        let attempt = self.node.attempts.get_mut(&client).expect("it waits");
        attempt.awaited.remove(&local);
        attempt.failed |= errno.is_some();
        if attempt.awaited.is_empty() {
            let failed = std::mem::take(&mut attempt.failed);
            self.conclude(worker, client, failed);
        }
    }

    /// All sockets of an Allocate are there, or it tries others, or gives up. After a failure it
    /// may have found others.
    pub(super) fn conclude(&mut self, worker: u8, client: SocketAddr, failed: bool) {
        if self.model.abandoned.contains_key(&client) {
            return self.conclude_abandoned(worker, client);
        }
        self.settle_news(worker, Some(client));
        let attempt = self.node.attempts.get(&client);
        if attempt.is_some_and(|attempt| !attempt.awaited.is_empty()) {
            assert!(failed, "everything was bound");
            return;
        }
        let failed = failed || attempt.is_some_and(|attempt| attempt.failed);
        let opening = self.model.openings.remove(&client).expect("one that waits");
        self.node.drawn.remove(&client);
        self.node.attempts.remove(&client);
        assert_eq!(opening.worker, worker);
        let request = &opening.request;
        let asked = Asked { now_ms: self.now_ms, worker, client, request };
        let relayed = self.next_opened(client);
        assert!(failed || relayed.is_some(), "refused with everything bound: {request:?}");
        let expect = if relayed.is_some() { Expect::Success } else { Expect::Code(508) };
        let answer = self.take_answer(Buffer::Blank, asked, expect);
        if let Some(relayed) = relayed {
            self.model.opened(asked, &relayed, answer.as_deref());
            self.settle(worker, client);
        }
        self.settle_news(worker, Some(client));
    }

    /// The relayed addresses of the allocation that the log is told of next, if it is this
    /// client's.
    fn next_opened(&self, client: SocketAddr) -> Option<Vec<SocketAddr>> {
        let this_step = self.deeds.iter().take_while(|it| !matches!(it, Deed::Took(..)));
        let mut opened = this_step.filter_map(|deed| match deed {
            Deed::Report(Report::Turn(News::Opened(opened))) => Some(opened),
            _ => None,
        });
        let opened = opened.next().filter(|opened| opened.path.client() == client)?;
        Some(opened.relayed.iter().copied().collect())
    }

    /// The sockets of an allocation, and what is reserved beside it, are its own from now on.
    pub(super) fn settle(&mut self, worker: u8, client: SocketAddr) {
        let model = &self.model;
        let ends = model.allocations[&client].ends.iter().map(|end| model.local(end.relayed));
        let ends: Vec<SocketAddr> = ends.collect();
        let reserved = model.reservations.values().map(|reservation| reservation.relayed);
        let reserved = reserved.map(|relayed| model.local(relayed));
        for local in ends.iter().copied().chain(reserved) {
            self.node.unsettled.remove(&local);
        }
        self.model.holders.extend(ends.into_iter().map(|local| (local, worker)));
    }
}
