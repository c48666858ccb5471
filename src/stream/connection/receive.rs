//! From what arrived to what it is.

use std::{mem, ops::Range};

use super::{Connection, Stage, canonical, outcome::Next};
use crate::{
    stream::{
        choice::Choice,
        egress::QueueMemory,
        hang_up::HangUp,
        intake::{Arrival, Intake, Span},
        limits::{MOST_HELD_BYTES, MOST_UNALLOCATED_FRAME_BYTES},
        tls::{Tls, Unsealed},
        walk::{Walk, Walked},
    },
    wire::{self, Delimited, First, MOST_FRAME_BYTES, Peeked},
};

/// The whole answer to a request of HTTP: no redirect and no words of the configuration's.
const BAD_REQUEST: &[u8] =
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

/// Plaintext that has just come.
enum Source<'a> {
    /// In the caller's bytes.
    Here(&'a [u8]),
    /// In the intake.
    Elsewhere(Range<usize>),
}

impl Source<'_> {
    fn range(&self) -> Range<usize> {
        match self {
            Source::Here(bytes) => 0..bytes.len(),
            Source::Elsewhere(range) => range.clone(),
        }
    }

    /// The buffer it stands in.
    fn bytes<'a>(&'a self, intake: &'a Intake) -> &'a [u8] {
        match self {
            Source::Here(bytes) => bytes,
            Source::Elsewhere(_) => &intake.elsewhere,
        }
    }
}

impl Connection {
    /// Takes what arrived, in order, and appends to `intake` what it is. `bytes` are decrypted in
    /// place where they are TLS. What was appended holds in the case of an error as well.
    ///
    /// # Errors
    /// Why the stream is to be closed at once. Where last words are due it is not an error:
    /// [`Connection::fill`] brings them, and the end.
    pub fn receive(
        &mut self,
        now_ms: u64,
        bytes: &mut [u8],
        intake: &mut Intake,
    ) -> Result<(), HangUp> {
        self.note_web_traffic(now_ms);
        match (&mut self.tls, self.stage) {
            (_, Stage::Draining(_)) => Ok(()),
            (Some(tls), Stage::Handshake) => {
                self.wants_step = true;
                tls.defer(bytes)
            }
            (Some(tls), _) => {
                let begin = intake.elsewhere.len();
                let opened = tls.open(bytes, &mut intake.elsewhere);
                self.take_opened(now_ms, begin, opened, intake)
            }
            (None, _) => self.take_plain(now_ms, bytes, intake),
        }
    }

    /// Takes the TLS handshake one step on: as long as some hundred packets take to relay, so a
    /// worker does few of them in a turn. To be called while [`Connection::wants_step`].
    ///
    /// # Errors
    /// As for [`Connection::receive`].
    pub fn step(&mut self, now_ms: u64, intake: &mut Intake) -> Result<(), HangUp> {
        let is_wanted = mem::take(&mut self.wants_step);
        let Some(tls) = self.tls.as_mut().filter(|_| is_wanted) else { return Ok(()) };
        let begin = intake.elsewhere.len();
        let opened = tls.step(&mut intake.elsewhere);
        if tls.is_established() {
            self.enter(now_ms, Stage::First);
        }
        self.take_opened(now_ms, begin, opened, intake)
    }

    /// Goes on behind a ConnectionBind request, with what was held back first.
    ///
    /// # Errors
    /// As for [`Connection::receive`].
    pub fn go_on(&mut self, now_ms: u64, next: Next, intake: &mut Intake) -> Result<(), HangUp> {
        if self.stage != Stage::Held {
            return Ok(());
        }
        let is_closed = self.tls.as_ref().is_some_and(|tls| tls.is_closed());
        match next {
            Next::Frames => {
                self.stage = Stage::Turn;
                if self.has_allocation {
                    self.allocated();
                }
                self.judge(now_ms, intake)?;
            }
            Next::Data => {
                self.enter(now_ms, Stage::Data);
                Self::take_data(&mem::take(&mut self.carry), intake);
            }
        }
        self.take_end(now_ms, Ok(Unsealed { is_closed }), intake);
        Ok(())
    }

