//! The second phase of Allocate: the sockets exist, or do not.
//!
//! A port that somebody else uses is answered by drawing another one, a bounded number of times. A
//! pair is bound whole or not at all. Of a dual allocation one family is enough; the other is
//! then named in ADDRESS-ERROR-CODE (RFC 8656 §7.2).

use crate::turn::{
    allocation::{
        Allocation, Granted, Meters, RelayedAddress, channel::Channels, peer_log::PeerLog,
        permission::Permissions,
    },
    api::{
        effect::{Bind, Effect, Open, Outcome, Purpose, Socket},
        names::{identity::PendingId, path::Path, session::SessionId},
        now::Now,
        per_family::Families,
        reason::Reason,
        report::{Cause, Opened, Report, Traffic},
        verdict::Verdict,
    },
    method::{
        allocate::pending::{AskedSocket, Part, PendingAllocate, RelayProtocol},
        request::answer::{Answer, Envelope},
    },
    ports::{relays::DrawnRelay, reservation::ReservationToken, table::Parity},
    server::Server,
};
use crate::wire::{ErrorCode, Family, Method};

impl Server {
    /// Goes on with an Allocate once the world has answered; the answer in `reply` goes to the flow
    /// the effect named.
    ///
    /// Says [`Verdict::Reply`], or [`Verdict::Pending`] when another port is tried, or
    /// [`Verdict::Drop`].
    pub fn complete(
        &mut self,
        now: Now,
        pending: PendingId,
        outcome: Outcome<'_>,
        reply: &mut [u8],
    ) -> Verdict {
        let verdict = self.go_on(now, pending, outcome, reply);
        if let Verdict::Drop(reason) = verdict {
            self.counters.drop(reason);
        }
        verdict
    }

    fn go_on(
        &mut self,
        now: Now,
        pending: PendingId,
        outcome: Outcome<'_>,
        reply: &mut [u8],
    ) -> Verdict {
        let Some(mut waiting) = self.pending_allocates.take(pending) else {
            return Verdict::Drop(Reason::NotPending);
        };
        match outcome {
            Outcome::Opened(results) => self.record_results(&mut waiting, results),
            Outcome::Redeemed(local) => self.record_redeemed(&mut waiting, local),
            Outcome::Unusable(local) => {
                self.relays.discard(local);
                waiting.quota_held = 1;
                self.record_results(&mut waiting, &[]);
            }
            Outcome::NotRedeemed => self.record_results(&mut waiting, &[]),
        }
        if !waiting.asked.is_empty() {
            self.ask(pending, waiting);
            return Verdict::Pending;
        }
        let answer = self.conclude(now, &mut waiting);
        self.answer_waiting(now, &waiting, &answer, reply)
    }

    /// Lets an Allocate wait for the sockets it has drawn.
    pub(super) fn ask(&mut self, pending: PendingId, waiting: PendingAllocate) {
        let socket = |asked: &AskedSocket| Socket {
            relay: asked.relay,
            local: self.relays.local(asked.relay),
            purpose: match (asked.part, waiting.protocol) {
                (Part::Relay(_), RelayProtocol::Udp) => Purpose::Relay,
                (Part::Relay(_), RelayProtocol::Tcp) => Purpose::Listen,
                (Part::Reserve, _) => Purpose::Reserve,
            },
        };
        let sockets = waiting.asked.iter().map(socket).collect();
        let open = Open { pending, path: waiting.path, sockets };
        self.effects.push_back(Effect::Open(open));
        self.pending_allocates.insert(pending, waiting);
    }

    /// Sorts the sockets out that were asked for, and draws again for those whose port was in use.
    fn record_results(&mut self, waiting: &mut PendingAllocate, results: &[Bind]) {
        let asked = std::mem::take(&mut waiting.asked);
        let results = results.iter().copied().chain(std::iter::repeat(Bind::Failed));
        let results: Vec<(AskedSocket, Bind)> = asked.into_iter().zip(results).collect();
        let whole = results.iter().all(|(_, result)| *result == Bind::Bound);
        let usable = whole || waiting.parity != Parity::Pair;
        let pair_in_use = !usable && results.iter().any(|(_, result)| *result == Bind::InUse);
        for (asked, result) in results {
            match result {
                Bind::Bound if usable => waiting.record_bound(asked),
                Bind::Bound => self.close_relay(asked.relay),
                Bind::InUse | Bind::Failed => waiting.ports_in_use.push(asked.relay),
            }
            if let Part::Relay(family) = asked.part
                && waiting.bound.get(family).is_none()
            {
                self.try_again(waiting, family, pair_in_use || result == Bind::InUse);
            }
        }
    }

    fn try_again(&mut self, waiting: &mut PendingAllocate, family: Family, in_use: bool) {
        waiting.missing.set(family, ErrorCode::InsufficientCapacity);
        if in_use && waiting.retries > 0 && !waiting.is_abandoned {
            waiting.retries -= 1;
            self.draw_port(waiting, family);
        }
    }

