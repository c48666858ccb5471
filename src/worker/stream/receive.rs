//! From a connection's bytes through the state machine.
//!
//! Frames in clear text are judged where the kernel put them and leave for the peer from there.
//! Those that were decrypted are copied back into the buffer they came in, and one that came in
//! pieces into a buffer of its own.

use std::{mem, ops::Range};

use crate::worker::{data::inbound::LeasedTrain, reactor::Worker, stream::far::moved::Hops};
use crate::{
    io::{Driver, HangUpHow, Lease, StreamId},
    stream::{Arrival, HangUp, Intake, Next, Span},
    turn::{Now, Path, Reason, Verdict},
};

/// Steps of TLS handshakes in a turn at most. Each takes as long as relaying some hundred packets,
/// and a storm of connections must not be heard in calls: what arrives meanwhile waits for one,
/// and for more only where the turn is long anyway.
const STEPS_A_TURN: usize = 4;
/// What a turn has to bring for each step beyond the first.
const EVENTS_A_STEP: usize = 64;

impl<D: Driver> Worker<D> {
    /// Takes what arrived on a connection.
    pub(super) fn on_bytes(&mut self, now: Now, stream: StreamId, mut lease: Lease) {
        if self.streams.client(stream).is_none() {
            return self.pass_to_client(now, stream, lease.payload());
        }
        let payload = lease.range();
        let Some(buffer) = lease.exclusive() else {
            debug_assert!(false, "what has just arrived has one holder");
            return;
        };
        // It is given back below.
        let mut intake = mem::take(&mut self.streams.intake);
        let client = self.streams.client(stream).expect("it was there a moment ago");
        let outcome = client.connection.receive(now.mono_ms, &mut buffer[payload], &mut intake);
        self.take_intake(now, stream, intake, Some(lease), outcome);
    }

    /// Takes waiting handshakes a step on, as many as a turn that brought so much has time for.
    pub(in crate::worker) fn step_handshakes(&mut self, now: Now, events: usize) {
        let mut left = STEPS_A_TURN.min(1 + events / EVENTS_A_STEP);
        while left > 0 {
            let Some(stream) = self.streams.steps.pop_front() else { return };
            // In a storm, thousands are gone by the time it is their turn: they cost no step.
            let Some(client) = self.streams.client(stream) else { continue };
            client.waits_for_step = false;
            left -= usize::from(client.connection.wants_step());
            let mut intake = mem::take(&mut self.streams.intake);
            let client = self.streams.client(stream).expect("it was there a moment ago");
            let outcome = client.connection.step(now.mono_ms, &mut intake);
            self.take_intake(now, stream, intake, None, outcome);
            let client = self.streams.client(stream);
            if client.is_some_and(|client| mem::take(&mut client.fin_waits)) {
                self.on_finished(now, stream);
            }
        }
    }

    /// Whether a handshake waits for the next turn.
    pub(in crate::worker) fn has_steps(&self) -> bool {
        !self.streams.steps.is_empty()
    }

    /// Does what an intake says, gives it back, and then takes the outcome.
    pub(super) fn take_intake(
        &mut self,
        now: Now,
        stream: StreamId,
        mut intake: Intake,
        mut lease: Option<Lease>,
        outcome: Result<(), HangUp>,
    ) {
        let mut outcome = self.admit_behind_proxy(now, stream).and(outcome);
        self.act(now, stream, &intake, lease.as_mut());
        while let Some(next) = self.next_of(stream) {
            intake.clear();
            let Some(client) = self.streams.client(stream) else { break };
            outcome = outcome.and(client.connection.go_on(now.mono_ms, next, &mut intake));
            self.act(now, stream, &intake, None);
            if next == Next::Data {
                self.begin_pipe(now, stream);
            }
        }
        intake.clear();
        self.streams.intake = intake;
        match outcome {
            Ok(()) => self.streams.settle(stream),
            Err(reason) => self.hang_up(now, stream, reason, HangUpHow::Close),
        }
    }

    /// What follows a ConnectionBind that has been judged.
    fn next_of(&mut self, stream: StreamId) -> Option<Next> {
        let client = self.streams.client(stream).filter(|client| client.connection.is_held())?;
        Some(if client.far.is_some() { Next::Data } else { Next::Frames })
    }