    /// Takes plaintext that stands in the intake from `begin` on, and then what opening it showed.
    fn take_opened(
        &mut self,
        now_ms: u64,
        begin: usize,
        opened: Result<Unsealed, HangUp>,
        intake: &mut Intake,
    ) -> Result<(), HangUp> {
        match self.stage {
            Stage::Turn => {
                let source = Source::Elsewhere(begin..intake.elsewhere.len());
                self.take_frames(now_ms, &source, intake)?;
            }
            Stage::Data if begin < intake.elsewhere.len() => {
                let place = Span::Elsewhere(begin..intake.elsewhere.len());
                intake.arrivals.push(Arrival::Data(place));
            }
            Stage::First | Stage::Held => {
                let rest = intake.elsewhere.split_off(begin);
                self.carry.extend_from_slice(&rest);
                self.judge(now_ms, intake)?;
            }
            _ => {}
        }
        self.take_end(now_ms, opened, intake);
        Ok(())
    }

    /// Takes what opening showed about the stream's end.
    fn take_end(&mut self, now_ms: u64, opened: Result<Unsealed, HangUp>, intake: &mut Intake) {
        match (opened, self.stage) {
            (Err(reason), _) => self.drain(now_ms, reason),
            // Behind a ConnectionBind request it is looked at once more.
            (Ok(Unsealed { is_closed: false }), _) | (_, Stage::Held) => {}
            (_, Stage::Data) => intake.arrivals.push(Arrival::Finished),
            (..) => self.drain(now_ms, HangUp::Left),
        }
    }

    fn take_data(bytes: &[u8], intake: &mut Intake) {
        if !bytes.is_empty() {
            let place = intake.keep(bytes);
            intake.arrivals.push(Arrival::Data(place));
        }
    }

    fn take_plain(&mut self, now_ms: u64, bytes: &[u8], intake: &mut Intake) -> Result<(), HangUp> {
        match self.stage {
            Stage::Turn => self.take_frames(now_ms, &Source::Here(bytes), intake),
            Stage::Data | Stage::Web if bytes.is_empty() => Ok(()),
            Stage::Data | Stage::Web => {
                intake.arrivals.push(Arrival::Data(Span::Here(0..bytes.len())));
                Ok(())
            }
            _ => {
                self.carry.extend_from_slice(bytes);
                self.judge(now_ms, intake)
            }
        }
    }

    /// Judges the carry, stage by stage, for as long as it decides something.
    fn judge(&mut self, now_ms: u64, intake: &mut Intake) -> Result<(), HangUp> {
        loop {
            let stage = self.stage;
            match stage {
                Stage::Proxy => self.judge_proxy(now_ms)?,
                Stage::First => self.judge_first(now_ms, intake)?,
                Stage::Hello => self.judge_hello(now_ms, intake)?,
                Stage::Turn => return self.walk_carry(now_ms, intake),
                Stage::Held if self.carry.len() > MOST_HELD_BYTES => {
                    return Err(HangUp::TooMuchHeld);
                }
                _ => {}
            }
            if self.stage == stage {
                return Ok(());
            }
        }
    }

    fn judge_proxy(&mut self, now_ms: u64) -> Result<(), HangUp> {
        let header = match wire::proxy(&self.carry) {
            Peeked::Whole(header) => header,
            Peeked::Short => return Ok(()),
            Peeked::Broken => {
                let is_one = matches!(wire::first(&self.carry), First::ProxyV1 | First::ProxyV2);
                return Err(if is_one { HangUp::BadProxyHeader } else { HangUp::NoProxyHeader });
            }
        };
        if let Some((source, destination)) = header.client {
            (self.client, self.server) = (canonical(source), canonical(destination));
        }
        self.carry.drain(..header.bytes);
        self.enter(now_ms, Stage::First);
        Ok(())
    }

    fn judge_first(&mut self, now_ms: u64, intake: &mut Intake) -> Result<(), HangUp> {
        let is_clear = self.tls.is_none();
        let serves_tls = self.context.is_some() || self.web.is_some();
        match wire::first(&self.carry) {
            First::Short => {}
            First::Stun if is_clear && self.only_tls => return Err(HangUp::OnlyTls),
            First::Stun => {
                self.forget_opening();
                self.enter(now_ms, Stage::Turn);
            }
            First::Tls if is_clear && !serves_tls => return Err(HangUp::NoTls),
            First::Tls if is_clear => self.enter(now_ms, Stage::Hello),
            First::ProxyV1 | First::ProxyV2 if is_clear => {
                return Err(HangUp::UnexpectedProxyHeader);
            }
            First::Http | First::Other if is_clear && self.web.is_some() => {
                self.go_web(now_ms, intake);
            }
            First::Http => {
                self.egress.queue_raw(BAD_REQUEST, &mut QueueMemory::default());
                self.drain(now_ms, HangUp::Http);
            }
            First::Tls | First::ProxyV1 | First::ProxyV2 | First::Other => {
                return Err(HangUp::UnknownProtocol);
            }
        }
        Ok(())
    }

