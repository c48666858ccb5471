//! Which numbers stand for which peers: 600 seconds at a time (RFC 8656 §12).
//!
//! After a binding expires its number and its peer stay bound to each other for another 300
//! seconds: a packet on its way with the old number must not reach a new peer.

use std::net::SocketAddr;

use crate::turn::handover::record::ChannelRecord;
use crate::wire::{ChannelNumber, Family};

/// Lifetime of a binding (RFC 8656 §12).
const BINDING_MS: u64 = 600_000;

/// Time after it in which neither half may be bound to anything else (RFC 8656 §12).
const GUARD_MS: u64 = 300_000;

#[derive(Debug, Clone, Copy)]
struct Channel {
    number: ChannelNumber,
    peer: SocketAddr,
    bound_until_ms: u64,
}

impl Channel {
    fn guarded_until_ms(&self) -> u64 {
        self.bound_until_ms + GUARD_MS
    }
}

/// The number is bound to another peer, or the peer to another number (400).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Conflict;

/// The channels of one allocation, in both orders; never more than its quota.
#[derive(Debug)]
pub(in crate::turn) struct Channels {
    by_number: Vec<Channel>,
    by_peer: Vec<Channel>,
    /// No guard time ends before: a refresh leaves it where it was, so that one request costs no
    /// look at all of them.
    earliest_ms: u64,
}

impl Default for Channels {
    fn default() -> Channels {
        Channels { by_number: Vec::new(), by_peer: Vec::new(), earliest_ms: u64::MAX }
    }
}

impl Channels {
    /// The peer a number is bound to.
    pub(in crate::turn) fn peer(&self, number: ChannelNumber, now_ms: u64) -> Option<SocketAddr> {
        let channel = self.by_number.get(self.number_place(number).ok()?)?;
        (channel.bound_until_ms > now_ms).then_some(channel.peer)
    }

    /// The number a peer is bound to.
    pub(in crate::turn) fn number(&self, peer: SocketAddr, now_ms: u64) -> Option<ChannelNumber> {
        let channel = self.by_peer.get(self.peer_place(peer).ok()?)?;
        (channel.bound_until_ms > now_ms).then_some(channel.number)
    }

    /// Every number and its peer, and for how long they are bound, in milliseconds.
    pub(in crate::turn) fn live(
        &self,
        now_ms: u64,
    ) -> impl Iterator<Item = (ChannelNumber, SocketAddr, u64)> {
        let left =
            move |it: &Channel| Some((it.number, it.peer, it.bound_until_ms.checked_sub(now_ms)?));
        self.by_number.iter().filter_map(left).filter(|(_, _, left_ms)| *left_ms > 0)
    }

    /// Every channel, by number, those in their guard time included.
    pub(in crate::turn) fn records(&self) -> impl Iterator<Item = ChannelRecord> {
        self.by_number.iter().map(|channel| ChannelRecord {
            number: channel.number.number(),
            peer: channel.peer,
            bound_until_ms: channel.bound_until_ms,
        })
    }

    /// Takes channels that come in the order of their numbers, each with the end of its binding; no
    /// peer may be there twice.
    pub(in crate::turn) fn from_records(records: &[(ChannelNumber, SocketAddr, u64)]) -> Channels {
        let channel = |&(number, peer, bound_until_ms)| Channel { number, peer, bound_until_ms };
        let by_number = Vec::from_iter(records.iter().map(channel));
        let mut by_peer = by_number.clone();
        by_peer.sort_unstable_by_key(|channel| channel.peer);
        let deadlines = by_number.iter().map(Channel::guarded_until_ms);
        let earliest_ms = deadlines.min().unwrap_or(u64::MAX);
        Channels { by_number, by_peer, earliest_ms }
    }

    /// Places held, those in their guard time included.
    pub(in crate::turn) fn count(&self) -> usize {
        self.by_number.len()
    }

    /// Says whether two halves may be bound: `Ok(true)` when they are already, or still guarded.
    pub(in crate::turn) fn fits(
        &self,
        number: ChannelNumber,
        peer: SocketAddr,
    ) -> Result<bool, Conflict> {
        match (self.number_place(number), self.peer_place(peer)) {
            (Ok(place), Ok(_)) if self.by_number[place].peer == peer => Ok(true),
            (Err(_), Err(_)) => Ok(false),
            (Ok(_), Ok(_) | Err(_)) | (Err(_), Ok(_)) => Err(Conflict),
        }
    }

