//! From what waits to what is written: plaintext is sealed here, as late as can be, because what is
//! sealed can no longer be dropped.

use bytes::BytesMut;

use super::{
    Connection, Finish, Stage,
    outcome::{FillOutcome, Then},
};
use crate::stream::{
    egress::{Egress, QueueMemory, Taken, Wanted},
    hang_up::HangUp,
    limits::{MOST_RECORD_BYTES, WRITE_MS},
    tls::{SEAL_BYTES, Tls},
};

impl Connection {
    /// True when a fill would bring bytes or an end.
    pub fn has_output(&self) -> bool {
        let is_ending = matches!(self.stage, Stage::Draining(_)) || self.finish == Finish::Wanted;
        let has_sealed = self.tls.as_ref().is_some_and(|tls| !tls.outbound().is_empty());
        is_ending || has_sealed || (!self.egress.is_empty() && self.may_seal())
    }

    /// Bytes that a fill would bring if a write had no end, but for what TLS adds.
    pub fn output_bytes(&self) -> usize {
        self.egress.waiting_bytes() + self.tls.as_ref().map_or(0, |tls| tls.outbound().len())
    }

    /// Drops what is late, then appends to `out`, which is empty, what is to be written next: at
    /// most `most_bytes`, a small write or more. To be called when no write is in flight; a fill
    /// that appends something begins one, which ends with [`Connection::written`].
    ///
    /// # Errors
    /// [`HangUp::BadRecord`] where TLS can seal no more.
    pub fn fill(
        &mut self,
        now_ms: u64,
        most_bytes: usize,
        out: &mut BytesMut,
        memory: &mut QueueMemory,
    ) -> Result<FillOutcome, HangUp> {
        let dropped_late = self.egress.drop_late(now_ms, self.limits.delay_ms, memory);
        let mut writer = Writer { now_ms, out, most_bytes, oldest_age_ms: None };
        match &mut self.tls {
            Some(tls) => writer.sealed(tls, &mut self.egress, memory)?,
            None => writer.plain(&mut self.egress, memory),
        }
        let oldest_age_ms = writer.oldest_age_ms.map(u64::from);
        let then = self.ending(most_bytes, out);
        if !out.is_empty() {
            self.write_deadline_ms = now_ms + WRITE_MS;
            self.egress.begin_write();
        }
        Ok(FillOutcome { dropped_late, oldest_age_ms, then })
    }

    /// Notes that all bytes of the last fill are with the kernel.
    pub fn written(&mut self, now_ms: u64) {
        self.write_deadline_ms = u64::MAX;
        self.egress.end_write();
        self.note_web_traffic(now_ms);
    }

    fn may_seal(&self) -> bool {
        self.tls.as_ref().is_none_or(|tls| tls.is_established())
    }

    /// Says the end where nothing is left to be written in front of it.
    fn ending(&mut self, most_bytes: usize, out: &mut BytesMut) -> Then {
        let has_sealed = self.tls.as_ref().is_some_and(|tls| !tls.outbound().is_empty());
        let has_frames = self.may_seal() && !self.egress.is_empty();
        if has_sealed || has_frames || out.len() + SEAL_BYTES > most_bytes {
            return Then::More;
        }
        let then = match (self.stage, self.finish) {
            (Stage::Draining(reason), _) => Then::HangUp(reason),
            (_, Finish::Wanted) => Then::Finish,
            (_, Finish::Open | Finish::Said) => return Then::More,
        };
        let was_said = std::mem::replace(&mut self.finish, Finish::Said) == Finish::Said;
        if let Some(tls) = self.tls.as_mut().filter(|tls| tls.is_established() && !was_said) {
            // Without it the client sees a stream that was cut off, which it was.
            let _ = tls.close_notify(out);
        }
        then
    }
}

/// One write in the making.
struct Writer<'a> {
    now_ms: u64,
    out: &'a mut BytesMut,
    most_bytes: usize,
    /// How long the oldest frame in it had waited.
    oldest_age_ms: Option<u32>,
}

impl Writer<'_> {
    fn room_bytes(&self) -> usize {
        self.most_bytes.saturating_sub(self.out.len())
    }

    /// What fits into some bytes; a frame that does not is begun in an empty write alone.
    fn wanted(&self, most_bytes: usize) -> Wanted {
        Wanted { most_bytes, may_begin: self.out.is_empty() }
    }

    fn plain(&mut self, egress: &mut Egress, memory: &mut QueueMemory) {
        loop {
            let wanted = self.wanted(self.room_bytes());
            let Some(taken) = egress.take(self.now_ms, wanted, self.out, memory) else { break };
            self.note(taken);
        }
    }

    /// What is sealed already goes first: records are numbered.
    fn sealed(
        &mut self,
        tls: &mut Tls,
        egress: &mut Egress,
        memory: &mut QueueMemory,
    ) -> Result<(), HangUp> {
        let outbound = tls.outbound_mut();
        let taken = outbound.len().min(self.room_bytes());
        self.out.extend_from_slice(&outbound[..taken]);
        if taken < outbound.len() {
            outbound.drain(..taken);
            return Ok(());
        }
        *outbound = Vec::new();
        let mut record = std::mem::take(&mut memory.record);
        while tls.is_established() {
            let most = MOST_RECORD_BYTES.min(self.room_bytes().saturating_sub(SEAL_BYTES));
            record.clear();
            let taken = egress.take(self.now_ms, self.wanted(most), &mut record, memory);
            let Some(taken) = taken else { break };
            tls.seal(&record, self.out)?;
            self.note(taken);
        }
        memory.record = record;
        Ok(())
    }

    fn note(&mut self, taken: Taken) {
        self.oldest_age_ms = self.oldest_age_ms.max(taken.oldest_age_ms);
    }
}
