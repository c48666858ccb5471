//! Allocate: a public address for a client (RFC 8656 §7).
//!
//! Two-phase: the request is judged here and its ports drawn, then the sockets are asked for, and
//! the answer is given when they are there (`open.rs`). A client that brings a RESERVATION-TOKEN
//! gets the port reserved for it (`redeem.rs`).

use crate::turn::{
    Alternates, Exhausted, QuotaHit, Server,
    allocation::table::AllocationId,
    allocation::{Owner, index},
    api::report::Cause,
    api::settings::OnReallocate,
    method::answer::{Answer, Refused},
    method::pending::{BIND_RETRIES, Opening},
    method::request::Request,
    ports::reservation::Token,
    ports::table::Parity,
};
use crate::wire::{ErrorCode, Family, Fingerprint, Message, TRANSPORT_UDP};

/// What an Allocate asks for, once it is known to make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    /// One family, or both for a dual allocation.
    families: [Option<Family>; 2],
    parity: Parity,
    token: Option<Token>,
    asked_s: Option<u32>,
}

impl Server {
    /// Answers an Allocate request, or lets it wait for its sockets.
    pub(in crate::turn) fn allocate(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        if let Some(waiting) = self.openings.transaction(request.flow) {
            return if waiting == request.message.transaction() {
                Ok(Answer::Silence(crate::turn::Reason::AlreadyPending))
            } else {
                Err(Refused(ErrorCode::AllocationMismatch))
            };
        }
        let in_use = self.live_allocation(request.now, request.flow);
        if let Some(answer) = in_use.and_then(|id| self.again(id, request)) {
            return answer;
        }
        let wish = Wish::of(request.message)?;
        if let (Some(alternates), None) = (self.draining, wish.token) {
            return elsewhere(alternates, request);
        }
        if let Some(id) = in_use {
            self.end_allocation(request.now, id, Cause::Replaced);
        }
        if self.openings.is_full() {
            self.counters.reach(QuotaHit::Openings);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        match wish.token {
            Some(token) => self.claim(request, token, wish.asked_s),
            None => self.draw(request, &wish),
        }
    }

    /// A five-tuple in use: a retransmission gets the answer it missed, anything else 437, unless
    /// the configuration lets a client start over (RFC 8656 §7.2).
    fn again(
        &mut self,
        id: AllocationId,
        request: &Request<'_>,
    ) -> Option<Result<Answer, Refused>> {
        let allocation = self.allocations.at(id)?;
        let (owner, authenticated) = (&allocation.owner, request.authenticated);
        let same_user = *owner.user == *authenticated.user();
        // A time-limited name changes with every credential, the account behind it does not. Names
        // without an id share one account and are nobody's in particular.
        let same_account = !owner.account.is_empty() && *owner.account == *authenticated.account();
        if same_user && allocation.granted.transaction == request.message.transaction() {
            return Some(Ok(Answer::Allocated(allocation.granted)));
        }
        match self.settings.on_reallocate {
            OnReallocate::Replace if same_user || same_account => None,
            OnReallocate::Replace | OnReallocate::Refuse => {
                Some(Err(Refused(ErrorCode::AllocationMismatch)))
            }
        }
    }

    /// Takes the quota's places and draws the ports.
    fn draw(&mut self, request: &Request<'_>, wish: &Wish) -> Result<Answer, Refused> {
        if !wish.families.into_iter().flatten().any(|family| self.relays.has_family(family)) {
            return Err(Refused(ErrorCode::AddressFamilyNotSupported));
        }
        let mut opening = self.opening(request, wish.asked_s);
        opening.parity = wish.parity;
        self.take_places(&mut opening)?;
        for family in wish.families.into_iter().flatten() {
            self.draw_end(&mut opening, family);
        }
        if opening.asked.is_empty() {
            self.leave_places(&opening);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        let pending = self.openings.name();
        self.ask(pending, opening);
        Ok(Answer::Later)
    }

    /// An Allocate that waits for nothing yet.
    pub(super) fn opening(&self, request: &Request<'_>, asked_s: Option<u32>) -> Opening {
        Opening {
            flow: request.flow,
            transaction: request.message.transaction(),
            fingerprint: request.message.fingerprint() == Fingerprint::Valid,
            owner: Owner::of(request.authenticated, self.rules),
            lifetime_s: self.settings.lifetime_s(asked_s),
            parity: Parity::Any,
            places: 0,
            asked: Vec::new(),
            bound: [None, None],
            reserved: None,
            missing: [None, None],
            spoiled: Vec::new(),
            retries: BIND_RETRIES,
        }
    }

    /// One place of the quota for the allocation, and one for a port reserved beside it.
    fn take_places(&mut self, opening: &mut Opening) -> Result<(), Refused> {
        let places = if opening.parity == Parity::Pair { 2 } else { 1 };
        for _ in 0..places {
            if let Err(exhausted) = self.shard.quota.admit(&opening.owner.account) {
                self.leave_places(opening);
                self.counters.reach(quota(exhausted));
                return Err(Refused(code(exhausted)));
            }
            opening.places += 1;
        }
        Ok(())
    }

    /// Gives every place back that an Allocate had taken.
    pub(super) fn leave_places(&mut self, opening: &Opening) {
        for _ in 0..opening.places {
            self.shard.quota.leave(&opening.owner.account);
        }
    }

    /// Draws a port for a family, and notes why when there is none.
    pub(super) fn draw_end(&mut self, opening: &mut Opening, family: Family) {
        let missing = &mut opening.missing[index(family)];
        if !self.relays.has_family(family) {
            *missing = Some(ErrorCode::AddressFamilyNotSupported);
            return;
        }
        match self.relays.draw(family, opening.parity, &mut self.chance) {
            Some(drawn) => {
                *missing = None;
                opening.note(family, drawn);
            }
            None => {
                self.counters.reach(QuotaHit::Ports);
                *missing = Some(ErrorCode::InsufficientCapacity);
            }
        }
    }
}

impl Wish {
    /// Reads the request in the order of RFC 8656 §7.2, so that of several faults the first named
    /// there is answered.
    fn of(message: &Message<'_>) -> Result<Wish, Refused> {
        match message.requested_transport()? {
            None => return Err(Refused(ErrorCode::BadRequest)),
            Some(TRANSPORT_UDP) => {}
            Some(_) => return Err(Refused(ErrorCode::UnsupportedTransport)),
        }
        let token = message.reservation_token()?;
        let reserve = message.even_port()?;
        let requested = message.requested_family()?;
        let additional = message.additional_family()?;
        if token.is_some() && (reserve.is_some() || requested.is_some() || additional.is_some()) {
            return Err(Refused(ErrorCode::BadRequest));
        }
        if additional.is_some() && (requested.is_some() || reserve == Some(true)) {
            return Err(Refused(ErrorCode::BadRequest));
        }
        Ok(Wish {
            families: families(requested, additional)?,
            parity: parity(reserve),
            token,
            asked_s: message.lifetime_s()?,
        })
    }
}

/// A client is sent to another server, unless it comes for a port that was reserved for it here, or, where there is none of its family, told that this one has
/// no room: 508 is the code after which a client looks for another server by itself, and unlike 486
/// it says nothing about the user (RFC 8656 §7.2).
fn elsewhere(alternates: Alternates, request: &Request<'_>) -> Result<Answer, Refused> {
    let server = alternates.of(request.flow.client.ip());
    server.map(Answer::Elsewhere).ok_or(Refused(ErrorCode::InsufficientCapacity))
}

/// IPv4 unless another family is named; ADDITIONAL-ADDRESS-FAMILY can only add IPv6
/// (RFC 8656 §7.2).
fn families(
    requested: Option<Option<Family>>,
    additional: Option<Option<Family>>,
) -> Result<[Option<Family>; 2], Refused> {
    match (requested, additional) {
        (Some(None), _) => Err(Refused(ErrorCode::AddressFamilyNotSupported)),
        (Some(family), _) => Ok([family, None]),
        (None, None) => Ok([Some(Family::V4), None]),
        (None, Some(Some(Family::V6))) => Ok([Some(Family::V4), Some(Family::V6)]),
        (None, Some(Some(Family::V4) | None)) => Err(Refused(ErrorCode::BadRequest)),
    }
}

const fn parity(reserve: Option<bool>) -> Parity {
    match reserve {
        None => Parity::Any,
        Some(false) => Parity::Even,
        Some(true) => Parity::Pair,
    }
}

const fn code(exhausted: Exhausted) -> ErrorCode {
    match exhausted {
        Exhausted::User => ErrorCode::AllocationQuotaReached,
        Exhausted::Total => ErrorCode::InsufficientCapacity,
    }
}

const fn quota(exhausted: Exhausted) -> QuotaHit {
    match exhausted {
        Exhausted::User => QuotaHit::User,
        Exhausted::Total => QuotaHit::Total,
    }
}
