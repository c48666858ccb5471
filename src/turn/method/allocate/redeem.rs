//! Allocate with RESERVATION-TOKEN (RFC 8656 §7.2): a port of this worker at once, one of another
//! worker after asking there.
//!
//! The quota's place goes over from the reservation, so none is taken here.

use std::net::SocketAddr;

use crate::turn::{
    api::effect::{Effect, Redeem},
    method::{
        allocate::pending::{AskedSocket, Part, PendingAllocate},
        request::{
            answer::{Answer, Refused},
            verified::Request,
        },
    },
    ports::reservation::{ReservationToken, owner},
    server::Server,
};
use crate::wire::{ErrorCode, Family};

impl Server {
    /// Redeems a token here, or asks its worker.
    pub(super) fn claim(
        &mut self,
        request: &Request<'_>,
        token: ReservationToken,
        asked_s: Option<u32>,
    ) -> Result<Answer, Refused> {
        if owner(token) == self.shard.worker {
            return self.claim_here(request, token, asked_s);
        }
        if !self.shard.ports.has_worker(owner(token)) {
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        let mut waiting = self.pending_allocate(request, asked_s);
        let (pending, relay) = (self.pending_allocates.name(), self.relays.expect());
        waiting.asked.push(AskedSocket { relay, part: Part::Reserve });
        self.effects.push_back(Effect::Redeem(Redeem {
            pending,
            path: request.path,
            owner: owner(token),
            relay,
            token,
            user: waiting.owner.user.clone(),
        }));
        self.pending_allocates.insert(pending, waiting);
        Ok(Answer::Later)
    }

    /// The socket has been there since the reservation, so the answer is too.
    fn claim_here(
        &mut self,
        request: &Request<'_>,
        token: ReservationToken,
        asked_s: Option<u32>,
    ) -> Result<Answer, Refused> {
        let (user, now_ms) = (request.authenticated.user(), request.now.mono_ms);
        let reservation = self.reservations.redeem(token, user, now_ms);
        let relay = reservation.ok_or(ErrorCode::InsufficientCapacity)?.relay;
        self.counters.redeemed += 1;
        let mut waiting = self.pending_allocate(request, asked_s);
        let family = Family::of(self.relays.local(relay).ip());
        waiting.bound.set(family, relay);
        self.effects.push_back(Effect::Activate(relay));
        Ok(Answer::Allocated(self.establish(request.now, &waiting, None)))
    }

    /// Another worker gave its port, with the place in the quota.
    pub(super) fn record_redeemed(&mut self, waiting: &mut PendingAllocate, local: SocketAddr) {
        waiting.quota_held = 1;
        for asked in std::mem::take(&mut waiting.asked) {
            if self.relays.adopt(asked.relay, local) {
                waiting.bound.set(Family::of(local.ip()), asked.relay);
            } else {
                waiting.ports_in_use.push(asked.relay);
            }
        }
    }
}
