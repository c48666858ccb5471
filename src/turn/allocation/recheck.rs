//! New rules for a running server.
//!
//! No allocation ends because the rules change. What happens next is measured by the new ones:
//!
//! ```text
//! users, secrets          with the next request: 401 for whoever is no longer let in, and his
//!                         allocation ends with its lifetime
//! realm                   with the next challenge; clients with an allocation go on under theirs
//! peers                   a permission for a peer that is denied now is taken away; its channel
//!                         stays bound and carries nothing
//! rate limits             with the next packet; what was forwarded without asking comes back to
//!                         the worker page by page
//! lifetimes, quotas       with the next Allocate, Refresh, CreatePermission or ChannelBind
//! ```
//!
//! Permissions are rechecked [`RECHECKED_AT_ONCE`] allocations at a time, and fewer when these hold
//! many, so that a server with a hundred thousand of them relays meanwhile.

use std::{net::IpAddr, sync::Arc};

use crate::turn::{
    allocation::{permission::Reach, table::AllocationId},
    api::{now::Now, settings::Settings},
    ports::plan::RelayPorts,
    server::Server,
};

/// Allocations whose permissions are looked at in one turn: some ten microseconds. Tests have fewer
/// allocations, and pages to match.
const RECHECKED_AT_ONCE: u32 = if cfg!(test) { 16 } else { 256 };

/// Permissions after which a turn looks at no other allocation: half a millisecond at most, with
/// the 4096 that the last one may hold.
const PERMISSIONS_AT_ONCE: usize = if cfg!(test) { 32 } else { 4096 };

impl Server {
    /// Takes other rules from now on. [`Settings::own_sockets`] cannot change: they must be the
    /// same.
    pub fn reconfigure(&mut self, settings: Arc<Settings>) {
        let before = std::mem::replace(&mut self.settings, settings);
        self.settings_epoch = self.settings_epoch.wrapping_add(1);
        self.budget.set_rate(self.settings.stranger_bytes_per_s);
        let moved = before.forwarding != self.settings.forwarding
            || before.limits.are_off() != self.settings.limits.are_off();
        if moved || before.policy != self.settings.policy {
            self.policy_recheck = Some(0);
        }
    }

    /// Opens relays on these addresses from now on. Allocations on others live on; permissions are
    /// looked at again, since an address that was ours may be somebody else's now.
    pub fn relay_on(&mut self, relays: &[RelayPorts]) {
        self.relays.relay_on(relays);
        self.policy_recheck = Some(0);
    }

    /// Rechecks the next allocations, if any are still to be rechecked.
    pub(in crate::turn) fn continue_policy_recheck(&mut self, now: Now) {
        let Some(from) = self.policy_recheck else { return };
        let (page, next) = self.allocations.page(from, RECHECKED_AT_ONCE);
        let mut permissions = 0;
        for id in page {
            if permissions >= PERMISSIONS_AT_ONCE {
                self.policy_recheck = Some(id.0);
                return;
            }
            permissions += self.recheck(now, id);
            self.tell_forwards(now, id);
        }
        self.policy_recheck = next;
    }

    /// Takes away what an allocation may no longer have, finds out how it reaches the rest, and
    /// says at how many permissions it looked.
    fn recheck(&mut self, now: Now, id: AllocationId) -> usize {
        let Some(allocation) = self.allocations.at(id) else { return 0 };
        let peers: Vec<IpAddr> = allocation.permissions.peers().collect();
        let reaches: Vec<Option<Reach>> =
            peers.iter().map(|peer| self.permit(*peer).ok()).collect();
        if let Some(allocation) = self.allocations.at(id) {
            allocation.permissions.judge_again(&reaches);
        }
        self.close_denied_connections(now, id);
        peers.len()
    }
}
