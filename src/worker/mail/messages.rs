//! What a worker does with each message.

use std::net::SocketAddr;

use crate::worker::{
    mail::batch::{Batch, Handoff},
    mail::mailbox::Mail,
    reactor::Worker,
};
use crate::{
    io::Driver,
    turn::{FiveTuple, Now, WorkerIndex},
};

impl<D: Driver> Worker<D> {
    pub(in crate::worker) fn on_message(&mut self, now: Now, message: Mail) {
        match message {
            Mail::Batch { owner, batch } => {
                self.unpack(now, &batch);
                self.mailboxes.take_back(owner, batch);
            }
            Mail::FlowOwned { flow, owner } => self.on_claim(now, flow, owner),
            Mail::FlowReleased { flow, owner } => self.owners.released(flow, owner),
            Mail::Client(moved) => self.on_moved_client(now, *moved),
            Mail::Redeem(redemption) => self.on_redeem(now, redemption),
            Mail::Redeemed { redemption, given } => self.on_redeemed(now, &redemption, given),
            // Who asked may have gone away; then nobody misses the answer.
            Mail::Snapshot(answer) => drop(answer.try_send(self.snapshot())),
            Mail::Question(question) => self.on_question(now, question),
            Mail::Settings(settings, answer) => {
                self.server.reconfigure(settings);
                answer.try_send(self.index).unwrap_or_default();
            }
            Mail::StreamRules(rules) => self.streams.rules = rules,
            Mail::Listen { listener, sockets } => self.listen(listener, sockets),
            Mail::Relays(relays) => self.server.relay_on(&relays),
            Mail::StopListening(listener) => self.stop_listening(listener),
            Mail::Drain(alternates) => self.server.drain(alternates),
            Mail::Stop => self.stop(now),
        }
    }

    /// Another worker has an allocation for a five-tuple. One request may reach two workers while
    /// the network card moves its flow; of two allocations that of the lower worker stays.
    fn on_claim(&mut self, now: Now, flow: FiveTuple, owner: WorkerIndex) {
        if self.index < owner && self.server.has_allocation(now, flow) {
            // A third worker believes whom it heard last.
            return self.owners.claim(&mut self.mailboxes, flow);
        }
        self.owners.claimed(flow, owner);
        self.server.cede(now, flow);
        self.carry_out(now);
    }

    fn unpack(&mut self, now: Now, batch: &Batch) {
        for (handoff, payload) in batch.entries() {
            match handoff {
                Handoff::Hairpin { from, to } => self.deliver(now, from, to, payload),
                Handoff::Misrouted(flow) => self.receive_misrouted(now, flow, payload),
            }
        }
    }

    /// A payload that finds no client has been counted.
    fn deliver(&mut self, now: Now, from: SocketAddr, to: SocketAddr, payload: &[u8]) {
        if let Ok(to) = self.server.from_worker(now, from, to, payload.len()) {
            self.receive_from_worker(now, to, payload);
        }
    }

    fn stop(&mut self, now: Now) {
        self.server.shut_down(now);
        self.carry_out(now);
        self.ends_at_ms = Some(self.drain_streams(now));
    }
}