    /// Does what an intake says.
    fn act(&mut self, now: Now, stream: StreamId, intake: &Intake, mut lease: Option<&mut Lease>) {
        let moved = lease.as_mut().is_some_and(|lease| move_into(intake, lease));
        let lease = lease.as_deref();
        let here = lease.map_or(&[][..], Lease::payload);
        for arrival in intake.arrivals() {
            match arrival {
                Arrival::Frames { place, frame_bytes } => {
                    let Some(path) = self.path(now, stream) else { return };
                    let found = self.found(intake, place, lease, moved);
                    if let Some((lease, payload)) = found {
                        let train = LeasedTrain { lease, payload, segment_bytes: *frame_bytes };
                        let dropped = self.receive_train(now, path, train);
                        if dropped == Some(Reason::TooManyAnswers) {
                            return self.let_go(now, stream, HangUp::AnswersUsedUp);
                        }
                    }
                }
                Arrival::Bind(place) => {
                    self.receive_bind(now, stream, intake.bytes(place, here), Hops::None);
                }
                Arrival::Web(place) => self.open_web(now, stream, intake.bytes(place, here)),
                Arrival::Data(place) => {
                    self.pass_to_far(now, stream, intake.bytes(place, here));
                }
                Arrival::Finished => self.client_finished(now, stream),
            }
        }
    }

    /// Judges a ConnectionBind. If it succeeds, the connection has a far side from then on.
    pub(super) fn receive_bind(&mut self, now: Now, stream: StreamId, request: &[u8], hops: Hops) {
        let Some(path) = self.path(now, stream) else { return };
        let reply = &mut self.reply[..];
        let verdict = match hops {
            Hops::None => self.server.from_client(now, path, request, 1, reply),
            Hops::One => self.server.from_moved_client(now, path, request, reply),
        };
        match verdict {
            Verdict::Reply(bytes) => self.answer_stream(now, path.flow, bytes),
            Verdict::Move(worker) => self.move_client(now, stream, worker, request),
            Verdict::Pending | Verdict::Drop(_) => {}
            Verdict::ToPeer { .. } | Verdict::ToClient { .. } | Verdict::HandOver { .. } => {
                debug_assert!(false, "a ConnectionBind relays nothing");
            }
        }
        self.carry_out(now);
    }

    /// How the state machine knows a connection. Of two that say they are one client's the older
    /// one goes.
    fn path(&mut self, now: Now, stream: StreamId) -> Option<Path> {
        let client = self.streams.client(stream)?;
        let path = client.path();
        if client.flow.is_none() {
            let handshake = client.connection.handshake();
            handshake.into_iter().for_each(|it| self.streams.counters.count_handshake(it));
            let former = self.streams.of(path.flow);
            if let Some(former) = former {
                self.hang_up(now, former, HangUp::Displaced, HangUpHow::Reset);
            }
            self.streams.name(stream, path.flow);
        }
        Some(path)
    }

    /// A buffer with the bytes of a place in it, and where.
    fn found(
        &mut self,
        intake: &Intake,
        place: &Span,
        lease: Option<&Lease>,
        moved: bool,
    ) -> Option<(Lease, Range<usize>)> {
        match (place, lease) {
            (Span::Here(range), Some(lease)) => {
                let begin = lease.range().start;
                Some((lease.share(), begin + range.start..begin + range.end))
            }
            (Span::Elsewhere(range), Some(lease)) if moved => Some((lease.share(), range.clone())),
            (Span::Elsewhere(_), _) => {
                let Some(copy) = self.copied(intake.bytes(place, &[])) else {
                    self.counters.no_buffer += 1;
                    return None;
                };
                let payload = copy.range();
                Some((copy, payload))
            }
            (Span::Here(_), None) => None,
        }
    }
}

/// Copies what an intake has put together into the front of a buffer, if nothing of it stands there
/// and there is room.
fn move_into(intake: &Intake, lease: &mut Lease) -> bool {
    let ends = intake.arrivals().iter().map(|arrival| match arrival {
        Arrival::Frames { place, .. }
        | Arrival::Bind(place)
        | Arrival::Web(place)
        | Arrival::Data(place) => match place {
            Span::Elsewhere(range) => Some(range.end),
            Span::Here(_) => None,
        },
        Arrival::Finished => Some(0),
    });
    let Some(end) = ends.reduce(|one, other| Some(one?.max(other?))).flatten() else {
        return false;
    };
    let Some(room) = lease.exclusive().and_then(|buffer| buffer.get_mut(..end)) else {
        return false;
    };
    room.copy_from_slice(intake.bytes(&Span::Elsewhere(0..end), &[]));
    true
}