    /// Makes the allocation of what is bound, or gives everything back.
    fn conclude(&mut self, now: Now, waiting: &mut PendingAllocate) -> Answer {
        for relay in std::mem::take(&mut waiting.ports_in_use) {
            self.relays.release(relay);
        }
        if waiting.is_abandoned {
            return self.abandon(waiting);
        }
        if waiting.bound.families().is_none() {
            self.release_quota(waiting);
            let code = waiting.missing.iter().max();
            return Answer::Error(code.copied().unwrap_or(ErrorCode::InsufficientCapacity));
        }
        let token = waiting.reserved.map(|relay| {
            self.relays.reserve(relay);
            self.counters.reserved += 1;
            self.reservations.make(relay, &waiting.owner, now.mono_ms, &mut self.rng)
        });
        Answer::Allocated(self.establish(now, waiting, token))
    }

    /// Gives back what was bound for a client that has gone.
    fn abandon(&mut self, waiting: &PendingAllocate) -> Answer {
        for relay in waiting.bound.iter().copied().chain(waiting.reserved) {
            self.close_relay(relay);
        }
        self.release_quota(waiting);
        Answer::Silence(Reason::Disconnected)
    }

    /// Puts an allocation into the table. The success may be answered from here on, not before.
    /// One that brought a token replaces what the five-tuple had, now that it is known to be good.
    pub(super) fn establish(
        &mut self,
        now: Now,
        waiting: &PendingAllocate,
        reservation: Option<ReservationToken>,
    ) -> Granted {
        if let Some(id) = self.live_allocation(now, waiting.path.flow) {
            self.end_allocation(now, id, Cause::Replaced);
        }
        let expires_ms = now.mono_ms + u64::from(waiting.lifetime_s) * 1000;
        let granted = Granted {
            transaction: waiting.transaction,
            relayed: waiting.bound.map(|relay| self.relays.advertised(relay)),
            lifetime_s: waiting.lifetime_s,
            reservation,
            missing: waiting.missing_family(),
        };
        let session = self.name_session(waiting.path, waiting.bound.families());
        let id = self.allocations.insert(Allocation {
            session,
            path: waiting.path,
            owner: waiting.owner.clone(),
            relayed: waiting.bound.map(|relay| RelayedAddress { relay, expires_ms }),
            permissions: Permissions::default(),
            channels: Channels::default(),
            traffic: Traffic::default(),
            peers: PeerLog::default(),
            meters: Meters::default(),
            connections: match waiting.protocol {
                RelayProtocol::Udp => None,
                RelayProtocol::Tcp => Some(Box::default()),
            },
            forwarded: Vec::new(),
            opened_ms: now.mono_ms,
            granted,
        });
        for relay in waiting.bound.iter().copied() {
            match waiting.protocol {
                RelayProtocol::Udp => self.relays.go_live(relay, id),
                RelayProtocol::Tcp => self.relays.listen(relay, id),
            }
        }
        self.rearm(now, id);
        self.tell_opened(session, waiting, &granted);
        granted
    }

    /// Counts one more allocation and names it.
    fn name_session(&mut self, path: Path, families: Option<Families>) -> SessionId {
        let families = families.expect("an allocation has a relayed address");
        self.counters.open(path.transport, families);
        self.last_serial += 1;
        SessionId { worker: self.shard.worker, serial: self.last_serial }
    }

    fn tell_opened(&mut self, session: SessionId, waiting: &PendingAllocate, granted: &Granted) {
        self.reports.push_back(Report::Opened(Opened {
            session,
            user: waiting.owner.user.clone(),
            path: waiting.path,
            relayed: granted.relayed,
            lifetime_s: granted.lifetime_s,
        }));
    }

    fn answer_waiting(
        &mut self,
        now: Now,
        waiting: &PendingAllocate,
        answer: &Answer,
        reply: &mut [u8],
    ) -> Verdict {
        self.tell_error(now, waiting.path, &waiting.owner.user, Method::Allocate, answer);
        let envelope = Envelope {
            now,
            path: waiting.path,
            method: Method::Allocate,
            transaction: waiting.transaction,
            fingerprint: waiting.fingerprint,
            key: Some(&waiting.owner.key),
        };
        self.write(&envelope, answer, reply)
    }
}

impl PendingAllocate {
    /// Asks for what was drawn.
    pub(super) fn record_drawn(&mut self, family: Family, drawn: DrawnRelay) {
        self.asked.push(AskedSocket { relay: drawn.relay, part: Part::Relay(family) });
        if let Some(next) = drawn.next {
            self.asked.push(AskedSocket { relay: next, part: Part::Reserve });
        }
    }

    /// Keeps a socket that is bound.
    fn record_bound(&mut self, asked: AskedSocket) {
        match asked.part {
            Part::Relay(family) => self.bound.set(family, asked.relay),
            Part::Reserve => self.reserved = Some(asked.relay),
        }
    }

    /// The half of a dual allocation that is not there.
    fn missing_family(&self) -> Option<(Family, ErrorCode)> {
        let why = |family| self.missing.get(family).map(|code| (family, *code));
        Families::Both.iter().find_map(why)
    }
}
