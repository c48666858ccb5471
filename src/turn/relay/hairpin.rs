//! Relay to relay: the peer is itself a client of this process, the common case when both callers
//! sit behind bad NATs.
//!
//! The payload goes from one allocation to the other in user space, re-framed, and never enters
//! the IP stack. Both sides must have agreed: the sender has a permission for the receiver's relay
//! address, the receiver one for the sender's, as advertised. A port inside the relay range is
//! reached in no other way, whatever the policy says.

use std::{net::SocketAddr, ops::Range};

use crate::turn::{
    Now, Reason, Server, ToClient, Train, Undelivered, Verdict, allocation::Way,
    allocation::table::AllocationId, policy::Judgement, ports::relays::Target,
    relay::peer::canonical,
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
    ) -> Result<ToClient, Undelivered> {
        match self.relays.target(canonical(to)) {
            Target::Here(id) => {
                let delivered = self.receive(now, id, from, payload_bytes);
                let delivered = delivered.map_err(|reason| self.undelivered(reason))?;
                self.counters.taken_over.add(1, payload_bytes);
                Ok(delivered)
            }
            Target::Elsewhere(worker) if self.owns(to.port()) => Err(Undelivered::HandOver(worker)),
            Target::Elsewhere(_) | Target::Nobody | Target::Outside => {
                Err(self.undelivered(Reason::HairpinNoAllocation))
            }
        }
    }

    /// Sends a payload to one of our own addresses; `None` when it is a socket outside the relay
    /// range that may be reached through the kernel.
    pub(in crate::turn) fn hairpin(
        &mut self,
        now: Now,
        sender: AllocationId,
        to: SocketAddr,
        payload: Range<usize>,
    ) -> Option<Verdict> {
        let from = self.allocations.at(sender)?.relayed(Family::of(to.ip()))?;
        match self.relays.target(to) {
            Target::Outside if self.is_open_socket(to) => None,
            Target::Outside => Some(Verdict::Drop(Reason::OwnPeer)),
            Target::Nobody => Some(Verdict::Drop(Reason::HairpinNoAllocation)),
            Target::Elsewhere(worker) => {
                if self.pass(now, sender, Way::ToPeers, Train::single(payload.len())).segments == 0
                {
                    return Some(Verdict::Drop(Reason::OverLimit));
                }
                self.counters.handed_over.add(1, payload.len());
                Some(Verdict::HandOver { worker, from, to, payload })
            }
            Target::Here(receiver) => Some(self.hairpin_here(now, sender, receiver, from, payload)),
        }
    }

    /// True when the policy opens this very socket, which is one of our own.
    pub(in crate::turn) fn is_open_socket(&self, socket: SocketAddr) -> bool {
        self.settings.policy.judge_socket(socket) == Judgement::Allowed
    }

    fn hairpin_here(
        &mut self,
        now: Now,
        sender: AllocationId,
        receiver: AllocationId,
        from: SocketAddr,
        payload: Range<usize>,
    ) -> Verdict {
        let single = Train::single(payload.len());
        if self.may_send(now, sender, single).segments == 0 {
            return Verdict::Drop(Reason::OverLimit);
        }
        match self.receive(now, receiver, from, payload.len()) {
            Ok(to) => {
                self.counters.hairpin.add(1, payload.len());
                self.pass(now, sender, Way::ToPeers, single);
                Verdict::ToClient { to, payload }
            }
            Err(reason) => Verdict::Drop(reason),
        }
    }

    /// Lets an allocation receive from another one, if its client agreed to.
    fn receive(
        &mut self,
        now: Now,
        receiver: AllocationId,
        from: SocketAddr,
        payload_bytes: usize,
    ) -> Result<ToClient, Reason> {
        let allocation = self.allocations.at(receiver).ok_or(Reason::HairpinNoAllocation)?;
        let family = Family::of(from.ip());
        allocation.relay(family, now.mono_ms).ok_or(Reason::HairpinNoAllocation)?;
        let permitted = allocation.permissions.reach(from.ip(), now.mono_ms);
        permitted.ok_or(Reason::HairpinNoPermission)?;
        if self.pass(now, receiver, Way::ToClient, Train::single(payload_bytes)).segments == 0 {
            return Err(Reason::OverLimit);
        }
        self.frame(now, receiver, from).ok_or(Reason::HairpinNoAllocation)
    }

    fn owns(&self, port: u16) -> bool {
        self.shard.ports.owner(port) == Some(self.shard.worker)
    }

    fn undelivered(&mut self, reason: Reason) -> Undelivered {
        self.counters.drop(reason);
        Undelivered::Drop(reason)
    }
}
