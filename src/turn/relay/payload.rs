//! Payload in both directions: ChannelData and Send towards a peer, anything from a peer towards
//! the client. This is the whole cost of a packet: one lookup of the flow or the relay, one of the
//! channel, one of the permission, and no heap, clock or log.

use std::{net::SocketAddr, ops::Range};

use crate::turn::{
    allocation::{Way, permission::Reach, table::AllocationId},
    api::{
        names::identity::{FiveTuple, RelayId},
        now::Now,
        reason::Reason,
        train::Train,
        verdict::{Delivered, ToClient, Verdict},
    },
    relay::peer::canonical,
    server::Server,
};
use crate::wire::{ChannelData, Family, Prefix};

/// A payload on its way out of an allocation, or several of one size.
#[derive(Debug, Clone)]
pub(in crate::turn) struct ToPeerPayload {
    /// Canonical.
    pub(in crate::turn) peer: SocketAddr,
    /// Where the payload stands in each frame.
    pub(in crate::turn) payload: Range<usize>,
    /// At least one.
    pub(in crate::turn) frames: usize,
    pub(in crate::turn) dont_fragment: bool,
}

impl ToPeerPayload {
    pub(in crate::turn) const fn train(&self) -> Train {
        Train::equal(self.frames, self.payload.end - self.payload.start)
    }
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

    /// ChannelData frames of one header from a client (RFC 8656 §12.6).
    pub(in crate::turn) fn channel_data(
        &mut self,
        now: Now,
        flow: FiveTuple,
        datagram: &[u8],
        frames: usize,
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
        let payload = frame.payload();
        self.towards_peer(now, id, ToPeerPayload { peer, payload, frames, dont_fragment: false })
    }

    /// Sends payloads from an allocation to a canonical peer, if it may.
    pub(in crate::turn) fn towards_peer(
        &mut self,
        now: Now,
        id: AllocationId,
        outgoing: ToPeerPayload,
    ) -> Verdict {
        let peer = outgoing.peer;
        let Some(allocation) = self.allocations.at(id) else {
            return Verdict::Drop(Reason::NoAllocation);
        };
        let Some(relay) = allocation.relay(Family::of(peer.ip()), now.mono_ms) else {
            return Verdict::Drop(Reason::PeerFamily);
        };
        match allocation.permissions.reach(peer.ip(), now.mono_ms) {
            Some(Reach::Outside) => {}
            Some(Reach::Relays) => {
                return self.hairpin(now, id, &outgoing).unwrap_or_else(Verdict::Drop);
            }
            Some(Reach::Neighbours) => {
                if let Ok(verdict) = self.hairpin(now, id, &outgoing) {
                    return verdict;
                }
            }
            None => return Verdict::Drop(Reason::NoPermission),
        }
        if peer.port() == 0 {
            return Verdict::Drop(Reason::PeerPortZero);
        }
        let train = outgoing.train();
        let passing = self.admit(now, id, Way::ToPeers, train);
        if passing.segments == 0 {
            return Verdict::Drop(Reason::OverLimit);
        }
        self.drop_rest(id, train, passing);
        self.counters.to_peers.add(passing.segments, passing.bytes);
        let ToPeerPayload { payload, dont_fragment, .. } = outgoing;
        Verdict::ToPeer { relay, peer, payload, frames: passing.segments, dont_fragment }
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
        let path = allocation.path;
        let prefix = match allocation.channels.number(peer, now.mono_ms) {
            Some(number) => Prefix::Channel(number),
            None => Prefix::DataIndication { peer, transaction: self.rng.indication() },
        };
        Some(ToClient { path, prefix })
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
            Some(Reach::Neighbours) if !self.relays.is_live(peer) => {}
            // A relay port of ours never sends through the kernel: whoever claims to be one is not.
            Some(Reach::Relays | Reach::Neighbours) => return Err(Reason::OwnPeer),
            None => return Err(Reason::NoPermission),
        }
        let train = self.admit(now, id, Way::ToClient, train);
        if train.segments == 0 {
            return Err(Reason::OverLimit);
        }
        let to = self.frame(now, id, peer).ok_or(Reason::NoRelay)?;
        Ok(Delivered { to, train })
    }

    /// Takes as much of a train as an allocation's limits leave room for, and counts it as relayed.
    pub(in crate::turn) fn admit(
        &mut self,
        now: Now,
        id: AllocationId,
        way: Way,
        train: Train,
    ) -> Train {
        let limits = self.settings.limits;
        match self.allocations.at(id) {
            Some(allocation) => allocation.admit(way, limits, now.mono_ms, train),
            None => train.first(0),
        }
    }

    /// Counts dropped datagrams of a client, for its allocation too where the reason is about one.
    pub(in crate::turn) fn drop_frames(&mut self, flow: FiveTuple, reason: Reason, frames: usize) {
        let about = reason.is_about_an_allocation();
        let id = if about { self.allocations.find(flow) } else { None };
        self.drop_of(id, reason, frames);
    }

    /// Counts what the limits of an allocation cut from a train.
    pub(in crate::turn) fn drop_rest(&mut self, id: AllocationId, train: Train, passing: Train) {
        let cut = train.segments - passing.segments;
        if cut > 0 {
            self.drop_of(Some(id), Reason::OverLimit, cut);
        }
    }

    fn drop_of(&mut self, id: Option<AllocationId>, reason: Reason, packets: usize) {
        self.counters.drop_run(reason, packets);
        if let Some(allocation) = id.and_then(|id| self.allocations.at(id)) {
            allocation.traffic.dropped += packets as u64;
        }
    }

    /// Counts what was dropped at a relay socket.
    fn count_dropped_at(&mut self, relay: RelayId, reason: Reason, packets: usize) {
        if packets > 0 {
            self.drop_of(self.relays.live(relay), reason, packets);
        }
    }
}
