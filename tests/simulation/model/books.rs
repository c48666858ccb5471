//! Quotas, sockets and counters, added up.

use std::{collections::BTreeSet, net::SocketAddr};

use uturn::{
    turn::{Cause, Closed, Traffic},
    worker::Workers,
};

use super::{LATE_MS, Model, Sums};
use crate::scenario::{ADVERTISED_V4, LOCAL_V4, User, ip};

impl Sums {
    pub(crate) fn add(&mut self, other: &Sums) {
        for (sum, more) in [
            (&mut self.to_peers, other.to_peers),
            (&mut self.to_clients, other.to_clients),
            (&mut self.hairpin, other.hairpin),
            (&mut self.handed_over, other.handed_over),
            (&mut self.taken_over, other.taken_over),
        ] {
            sum.0 += more.0;
            sum.1 += more.1;
        }
        for (sum, more) in [
            (&mut self.opened, other.opened),
            (&mut self.closed, other.closed),
            (&mut self.live, other.live),
            (&mut self.reserved, other.reserved),
            (&mut self.redeemed, other.redeemed),
            (&mut self.dropped, other.dropped),
            (&mut self.successes, other.successes),
            (&mut self.errors, other.errors),
            (&mut self.already_pending, other.already_pending),
            (&mut self.misrouted, other.misrouted),
            (&mut self.hand_over_dropped, other.hand_over_dropped),
            (&mut self.no_buffer, other.no_buffer),
            (&mut self.relays_broken, other.relays_broken),
        ] {
            *sum += more;
        }
    }
}

impl Model {
    /// Places of the quota an account holds.
    pub(crate) fn held_by(&self, account: &str) -> u32 {
        let places = self.places();
        places.iter().filter(|(holder, _)| *holder == account).map(|(_, places)| places).sum()
    }

    pub(crate) fn held_in_total(&self) -> u32 {
        self.places().iter().map(|(_, places)| places).sum()
    }

    fn places(&self) -> Vec<(&str, u32)> {
        let allocations = self.allocations.values().map(|a| (&*a.account, 1));
        let reservations = self.reservations.values().map(|r| (&*r.account, 1));
        let openings = self.openings.values().chain(self.abandoned.values());
        let openings = openings.map(|o| (&*o.account, o.places));
        let moving = self.moving.values().map(|account| (&**account, 1));
        allocations.chain(reservations).chain(openings).chain(moving).collect()
    }

    pub(crate) fn check_quota(&self, workers: &Workers) {
        let total = self.held_in_total();
        for User { account, .. } in &self.scenario.users {
            let expected = (self.held_by(account), total);
            assert_eq!(workers.quota_held(account), expected, "{account}, places of all");
        }
    }

    /// What must be bound, and what may still be.
    pub(crate) fn check_sockets(
        &self,
        now_ms: u64,
        bound: &BTreeSet<SocketAddr>,
        held: &BTreeSet<SocketAddr>,
    ) {
        let ends = || self.allocations.values().flat_map(|allocation| &allocation.ends);
        for end in ends().filter(|end| end.expires_ms > now_ms) {
            assert!(bound.contains(&self.local(end.relayed)), "{} has no socket", end.relayed);
        }
        let lingers = |expires_ms: u64| expires_ms + LATE_MS > now_ms;
        for local in bound {
            let has_end =
                ends().any(|end| self.local(end.relayed) == *local && lingers(end.expires_ms));
            assert!(has_end, "{local} is bound for nobody");
        }
        let reservations = || self.reservations.values();
        for reservation in reservations().filter(|r| r.expires_ms > now_ms) {
            assert!(held.contains(&self.local(reservation.relayed)), "{reservation:?} is not held");
        }
        for local in held {
            let mut kept = reservations().filter(|r| self.local(r.relayed) == *local);
            assert!(kept.any(|r| lingers(r.expires_ms)), "{local} is held for nobody");
        }
    }

    /// The log was told that an allocation ended: rightly?
    pub(crate) fn closed(&mut self, now_ms: u64, closed: &Closed) {
        let client = closed.path.client();
        let place = self.to_close.iter().position(|(one, cause, _)| {
            *one == client && (*cause == closed.cause || closed.cause == Cause::Shutdown)
        });
        let allocation = match place {
            Some(place) => self.to_close.remove(place).2,
            None => {
                let allocation = self.allocations.remove(&client).expect("one that was there");
                // Deleted: a Refresh took the last end but one that had already expired.
                let is_told = matches!(closed.cause, Cause::Expired | Cause::Deleted);
                let is_over = !allocation.is_live(now_ms) && is_told;
                assert!(is_over || closed.cause == Cause::Shutdown, "{closed:?} {allocation:?}");
                allocation
            }
        };
        assert_eq!(*closed.user, *allocation.user);
        // What was dropped is told for each scene in `turn`; the model knows only that it was.
        let loads = |traffic: Traffic| (traffic.to_peers, traffic.to_client);
        assert_eq!(loads(closed.traffic), loads(allocation.traffic), "{client}");
        assert_eq!(closed.duration_ms, now_ms - allocation.opened_ms);
        self.sums.closed += 1;
    }

    /// The socket of a reserved port is to be closed: nobody came for it.
    pub(crate) fn unreserved(&mut self, now_ms: u64, local: SocketAddr, is_shut_down: bool) {
        let found = self.reservations.iter().find(|(_, r)| self.local(r.relayed) == local);
        if let Some((token, reservation)) = found.map(|(token, r)| (*token, r.clone())) {
            assert!(is_shut_down || reservation.expires_ms <= now_ms, "{reservation:?} given up");
            self.reservations.remove(&token);
        }
    }

    /// What the socket of an advertised address is bound to.
    pub(crate) fn local(&self, relayed: SocketAddr) -> SocketAddr {
        let local = if relayed.ip() == ip(ADVERTISED_V4) { ip(LOCAL_V4) } else { relayed.ip() };
        SocketAddr::new(local, relayed.port())
    }

    /// What a socket's address is advertised as.
    pub(crate) fn advertised(&self, local: SocketAddr) -> SocketAddr {
        let ip = if local.ip() == ip(LOCAL_V4) { ip(ADVERTISED_V4) } else { local.ip() };
        SocketAddr::new(ip, local.port())
    }

    /// The worker that has the live relay of an advertised address.
    pub(crate) fn holder(&self, relayed: SocketAddr) -> Option<u8> {
        self.holders.get(&self.local(relayed)).copied()
    }

    /// A port of the relays, whoever has it.
    pub(crate) fn is_relay(&self, peer: SocketAddr) -> bool {
        let (low, high) = self.scenario.ports;
        self.is_relay_ip(peer.ip()) && (low..=high).contains(&peer.port())
    }

    /// Nothing is left of anybody.
    pub(crate) fn check_empty(&self) {
        assert!(self.allocations.is_empty(), "{:?}", self.allocations);
        assert!(self.reservations.is_empty(), "{:?}", self.reservations);
        assert!(self.openings.is_empty(), "{:?}", self.openings);
        assert!(self.abandoned.is_empty(), "{:?}", self.abandoned);
        assert!(self.streams.open.is_empty(), "{:?}", self.streams.open);
        assert!(self.holders.is_empty() && self.moving.is_empty());
    }
}
