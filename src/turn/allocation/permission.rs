//! Which peers may reach a client: by address, 300 seconds at a time (RFC 8656 §9).
//!
//! A permission is also the proof that the peer policy was asked: nobody asks it again for a
//! packet.

use std::net::IpAddr;

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
    /// It is a relay address of ours, which the policy opens: live relay ports by hairpin, all others
    /// through the relay socket.
    Neighbours,
}

#[derive(Debug, Clone, Copy)]
struct Permission {
    peer: IpAddr,
    expires_ms: u64,
    reach: Reach,
}

/// The permissions of one allocation, sorted by address; never more than its quota.
#[derive(Debug, Default)]
pub(in crate::turn) struct Permissions(Vec<Permission>);

impl Permissions {
    /// How a peer is reached, if it may be.
    pub(in crate::turn) fn reach(&self, peer: IpAddr, now_ms: u64) -> Option<Reach> {
        let place = self.place(peer).ok()?;
        let permission = self.0.get(place)?;
        (permission.expires_ms > now_ms).then_some(permission.reach)
    }

    /// True when an address holds a place, live or not yet purged.
    pub(in crate::turn) fn holds(&self, peer: IpAddr) -> bool {
        self.place(peer).is_ok()
    }

    /// Places held.
    pub(in crate::turn) fn count(&self) -> usize {
        self.0.len()
    }

    /// Installs a permission or refreshes it.
    pub(in crate::turn) fn install(&mut self, peer: IpAddr, reach: Reach, now_ms: u64) {
        let permission = Permission { peer, expires_ms: now_ms + PERMISSION_MS, reach };
        match self.place(peer) {
            Ok(place) => self.0[place] = permission,
            Err(place) => self.0.insert(place, permission),
        }
    }

    /// Forgets what has expired.
    pub(in crate::turn) fn purge(&mut self, now_ms: u64) {
        self.0.retain(|permission| permission.expires_ms > now_ms);
    }

    /// Every address that holds a place.
    pub(in crate::turn) fn peers(&self) -> impl Iterator<Item = IpAddr> {
        self.0.iter().map(|permission| permission.peer)
    }

    /// Every address that may reach the client, and for how long, in milliseconds.
    pub(in crate::turn) fn live(&self, now_ms: u64) -> impl Iterator<Item = (IpAddr, u64)> {
        let left = move |it: &Permission| Some((it.peer, it.expires_ms.checked_sub(now_ms)?));
        self.0.iter().filter_map(left).filter(|(_, left_ms)| *left_ms > 0)
    }

    /// A permission lives on, and its address is reached in this way from now on.
    pub(in crate::turn) fn set_reach(&mut self, peer: IpAddr, reach: Reach) {
        if let Ok(place) = self.place(peer) {
            self.0[place].reach = reach;
        }
    }

    /// Takes a permission away.
    pub(in crate::turn) fn revoke(&mut self, peer: IpAddr) {
        if let Ok(place) = self.place(peer) {
            self.0.remove(place);
        }
    }

    /// Forgets a family whose relayed address is gone.
    pub(in crate::turn) fn remove_family(&mut self, family: Family) {
        self.0.retain(|permission| Family::of(permission.peer) != family);
    }

    /// When the next one expires.
    pub(in crate::turn) fn next_deadline_ms(&self) -> Option<u64> {
        self.0.iter().map(|permission| permission.expires_ms).min()
    }

    fn place(&self, peer: IpAddr) -> Result<usize, usize> {
        self.0.binary_search_by(|permission| permission.peer.cmp(&peer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 9));

    // RFC 8656 §9: "The permission expires [...] The Permission Lifetime MUST be 300 seconds".
    #[test]
    fn lasts_300_seconds_and_not_a_millisecond_more() {
        let mut permissions = Permissions::default();
        permissions.install(PEER, Reach::Outside, 1_000);
        assert_eq!(permissions.reach(PEER, 300_999), Some(Reach::Outside));
        assert_eq!(permissions.reach(PEER, 301_000), None);
        permissions.purge(301_000);
        assert_eq!(permissions.count(), 0);
    }

    #[test]
    fn a_refresh_takes_no_second_place() {
        let mut permissions = Permissions::default();
        permissions.install(PEER, Reach::Outside, 0);
        permissions.install(PEER, Reach::Outside, 200_000);
        assert_eq!(permissions.count(), 1);
        assert_eq!(permissions.next_deadline_ms(), Some(500_000));
    }
}
