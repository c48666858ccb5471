//! Payload in both directions: ChannelData and Send towards a peer, anything from a peer towards
//! the client. This is the whole cost of a packet: one lookup of the flow or the relay, one of the
//! channel, one of the permission, and no heap, clock or log.

use std::{net::SocketAddr, ops::Range};

use crate::turn::{
    Delivered, FiveTuple, Now, Reason, RelayId, Server, ToClient, Train, Verdict, allocation::Way,
    allocation::permission::Reach, allocation::table::AllocationId, ports::relays::Target,
    relay::peer::canonical,
};
use crate::wire::{ChannelData, Family, Prefix};

/// A payload on its way out of an allocation.
#[derive(Debug, Clone)]
pub(in crate::turn) struct Outgoing {
    pub(in crate::turn) peer: SocketAddr,
    pub(in crate::turn) payload: Range<usize>,
    pub(in crate::turn) dont_fragment: bool,
}

impl Server {
    /// Judges a datagram, or a train of them, that came to a relay socket.
    pub fn from_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        train: Train,
    ) -> Result<Delivered, Reason> {
        let judged = self.deliver_from_peer(now, relay, canonical(peer), train);
        match &judged {
            Ok(Delivered { train: passing, .. }) => {
                self.counters.to_clients.add(passing.segments, passing.bytes);
                self.count_dropped_at(relay, Reason::OverLimit, train.segments - passing.segments);
            }
            Err(reason) => self.count_dropped_at(relay, *reason, train.segments),
        }
        judged
    }

    /// A ChannelData frame from a client (RFC 8656 §12.6).
    pub(in crate::turn) fn channel_data(
        &mut self,
        now: Now,
        flow: FiveTuple,
        datagram: &[u8],
    ) -> Verdict {
        let Ok(frame) = ChannelData::parse(datagram) else {
            return Verdict::Drop(Reason::BadChannelData);
        };
        let Some(id) = self.allocations.find(flow) else {
            return Verdict::Drop(Reason::NoAllocation);
        };
        let bound =
            self.allocations.at(id).and_then(|a| a.channels.peer(frame.channel, now.mono_ms));
        let Some(peer) = bound else { return Verdict::Drop(Reason::NoChannel) };
        self.towards_peer(
            now,
            id,
            Outgoing { peer, payload: frame.payload(), dont_fragment: false },
        )
    }

    /// Judges `more` further frames of a train that have the header of the one just judged
    /// ([`ChannelData::run`]), and says how many of them share its verdict. Flow, channel and time
    /// being the same, those are all, unless the allocation reaches its limits.
    pub fn repeat(&mut self, now: Now, flow: FiveTuple, verdict: &Verdict, more: usize) -> usize {
        let (asked, passing) = match verdict {
            Verdict::ToPeer { payload, .. } => {
                let train = Train::equal(more, payload.len());
                let passing = self.pass_by(now, flow, train);
                self.counters.to_peers.add(passing.segments, passing.bytes);
                (train, passing)
            }
            Verdict::ToClient { to, payload } => {
                let train = Train::equal(more, payload.len());
                let passing = self.pass_between(now, flow, to.flow, train);
                self.counters.hairpin.add(passing.segments, passing.bytes);
                (train, passing)
            }
            Verdict::HandOver { payload, .. } => {
                let train = Train::equal(more, payload.len());
                let passing = self.pass_by(now, flow, train);
                self.counters.handed_over.add(passing.segments, passing.bytes);
                (train, passing)
            }
            Verdict::Drop(reason) => {
                self.counters.drop_run(*reason, more);
                self.count_dropped_of(flow, *reason, more);
                return more;
            }
            // Nothing of the kind comes of ChannelData.
            Verdict::Reply(_) | Verdict::Pending => return 0,
        };
        let cut = asked.segments - passing.segments;
        if cut > 0 {
            self.counters.drop_run(Reason::OverLimit, cut);
            self.count_dropped_of(flow, Reason::OverLimit, cut);
        }
        passing.segments
    }

    /// Sends a payload from an allocation to a canonical peer, if it may.
    pub(in crate::turn) fn towards_peer(
        &mut self,
        now: Now,
        id: AllocationId,
        outgoing: Outgoing,
    ) -> Verdict {
        let Outgoing { peer, payload, dont_fragment } = outgoing;
        let Some(allocation) = self.allocations.at(id) else {
            return Verdict::Drop(Reason::NoAllocation);
        };
        let Some(relay) = allocation.relay(Family::of(peer.ip()), now.mono_ms) else {
            return Verdict::Drop(Reason::PeerFamily);
        };
        match allocation.permissions.reach(peer.ip(), now.mono_ms) {
            Some(Reach::Outside) => {}
            Some(Reach::Own) => {
                if let Some(verdict) = self.hairpin(now, id, peer, payload.clone()) {
                    return verdict;
                }
            }
            None => return Verdict::Drop(Reason::NoPermission),
        }
        if peer.port() == 0 {
            return Verdict::Drop(Reason::PeerPortZero);
        }
        if self.pass(now, id, Way::ToPeers, Train::single(payload.len())).segments == 0 {
            return Verdict::Drop(Reason::OverLimit);
        }
        self.counters.to_peers.add(1, payload.len());
        Verdict::ToPeer { relay, peer, payload, dont_fragment }
    }

    /// How a payload from `peer` is framed for the client of an allocation: by its channel, or as
    /// a Data indication (RFC 8656 §11.3, §12.7).
    pub(in crate::turn) fn frame(
        &mut self,
        now: Now,
        id: AllocationId,
        peer: SocketAddr,
    ) -> Option<ToClient> {
        let allocation = self.allocations.at(id)?;
        let flow = allocation.flow;
        let prefix = match allocation.channels.number(peer, now.mono_ms) {
            Some(number) => Prefix::Channel(number),
            None => Prefix::DataIndication { peer, transaction: self.chance.indication() },
        };
        Some(ToClient { flow, prefix })
    }

    fn deliver_from_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        train: Train,
    ) -> Result<Delivered, Reason> {
        let id = self.relays.live(relay).ok_or(Reason::NoRelay)?;
        let allocation = self.allocations.at(id).ok_or(Reason::NoRelay)?;
        allocation.relay(Family::of(peer.ip()), now.mono_ms).ok_or(Reason::NoRelay)?;
        match allocation.permissions.reach(peer.ip(), now.mono_ms) {
            Some(Reach::Outside) => {}
            Some(Reach::Own) => self.may_come_from_own(peer)?,
            None => return Err(Reason::NoPermission),
        }
        let train = self.pass(now, id, Way::ToClient, train);
        if train.segments == 0 {
            return Err(Reason::OverLimit);
        }
        let to = self.frame(now, id, peer).ok_or(Reason::NoRelay)?;
        Ok(Delivered { to, train })
    }

    /// A relay port of ours never sends through the kernel: whoever claims to be one is not.
    fn may_come_from_own(&self, peer: SocketAddr) -> Result<(), Reason> {
        match self.relays.target(peer) {
            Target::Outside if self.is_open_socket(peer) => Ok(()),
            Target::Outside | Target::Here(_) | Target::Nobody | Target::Elsewhere(_) => {
                Err(Reason::OwnPeer)
            }
        }
    }

    /// Lets as much of a train pass through an allocation as its limits leave room for.
    pub(in crate::turn) fn pass(
        &mut self,
        now: Now,
        id: AllocationId,
        way: Way,
        train: Train,
    ) -> Train {
        let limits = self.settings.limits;
        match self.allocations.at(id) {
            Some(allocation) => allocation.pass(way, limits, now.mono_ms, train),
            None => train.first(0),
        }
    }

    /// The same for what a client sends.
    fn pass_by(&mut self, now: Now, flow: FiveTuple, train: Train) -> Train {
        match self.allocations.find(flow) {
            Some(id) => self.pass(now, id, Way::ToPeers, train),
            None => train.first(0),
        }
    }

    /// The same for what goes straight from one client to another: what both have room for.
    fn pass_between(&mut self, now: Now, from: FiveTuple, to: FiveTuple, train: Train) -> Train {
        let (Some(sender), Some(receiver)) =
            (self.allocations.find(from), self.allocations.find(to))
        else {
            return train.first(0);
        };
        let train = self.may_send(now, sender, train);
        let train = self.pass(now, receiver, Way::ToClient, train);
        self.pass(now, sender, Way::ToPeers, train)
    }

    /// What the limits of an allocation leave of a train towards peers; takes nothing yet.
    pub(in crate::turn) fn may_send(&mut self, now: Now, id: AllocationId, train: Train) -> Train {
        let limits = self.settings.limits;
        match self.allocations.at(id) {
            Some(allocation) => allocation.may_send(limits, now.mono_ms, train),
            None => train.first(0),
        }
    }

    /// Counts what was dropped of a client's datagrams for its allocation, if that is why.
    pub(in crate::turn) fn count_dropped_of(
        &mut self,
        flow: FiveTuple,
        reason: Reason,
        packets: usize,
    ) {
        if !reason.is_about_an_allocation() {
            return;
        }
        let id = self.allocations.find(flow);
        if let Some(allocation) = id.and_then(|id| self.allocations.at(id)) {
            allocation.traffic.dropped += packets as u64;
        }
    }

    /// Counts what was dropped at a relay socket.
    fn count_dropped_at(&mut self, relay: RelayId, reason: Reason, packets: usize) {
        if packets == 0 {
            return;
        }
        self.counters.drop_run(reason, packets);
        let id = self.relays.live(relay);
        if let Some(allocation) = id.and_then(|id| self.allocations.at(id)) {
            allocation.traffic.dropped += packets as u64;
        }
    }
}
