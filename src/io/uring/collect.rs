//! Working off completions: sends end, receives queue up, ended receives are decided.

use super::{Collected, UringDriver, kernel::Completion};
use crate::io::{
    errno::{self, ReceiveFate, SendFate},
    mmsg, outbox,
    table::{Key, Phase},
    uring::token::Token,
};

impl UringDriver {
    /// Takes every completion there is.
    pub(super) fn collect(&mut self) {
        while let Some(completion) = self.kernel.pop() {
            match completion.token {
                Token::Receive(key) => {
                    self.pace.received();
                    self.receive_stepped(key, completion);
                }
                Token::Send(train) => self.send_ended(train as usize, completion.result),
                Token::Cancel(key) if completion.result < 0 => self.cancel_failed(key),
                Token::Cancel(_) => {}
                Token::Wake => self.woken(completion.more),
            }
        }
        self.note_low_water();
    }

    fn note_low_water(&mut self) {
        let free = self.kernel.published() + self.kernel.pool().free_receive();
        self.counters.buffers_low = self.counters.buffers_low.min(free.into());
    }

    fn receive_stepped(&mut self, key: Key, completion: Completion) {
        if let Some(filled) = completion.filled {
            self.backlog.push_back(Collected::Filled(key, filled));
        }
        if !completion.more {
            self.receive_ended(key, completion.result);
        }
    }

    fn receive_ended(&mut self, key: Key, result: i32) {
        let Some(entry) = self.table.at(key) else { return };
        entry.armed = false;
        if entry.phase == Phase::Closing {
            self.to_release.push(key);
            return;
        }
        let fate = if result < 0 { errno::of_receive(-result) } else { ReceiveFate::Again };
        self.counters.starved += u64::from(fate == ReceiveFate::Starved);
        self.counters.receive_errors += u64::from(result < 0 && fate != ReceiveFate::Starved);
        match fate {
            ReceiveFate::Starved | ReceiveFate::Again | ReceiveFate::Cancelled => {
                self.counters.rearmed += 1;
                self.to_arm.push_back(key);
            }
            ReceiveFate::Broken => self.backlog.push_back(Collected::Broken(key, -result)),
        }
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

    fn send_ended(&mut self, index: usize, result: i32) {
        let train = *self.kernel.outbox().train(index);
        if result >= 0 {
            self.counters.count_sent(&train);
        } else {
            self.send_failed(index, &train, -result);
        }
        self.kernel.outbox().finish(index);
    }

    fn send_failed(&mut self, index: usize, train: &outbox::Train, errno: i32) {
        let fate = errno::of_send(errno, train.segments > 1);
        match fate {
            SendFate::Unjoin => self.kernel.outbox().refuse(index),
            SendFate::NoOffload if self.kernel.outbox().stop_segmentation() => {
                self.backlog.push_back(Collected::SegmentationOff);
            }
            SendFate::NoOffload => {}
            SendFate::Full
            | SendFate::Forbidden
            | SendFate::Unreachable
            | SendFate::TooLong
            | SendFate::Error => return self.counters.count_dropped(fate, train.segments),
        }
        let Some(entry) = self.table.get(train.socket) else { return };
        let outbox = self.kernel.outbox();
        mmsg::send_singly(&entry.socket, outbox, index, &mut self.counters);
    }
}
