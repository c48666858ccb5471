//! How allocations end, and the time passes.

use crate::turn::{
    allocation::table::AllocationId,
    api::{
        effect::Effect,
        names::identity::{FiveTuple, RelayId},
        now::{Now, earliest},
        per_family::Families,
        report::{Cause, Closed, Report},
    },
    policy::alternates::Alternates,
    ports::reservation::{NotReserved, Redeemed, Reservation},
    server::Server,
};
use crate::wire::Family;

/// Allocations whose timers fire in one turn, and reservations: a tenth of a millisecond of work,
/// so that 30,000 that end within a second keep no packet waiting. Tests have fewer of them.
const ENDED_AT_ONCE: usize = if cfg!(test) { 16 } else { 256 };

impl Server {
    /// When [`Server::advance`] has something to do, in [`Now::mono_ms`]; `None` while idle. Not
    /// after now while something is left that is due.
    pub fn next_deadline(&self) -> Option<u64> {
        let timers = self.timers.next_deadline_ms();
        let reservations = self.reservations.next_deadline_ms();
        let reports = self.budget.next_deadline_ms();
        let recheck = self.policy_recheck.map(|_| 0);
        earliest(earliest(timers, reservations), earliest(reports, recheck))
    }

    /// Ends what is over, a bounded number at a time: call it again while
    /// [`Server::next_deadline`] is not after `now`. Costs nothing while nothing is over.
    pub fn advance(&mut self, now: Now) {
        for _ in 0..ENDED_AT_ONCE {
            let Some(timer) = self.timers.next_due(now.mono_ms) else { break };
            self.walk(now, AllocationId(timer));
        }
        for _ in 0..ENDED_AT_ONCE {
            let Some(reservation) = self.reservations.next_over(now.mono_ms) else { break };
            self.give_up(&reservation);
        }
        self.continue_policy_recheck(now);
        self.tell_refused_strangers(now.mono_ms);
    }

    /// Ends every allocation and reservation, for the log's sake, before the process ends. No new
    /// ones are made from now on, as if it [drained](Self::drain).
    pub fn shut_down(&mut self, now: Now) {
        self.draining.get_or_insert_default();
        for id in self.allocations.ids() {
            self.end_allocation(now, id, Cause::Shutdown);
        }
        while let Some(reservation) = self.reservations.next_of_all() {
            self.give_up(&reservation);
        }
        self.tell_refused_strangers(u64::MAX);
    }

    /// Whether the allocation of a five-tuple is here.
    pub fn has_allocation(&mut self, now: Now, flow: FiveTuple) -> bool {
        self.live_allocation(now, flow).is_some()
    }

    /// Ends the allocation of a five-tuple for which another worker has one and keeps it. The
    /// client is not told: its requests reach the other one from now on.
    pub fn cede(&mut self, now: Now, flow: FiveTuple) {
        if let Some(id) = self.live_allocation(now, flow) {
            self.end_allocation(now, id, Cause::Duplicate);
        }
    }

    /// Forgets a TCP or TLS connection that has ended, whether its client had an allocation or not:
    /// that five-tuple cannot come back, so the allocation ends at once, and an Allocate that still
    /// waits will not be answered.
    pub fn disconnected(&mut self, now: Now, flow: FiveTuple) {
        self.stream_strangers.forget(flow);
        self.pending_allocates.abandon(flow);
        if let Some(id) = self.live_allocation(now, flow) {
            self.end_allocation(now, id, Cause::Disconnected);
        }
    }

    /// Takes no new allocations from now on and sends whoever asks for one elsewhere; `None` takes
    /// them again. Those that live are not touched, and a port that is reserved can be had.
    pub fn drain(&mut self, alternates: Option<Alternates>) {
        self.draining = alternates;
    }

    /// Frees the port of a closed relay: the kernel has let go of it.
    pub fn released(&mut self, relay: RelayId) {
        self.relays.release(relay);
    }

