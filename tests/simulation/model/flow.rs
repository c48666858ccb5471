//! Where a payload must go.

use std::net::SocketAddr;

use uturn::turn::Load;

use super::{Allocation, Model, Permission};
use crate::packet::Packet;

/// The one thing that may become of a payload.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Fate {
    /// It leaves from this relayed address.
    ToPeer {
        relayed: SocketAddr,
        peer: SocketAddr,
        dont_fragment: bool,
    },
    /// It goes to a client, as of this sender, in this channel if one is bound.
    ToClient {
        client: SocketAddr,
        sender: SocketAddr,
        channel: Option<u16>,
    },
    /// Another worker is asked.
    HandOver {
        worker: u8,
        from: SocketAddr,
        to: SocketAddr,
    },
    Dropped,
}

impl Model {
    /// A payload from a client, in a Send indication or on a channel.
    pub(crate) fn client_sent(&mut self, now_ms: u64, client: SocketAddr, packet: &Packet) -> Fate {
        let Some(allocation) = self.live(client, now_ms) else { return Fate::Dropped };
        let (peer, dont_fragment, bytes) = match packet {
            Packet::Send { peer, payload, dont_fragment } => (*peer, *dont_fragment, payload.len()),
            Packet::Channel { number, payload, .. } => {
                let channel = allocation.channels.get(number);
                let Some(channel) = channel.filter(|c| c.until_ms > now_ms) else {
                    return Fate::Dropped;
                };
                (channel.peer, false, payload.len())
            }
            Packet::Request(_) | Packet::Junk(_) => return Fate::Dropped,
        };
        let Some(end) = allocation.end_for(peer.ip(), now_ms) else { return Fate::Dropped };
        let permission = allocation.permission(peer.ip(), now_ms);
        let Some(Permission { opens_neighbours, .. }) = permission.copied() else {
            return Fate::Dropped;
        };
        let (worker, relayed) = (allocation.worker, end.relayed);
        let fate = if !self.is_relay_ip(peer.ip()) {
            Fate::ToPeer { relayed, peer, dont_fragment }
        } else if self.holder(peer).is_some() {
            self.hairpin(now_ms, worker, relayed, peer)
        } else if opens_neighbours {
            Fate::ToPeer { relayed, peer, dont_fragment }
        } else {
            Fate::Dropped
        };
        self.book(client, fate, bytes);
        fate
    }

    /// A payload from one relayed address to another.
    fn hairpin(&self, now_ms: u64, worker: u8, from: SocketAddr, to: SocketAddr) -> Fate {
        match self.holder(to) {
            Some(holder) if holder == worker => self.receive(now_ms, from, to),
            Some(holder) => Fate::HandOver { worker: holder, from, to },
            None => Fate::Dropped,
        }
    }

    /// A payload another worker has handed over.
    pub(crate) fn worker_sent(
        &mut self,
        now_ms: u64,
        worker: u8,
        (from, to): (SocketAddr, SocketAddr),
        bytes: usize,
    ) -> Fate {
        let is_here = self.holder(to) == Some(worker);
        let fate = if is_here { self.receive(now_ms, from, to) } else { Fate::Dropped };
        if let Fate::ToClient { client, .. } = fate {
            self.traffic(client, |allocation| &mut allocation.traffic.to_client).add(1, bytes);
            tally(&mut self.sums.taken_over, 1, bytes);
        }
        fate
    }

    /// A payload, or a train of them, from a peer to a relayed address.
    pub(crate) fn peer_sent(
        &mut self,
        now_ms: u64,
        (peer, relayed): (SocketAddr, SocketAddr),
        (segments, bytes): (usize, usize),
    ) -> Fate {
        if self.is_relay_ip(peer.ip()) && !self.is_open_neighbour(now_ms, peer, relayed) {
            return Fate::Dropped;
        }
        let fate = self.receive(now_ms, peer, relayed);
        if let Fate::ToClient { client, .. } = fate {
            self.traffic(client, |allocation| &mut allocation.traffic.to_client)
                .add(segments, bytes);
            tally(&mut self.sums.to_clients, segments, bytes);
        }
        fate
    }

    /// Whether what is beside the relays on their addresses may reach one of them.
    fn is_open_neighbour(&self, now_ms: u64, peer: SocketAddr, relayed: SocketAddr) -> bool {
        let client = self.client_of(relayed, now_ms);
        let allocation = client.and_then(|client| self.live(client, now_ms));
        let permission = allocation.and_then(|it| it.permission(peer.ip(), now_ms));
        permission.is_some_and(|it| it.opens_neighbours) && self.holder(peer).is_none()
    }

    /// Through a permission or not at all.
    fn receive(&self, now_ms: u64, sender: SocketAddr, relayed: SocketAddr) -> Fate {
        let client = self.client_of(relayed, now_ms);
        let found = client.and_then(|client| Some((client, self.live(client, now_ms)?)));
        let Some((client, allocation)) = found else { return Fate::Dropped };
        if allocation.permission(sender.ip(), now_ms).is_none() {
            return Fate::Dropped;
        }
        let mut channels = allocation.channels.iter();
        let bound = channels.find(|(_, c)| c.peer == sender && c.until_ms > now_ms);
        Fate::ToClient { client, sender, channel: bound.map(|(number, _)| *number) }
    }

    fn book(&mut self, from: SocketAddr, fate: Fate, bytes: usize) {
        match fate {
            Fate::Dropped => return,
            Fate::ToPeer { .. } => tally(&mut self.sums.to_peers, 1, bytes),
            Fate::HandOver { .. } => tally(&mut self.sums.handed_over, 1, bytes),
            Fate::ToClient { client, .. } => {
                tally(&mut self.sums.hairpin, 1, bytes);
                self.traffic(client, |allocation| &mut allocation.traffic.to_client).add(1, bytes);
            }
        }
        self.traffic(from, |allocation| &mut allocation.traffic.to_peers).add(1, bytes);
    }

    fn traffic(&mut self, client: SocketAddr, of: fn(&mut Allocation) -> &mut Load) -> &mut Load {
        of(self.allocations.get_mut(&client).expect("whoever is sent to has an allocation"))
    }
}

fn tally(sum: &mut (u64, u64), packets: usize, bytes: usize) {
    sum.0 += packets as u64;
    sum.1 += bytes as u64;
}