    /// Binds two halves that fit, or refreshes their binding.
    pub(in crate::turn) fn bind(&mut self, number: ChannelNumber, peer: SocketAddr, now_ms: u64) {
        let channel = Channel { number, peer, bound_until_ms: now_ms + BINDING_MS };
        match self.number_place(number) {
            Ok(place) => self.by_number[place] = channel,
            Err(place) => self.by_number.insert(place, channel),
        }
        match self.peer_place(peer) {
            Ok(place) => self.by_peer[place] = channel,
            Err(place) => self.by_peer.insert(place, channel),
        }
        self.earliest_ms = self.earliest_ms.min(channel.guarded_until_ms());
    }

    /// Forgets what is past its guard time. Costs nothing while nothing is.
    pub(in crate::turn) fn purge(&mut self, now_ms: u64) {
        if now_ms < self.earliest_ms {
            return;
        }
        self.retain(|channel| channel.guarded_until_ms() > now_ms);
        self.earliest_ms =
            self.by_number.iter().map(Channel::guarded_until_ms).min().unwrap_or(u64::MAX);
    }

    /// Forgets a family whose relayed address is gone.
    pub(in crate::turn) fn remove_family(&mut self, family: Family) {
        self.retain(|channel| Family::of(channel.peer.ip()) != family);
    }

    /// When [`Channels::purge`] has something to look at: when the next guard time ends, or
    /// earlier.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        (!self.by_number.is_empty()).then_some(self.earliest_ms)
    }

    fn retain(&mut self, keep: impl Fn(&Channel) -> bool) {
        self.by_number.retain(&keep);
        self.by_peer.retain(&keep);
    }

    fn number_place(&self, number: ChannelNumber) -> Result<usize, usize> {
        self.by_number.binary_search_by_key(&number, |channel| channel.number)
    }

    fn peer_place(&self, peer: SocketAddr) -> Result<usize, usize> {
        self.by_peer.binary_search_by_key(&peer, |channel| channel.peer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{prop, proptest};

    use super::*;
    use crate::wire::ChannelRange;

    fn number(n: u16) -> ChannelNumber {
        ChannelNumber::new(0x4000 + n, ChannelRange::Rfc8656).unwrap()
    }

    fn peer(n: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, n], 9))
    }

    // RFC 8656 §12: "Channel bindings last for 10 minutes unless refreshed."
    #[test]
    fn lasts_600_seconds_then_is_guarded_for_300() {
        let mut channels = Channels::default();
        channels.bind(number(0), peer(1), 0);
        assert_eq!(channels.peer(number(0), 599_999), Some(peer(1)));
        assert_eq!(channels.number(peer(1), 599_999), Some(number(0)));
        assert_eq!(channels.peer(number(0), 600_000), None);
        assert_eq!(channels.number(peer(1), 600_000), None);
        channels.purge(899_999);
        assert_eq!(channels.fits(number(0), peer(2)), Err(Conflict));
        assert_eq!(channels.fits(number(0), peer(1)), Ok(true));
        channels.purge(900_000);
        assert_eq!(channels.fits(number(0), peer(2)), Ok(false));
    }

    proptest! {
        #[test]
        fn number_and_peer_are_always_bound_one_to_one(
            steps in prop::collection::vec((0_u16..6, 0_u8..6, 0_u64..400_000), 0..60),
        ) {
            let mut channels = Channels::default();
            let mut now_ms = 0;
            for (n, p, ms) in steps {
                now_ms += ms;
                channels.purge(now_ms);
                if channels.fits(number(n), peer(p)).is_ok() {
                    channels.bind(number(n), peer(p), now_ms);
                    assert_eq!(channels.peer(number(n), now_ms), Some(peer(p)));
                }
                assert_eq!(channels.by_number.len(), channels.by_peer.len());
                let deadlines = channels.by_number.iter().map(Channel::guarded_until_ms);
                assert!(deadlines.clone().all(|deadline_ms| deadline_ms > now_ms));
                assert!(channels.next_deadline_ms() <= deadlines.min());
                for channel in &channels.by_number {
                    let twin = channels.peer_place(channel.peer).unwrap();
                    assert_eq!(channels.by_peer[twin].number, channel.number);
                }
            }
        }
    }
}
