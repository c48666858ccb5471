//! Allocate: a public address for a client (RFC 8656 §7).
//!
//! Two-phase: the request is judged here and its ports drawn, then the sockets are asked for, and
//! the answer is given when they are there.
//!
//! ```text
//! pending.rs  Allocates that wait for their sockets
//! open.rs     the second phase: the sockets are there, or not
//! redeem.rs   a client that brings a RESERVATION-TOKEN gets the port reserved for it
//! ```

mod open;
pub(in crate::turn) mod pending;
mod redeem;

use crate::turn::{
    allocation::{Owner, table::AllocationId},
    api::{
        counters::QuotaHit,
        per_family::{Families, PerFamily},
        report::Cause,
        settings::OnReallocate,
    },
    method::{
        allocate::pending::{BIND_RETRIES, PendingAllocate, RelayProtocol},
        request::{
            answer::{Answer, Refused},
            verified::Request,
        },
    },
    policy::{alternates::Alternates, quota::Exhausted},
    ports::{reservation::ReservationToken, table::Parity},
    server::Server,
};
use crate::wire::{
    AttributeType, ErrorCode, Family, Fingerprint, Message, TRANSPORT_TCP, TRANSPORT_UDP,
};

/// What an Allocate asks for, once it is known to make sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct AllocateRequest {
    protocol: RelayProtocol,
    /// Both for a dual allocation.
    families: Families,
    parity: Parity,
    token: Option<ReservationToken>,
    asked_s: Option<u32>,
}