    /// Gives a reserved port to the worker that asks with its token. The port and the socket behind
    /// [`Redeemed::relay`] are that worker's, and the name is free here at once.
    ///
    /// Fails when no reservation goes by the token, when it is over, or when it is another user's.
    pub fn redeem(
        &mut self,
        now: Now,
        token: [u8; 8],
        user: &str,
    ) -> Result<Redeemed, NotReserved> {
        let reservation = self.reservations.redeem(token, user, now.mono_ms).ok_or(NotReserved)?;
        self.counters.redeemed += 1;
        let relay = reservation.relay;
        Ok(Redeemed { relay, local: self.relays.part_with(relay) })
    }

    /// Arms the timer of an allocation for whatever is over next.
    pub(in crate::turn) fn rearm(&mut self, now: Now, id: AllocationId) {
        let deadline = self.allocations.at(id).and_then(|a| a.next_deadline_ms());
        if let Some(deadline_ms) = deadline {
            self.timers.arm(id.0, deadline_ms, now.mono_ms);
        }
    }

    /// Ends a whole allocation: its five-tuple is free and its ports are silent at once.
    pub(in crate::turn) fn end_allocation(&mut self, now: Now, id: AllocationId, cause: Cause) {
        let Some(mut allocation) = self.allocations.remove(id) else { return };
        self.timers.disarm(id.0);
        self.unforward_all(&mut allocation);
        self.end_connections(now, &mut allocation, cause);
        let families = allocation.relayed.families().expect("an allocation has a relayed address");
        self.counters.close(allocation.path.transport, families);
        for relayed in allocation.relayed.iter() {
            self.close_relay(relayed.relay);
        }
        self.shard.quota.leave(&allocation.owner.account);
        self.reports.push_back(Report::Closed(Closed {
            session: allocation.session,
            user: allocation.owner.user,
            path: allocation.path,
            relayed: allocation.granted.relayed,
            duration_ms: now.mono_ms - allocation.opened_ms,
            traffic: allocation.traffic,
            peers: allocation.peers,
            cause,
        }));
    }

    /// Ends one family of an allocation, and the allocation with its last.
    pub(in crate::turn) fn end_family(
        &mut self,
        now: Now,
        id: AllocationId,
        family: Family,
        cause: Cause,
    ) {
        let Some(allocation) = self.allocations.at(id) else { return };
        if allocation.relayed.families() == Some(Families::of(family)) {
            return self.end_allocation(now, id, cause);
        }
        let Some(relayed) = allocation.take_relayed(family) else { return };
        self.close_connections(now, id, |connection| Family::of(connection.peer.ip()) == family);
        let Some(allocation) = self.allocations.at(id) else { return };
        if let Some(left) = allocation.relayed.families() {
            self.counters.narrow(allocation.path.transport, left);
        }
        self.tell_forwards(now, id);
        self.close_relay(relayed.relay);
        self.rearm(now, id);
    }

    /// Silences a relay and asks for its socket to be closed.
    pub(in crate::turn) fn close_relay(&mut self, relay: RelayId) {
        self.relays.close(relay);
        self.effects.push_back(Effect::Close(relay));
    }

    /// The timer of an allocation has fired: ends what is over, and walks on.
    fn walk(&mut self, now: Now, id: AllocationId) {
        let Some(allocation) = self.allocations.at(id) else { return };
        allocation.purge(now.mono_ms);
        if !allocation.is_live(now.mono_ms) {
            return self.end_allocation(now, id, Cause::Expired);
        }
        self.close_connections(now, id, |connection| connection.is_over(now.mono_ms));
        for family in [Family::V4, Family::V6] {
            self.end_if_over(now, id, family);
        }
        self.tell_forwards(now, id);
        self.rearm(now, id);
    }

    fn end_if_over(&mut self, now: Now, id: AllocationId, family: Family) {
        let allocation = self.allocations.at(id);
        let relayed = allocation.and_then(|allocation| allocation.relayed.get(family));
        if relayed.is_some_and(|relayed| relayed.expires_ms <= now.mono_ms) {
            self.end_family(now, id, family, Cause::Expired);
        }
    }

    fn give_up(&mut self, reservation: &Reservation) {
        self.shard.quota.leave(&reservation.account);
        self.close_relay(reservation.relay);
    }
}