    fn judge_hello(&mut self, now_ms: u64, intake: &mut Intake) -> Result<(), HangUp> {
        let hello = match wire::hello(&self.carry) {
            Peeked::Whole(hello) => hello,
            Peeked::Short => return Ok(()),
            Peeked::Broken => return Err(HangUp::BadHello),
        };
        let choice = Choice::of(&hello, self.web.as_deref());
        if choice == Choice::Web {
            self.go_web(now_ms, intake);
            return Ok(());
        }
        let context = self.context.take().ok_or(HangUp::NoTls)?;
        let mut tls = Tls::new(&context, choice == Choice::WithAlpn)?;
        tls.defer(&mem::take(&mut self.carry))?;
        self.tls = Some(Box::new(tls));
        self.wants_step = true;
        self.forget_opening();
        self.enter(now_ms, Stage::Handshake);
        Ok(())
    }

    fn go_web(&mut self, now_ms: u64, intake: &mut Intake) {
        let place = intake.keep(&mem::take(&mut self.carry));
        intake.arrivals.push(Arrival::Web(place));
        self.forget_opening();
        self.enter(now_ms, Stage::Web);
    }

    fn forget_opening(&mut self) {
        (self.context, self.web) = (None, None);
    }

    /// Takes frames: the one that the carry has begun, then the rest where it stands.
    fn take_frames(
        &mut self,
        now_ms: u64,
        source: &Source<'_>,
        intake: &mut Intake,
    ) -> Result<(), HangUp> {
        let Range { start: mut at, end } = source.range();
        while !self.carry.is_empty() {
            let (Delimited::Short { wants } | Delimited::Frame { padded: wants, .. }) =
                wire::delimit(&self.carry)
            else {
                return Err(HangUp::BadFrame);
            };
            if wants > self.most_frame_bytes() {
                return Err(HangUp::FrameTooLong);
            }
            if wants == self.carry.len() {
                self.walk_carry(now_ms, intake)?;
                break;
            }
            let until = end.min(at + wants - self.carry.len());
            if at == until {
                return Ok(());
            }
            self.carry.extend_from_slice(&source.bytes(intake)[at..until]);
            at = until;
        }
        if self.stage == Stage::Held {
            self.carry.extend_from_slice(&source.bytes(intake)[at..end]);
            return self.judge(now_ms, intake);
        }
        self.walk(now_ms, source, at, intake)
    }

    /// Walks over what the carry holds; from there on it stands in the intake.
    fn walk_carry(&mut self, now_ms: u64, intake: &mut Intake) -> Result<(), HangUp> {
        let begin = intake.elsewhere.len();
        intake.elsewhere.append(&mut self.carry);
        self.walk(now_ms, &Source::Elsewhere(begin..intake.elsewhere.len()), begin, intake)
    }

    fn walk(
        &mut self,
        now_ms: u64,
        source: &Source<'_>,
        begin: usize,
        intake: &mut Intake,
    ) -> Result<(), HangUp> {
        let most_bytes = self.most_frame_bytes();
        let Intake { arrivals, elsewhere } = intake;
        let walk = match source {
            Source::Here(bytes) => Walk { bytes, begin, place: Span::Here, most_bytes },
            Source::Elsewhere(Range { end, .. }) => {
                Walk { bytes: &elsewhere[..*end], begin, place: Span::Elsewhere, most_bytes }
            }
        };
        let bytes = walk.bytes;
        let walked = walk.frames(arrivals)?;
        self.carry.extend_from_slice(&bytes[walked.end..]);
        self.note_walk(now_ms, walked, begin)
    }

    fn note_walk(&mut self, now_ms: u64, walked: Walked, begin: usize) -> Result<(), HangUp> {
        if walked.has_binding {
            self.note_binding();
        }
        if !walked.ends_with_bind {
            self.note_frames(now_ms, walked.end > begin);
            return Ok(());
        }
        self.enter(now_ms, Stage::Held);
        let is_too_much = self.carry.len() > MOST_HELD_BYTES;
        if is_too_much { Err(HangUp::TooMuchHeld) } else { Ok(()) }
    }

    fn most_frame_bytes(&self) -> usize {
        if self.has_allocation { MOST_FRAME_BYTES } else { MOST_UNALLOCATED_FRAME_BYTES }
    }
}
