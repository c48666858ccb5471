//! Which peers may reach a client: by address, 300 seconds at a time (RFC 8656 §9).
//!
//! A permission is also the proof that the peer policy was asked: nobody asks it again for a
//! packet.

use std::net::IpAddr;

use crate::turn::handover::record::PermissionRecord;
use crate::wire::Family;

/// Lifetime of a permission (RFC 8656 §9).
pub(in crate::turn) const PERMISSION_MS: u64 = 300_000;

/// How a permitted address is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum Reach {
    /// Through the relay socket.
    Outside,
    /// It is a relay address of ours, which the policy closes: live relay ports by hairpin, and no
    /// other port.
    Relays,
    /// It is a relay address of ours, which the policy opens: live relay ports by hairpin, all
    /// others through the relay socket.
    Neighbours,
}

#[derive(Debug, Clone, Copy)]
struct Permission {
    peer: IpAddr,
    expires_ms: u64,
    reach: Reach,
}

/// The permissions of one allocation; never more than its quota.
#[derive(Debug)]
pub(in crate::turn) struct Permissions {
    /// By address, each once.
    sorted: Vec<Permission>,
    /// No permission expires before: a refresh leaves it where it was, so that one request costs no
    /// look at all of them.
    earliest_ms: u64,
}

impl Default for Permissions {
    fn default() -> Permissions {
        Permissions { sorted: Vec::new(), earliest_ms: u64::MAX }
    }
}

impl Permissions {
    /// How a peer is reached, if it may be.
    pub(in crate::turn) fn reach(&self, peer: IpAddr, now_ms: u64) -> Option<Reach> {
        self.live_until(peer, now_ms).map(|(reach, _)| reach)
    }

    /// How a peer is reached, if it may be, and until when.
    pub(in crate::turn) fn live_until(&self, peer: IpAddr, now_ms: u64) -> Option<(Reach, u64)> {
        let place = place(&self.sorted, peer).ok()?;
        let permission = self.sorted.get(place)?;
        let live = permission.expires_ms > now_ms;
        live.then_some((permission.reach, permission.expires_ms))
    }

    /// True when an address holds a place, live or not yet purged.
    pub(in crate::turn) fn holds(&self, peer: IpAddr) -> bool {
        place(&self.sorted, peer).is_ok()
    }

    /// Places held.
    pub(in crate::turn) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Installs permissions or refreshes them; no address may be there twice. One merge for all of
    /// them: one insertion each would move 4096 permissions 4096 times.
    pub(in crate::turn) fn install(&mut self, permitted: &[(IpAddr, Reach)], now_ms: u64) {
        let expires_ms = now_ms + PERMISSION_MS;
        let held = self.sorted.len();
        for &(peer, reach) in permitted {
            let permission = Permission { peer, expires_ms, reach };
            match place(&self.sorted[..held], peer) {
                Ok(place) => self.sorted[place] = permission,
                Err(_) => self.sorted.push(permission),
            }
        }
        if self.sorted.len() > held {
            self.sorted.sort_by_key(|permission| permission.peer);
        }
        self.earliest_ms = self.earliest_ms.min(expires_ms);
    }

    /// Forgets what has expired. Costs nothing while nothing has.
    pub(in crate::turn) fn purge(&mut self, now_ms: u64) {
        if now_ms < self.earliest_ms {
            return;
        }
        self.sorted.retain(|permission| permission.expires_ms > now_ms);
        let deadlines = self.sorted.iter().map(|permission| permission.expires_ms);
        self.earliest_ms = deadlines.min().unwrap_or(u64::MAX);
    }

    /// Every address that holds a place.
    pub(in crate::turn) fn peers(&self) -> impl Iterator<Item = IpAddr> {
        self.sorted.iter().map(|permission| permission.peer)
    }

    /// Every address that may reach the client, and for how long, in milliseconds.
    pub(in crate::turn) fn live(&self, now_ms: u64) -> impl Iterator<Item = (IpAddr, u64)> {
        let left = move |it: &Permission| Some((it.peer, it.expires_ms.checked_sub(now_ms)?));
        self.sorted.iter().filter_map(left).filter(|(_, left_ms)| *left_ms > 0)
    }

    /// Every permission, by address.
    pub(in crate::turn) fn records(&self) -> impl Iterator<Item = PermissionRecord> {
        self.sorted.iter().map(|it| PermissionRecord { peer: it.peer, expires_ms: it.expires_ms })
    }

