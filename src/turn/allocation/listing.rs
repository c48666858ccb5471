//! What operators see of allocations, and how they end one.
//!
//! A list comes in pages of [`PAGE_SLOTS`] slots: what a page costs does not grow with the number
//! of allocations there are, and the worker relays between two of them.

use std::{net::IpAddr, net::SocketAddr, sync::Arc};

use crate::turn::{
    allocation::{Allocation, peer_log::PeerLog, table::AllocationId},
    api::{
        names::{path::Path, session::SessionId},
        now::Now,
        per_family::PerFamily,
        report::{Cause, Traffic},
    },
    server::Server,
};

/// Slots looked at for one page: some ten microseconds. Tests have fewer allocations, and pages to
/// match.
pub const PAGE_SLOTS: u32 = if cfg!(test) { 16 } else { 256 };

/// A part of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// What there is in it, perhaps nothing.
    pub items: Vec<T>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<u32>,
}

/// One allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// Its name.
    pub id: SessionId,
    /// Whose it is.
    pub user: Arc<str>,
    /// The client.
    pub path: Path,
    /// The relayed addresses that live, as advertised.
    pub relayed: PerFamily<SocketAddr>,
    /// Since when it is there, milliseconds.
    pub age_ms: u64,
    /// How long it lives on without a Refresh, milliseconds.
    pub left_ms: u64,
    /// Permissions it holds.
    pub permissions: usize,
    /// Channels it holds, those in their guard time included.
    pub channels: usize,
    /// What was relayed for it.
    pub traffic: Traffic,
    /// Whom it had permissions for.
    pub peers: PeerLog,
}

/// One allocation with everybody it talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// What a list says of it.
    pub session: Session,
    /// Its permissions that live.
    pub permitted: Vec<Permitted>,
    /// Its channels that live.
    pub bound: Vec<Bound>,
}

/// A permission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Permitted {
    /// Who may reach the client.
    pub peer: IpAddr,
    /// For how long, milliseconds.
    pub left_ms: u64,
}

/// A channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// Its number.
    pub number: u16,
    /// Who it stands for.
    pub peer: SocketAddr,
    /// For how long, milliseconds.
    pub left_ms: u64,
}

impl Server {
    /// The allocations among the next slots, those of one user if one is named: by user name, or by
    /// the id of a time-limited name.
    pub fn sessions(&self, now: Now, from: u32, user: Option<&str>) -> Page<Session> {
        let (ids, next) = self.allocations.page(from, PAGE_SLOTS);
        let live = ids.into_iter().filter_map(|id| self.live(now, id));
        let meant = live.filter(|allocation| {
            let owner = &allocation.owner;
            user.is_none_or(|user| *owner.user == *user || *owner.account == *user)
        });
        Page { items: meant.map(|allocation| allocation.seen(now)).collect(), next }
    }

    /// What the allocations among the next slots have relayed, and nothing else of them.
    pub fn loads(&self, from: u32) -> Page<(SessionId, Traffic)> {
        let (ids, next) = self.allocations.page(from, PAGE_SLOTS);
        let allocations = ids.into_iter().filter_map(|id| self.allocations.look_at(id));
        Page { items: allocations.map(|it| (it.session, it.traffic)).collect(), next }
    }

    /// Everything about one allocation, if it lives.
    pub fn session(&self, now: Now, id: SessionId) -> Option<Detail> {
        let allocation = self.live(now, self.allocations.named(id)?)?;
        let permitted = allocation.permissions.live(now.mono_ms);
        let bound = allocation.channels.live(now.mono_ms);
        Some(Detail {
            session: allocation.seen(now),
            permitted: permitted.map(|(peer, left_ms)| Permitted { peer, left_ms }).collect(),
            bound: bound
                .map(|(number, peer, left_ms)| Bound { number: number.number(), peer, left_ms })
                .collect(),
        })
    }

    /// Ends an allocation, its ports silent at once; false when it does not live.
    pub fn kill(&mut self, now: Now, id: SessionId) -> bool {
        let Some(slot) = self.allocations.named(id) else { return false };
        let lives = self.live(now, slot).is_some();
        let cause = if lives { Cause::Killed } else { Cause::Expired };
        self.end_allocation(now, slot, cause);
        lives
    }

    fn live(&self, now: Now, id: AllocationId) -> Option<&Allocation> {
        self.allocations.look_at(id).filter(|allocation| allocation.is_live(now.mono_ms))
    }
}

impl Allocation {
    fn seen(&self, now: Now) -> Session {
        let relayed = PerFamily::from_fn(|family| {
            self.relay(family, now.mono_ms)?;
            self.advertised(family)
        });
        let over_ms = self.relayed.iter().map(|relayed| relayed.expires_ms).max();
        Session {
            id: self.session,
            user: self.owner.user.clone(),
            path: self.path,
            relayed,
            age_ms: now.mono_ms - self.opened_ms,
            left_ms: over_ms.unwrap_or(now.mono_ms).saturating_sub(now.mono_ms),
            permissions: self.permissions.count(),
            channels: self.channels.count(),
            traffic: self.traffic,
            peers: self.peers.clone(),
        }
    }
}
