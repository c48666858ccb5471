//! The state machine of one worker: where every datagram from a client is judged.

use std::{collections::VecDeque, net::SocketAddr, sync::Arc};

use super::{
    allocation::{connection_owners::ConnectionOwners, table::Allocations, timer::Wheel},
    api::{
        counters::Counters,
        effect::Effect,
        names::{identity::RelayId, path::Path},
        now::Now,
        reason::Reason,
        report::Report,
        settings::Settings,
        verdict::Verdict,
    },
    auth::{
        authenticator::{Authenticated, Refusal},
        refusal_reports::RefusalReports,
        reply_budget::{Admitted, ReplyBudget, kind::ReplyKind},
        stream_strangers::StreamStrangers,
    },
    method::{
        allocate::pending::PendingAllocates,
        request::{
            answer::{Answer, Envelope, Refused},
            attributes::Unknown,
            verified::Request,
        },
    },
    policy::alternates::Alternates,
    ports::{
        plan::Shard,
        relays::{PortUse, Relays},
        reservation::Reservations,
    },
    rng::Rng,
};
use crate::wire::{
    Class, ErrorCode, Fingerprint, Header, HeaderError, Message, Method, PacketKind, ParseError,
};

/// One worker's TURN server.
pub struct Server {
    pub(super) settings: Arc<Settings>,
    pub(super) shard: Shard,
    pub(super) rng: Rng,
    pub(super) allocations: Allocations,
    pub(super) pending_allocates: PendingAllocates,
    pub(super) relays: Relays,
    /// The peer connections of TCP allocations.
    pub(super) connections: ConnectionOwners,
    pub(super) reservations: Reservations,
    pub(super) timers: Wheel,
    pub(super) budget: ReplyBudget,
    pub(super) stream_strangers: StreamStrangers,
    pub(super) refusals: RefusalReports,
    pub(super) counters: Counters,
    pub(super) effects: VecDeque<Effect>,
    pub(super) reports: VecDeque<Report>,
    /// Where new clients are sent, while this server takes none.
    pub(super) draining: Option<Alternates>,
    /// How often the rules have changed.
    pub(super) settings_epoch: u32,
    /// The serial number of the allocation named last.
    pub(super) last_serial: u64,
    /// The slot from which on allocations are still to be measured by a new peer policy.
    pub(super) policy_recheck: Option<u32>,
}

impl Server {
    /// Begins with no allocation. `seed` is the only chance there is: 32 bytes from the kernel's
    /// generator, different in every worker.
    pub fn new(settings: Arc<Settings>, shard: Shard, seed: [u8; 32]) -> Server {
        let mut rng = Rng::new(seed);
        Server {
            allocations: Allocations::new(rng.hash_state()),
            pending_allocates: PendingAllocates::new(&mut rng),
            relays: Relays::new(&shard),
            connections: ConnectionOwners::new(shard.worker, rng.hash_state()),
            reservations: Reservations::new(shard.worker, rng.hash_state()),
            timers: Wheel::new(),
            budget: ReplyBudget::new(settings.stranger_bytes_per_s, rng.bits()),
            stream_strangers: StreamStrangers::new(rng.hash_state()),
            refusals: RefusalReports::default(),
            counters: Counters::default(),
            effects: VecDeque::new(),
            reports: VecDeque::new(),
            draining: None,
            settings_epoch: 0,
            last_serial: 0,
            policy_recheck: None,
            settings,
            shard,
            rng,
        }
    }

