//! One allocation: a five-tuple, its relayed addresses, and who may use them (RFC 8656 §3.2).
//!
//! A dual allocation has an IPv4 and an IPv6 relayed address with a lifetime each, because a
//! Refresh may name one family (RFC 8656 §8.1); permissions and channels belong to the relayed
//! address of their family.

pub(super) mod channel;
pub(super) mod connection_owners;
pub(super) mod connections;
mod lifecycle;
pub(super) mod listing;
pub(super) mod meter;
pub(super) mod peer_log;
pub(super) mod permission;
mod recheck;
pub(super) mod table;
pub(super) mod timer;

use std::{net::SocketAddr, sync::Arc};

use crate::turn::{
    allocation::{
        channel::Channels,
        connections::Connections,
        meter::{Meter, RateLimits},
        peer_log::PeerLog,
        permission::Permissions,
    },
    api::{
        names::{identity::RelayId, path::Path, session::SessionId},
        per_family::PerFamily,
        report::Traffic,
        train::Train,
    },
    auth::authenticator::Authenticated,
    relay::told::Told,
};
use crate::wire::{ErrorCode, Family, IntegrityKey, TransactionId};

/// One relayed address of an allocation.
#[derive(Debug, Clone, Copy)]
pub(in crate::turn) struct RelayedAddress {
    pub(in crate::turn) relay: RelayId,
    pub(in crate::turn) expires_ms: u64,
}

/// Whose an allocation is.
#[derive(Debug, Clone)]
pub(in crate::turn) struct Owner {
    /// USERNAME; every later request must bear the same (RFC 8656 §5).
    pub(in crate::turn) user: Arc<str>,
    /// Whose quota it counts against.
    pub(in crate::turn) account: Arc<str>,
    /// What the user signs with.
    pub(in crate::turn) key: IntegrityKey,
    /// The settings under which the key was found good:
    /// [`crate::turn::Server::reconfigure`] counts them. `None` while it is still to be
    /// found: after an import.
    pub(in crate::turn) settings_epoch: Option<u32>,
}

impl Owner {
    pub(in crate::turn) fn of(authenticated: &Authenticated<'_>, settings_epoch: u32) -> Owner {
        let user: Arc<str> = authenticated.user().into();
        let account = if authenticated.account() == authenticated.user() {
            user.clone()
        } else {
            authenticated.account().into()
        };
        Owner {
            user,
            account,
            key: authenticated.key().clone(),
            settings_epoch: Some(settings_epoch),
        }
    }
}

/// What an Allocate was answered, for its retransmissions (RFC 8656 §7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Granted {
    pub(in crate::turn) transaction: TransactionId,
    /// As advertised.
    pub(in crate::turn) relayed: PerFamily<SocketAddr>,
    pub(in crate::turn) lifetime_s: u32,
    pub(in crate::turn) reservation: Option<[u8; 8]>,
    /// Why the other half of a dual allocation is missing.
    pub(in crate::turn) missing: Option<(Family, ErrorCode)>,
}

/// Which way a payload goes through an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the client.
    ToPeers,
    /// From a peer.
    ToClient,
}

/// The limits of both ways, as far as they are used up.
#[derive(Debug, Default)]
pub(in crate::turn) struct Meters {
    pub(in crate::turn) to_peers: Meter,
    pub(in crate::turn) to_client: Meter,
}

/// One allocation.
#[derive(Debug)]
pub(in crate::turn) struct Allocation {
    /// At least one while the allocation is in the table.
    pub(in crate::turn) relayed: PerFamily<RelayedAddress>,
    pub(in crate::turn) permissions: Permissions,
    pub(in crate::turn) channels: Channels,
    pub(in crate::turn) path: Path,
    pub(in crate::turn) traffic: Traffic,
    /// How much more may be relayed now; untouched while there are no limits.
    pub(in crate::turn) meters: Meters,
    pub(in crate::turn) session: SessionId,
    pub(in crate::turn) owner: Owner,
    pub(in crate::turn) peers: PeerLog,
    /// Those of a TCP allocation; `None` for one that relays datagrams.
    pub(in crate::turn) connections: Option<Box<Connections>>,
    /// What was said with [`crate::turn::Effect::Forward`], in the order of channel numbers.
    pub(in crate::turn) forwarded: Vec<Told>,
    pub(in crate::turn) opened_ms: u64,
    pub(in crate::turn) granted: Granted,
}

impl Allocation {
    /// The relay of a family, while it lives.
    pub(in crate::turn) fn relay(&self, family: Family, now_ms: u64) -> Option<RelayId> {
        let relayed = self.relayed.get(family)?;
        (relayed.expires_ms > now_ms).then_some(relayed.relay)
    }

    /// True while any relayed address lives.
    pub(in crate::turn) fn is_live(&self, now_ms: u64) -> bool {
        self.relayed.iter().any(|relayed| relayed.expires_ms > now_ms)
    }

    /// The relayed address of a family as advertised, whether it still lives or not.
    pub(in crate::turn) fn advertised(&self, family: Family) -> Option<SocketAddr> {
        self.granted.relayed.get(family).copied()
    }

    /// Takes as much of a train as the limits leave room for, and counts it.
    pub(in crate::turn) fn admit(
        &mut self,
        way: Way,
        limits: RateLimits,
        now_ms: u64,
        train: Train,
    ) -> Train {
        let (load, meter) = match way {
            Way::ToPeers => (&mut self.traffic.to_peers, &mut self.meters.to_peers),
            Way::ToClient => (&mut self.traffic.to_client, &mut self.meters.to_client),
        };
        let passing = if limits.are_off() { train } else { meter.admit(limits, now_ms, train) };
        load.add(passing.segments, passing.bytes);
        passing
    }

    /// What of a train [`Allocation::admit`] would take towards peers.
    pub(in crate::turn) fn room_to_peers(
        &self,
        limits: RateLimits,
        now_ms: u64,
        train: Train,
    ) -> Train {
        if limits.are_off() {
            return train;
        }
        self.meters.to_peers.would_admit(limits, now_ms, train)
    }

    /// Takes out the relayed address of a family, with the permissions and channels that go by it.
    pub(in crate::turn) fn take_relayed(&mut self, family: Family) -> Option<RelayedAddress> {
        self.permissions.remove_family(family);
        self.channels.remove_family(family);
        self.relayed.take(family)
    }

    /// Forgets permissions and channels that are over.
    pub(in crate::turn) fn purge(&mut self, now_ms: u64) {
        self.permissions.purge(now_ms);
        self.channels.purge(now_ms);
    }

    /// When something of this allocation is over next; `None` when nothing is left of it.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        let relayed = self.relayed.iter().map(|relayed| relayed.expires_ms);
        relayed
            .chain(self.permissions.next_deadline_ms())
            .chain(self.channels.next_deadline_ms())
            .chain(self.connections.as_ref().and_then(|it| it.next_deadline_ms()))
            .min()
    }
}
