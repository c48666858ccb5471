//! Allocate with RESERVATION-TOKEN (RFC 8656 §7.2): a port of this worker at once, one of another
//! worker after asking there.
//!
//! The quota's place goes over from the reservation, so none is taken here.

use std::net::SocketAddr;

use crate::turn::{
    Server,
    allocation::index,
    api::effect::{Effect, Redeem},
    method::answer::{Answer, Refused},
    method::pending::{Asked, Opening, Part},
    method::request::Request,
    ports::reservation::{Token, owner},
};
use crate::wire::{ErrorCode, Family};

impl Server {
    /// Redeems a token here, or asks its worker.
    pub(super) fn claim(
        &mut self,
        request: &Request<'_>,
        token: Token,
        asked_s: Option<u32>,
    ) -> Result<Answer, Refused> {
        if owner(token) == self.shard.worker {
            return self.claim_here(request, token, asked_s);
        }
        if !self.shard.ports.has_worker(owner(token)) {
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        let mut opening = self.opening(request, asked_s);
        let (pending, relay) = (self.openings.name(), self.relays.expect());
        opening.asked.push(Asked { relay, part: Part::Reserve });
        self.effects.push_back(Effect::Redeem(Redeem {
            pending,
            flow: request.flow,
            owner: owner(token),
            relay,
            token,
            user: opening.owner.user.clone(),
        }));
        self.openings.insert(pending, opening);
        Ok(Answer::Later)
    }

    /// The socket has been there since the reservation, so the answer is too.
    fn claim_here(
        &mut self,
        request: &Request<'_>,
        token: Token,
        asked_s: Option<u32>,
    ) -> Result<Answer, Refused> {
        let (user, now_ms) = (request.authenticated.user(), request.now.mono_ms);
        let reservation = self.reservations.redeem(token, user, now_ms);
        let relay = reservation.ok_or(ErrorCode::InsufficientCapacity)?.relay;
        self.counters.redeemed += 1;
        let mut opening = self.opening(request, asked_s);
        let family = Family::of(self.relays.local(relay).ip());
        opening.bound[index(family)] = Some(relay);
        self.effects.push_back(Effect::Activate(relay));
        Ok(Answer::Allocated(self.establish(request.now, &opening, None)))
    }

    /// Another worker gave its port, with the place in the quota.
    pub(super) fn note_redeemed(&mut self, opening: &mut Opening, local: SocketAddr) {
        opening.places = 1;
        for asked in std::mem::take(&mut opening.asked) {
            if self.relays.adopt(asked.relay, local) {
                opening.bound[index(Family::of(local.ip()))] = Some(asked.relay);
            } else {
                opening.spoiled.push(asked.relay);
            }
        }
    }
}