    /// Judges a datagram that came to a listener, or a frame of a stream, its padding included, and
    /// with it all `frames` of a run that begins with it ([`wire::run`](crate::wire::run())). STUN
    /// messages come alone.
    ///
    /// The datagram is only read, because it may be one segment of a train that others share; an
    /// answer goes into `reply`, which the caller keeps for all of them
    /// ([`REPLY_BYTES`](super::REPLY_BYTES) are always enough).
    pub fn from_client(
        &mut self,
        now: Now,
        path: Path,
        datagram: &[u8],
        frames: usize,
        reply: &mut [u8],
    ) -> Verdict {
        let verdict = match PacketKind::of(datagram) {
            PacketKind::ChannelData => self.channel_data(now, path.flow, datagram, frames),
            PacketKind::Stun => self.stun(now, path, datagram, reply),
            PacketKind::Other => Verdict::Drop(Reason::NotStun),
        };
        if let Verdict::Drop(reason) = verdict {
            self.drop_frames(path.flow, reason, frames);
        }
        verdict
    }

    /// Takes the oldest effect. Drained after every call that takes `&mut self`.
    pub fn next_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// Takes the oldest report. Drained after every call that takes `&mut self`.
    pub fn next_report(&mut self) -> Option<Report> {
        self.reports.pop_front()
    }

    /// What the socket of a relay is bound to, or was asked to be.
    pub fn local(&self, relay: RelayId) -> SocketAddr {
        self.relays.local(relay)
    }

    /// How many ports this worker has, for each relay address.
    pub fn port_use(&self) -> Vec<PortUse> {
        self.relays.port_use().collect()
    }

