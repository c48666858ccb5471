//! A forwarder below the workers that only watches: it keeps every channel it was told of, says what
//! it would have done with a packet, and must agree with the worker each time.
//!
//! Its law is the one of `turn`: what it does not know goes up, and what it knows is right.

use std::{collections::BTreeMap, net::SocketAddr};

use uturn::turn::{Delivered, ForwardedChannel, Reason, RelayId, ToClient, Verdict};
use uturn::wire::Prefix;

use super::scenario::{ADVERTISED_V4, LOCAL_V6, ip};

/// A channel, and until when it may be served without asking.
type Entry = (ForwardedChannel, u64);

/// The entries of one worker, by both of their ends.
#[derive(Debug, Default)]
pub(crate) struct Forwarder {
    by_client: BTreeMap<(SocketAddr, u16), Entry>,
    by_peer: BTreeMap<(RelayId, SocketAddr), Entry>,
}

impl Forwarder {
    pub(crate) fn forward(&mut self, channel: ForwardedChannel, until_ms: u64) {
        let ForwardedChannel { flow, number, relay, peer } = channel;
        let entry = (channel, until_ms);
        let before = self.by_client.insert((flow.client, number.number()), entry);
        let other = self.by_peer.insert((relay, peer), entry);
        assert_eq!(before, other, "an entry is unsaid before another takes its place");
        assert!(before.is_none_or(|(before, _)| before == channel), "{before:?} {channel:?}");
    }

    pub(crate) fn unforward(&mut self, channel: ForwardedChannel) {
        let ForwardedChannel { flow, number, relay, peer } = channel;
        let gone = self.by_client.remove(&(flow.client, number.number()));
        let other = self.by_peer.remove(&(relay, peer));
        assert!(gone.is_some_and(|(gone, _)| gone == channel), "{channel:?} was never said");
        assert_eq!(gone, other);
    }

    /// Forgets nothing it should have been told to forget.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_client.is_empty() && self.by_peer.is_empty()
    }

    /// No entry speaks of a socket that is closed.
    pub(crate) fn assert_silent(&self, relay: RelayId) {
        let mut entries = self.by_client.values().chain(self.by_peer.values());
        assert!(entries.all(|(channel, _)| channel.relay != relay), "{relay:?} is forwarded");
    }

    /// Holds a verdict about a client's ChannelData against what would have been forwarded, and
    /// says whether it would have been.
    pub(crate) fn agree_to_peer(
        &self,
        now_ms: u64,
        (client, number): (SocketAddr, u16),
        payload_bytes: usize,
        verdict: &Verdict,
    ) -> bool {
        let entry = self.by_client.get(&(client, number));
        let entry = entry.filter(|(_, until_ms)| *until_ms > now_ms);
        let expected = entry.map(|(channel, _)| Verdict::ToPeer {
            relay: channel.relay,
            peer: channel.peer,
            payload: 4..4 + payload_bytes,
            frames: 1,
            dont_fragment: false,
        });
        match (expected, verdict) {
            (Some(expected), verdict) => assert_eq!(&expected, verdict),
            (None, Verdict::ToPeer { peer, .. }) => {
                assert!(is_neighbour(*peer), "{client} {number:#x} is not forwarded");
            }
            (None, _) => {}
        }
        entry.is_some()
    }

    /// The same for what came from a peer.
    pub(crate) fn agree_to_client(
        &self,
        now_ms: u64,
        (relay, peer): (RelayId, SocketAddr),
        judged: Result<Delivered, Reason>,
    ) -> bool {
        let entry = self.by_peer.get(&(relay, peer));
        let entry = entry.filter(|(_, until_ms)| *until_ms > now_ms);
        let expected = entry.map(|(channel, _)| ToClient {
            flow: channel.flow,
            prefix: Prefix::Channel(channel.number),
        });
        let told = judged.map(|delivered| delivered.to);
        match (expected, told) {
            (Some(expected), told) => assert_eq!(told, Ok(expected)),
            (None, Ok(ToClient { prefix: Prefix::Channel(number), .. })) => {
                assert!(is_neighbour(peer), "{peer} by {number:?} is not forwarded");
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
