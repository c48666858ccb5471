//! Payload in both directions: ChannelData and Send towards a peer, anything from a peer towards
//! the client. This is the whole cost of a packet: one lookup of the flow or the relay, one of the
//! channel, one of the permission, and no heap, clock or log.

use std::{net::SocketAddr, ops::Range};

use super::{
    FiveTuple, Now, Reason, RelayId, Server, ToClient, Verdict, allocations::AllocationId,
    peer::canonical, permission::Reach, relays::Target,
};
use crate::wire::{ChannelData, Family, Prefix};

/// A payload on its way out of an allocation.
#[derive(Debug, Clone)]
pub(super) struct Outgoing {
    pub(super) peer: SocketAddr,
    pub(super) payload: Range<usize>,
    pub(super) dont_fragment: bool,
}

impl Server {
    /// Judges a datagram, or a train of `segments` equal ones with `payload_bytes` together, that
    /// came to a relay socket.
    pub fn from_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        peer: SocketAddr,
        payload_bytes: usize,
        segments: usize,
    ) -> Result<ToClient, Reason> {
        let judged = self.deliver_from_peer(now, relay, canonical(peer));
        match judged {
            Ok((id, to)) => {
                self.counters.to_clients.add(segments, payload_bytes);
                if let Some(allocation) = self.allocations.at(id) {
                    allocation.traffic.to_client.add(segments, payload_bytes);
                }
                Ok(to)
            }
            Err(reason) => {
                self.counters.drop(reason);
                Err(reason)
            }
        }
    }

    /// A ChannelData frame from a client (RFC 8656 §12.6).
    pub(super) fn channel_data(&mut self, now: Now, flow: FiveTuple, datagram: &[u8]) -> Verdict {
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

    /// Counts `more` further frames of a train that have the header of the one just judged
    /// ([`ChannelData::run`]). Flow, channel and time being the same, so is the verdict.
    pub fn repeat(&mut self, flow: FiveTuple, verdict: &Verdict, more: usize) {
        match verdict {
            Verdict::ToPeer { payload, .. } => {
                self.counters.to_peers.add(more, more * payload.len());
                self.count_sent_by(flow, more, payload.len());
            }
            Verdict::ToClient { to, payload } => {
                self.counters.hairpin.add(more, more * payload.len());
                self.count_sent_by(flow, more, payload.len());
                self.count_received_by(to.flow, more, payload.len());
            }
            Verdict::HandOver { payload, .. } => {
                self.counters.handed_over.add(more, more * payload.len());
                self.count_sent_by(flow, more, payload.len());
            }
            Verdict::Drop(reason) => self.counters.drop_run(*reason, more),
            // Nothing of the kind comes of ChannelData.
            Verdict::Reply(_) | Verdict::Pending => {}
        }
    }

    /// Sends a payload from an allocation to a canonical peer, if it may.
    pub(super) fn towards_peer(
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
        self.count_out(id, payload.len());
        Verdict::ToPeer { relay, peer, payload, dont_fragment }
    }

    /// How a payload from `peer` is framed for the client of an allocation: by its channel, or as
    /// a Data indication (RFC 8656 §11.3, §12.7).
    pub(super) fn frame(
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
    ) -> Result<(AllocationId, ToClient), Reason> {
        let id = self.relays.live(relay).ok_or(Reason::NoRelay)?;
        let allocation = self.allocations.at(id).ok_or(Reason::NoRelay)?;
        allocation.relay(Family::of(peer.ip()), now.mono_ms).ok_or(Reason::NoRelay)?;
        match allocation.permissions.reach(peer.ip(), now.mono_ms) {
            Some(Reach::Outside) => {}
            Some(Reach::Own) => self.may_come_from_own(peer)?,
            None => return Err(Reason::NoPermission),
        }
        let to = self.frame(now, id, peer).ok_or(Reason::NoRelay)?;
        Ok((id, to))
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

    fn count_out(&mut self, id: AllocationId, payload_bytes: usize) {
        self.counters.to_peers.add(1, payload_bytes);
        self.count_sent_run(id, 1, payload_bytes);
    }

    fn count_sent_by(&mut self, flow: FiveTuple, packets: usize, packet_bytes: usize) {
        if let Some(id) = self.allocations.find(flow) {
            self.count_sent_run(id, packets, packet_bytes);
        }
    }

    /// Counts packets of one size that an allocation has sent.
    pub(super) fn count_sent_run(&mut self, id: AllocationId, packets: usize, packet_bytes: usize) {
        if let Some(allocation) = self.allocations.at(id) {
            allocation.traffic.to_peers.add(packets, packets * packet_bytes);
        }
    }

    fn count_received_by(&mut self, flow: FiveTuple, packets: usize, packet_bytes: usize) {
        let id = self.allocations.find(flow);
        if let Some(allocation) = id.and_then(|id| self.allocations.at(id)) {
            allocation.traffic.to_client.add(packets, packets * packet_bytes);
        }
    }
}
