//! Working off completions: sends end, receives queue up, ended receives are decided.

use super::{
    Collected, UringDriver,
    kernel::{Filled, Sent, Step},
};
use crate::io::{
    SocketId,
    engine::{
        errno::{self, ReceiveFate, SendFate},
        table::{Key, Phase},
    },
};

/// Failed receives in a row after which a socket is given up, so that none can keep us spinning.
const FAILURES_MAX: u32 = 100;

impl UringDriver {
    /// Takes every completion there is.
    pub(super) fn collect(&mut self) {
        self.counters.ring_overflows += u64::from(self.kernel.ring().has_overflow());
        while let Some(step) = self.kernel.pop() {
            match step {
                Step::Received { key, result, filled, more } => {
                    self.received_step(key, filled);
                    if !more {
                        self.receive_ended(key, result);
                    }
                }
                Step::Sent { sent, result } => self.send_ended(sent, result),
                Step::Cancelled { key, result } if result < 0 => self.cancel_failed(key),
                Step::Cancelled { .. } => {}
                Step::Woken { more } => self.woken(more),
                Step::NotMade { key, errno } => self.not_made(key, errno),
                Step::Bound { key, result } => self.bound(key, result),
                Step::Left { key } => self.left(key),
            }
        }
        self.note_free_buffers();
    }

    fn note_free_buffers(&mut self) {
        let free = self.kernel.published() + self.kernel.pool().free_receive();
        self.counters.note_free_buffers(free as usize);
    }

    fn received_step(&mut self, key: Key, filled: Option<Filled>) {
        if let Some(filled) = filled {
            self.pace.arrived();
            self.backlog.push_back(Collected::Filled(key, filled));
        }
    }

    fn receive_ended(&mut self, key: Key, result: i32) {
        let Some(entry) = self.table.at(key) else { return };
        entry.armed = false;
        if entry.phase == Phase::Closing {
            return self.release_if_idle(key);
        }
        let fate = if result < 0 { errno::of_receive(-result) } else { ReceiveFate::Again };
        let failed = result < 0 && fate != ReceiveFate::Starved;
        entry.failures = if failed { entry.failures + 1 } else { 0 };
        self.counters.receive_errors += u64::from(failed);
        self.counters.starved += u64::from(fate == ReceiveFate::Starved);
        if fate == ReceiveFate::Broken || entry.failures > FAILURES_MAX {
            self.backlog.push_back(Collected::Broken(key, -result));
            return;
        }
        self.counters.rearmed += 1;
        self.is_deaf = true;
        self.to_arm.push_back(key);
    }

    /// A cancellation that found nothing may have met the receive between two of its steps: as long
    /// as the receive has not ended it is tried again.
    fn cancel_failed(&mut self, key: Key) {
        if self.table.at(key).is_some_and(|entry| entry.armed) {
            self.to_cancel.push(key);
        }
    }

    fn woken(&mut self, more: bool) {
        self.watching = more;
        self.waker.acknowledge();
        self.backlog.push_back(Collected::Woken);
    }

    fn send_ended(&mut self, sent: Sent, result: i32) {
        if result >= 0 {
            self.counters.count_sent(self.kernel.train(&sent));
        } else {
            self.send_failed(&sent, -result);
        }
        sent.finish(&mut self.kernel);
    }

    fn send_failed(&mut self, sent: &Sent, errno: i32) {
        let train = self.kernel.train(sent);
        let (socket, segments) = (train.socket, train.segments);
        let fate = errno::of_send(errno, segments > 1);
        match fate {
            SendFate::Unjoin => self.kernel.refuse(sent),
            SendFate::NoOffload if self.kernel.stop_segmentation() => {
                self.backlog.push_back(Collected::SegmentationOff);
            }
            SendFate::NoOffload => {}
            SendFate::Full
            | SendFate::Forbidden
            | SendFate::Unreachable
            | SendFate::TooLong
            | SendFate::Error => return self.counters.count_dropped(fate, segments),
        }
        let Some(entry) = self.table.get(socket) else { return };
        match &entry.socket {
            Some(socket) => self.kernel.send_singly(sent, socket, &mut self.counters),
            None => self.send_borrowed(sent, socket),
        }
    }

    /// Sends a refused train again, datagram by datagram, from a socket that only the ring has. It
    /// happens once to a flow, if at all, and waiting here keeps the flow in order.
    fn send_borrowed(&mut self, sent: &Sent, socket: SocketId) {
        match self.kernel.descriptor(socket) {
            Ok(socket) => self.kernel.send_singly(sent, &socket, &mut self.counters),
            Err(_) => {
                let segments = self.kernel.train(sent).segments;
                self.counters.count_dropped(SendFate::Error, segments);
            }
        }
    }
}
