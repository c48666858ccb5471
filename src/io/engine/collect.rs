//! Working off steps: sends end, receives queue up, closed sockets are let go.

use std::time::Instant;

use super::{
    Collected, Engine,
    errno::{self, SendFate},
    kernel::{Kernel, Slots, Step},
    table::{Key, Phase},
};
use crate::io::event::SocketId;

impl<K: Kernel> Engine<K> {
    /// Takes every step there is.
    pub(super) fn collect(&mut self) {
        while let Some(step) = self.kernel.pop(&self.table) {
            match step {
                Step::Received { key, result, filled, more } => {
                    self.receive_step(key, result, filled, more);
                }
                Step::Sent { sent, result } => self.send_ended(sent, result),
                Step::NotCancelled { key } => self.not_cancelled(key),
                Step::Woken => self.woken(),
                Step::NotMade { key, errno } => self.not_made(key, errno),
                Step::Bound { key, result } => self.bound(key, result),
                Step::Installed { key, socket } => self.installed(key, socket),
                Step::Left { key } => self.left(key),
                Step::Stream(step) => self.streams.step(step, &mut self.counters),
            }
        }
        self.kernel.count(&mut self.counters);
        self.release_closed();
    }

    fn woken(&mut self) {
        self.waker.acknowledge();
        self.backlog.push_back(Collected::Woken);
    }

    fn send_ended(&mut self, sent: K::Sent, result: i32) {
        let train = self.kernel.train(&sent);
        let is_train = train.segments > 1;
        #[cfg(test)]
        let result = if is_train && (self.refuses)(train.to.ip()) { -libc::EIO } else { result };
        if result >= 0 {
            self.counters.count_sent(train);
            if is_train && self.segmentation.taken() {
                self.backlog.push_back(Collected::SegmentationOn);
            }
        } else {
            self.send_failed(&sent, -result);
        }
        self.kernel.finish(sent);
    }

    fn send_failed(&mut self, sent: &K::Sent, errno: i32) {
        let train = self.kernel.train(sent);
        let (socket, segments, to) = (train.socket, train.segments, train.to.ip());
        let fate = errno::of_send(errno, segments > 1);
        match fate {
            SendFate::Unjoin => self.kernel.refuse(sent),
            SendFate::NoOffload if self.segmentation.refused(to, Instant::now()) => {
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

    /// Sends a refused train again, datagram by datagram, from a socket that only the kernel has.
    /// It happens once to a flow, if at all, and waiting here keeps the flow in order.
    fn send_borrowed(&mut self, sent: &K::Sent, socket: SocketId) {
        match self.slots().descriptor(socket) {
            Ok(socket) => self.kernel.send_singly(sent, &socket, &mut self.counters),
            Err(_) => {
                let segments = self.kernel.train(sent).segments;
                self.counters.count_dropped(SendFate::Error, segments);
            }
        }
    }

    /// Lets a closed or taken socket be released once nothing of it is with the kernel.
    pub(super) fn release_if_idle(&mut self, key: Key) {
        if self.table.at(key).is_some_and(|entry| !entry.armed && !entry.leaving) {
            self.to_release.push(key);
        }
    }

    /// Lets go of sockets that have nothing under way.
    ///
    /// While submissions are left over, one of them may still name such a socket.
    fn release_closed(&mut self) {
        if self.to_release.is_empty() || self.kernel.has_submissions() {
            return;
        }
        while let Some(key) = self.to_release.pop() {
            self.release(key);
        }
    }

    fn release(&mut self, key: Key) {
        let Some(entry) = self.table.at(key) else { return };
        if entry.socket.is_some() {
            self.kernel.dismiss(key.id());
        }
        let (Some(entry), id) = (self.table.remove(key), key.id()) else { return };
        self.backlog.push_back(match entry.phase {
            Phase::Refused(errno) => Collected::Refused(id, errno),
            Phase::Opening(_) | Phase::Open | Phase::Closing => Collected::Closed(id),
            Phase::Leaving => match entry.hand_out() {
                Some(descriptor) => Collected::Taken(id, descriptor),
                None => Collected::Closed(id),
            },
        });
    }
}
