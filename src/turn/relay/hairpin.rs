//! Relay to relay: the peer is itself a client of this process, the common case when both callers
//! sit behind bad NATs.
//!
//! The payload goes from one allocation to the other in user space, re-framed, and never enters
//! the IP stack. Both sides must have agreed: the sender has a permission for the receiver's relay
//! address, the receiver one for the sender's, as advertised. A live relay port is reached in no
//! other way, whatever the policy says; everything else on a relay address is a neighbour on this
//! machine, reached through the kernel where the policy opens the address. Which worker to hand a
//! payload to stands in a table that all workers read and that only allocations that begin or end
//! write.

use std::net::SocketAddr;

use crate::turn::{
    allocation::{Way, table::AllocationId},
    api::{
        names::identity::WorkerIndex,
        now::Now,
        reason::Reason,
        train::Train,
        verdict::{Delivered, ToClient, Verdict},
    },
    ports::relays::RelayTarget,
    relay::{payload::ToPeerPayload, peer::canonical},
    server::Server,
};
use crate::wire::Family;

impl Server {
    /// Judges a hairpin payload that another worker handed over. `from` is the sender's relayed
    /// address as advertised, `to` the receiver's.
    pub fn from_worker(
        &mut self,
        now: Now,
        from: SocketAddr,
        to: SocketAddr,
        payload_bytes: usize,
    ) -> Result<ToClient, Reason> {
        let delivered = match self.relays.target(canonical(to)) {
            RelayTarget::Here(id) => self.receive(now, id, from, Train::single(payload_bytes)),
            // The allocation has ended since.
            RelayTarget::Elsewhere(_) | RelayTarget::Nobody | RelayTarget::Outside => {
                Err(Reason::HairpinNoAllocation)
            }
        };
        match delivered {
            Ok(Delivered { to, train }) => {
                self.counters.taken_over.add(train.segments, train.bytes);
                Ok(to)
            }
            Err(reason) => {
                self.counters.drop(reason);
                Err(reason)
            }
        }
    }

    /// Sends payloads to a live relay port on one of our relay addresses.
    ///
    /// # Errors
    /// No live relay port is there: why a relay address that the policy closes leads nowhere.
    pub(in crate::turn) fn hairpin(
        &mut self,
        now: Now,
        sender: AllocationId,
        outgoing: &ToPeerPayload,
    ) -> Result<Verdict, Reason> {
        let to = outgoing.peer;
        let allocation = self.allocations.at(sender).ok_or(Reason::NoAllocation)?;
        let from = allocation.advertised(Family::of(to.ip())).ok_or(Reason::PeerFamily)?;
        match self.relays.target(to) {
            RelayTarget::Outside => Err(Reason::OwnPeer),
            RelayTarget::Nobody => Err(Reason::HairpinNoAllocation),
            RelayTarget::Elsewhere(worker) => {
                Ok(self.hairpin_to_worker(now, sender, worker, from, outgoing))
            }
            RelayTarget::Here(receiver) => {
                Ok(self.hairpin_here(now, sender, receiver, from, outgoing))
            }
        }
    }

    fn hairpin_to_worker(
        &mut self,
        now: Now,
        sender: AllocationId,
        worker: WorkerIndex,
        from: SocketAddr,
        outgoing: &ToPeerPayload,
    ) -> Verdict {
        let train = outgoing.train();
        let passing = self.admit(now, sender, Way::ToPeers, train);
        if passing.segments == 0 {
            return Verdict::Drop(Reason::OverLimit);
        }
        self.drop_rest(sender, train, passing);
        self.counters.handed_over.add(passing.segments, passing.bytes);
        let ToPeerPayload { peer: to, payload, .. } = outgoing.clone();
        Verdict::HandOver { worker, from, to, payload, frames: passing.segments }
    }

    fn hairpin_here(
        &mut self,
        now: Now,
        sender: AllocationId,
        receiver: AllocationId,
        from: SocketAddr,
        outgoing: &ToPeerPayload,
    ) -> Verdict {
        let train = outgoing.train();
        let limits = self.settings.limits;
        let sent = self.allocations.at(sender).map(|a| a.room_to_peers(limits, now.mono_ms, train));
        // The receiver is asked before the sender's bucket pays: what it refuses costs nobody.
        match self.receive(now, receiver, from, sent.unwrap_or(train.first(0))) {
            Ok(Delivered { to, train: passing }) => {
                self.admit(now, sender, Way::ToPeers, passing);
                self.drop_rest(sender, train, passing);
                self.counters.hairpin.add(passing.segments, passing.bytes);
                let payload = outgoing.payload.clone();
                Verdict::ToClient { to, payload, frames: passing.segments }
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Lets an allocation receive a train from another one, if its client agreed to.
    fn receive(
        &mut self,
        now: Now,
        receiver: AllocationId,
        from: SocketAddr,
        train: Train,
    ) -> Result<Delivered, Reason> {
        if train.segments == 0 {
            return Err(Reason::OverLimit);
        }
        let allocation = self.allocations.at(receiver).ok_or(Reason::HairpinNoAllocation)?;
        let family = Family::of(from.ip());
        allocation.relay(family, now.mono_ms).ok_or(Reason::HairpinNoAllocation)?;
        let permitted = allocation.permissions.reach(from.ip(), now.mono_ms);
        permitted.ok_or(Reason::HairpinNoPermission)?;
        let train = self.admit(now, receiver, Way::ToClient, train);
        if train.segments == 0 {
            return Err(Reason::OverLimit);
        }
        let to = self.frame(now, receiver, from).ok_or(Reason::HairpinNoAllocation)?;
        Ok(Delivered { to, train })
    }
}
