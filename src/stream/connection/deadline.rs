//! Until when a stream may stay what it is. Each stage has one deadline; a frame that has begun
//! and a write that does not end have one each beside it.

use super::{Connection, Stage};
use crate::stream::{
    hang_up::HangUp,
    limits::{
        BETWEEN_ALLOCATIONS_MS, BINDINGS_MS, DRAINING_MS, FIRST_MS, FRAME_MS, HANDSHAKE_MS,
        HELLO_MS, UNALLOCATED_MS, WEB_HALF_CLOSED_MS, WEB_IDLE_MS,
    },
};

impl Connection {
    /// When [`Connection::expire`] is to be called, milliseconds; `u64::MAX` for never. It may
    /// change with every other call.
    pub fn deadline_ms(&self) -> u64 {
        self.stage_deadline_ms.min(self.frame_deadline_ms).min(self.write_deadline_ms)
    }

    /// Says why the stream is to be closed now, if its deadline has passed. There are no last
    /// words: who is late for them is given none.
    pub fn expire(&self, now_ms: u64) -> Option<HangUp> {
        if now_ms < self.deadline_ms() {
            return None;
        }
        Some(match self.stage {
            Stage::Draining(reason) => reason,
            _ if now_ms >= self.write_deadline_ms => HangUp::WriteTimeout,
            _ if now_ms >= self.frame_deadline_ms => HangUp::FrameTimeout,
            Stage::Proxy => HangUp::ProxyTimeout,
            Stage::First => HangUp::FirstTimeout,
            Stage::Hello => HangUp::HelloTimeout,
            Stage::Handshake => HangUp::HandshakeTimeout,
            Stage::Turn | Stage::Held => HangUp::NoAllocation,
            Stage::Data | Stage::Web => HangUp::Idle,
        })
    }

    /// Notes that the client has an allocation: it may stay for as long as that lives, and send
    /// frames of any length.
    pub fn allocated(&mut self) {
        self.has_allocation = true;
        if self.stage == Stage::Turn {
            self.stage_deadline_ms = u64::MAX;
        }
    }

    /// Notes that the client has no allocation any more.
    pub fn deallocated(&mut self, now_ms: u64) {
        self.has_allocation = false;
        if self.stage == Stage::Turn {
            self.stage_deadline_ms = now_ms + BETWEEN_ALLOCATIONS_MS;
        }
    }

    /// Steps into a stage and arms its deadline.
    pub(super) fn enter(&mut self, now_ms: u64, stage: Stage) {
        self.stage = stage;
        self.frame_deadline_ms = u64::MAX;
        let of_handshake = self.accepted_ms + HANDSHAKE_MS;
        self.stage_deadline_ms = match stage {
            Stage::Proxy => self.stage_deadline_ms,
            // Inside TLS frames may come from now on.
            Stage::First if self.tls.is_some() => {
                self.turn_ms = now_ms;
                now_ms + UNALLOCATED_MS
            }
            Stage::First => now_ms + FIRST_MS,
            Stage::Hello => (now_ms + HELLO_MS).min(of_handshake),
            Stage::Handshake => of_handshake,
            Stage::Turn => {
                self.turn_ms = if self.tls.is_some() { self.turn_ms } else { now_ms };
                self.turn_ms + UNALLOCATED_MS
            }
            // As long as it had for an allocation.
            Stage::Held => self.stage_deadline_ms,
            Stage::Data => u64::MAX,
            Stage::Web => now_ms + WEB_IDLE_MS,
            Stage::Draining(_) => now_ms + DRAINING_MS,
        };
    }

    /// A client that asks for nothing but its address is served for a while.
    pub(super) fn note_binding(&mut self) {
        let of_bindings = self.turn_ms + BINDINGS_MS;
        self.stage_deadline_ms = self.stage_deadline_ms.max(of_bindings);
    }

    /// Notes that bytes moved between a browser and the web backend, either way, to either end.
    pub fn note_web_traffic(&mut self, now_ms: u64) {
        if self.stage == Stage::Web {
            let idle_ms = if self.is_half_closed { WEB_HALF_CLOSED_MS } else { WEB_IDLE_MS };
            self.stage_deadline_ms = now_ms + idle_ms;
        }
    }

    /// Notes that one direction is over.
    pub(super) fn half_close(&mut self, now_ms: u64) {
        self.is_half_closed = true;
        self.note_web_traffic(now_ms);
    }

    /// Arms the deadline of a frame that has begun, anew for each frame.
    pub(super) fn note_frames(&mut self, now_ms: u64, has_moved_on: bool) {
        let is_half =
            !self.carry.is_empty() || self.tls.as_ref().is_some_and(|tls| tls.has_half_a_record());
        if self.carry.is_empty() {
            self.carry = Vec::new();
        }
        if !is_half {
            self.frame_deadline_ms = u64::MAX;
        } else if has_moved_on || self.frame_deadline_ms == u64::MAX {
            self.frame_deadline_ms = now_ms + FRAME_MS;
        }
    }
}
