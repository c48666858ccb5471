//! The second phase of Allocate: the sockets exist, or do not.
//!
//! A port that somebody else uses is answered by drawing another one, a bounded number of times. A
//! pair is bound whole or not at all. Of a dual allocation one family is enough; the other is
//! then named in ADDRESS-ERROR-CODE (RFC 8656 §7.2).

use crate::turn::{
    Bind, Correspondents, Ends, Now, Outcome, PendingId, Reason, RelayId, Server, SessionId,
    Socket, Traffic, Verdict,
    allocation::channel::Channels,
    allocation::permission::Permissions,
    allocation::{Allocation, End, Granted, Meters, index},
    api::effect::{Effect, Open, Purpose},
    api::report::{Opened, Report},
    method::answer::{Answer, Envelope},
    method::pending::{Asked, Opening, Part},
    ports::relays::Drawn,
    ports::reservation::Token,
    ports::table::Parity,
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
        let Some(mut opening) = self.openings.take(pending) else {
            return Verdict::Drop(Reason::NotPending);
        };
        match outcome {
            Outcome::Opened(results) => self.note_results(&mut opening, results),
            Outcome::Redeemed(local) => self.note_redeemed(&mut opening, local),
            Outcome::Unusable(local) => {
                self.relays.discard(local);
                opening.places = 1;
                self.note_results(&mut opening, &[]);
            }
            Outcome::NotRedeemed => self.note_results(&mut opening, &[]),
        }
        if !opening.asked.is_empty() {
            self.ask(pending, opening);
            return Verdict::Pending;
        }
        let answer = self.conclude(now, &mut opening);
        self.answer_opening(now, &opening, &answer, reply)
    }

    /// Lets an Allocate wait for the sockets it has drawn.
    pub(super) fn ask(&mut self, pending: PendingId, opening: Opening) {
        let socket = |asked: &Asked| Socket {
            relay: asked.relay,
            local: self.relays.local(asked.relay),
            purpose: match asked.part {
                Part::End(_) => Purpose::Relay,
                Part::Reserve => Purpose::Reserve,
            },
        };
        let sockets = opening.asked.iter().map(socket).collect();
        let open = Open { pending, flow: opening.flow, sockets };
        self.effects.push_back(Effect::Open(open));
        self.openings.insert(pending, opening);
    }

    /// Sorts the sockets out that were asked for, and draws again for those whose port was in use.
    fn note_results(&mut self, opening: &mut Opening, results: &[Bind]) {
        let asked = std::mem::take(&mut opening.asked);
        let results = results.iter().copied().chain(std::iter::repeat(Bind::Failed));
        let results: Vec<(Asked, Bind)> = asked.into_iter().zip(results).collect();
        let whole = results.iter().all(|(_, result)| *result == Bind::Bound);
        let usable = whole || opening.parity != Parity::Pair;
        let pair_in_use = !usable && results.iter().any(|(_, result)| *result == Bind::InUse);
        for (asked, result) in results {
            match result {
                Bind::Bound if usable => opening.keep(asked),
                Bind::Bound => self.close_relay(asked.relay),
                Bind::InUse | Bind::Failed => opening.spoiled.push(asked.relay),
            }
            if let Part::End(family) = asked.part
                && opening.bound[index(family)].is_none()
            {
                self.try_again(opening, family, pair_in_use || result == Bind::InUse);
            }
        }
    }

    fn try_again(&mut self, opening: &mut Opening, family: Family, in_use: bool) {
        opening.missing[index(family)] = Some(ErrorCode::InsufficientCapacity);
        if in_use && opening.retries > 0 {
            opening.retries -= 1;
            self.draw_end(opening, family);
        }
    }

    /// Makes the allocation of what is bound, or gives everything back.
    fn conclude(&mut self, now: Now, opening: &mut Opening) -> Answer {
        for relay in std::mem::take(&mut opening.spoiled) {
            self.relays.release(relay);
        }
        if opening.bound == [None, None] {
            self.leave_places(opening);
            let code = opening.missing.iter().flatten().max();
            return Answer::Error(code.copied().unwrap_or(ErrorCode::InsufficientCapacity));
        }
        let token = opening.reserved.map(|relay| {
            self.relays.reserve(relay);
            self.counters.reserved += 1;
            self.reservations.make(relay, &opening.owner, now.mono_ms, &mut self.chance)
        });
        Answer::Allocated(self.establish(now, opening, token))
    }

    /// Puts an allocation into the table. The success may be answered from here on, not before.
    pub(super) fn establish(
        &mut self,
        now: Now,
        opening: &Opening,
        reservation: Option<Token>,
    ) -> Granted {
        let expires_ms = now.mono_ms + u64::from(opening.lifetime_s) * 1000;
        let granted = Granted {
            transaction: opening.transaction,
            relayed: opening.bound.map(|relay| relay.map(|relay| self.relays.advertised(relay))),
            lifetime_s: opening.lifetime_s,
            reservation,
            missing: opening.missing_family(),
        };
        let session = self.name_session(&opening.bound);
        let id = self.allocations.insert(Allocation {
            session,
            flow: opening.flow,
            owner: opening.owner.clone(),
            ends: opening.bound.map(|relay| relay.map(|relay| End { relay, expires_ms })),
            permissions: Permissions::default(),
            channels: Channels::default(),
            traffic: Traffic::default(),
            peers: Correspondents::default(),
            meters: Meters::default(),
            forwarded: Vec::new(),
            opened_ms: now.mono_ms,
            granted,
        });
        for relay in opening.bound.into_iter().flatten() {
            self.relays.go_live(relay, id);
        }
        self.rearm(id);
        self.tell_opened(session, opening, &granted);
        granted
    }

    /// Counts one more allocation; its place in the count is its name.
    fn name_session(&mut self, bound: &[Option<RelayId>; 2]) -> SessionId {
        self.counters.open(Ends::of(bound).expect("an allocation has an end"));
        SessionId { worker: self.shard.worker, serial: self.counters.opened }
    }

    fn tell_opened(&mut self, session: SessionId, opening: &Opening, granted: &Granted) {
        self.reports.push_back(Report::Opened(Opened {
            session,
            user: opening.owner.user.clone(),
            flow: opening.flow,
            relayed: granted.relayed,
            lifetime_s: granted.lifetime_s,
        }));
    }

    fn answer_opening(
        &mut self,
        now: Now,
        opening: &Opening,
        answer: &Answer,
        reply: &mut [u8],
    ) -> Verdict {
        let envelope = Envelope {
            now,
            client: opening.flow.client,
            method: Method::Allocate,
            transaction: opening.transaction,
            fingerprint: opening.fingerprint,
            key: Some(&opening.owner.key),
        };
        self.write(&envelope, answer, reply)
    }
}

impl Opening {
    /// Asks for what was drawn.
    pub(super) fn note(&mut self, family: Family, drawn: Drawn) {
        self.asked.push(Asked { relay: drawn.relay, part: Part::End(family) });
        if let Some(next) = drawn.next {
            self.asked.push(Asked { relay: next, part: Part::Reserve });
        }
    }

    /// Keeps a socket that is bound.
    fn keep(&mut self, asked: Asked) {
        match asked.part {
            Part::End(family) => self.bound[index(family)] = Some(asked.relay),
            Part::Reserve => self.reserved = Some(asked.relay),
        }
    }

    /// The half of a dual allocation that is not there.
    fn missing_family(&self) -> Option<(Family, ErrorCode)> {
        let why = |family| self.missing[index(family)].map(|code| (family, code));
        [Family::V4, Family::V6].into_iter().find_map(why)
    }
}