    /// Takes permissions that come in the order of their addresses, each with its end.
    pub(in crate::turn) fn from_records(records: Vec<(IpAddr, Reach, u64)>) -> Permissions {
        let permission = |(peer, reach, expires_ms)| Permission { peer, expires_ms, reach };
        let sorted = Vec::from_iter(records.into_iter().map(permission));
        let earliest_ms = sorted.iter().map(|it| it.expires_ms).min().unwrap_or(u64::MAX);
        Permissions { sorted, earliest_ms }
    }

    /// Takes away every permission without a [`Reach`], and lets the others live on in this way.
    /// They come in the order of [`Permissions::peers`].
    pub(in crate::turn) fn judge_again(&mut self, reaches: &[Option<Reach>]) {
        debug_assert_eq!(reaches.len(), self.sorted.len());
        let mut reaches = reaches.iter().copied();
        self.sorted.retain_mut(|permission| match reaches.next().flatten() {
            Some(reach) => {
                permission.reach = reach;
                true
            }
            None => false,
        });
    }

    /// Forgets a family whose relayed address is gone.
    pub(in crate::turn) fn remove_family(&mut self, family: Family) {
        self.sorted.retain(|permission| Family::of(permission.peer) != family);
    }

    /// When [`Permissions::purge`] has something to look at: when the next one expires, or earlier.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        (!self.sorted.is_empty()).then_some(self.earliest_ms)
    }
}

fn place(sorted: &[Permission], peer: IpAddr) -> Result<usize, usize> {
    // Most allocations have one: to compare it costs a fifth of a search.
    if let Some(first) = sorted.first()
        && first.peer == peer
    {
        return Ok(0);
    }
    sorted.binary_search_by(|permission| permission.peer.cmp(&peer))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::{prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

    // RFC 8656 §9: "The permission expires [...] The Permission Lifetime MUST be 300 seconds".
    #[test]
    fn lasts_300_seconds_and_not_a_millisecond_more() {
        let mut permissions = Permissions::default();
        permissions.install(&[(PEER, Reach::Outside)], 1_000);
        assert_eq!(permissions.reach(PEER, 300_999), Some(Reach::Outside));
        assert_eq!(permissions.reach(PEER, 301_000), None);
        permissions.purge(301_000);
        assert_eq!(permissions.count(), 0);
    }

    #[test]
    fn a_refresh_takes_no_second_place() {
        let mut permissions = Permissions::default();
        permissions.install(&[(PEER, Reach::Outside)], 0);
        permissions.install(&[(PEER, Reach::Outside)], 200_000);
        assert_eq!(permissions.count(), 1);
    }

    #[test]
    fn after_a_refresh_it_is_looked_at_once_too_early() {
        let mut permissions = Permissions::default();
        permissions.install(&[(PEER, Reach::Outside)], 0);
        permissions.install(&[(PEER, Reach::Outside)], 200_000);
        assert_eq!(permissions.next_deadline_ms(), Some(300_000));
        permissions.purge(300_000);
        assert_eq!(permissions.next_deadline_ms(), Some(500_000));
        permissions.purge(500_000);
        assert_eq!((permissions.count(), permissions.next_deadline_ms()), (0, None));
    }

    proptest! {
        // The model is a map; a place is held until a purge finds it expired.
        #[test]
        fn it_holds_what_a_map_holds(
            steps in prop::collection::vec(
                (prop::collection::btree_set(0_u8..40, 0..20), 0_u64..200_000), 0..40,
            ),
        ) {
            let (mut permissions, mut model) = (Permissions::default(), BTreeMap::new());
            let mut now_ms = 0;
            for (peers, gap_ms) in steps {
                now_ms += gap_ms;
                let peers = Vec::from_iter(peers.iter().map(|last| IpAddr::from([192, 0, 2, *last])));
                permissions.purge(now_ms);
                model.retain(|_, expires_ms| *expires_ms > now_ms);
                if now_ms.is_multiple_of(3) {
                    let keep = |peer| (!peers.contains(&peer)).then_some(Reach::Outside);
                    permissions.judge_again(&Vec::from_iter(permissions.peers().map(keep)));
                    peers.iter().for_each(|peer| _ = model.remove(peer));
                } else {
                    let permitted = Vec::from_iter(peers.iter().map(|peer| (*peer, Reach::Outside)));
                    permissions.install(&permitted, now_ms);
                    model.extend(peers.iter().map(|peer| (*peer, now_ms + PERMISSION_MS)));
                }
                let held = Vec::from_iter(permissions.live(now_ms));
                let expected = model.iter().map(|(peer, expires_ms)| (*peer, expires_ms - now_ms));
                prop_assert_eq!(held, Vec::from_iter(expected));
                let deadline_ms = permissions.next_deadline_ms();
                prop_assert!(deadline_ms <= model.values().min().copied());
                prop_assert_eq!(deadline_ms.is_some(), !model.is_empty());
            }
        }
    }
}
