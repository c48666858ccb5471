//! Which channels a forwarder below the worker may serve by itself, such as a program in the
//! kernel.
//!
//! [`Effect::Forward`] names a bound channel whose frames leave towards its peer, and whose peer's
//! datagrams reach the client, the same way each time. Law: never more is said than
//! [`Server::from_client`] and [`Server::from_peer`] would do until `until_ms`; what is not said
//! goes up to the worker. A channel is said while
//!
//! - the binding, the permission of the peer's address and the relayed address live: `until_ms` is
//!   the earliest end of the three, and each refresh of one of them says it again;
//! - the client sends datagrams: nobody below the worker knows frames on a connection;
//! - the peer lies outside: relays of this server are reached through the hairpin;
//! - no rate limit is set, because a forwarder counts only afterwards, with [`Server::credit`].
//!
//! [`Effect::Unforward`] takes it back, always before the relay's socket is closed. New rules take
//! effect page by page (see [`Server::reconfigure`]); all else at once.

use std::{mem, net::SocketAddr};

use crate::turn::{
    allocation::{Allocation, permission::Reach, table::AllocationId},
    api::{
        effect::{Effect, ForwardedChannel},
        names::identity::FiveTuple,
        now::Now,
        report::Load,
    },
    relay::told::Told,
    server::Server,
};
use crate::wire::Family;

impl Server {
    /// Counts what a forwarder carried for the client of a five-tuple since the last call, payload
    /// bytes as everywhere. What comes after the allocation's end counts for the server alone.
    pub fn credit(&mut self, flow: FiveTuple, to_peers: Load, to_client: Load) {
        self.counters.to_peers += to_peers;
        self.counters.to_clients += to_client;
        let id = self.allocations.find(flow);
        if let Some(allocation) = id.and_then(|id| self.allocations.at(id)) {
            allocation.traffic.to_peers += to_peers;
            allocation.traffic.to_client += to_client;
        }
    }

    /// Says what has changed of an allocation's channels since it was last said.
    pub(in crate::turn) fn tell_forwards(&mut self, now: Now, id: AllocationId) {
        let forwards = self.settings.forwarding && self.settings.limits.are_off();
        let Some(allocation) = self.allocations.at(id) else { return };
        let wanted = if forwards { allocation.forwardable(now.mono_ms) } else { Vec::new() };
        let told = mem::replace(&mut allocation.forwarded, wanted.clone());
        // Both are in the order of channel numbers, so one walk compares them.
        let mut told = told.into_iter().peekable();
        for new in wanted {
            while let Some(old) = told.next_if(|old| old.number() < new.number()) {
                self.effects.push_back(Effect::Unforward(old.channel));
            }
            let old = told.next_if(|old| old.number() == new.number());
            if let Some(old) = old.filter(|old| old.channel != new.channel) {
                self.effects.push_back(Effect::Unforward(old.channel));
            }
            if old != Some(new) {
                let Told { channel, until_ms } = new;
                self.effects.push_back(Effect::Forward { channel, until_ms });
            }
        }
        self.unforward(told);
    }

    /// Takes back everything that was said of an allocation that ends.
    pub(in crate::turn) fn unforward_all(&mut self, allocation: &mut Allocation) {
        self.unforward(mem::take(&mut allocation.forwarded));
    }

    fn unforward(&mut self, told: impl IntoIterator<Item = Told>) {
        let effects = told.into_iter().map(|told| Effect::Unforward(told.channel));
        self.effects.extend(effects);
    }
}

impl Allocation {
    /// Every channel that may be forwarded now, in the order of their numbers.
    fn forwardable(&self, now_ms: u64) -> Vec<Told> {
        if self.path.transport.is_stream() {
            return Vec::new();
        }
        let told = |(number, peer, left_ms): (_, SocketAddr, u64)| {
            let relayed = self.relayed.get(Family::of(peer.ip()))?;
            let (reach, permitted_until_ms) = self.permissions.live_until(peer.ip(), now_ms)?;
            let until_ms = relayed.expires_ms.min(permitted_until_ms).min(now_ms + left_ms);
            let channel =
                ForwardedChannel { flow: self.path.flow, number, relay: relayed.relay, peer };
            (reach == Reach::Outside && until_ms > now_ms).then_some(Told { channel, until_ms })
        };
        self.channels.live(now_ms).filter_map(told).collect()
    }
}