impl Server {
    /// Answers an Allocate request, or lets it wait for its sockets.
    pub(in crate::turn) fn allocate(&mut self, request: &Request<'_>) -> Result<Answer, Refused> {
        if let Some(waiting) = self.pending_allocates.transaction(request.path.flow) {
            return if waiting == request.message.transaction() {
                Ok(Answer::Silence(crate::turn::Reason::AlreadyPending))
            } else {
                Err(Refused(ErrorCode::AllocationMismatch))
            };
        }
        let in_use = self.live_allocation(request.now, request.path.flow);
        if let Some(answer) = in_use.and_then(|id| self.again(id, request)) {
            return answer;
        }
        let wish = self.wish(request)?;
        if let (Some(alternates), None) = (self.draining, wish.token) {
            return elsewhere(alternates, request);
        }
        if self.pending_allocates.is_full() {
            self.counters.reach(QuotaHit::PendingAllocates);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        match wish.token {
            Some(token) => self.claim(request, token, wish.asked_s),
            None => self.draw(request, &wish, in_use),
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

    /// Takes places of the quota and draws the ports. What is to be replaced ends before, because
    /// its place may be the last, and not where no relay has the family.
    fn draw(
        &mut self,
        request: &Request<'_>,
        wish: &AllocateRequest,
        replaced: Option<AllocationId>,
    ) -> Result<Answer, Refused> {
        if !wish.families.iter().any(|family| self.relays.has_family(family)) {
            return Err(Refused(ErrorCode::AddressFamilyNotSupported));
        }
        if let Some(id) = replaced {
            self.end_allocation(request.now, id, Cause::Replaced);
        }
        let mut waiting = self.pending_allocate(request, wish.asked_s);
        (waiting.protocol, waiting.parity) = (wish.protocol, wish.parity);
        self.acquire_quota(&mut waiting)?;
        for family in wish.families.iter() {
            self.draw_port(&mut waiting, family);
        }
        if waiting.asked.is_empty() {
            self.release_quota(&waiting);
            return Err(Refused(ErrorCode::InsufficientCapacity));
        }
        let pending = self.pending_allocates.name();
        self.ask(pending, waiting);
        Ok(Answer::Later)
    }

    /// An Allocate that waits for nothing yet.
    pub(super) fn pending_allocate(
        &self,
        request: &Request<'_>,
        asked_s: Option<u32>,
    ) -> PendingAllocate {
        PendingAllocate {
            path: request.path,
            transaction: request.message.transaction(),
            fingerprint: request.message.fingerprint() == Fingerprint::Valid,
            owner: Owner::of(request.authenticated, self.settings_epoch),
            lifetime_s: self.settings.lifetime_s(asked_s),
            protocol: RelayProtocol::Udp,
            parity: Parity::Any,
            quota_held: 0,
            asked: Vec::new(),
            bound: PerFamily::default(),
            reserved: None,
            missing: PerFamily::default(),
            ports_in_use: Vec::new(),
            retries: BIND_RETRIES,
            is_abandoned: false,
        }
    }

    /// One place of the quota for the allocation, and one for a port reserved beside it.
    fn acquire_quota(&mut self, waiting: &mut PendingAllocate) -> Result<(), Refused> {
        let wanted = if waiting.parity == Parity::Pair { 2 } else { 1 };
        for _ in 0..wanted {
            if let Err(exhausted) = self.shard.quota.admit(&waiting.owner.account) {
                self.release_quota(waiting);
                self.counters.reach(quota(exhausted));
                return Err(Refused(code(exhausted)));
            }
            waiting.quota_held += 1;
        }
        Ok(())
    }

    /// Gives every place back that an Allocate had taken.
    pub(super) fn release_quota(&mut self, waiting: &PendingAllocate) {
        for _ in 0..waiting.quota_held {
            self.shard.quota.leave(&waiting.owner.account);
        }
    }

    /// Draws a port for a family, and notes why when there is none.
    pub(super) fn draw_port(&mut self, waiting: &mut PendingAllocate, family: Family) {
        if !self.relays.has_family(family) {
            waiting.missing.set(family, ErrorCode::AddressFamilyNotSupported);
            return;
        }
        match self.relays.draw(family, waiting.parity, waiting.drawn_first(), &mut self.rng) {
            Some(drawn) => {
                waiting.missing.take(family);
                waiting.record_drawn(family, drawn);
            }
            None => {
                self.counters.reach(QuotaHit::Ports);
                waiting.missing.set(family, ErrorCode::InsufficientCapacity);
            }
        }
    }
}

impl Server {
    /// Reads the request in the order of RFC 8656 §7.2 and RFC 6062 §5.1, so that of several faults
    /// the first named there is answered.
    fn wish(&self, request: &Request<'_>) -> Result<AllocateRequest, Refused> {
        let protocol = match request.message.requested_transport()? {
            None => return Err(Refused(ErrorCode::BadRequest)),
            Some(TRANSPORT_UDP) => RelayProtocol::Udp,
            Some(TRANSPORT_TCP) if self.settings.tcp_relay => {
                fits_tcp(request)?;
                RelayProtocol::Tcp
            }
            Some(_) => return Err(Refused(ErrorCode::UnsupportedTransport)),
        };
        AllocateRequest::of(request.message, protocol)
    }
}

/// 400 unless the client is on a stream and asks for nothing that only datagrams have
/// (RFC 6062 §5.1).
fn fits_tcp(request: &Request<'_>) -> Result<(), Refused> {
    let of_datagrams =
        [AttributeType::DONT_FRAGMENT, AttributeType::EVEN_PORT, AttributeType::RESERVATION_TOKEN];
    let asks = |kind: &AttributeType| request.message.first(*kind).is_some();
    if request.path.transport.is_stream() && !of_datagrams.iter().any(asks) {
        Ok(())
    } else {
        Err(Refused(ErrorCode::BadRequest))
    }
}

impl AllocateRequest {
    fn of(message: &Message<'_>, protocol: RelayProtocol) -> Result<AllocateRequest, Refused> {
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
        Ok(AllocateRequest {
            protocol,
            families: families(requested, additional)?,
            parity: parity(reserve),
            token,
            asked_s: message.lifetime_s()?,
        })
    }
}

/// A client is sent to another server, unless it comes for a port that was reserved for it here,
/// or, where there is none of its family, told that this one has no room: 508 is the code after
/// which a client looks for another server by itself, and unlike 486 it says nothing about the user
/// (RFC 8656 §7.2).
fn elsewhere(alternates: Alternates, request: &Request<'_>) -> Result<Answer, Refused> {
    let server = alternates.of(request.path.client().ip());
    server.map(Answer::Elsewhere).ok_or(Refused(ErrorCode::InsufficientCapacity))
}

/// IPv4 unless another family is named; ADDITIONAL-ADDRESS-FAMILY can only add IPv6
/// (RFC 8656 §7.2).
fn families(
    requested: Option<Option<Family>>,
    additional: Option<Option<Family>>,
) -> Result<Families, Refused> {
    match (requested, additional) {
        (Some(None), _) => Err(Refused(ErrorCode::AddressFamilyNotSupported)),
        (Some(Some(family)), _) => Ok(Families::of(family)),
        (None, None) => Ok(Families::V4),
        (None, Some(Some(Family::V6))) => Ok(Families::Both),
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
