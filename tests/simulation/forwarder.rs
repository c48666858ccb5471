//! A forwarder below the workers that only watches: it keeps every channel it was told of, says
//! what it would have done with a packet, and must agree with the worker each time.
//!
//! Its law is the one of `turn`: what it does not know goes up, and what it knows is right.

use std::{collections::BTreeMap, net::SocketAddr};

use uturn::{turn::ForwardedChannel, worker};

use super::{
    machine::{Deed, Shared},
    scenario::{ADVERTISED_V4, LOCAL_V6, ip},
};

/// A channel, what its relay is bound to, and until when it may be served without asking.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Entry {
    channel: ForwardedChannel,
    local: SocketAddr,
    until_ms: u64,
}

/// The entries of one worker, by both of their ends.
#[derive(Debug, Default)]
pub(crate) struct Forwarder {
    by_client: BTreeMap<(SocketAddr, u16), Entry>,
    /// By what the relay is bound to, and the peer.
    by_peer: BTreeMap<(SocketAddr, SocketAddr), Entry>,
}

/// Has the log of a worker say what a forwarder would have been told.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) worker: usize,
    pub(crate) machine: Shared,
}

impl worker::Forwarder for Told {
    fn forward(&mut self, channel: ForwardedChannel, until_ms: u64) {
        self.machine.record(self.worker, Deed::Forward(channel, until_ms));
    }

    fn unforward(&mut self, channel: ForwardedChannel) {
        self.machine.record(self.worker, Deed::Unforward(channel));
    }
}

impl Forwarder {
    pub(crate) fn forward(&mut self, channel: ForwardedChannel, local: SocketAddr, until_ms: u64) {
        let entry = Entry { channel, local, until_ms };
        let end = (channel.flow.client, channel.number.number());
        let before = self.by_client.insert(end, entry);
        let other = self.by_peer.insert((local, channel.peer), entry);
        assert_eq!(before, other, "an entry is unsaid before another takes its place");
        let is_same = |before: Entry| (before.channel, before.local) == (channel, local);
        assert!(before.is_none_or(is_same), "{before:?} {channel:?}");
    }

    pub(crate) fn unforward(&mut self, channel: ForwardedChannel) {
        let gone = self.by_client.remove(&(channel.flow.client, channel.number.number()));
        let gone = gone.filter(|gone| gone.channel == channel);
        let gone = gone.unwrap_or_else(|| panic!("{channel:?} was never said"));
        assert_eq!(self.by_peer.remove(&(gone.local, channel.peer)), Some(gone));
    }

    /// Forgets nothing it should have been told to forget.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_client.is_empty() && self.by_peer.is_empty()
    }

    /// No entry speaks of a socket that is closed.
    pub(crate) fn assert_silent(&self, local: SocketAddr) {
        let mut entries = self.by_client.values().chain(self.by_peer.values());
        assert!(entries.all(|entry| entry.local != local), "{local} is forwarded");
    }

    /// Holds what became of a client's ChannelData against what would have been forwarded, and says
    /// whether it would have been. `left` is the socket it left from, and the peer.
    pub(crate) fn agree_to_peer(
        &self,
        now_ms: u64,
        (client, number): (SocketAddr, u16),
        left: Option<(SocketAddr, SocketAddr)>,
    ) -> bool {
        let entry = self.by_client.get(&(client, number));
        let entry = entry.filter(|entry| entry.until_ms > now_ms);
        match (entry, left) {
            (Some(entry), left) => assert_eq!(Some((entry.local, entry.channel.peer)), left),
            (None, Some((_, peer))) => {
                assert!(is_neighbour(peer), "{client} {number:#x} is not forwarded");
            }
            (None, None) => {}
        }
        entry.is_some()
    }

    /// The same for what came from a peer; `told` is the client that got it, and the channel.
    pub(crate) fn agree_to_client(
        &self,
        now_ms: u64,
        (local, peer): (SocketAddr, SocketAddr),
        told: Option<(SocketAddr, Option<u16>)>,
    ) -> bool {
        let entry = self.by_peer.get(&(local, peer));
        let entry = entry.filter(|entry| entry.until_ms > now_ms);
        match (entry, told) {
            (Some(Entry { channel, .. }), told) => {
                assert_eq!(told, Some((channel.flow.client, Some(channel.number.number()))));
            }
            (None, Some((_, Some(number)))) => {
                assert!(is_neighbour(peer), "{peer} by {number:#x} is not forwarded");
            }
            (None, _) => {}
        }
        entry.is_some()
    }
}

/// Whoever is beside the relays on their addresses: only a worker knows at each packet whether its
/// port has become a relay's.
fn is_neighbour(peer: SocketAddr) -> bool {
    [ADVERTISED_V4, LOCAL_V6].iter().any(|address| ip(address) == peer.ip())
}