    /// What happened so far.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    fn stun(&mut self, now: Now, path: Path, datagram: &[u8], reply: &mut [u8]) -> Verdict {
        let admitted = match self.first_look(now, path, datagram) {
            Ok(admitted) => admitted,
            Err(reason) => return Verdict::Drop(reason),
        };
        let message = match Message::parse(datagram) {
            Ok(message) => message,
            Err(ParseError::Header(error)) => return Verdict::Drop(reason(error)),
            Err(ParseError::Attributes(_))
                if Fingerprint::at_the_end(datagram) == Fingerprint::Wrong =>
            {
                return Verdict::Drop(Reason::WrongFingerprint);
            }
            Err(ParseError::Attributes(header)) => {
                return self.unreadable(now, path, header, admitted, reply);
            }
        };
        if message.fingerprint() == Fingerprint::Wrong {
            return Verdict::Drop(Reason::WrongFingerprint);
        }
        match message.class() {
            Class::Request => self.request(now, path, &message, admitted, reply),
            Class::Indication if message.method() == Method::Send => {
                self.send(now, path.flow, &message)
            }
            Class::Indication => Verdict::Drop(Reason::Indication),
            Class::Success | Class::Error => Verdict::Drop(Reason::Response),
        }
    }

    /// A message whose attributes do not add up: a request of a known method is told so.
    fn unreadable(
        &mut self,
        now: Now,
        path: Path,
        header: Header,
        admitted: Option<Admitted>,
        reply: &mut [u8],
    ) -> Verdict {
        if header.class != Class::Request || !self.is_answered(path, header.method) {
            return Verdict::Drop(Reason::BadAttributes);
        }
        if let Err(reason) = self.may_answer(path) {
            return Verdict::Drop(reason);
        }
        let envelope = Envelope {
            now,
            path,
            method: header.method,
            transaction: header.transaction,
            fingerprint: false,
            key: None,
        };
        let answer = Answer::Error(ErrorCode::BadRequest);
        self.answer_stranger(path, &envelope, &answer, admitted, reply)
    }

    fn request(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        admitted: Option<Admitted>,
        reply: &mut [u8],
    ) -> Verdict {
        if !self.is_answered(path, message.method()) {
            return Verdict::Drop(Reason::UnknownMethod);
        }
        if let Err(reason) = self.may_answer(path) {
            return Verdict::Drop(reason);
        }
        let stranger = Envelope::of(now, path, message, None);
        if message.method() == Method::Binding {
            let answer = self.binding(message);
            return self.answer_stranger(path, &stranger, &answer, admitted, reply);
        }
        if let Some(worker) = self.connection_owner(now, path, message) {
            return Verdict::Move(worker);
        }
        match self.authenticate(now, path, message) {
            Ok(authenticated) => {
                self.counters.authenticated += 1;
                self.stream_strangers.forget(path.flow);
                self.verified(now, path, message, &authenticated, reply)
            }
            Err(refusal) => {
                self.counters.refuse(refusal);
                self.tell_refusal(now, path, message, refusal);
                if refusal.shows_return_path() && !path.transport.is_stream() {
                    return self.write(&stranger, &refused(refusal), reply);
                }
                self.answer_stranger(path, &stranger, &refused(refusal), admitted, reply)
            }
        }
    }

    /// The methods whose requests are answered; any other is silently discarded (RFC 8489 §6.3).
    /// Those of RFC 6062 are none of a datagram's while they are off. On a stream they are 403
    /// then: they may have been on a moment ago.
    fn is_answered(&self, path: Path, method: Method) -> bool {
        match method {
            Method::Binding
            | Method::Allocate
            | Method::Refresh
            | Method::CreatePermission
            | Method::ChannelBind => true,
            Method::Connect | Method::ConnectionBind => {
                self.settings.tcp_relay || path.transport.is_stream()
            }
            Method::Send | Method::Data | Method::ConnectionAttempt | Method::Unknown(_) => false,
        }
    }

    /// Two servers must not be able to send each other answers for ever, and nobody can be answered
    /// at port 0.
    fn may_answer(&self, path: Path) -> Result<(), Reason> {
        let client = path.client();
        if client.port() == 0 {
            return Err(Reason::SourcePortZero);
        }
        let is_relay = if path.transport.is_stream() {
            self.relays.tcp_relay(client).is_some()
        } else {
            self.relays.is_live(client)
        };
        if is_relay || self.settings.own_sockets.contains(&client) {
            return Err(Reason::OwnSource);
        }
        Ok(())
    }

    /// Finds out who signed; the user of a five-tuple's allocation, or of the one whose connection
    /// is to be bound, by the key kept with it.
    fn authenticate<'m>(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'m>,
    ) -> Result<Authenticated<'m>, Refusal> {
        let client = path.nonce_address();
        let known = self.live_allocation(now, path.flow).or_else(|| self.named_allocation(message));
        let authenticator = &self.settings.authenticator;
        let Some(allocation) = known.and_then(|id| self.allocations.at(id)) else {
            return authenticator.authenticate(now, client, message);
        };
        let owner = &mut allocation.owner;
        if owner.settings_epoch == Some(self.settings_epoch) {
            let (user, key) = (&owner.user, &owner.key);
            return authenticator.authenticate_known(now, client, message, user, key);
        }
        let again = authenticator.authenticate_again(now, client, message, &owner.user)?;
        if *owner.user == *again.user() {
            owner.key = again.key().clone();
            owner.settings_epoch = Some(self.settings_epoch);
        }
        Ok(again)
    }

    /// Answers a request whose sender is known; every answer from here on is signed.
    fn verified(
        &mut self,
        now: Now,
        path: Path,
        message: &Message<'_>,
        authenticated: &Authenticated<'_>,
        reply: &mut [u8],
    ) -> Verdict {
        let answer = match Unknown::of(message) {
            Some(unknown) => Answer::Unknown(unknown),
            None => self.handle(&Request { now, path, message, authenticated }),
        };
        self.tell_error(now, path, authenticated.user(), message.method(), &answer);
        let envelope = Envelope::of(now, path, message, Some(authenticated.key()));
        self.write(&envelope, &answer, reply)
    }

    fn handle(&mut self, request: &Request<'_>) -> Answer {
        let answer = self.answer(request);
        if let Some(id) = self.allocations.find(request.path.flow) {
            self.tell_forwards(request.now, id);
        }
        answer
    }

    fn answer(&mut self, request: &Request<'_>) -> Answer {
        let handled = match request.message.method() {
            Method::Allocate => self.allocate(request),
            Method::Refresh => self.refresh(request),
            Method::CreatePermission => self.create_permission(request),
            Method::ChannelBind => self.channel_bind(request),
            Method::Connect => self.connect(request),
            Method::ConnectionBind => self.connection_bind(request),
            Method::Binding
            | Method::Send
            | Method::Data
            | Method::ConnectionAttempt
            | Method::Unknown(_) => Ok(Answer::Silence(Reason::UnknownMethod)),
        };
        handled.unwrap_or_else(|Refused(code)| Answer::Error(code))
    }

    /// Answers somebody whose request proves nothing: within the budget of his network, or a number
    /// of times on one connection, unless he has an allocation. `admitted` is what the first look
    /// found, which cannot see every fault.
    fn answer_stranger(
        &mut self,
        path: Path,
        envelope: &Envelope<'_>,
        answer: &Answer,
        admitted: Option<Admitted>,
        reply: &mut [u8],
    ) -> Verdict {
        let flow = path.flow;
        if self.allocations.find(flow).is_some() {
            return self.write(envelope, answer, reply);
        }
        if path.transport.is_stream() {
            self.stream_strangers.charge(flow);
            return self.write(envelope, answer, reply);
        }
        let (now, kind) = (envelope.now, reply_kind(answer));
        let admitted = match admitted.filter(|admitted| admitted.covers(kind)) {
            Some(admitted) => Ok(admitted),
            None => self.admit_stranger(now, flow, kind),
        };
        let admitted = match admitted {
            Ok(admitted) => admitted,
            Err(reason) => return Verdict::Drop(reason),
        };
        let verdict = self.write(envelope, answer, reply);
        if let Verdict::Reply(bytes) = verdict {
            self.budget.charge(now, &admitted, bytes);
        }
        verdict
    }

    /// Writes an answer and counts it.
    pub(super) fn write(
        &mut self,
        envelope: &Envelope<'_>,
        answer: &Answer,
        reply: &mut [u8],
    ) -> Verdict {
        match answer {
            Answer::Later => return Verdict::Pending,
            Answer::Silence(reason) => return Verdict::Drop(*reason),
            Answer::Mapped
            | Answer::Allocated(_)
            | Answer::Refreshed { .. }
            | Answer::Done
            | Answer::Connected(_)
            | Answer::Error(_)
            | Answer::Elsewhere(_)
            | Answer::Unknown(_)
            | Answer::Challenge(_) => {}
        }
        let Ok(bytes) = envelope.write(answer, &self.settings, reply) else {
            return Verdict::Drop(Reason::NoRoom);
        };
        match answer.error_code() {
            Some(code) => self.counters.error(envelope.method, code),
            None => self.counters.success(envelope.method),
        }
        Verdict::Reply(bytes)
    }
}

const fn reason(error: HeaderError) -> Reason {
    match error {
        HeaderError::NotStun => Reason::NotStun,
        HeaderError::NoCookie => Reason::NoCookie,
        HeaderError::Length => Reason::BadLength,
    }
}

/// What an answer to a stranger counts as; nobody gets any other before he has shown who he is.
const fn reply_kind(answer: &Answer) -> ReplyKind {
    match answer {
        Answer::Mapped => ReplyKind::Binding,
        Answer::Challenge(_) => ReplyKind::Challenge,
        Answer::Error(_)
        | Answer::Unknown(_)
        | Answer::Elsewhere(_)
        | Answer::Allocated(_)
        | Answer::Refreshed { .. }
        | Answer::Done
        | Answer::Connected(_)
        | Answer::Later
        | Answer::Silence(_) => ReplyKind::Error,
    }
}

const fn refused(refusal: Refusal) -> Answer {
    if refusal.is_challenge() {
        Answer::Challenge(refusal.code())
    } else {
        Answer::Error(refusal.code())
    }
}
