//! New rules for a running server.
//!
//! No allocation ends because the rules change. What happens next is measured by the new ones:
//!
//! ```text
//! users, secrets, realm   with the next request: 401 for whoever is no longer let in, and his
//!                         allocation ends with its lifetime
//! peers                   a permission for a peer that is denied now is taken away; its channel
//!                         stays bound and carries nothing
//! lifetimes, quotas       with the next Allocate, Refresh, CreatePermission or ChannelBind
//! ```
//!
//! Permissions are reviewed [`REVIEWED_AT_ONCE`] allocations at a time, so that a server with a
//! hundred thousand of them relays meanwhile.

use std::{net::IpAddr, sync::Arc};

use crate::turn::{Server, Settings, allocation::table::AllocationId};

/// Allocations whose permissions are looked at in one turn: some ten microseconds. Tests have fewer
/// allocations, and pages to match.
const REVIEWED_AT_ONCE: u32 = if cfg!(test) { 16 } else { 256 };

impl Server {
    /// Takes other rules from now on. [`Settings::own_sockets`] cannot change: they must be the
    /// same.
    pub fn reconfigure(&mut self, settings: Arc<Settings>) {
        let before = std::mem::replace(&mut self.settings, settings);
        self.rules = self.rules.wrapping_add(1);
        self.budget.set_rate(self.settings.reply_rate);
        if before.policy != self.settings.policy {
            self.review = Some(0);
        }
    }

    /// Reviews the next allocations, if any are still to be reviewed.
    pub(in crate::turn) fn go_on_reviewing(&mut self) {
        let Some(from) = self.review else { return };
        let (page, next) = self.allocations.page(from, REVIEWED_AT_ONCE);
        for id in page {
            self.review(id);
        }
        self.review = next;
    }

    /// Takes away what an allocation may no longer have, and finds out how it reaches the rest.
    fn review(&mut self, id: AllocationId) {
        let Some(allocation) = self.allocations.at(id) else { return };
        let peers: Vec<IpAddr> = allocation.permissions.peers().collect();
        for peer in peers {
            let permitted = self.permit(peer);
            let Some(allocation) = self.allocations.at(id) else { return };
            match permitted {
                Ok(reach) => allocation.permissions.set_reach(peer, reach),
                Err(_) => allocation.permissions.revoke(peer),
            }
        }
    }
}
