//! Arming receives, and arming them again.
//!
//! A multishot receive goes on until no buffer is free, until it fails, or until the kernel takes
//! an empty datagram for the end of a stream, and anybody can send one of those. From then on its
//! socket is deaf and its datagrams queue up:
//!
//! ```text
//! queue   a b ∅ c d ∅ e       armed: a b ∅, armed again: c d ∅, armed again: e
//! ```
//!
//! So the turn in which a receive ends also arms it again and takes what has come meanwhile, as
//! often as it takes. What a turn has to leave to the next one, for want of buffers or because
//! there is no end to it, keeps that one from waiting for a batch. A receive without a ring does
//! not end.

use std::{io, mem};

use super::{
    Collected, Engine,
    errno::{self, ReceiveFate},
    kernel::Kernel,
    table::{Key, Phase},
    wait_plan::WaitPlan,
};
use crate::io::event::Receive;

/// Calls of one turn that arm receives which ended in it.
const REARMS_PER_TURN: u32 = 64;
/// Failed receives in a row after which a socket is given up, so that none can keep us spinning.
const FAILURES_MAX: u32 = 100;

impl<K: Kernel> Engine<K> {
    /// Has a socket that is open now receive, if it is to.
    pub(super) fn receive_unless_paused(&mut self, key: Key, receive: Receive) {
        match receive {
            Receive::Now => self.to_arm.push_back(key),
            Receive::Paused => {}
        }
    }

    /// Arms what waits for it, unless there is no buffer to receive into.
    pub(super) fn arm_receives(&mut self) -> io::Result<()> {
        if self.to_arm.is_empty() {
            self.is_deaf = false;
            return Ok(());
        }
        let may_arm = self.kernel.may_arm();
        self.is_deaf &= may_arm == 0;
        for _ in 0..may_arm {
            let Some(key) = self.to_arm.pop_front() else { break };
            let Some(entry) = self.table.at(key) else { continue };
            if entry.phase != Phase::Open {
                continue;
            }
            entry.armed = true;
            self.kernel.arm(key, &self.table)?;
        }
        Ok(())
    }

    /// Arms the receives that have ended, and takes what has come to their sockets meanwhile.
    pub(super) fn receive_on(&mut self) -> io::Result<()> {
        let mut calls = 0..REARMS_PER_TURN;
        while self.is_deaf && calls.next().is_some() {
            self.kernel.make_ready()?;
            self.arm_receives()?;
            if self.is_deaf {
                break;
            }
            self.enter(WaitPlan::NONE)?;
        }
        Ok(())
    }

    /// Cancels the receives of closed and taken sockets; those that have none can be let go.
    pub(super) fn cancel_closed(&mut self) -> io::Result<()> {
        while let Some(key) = self.to_cancel.pop() {
            let Some(entry) = self.table.at(key) else { continue };
            if entry.armed {
                self.cancelling += usize::from(!mem::replace(&mut entry.cancelled, true));
                self.kernel.cancel(key, &self.table)?;
            } else {
                self.release_if_idle(key);
            }
        }
        Ok(())
    }

    /// A cancellation that found nothing may have met the receive between two of its steps: as long
    /// as the receive has not ended it is tried again.
    pub(super) fn not_cancelled(&mut self, key: Key) {
        if self.table.at(key).is_some_and(|entry| entry.armed) {
            self.to_cancel.push(key);
        }
    }

    pub(super) fn receive_step(
        &mut self,
        key: Key,
        result: i32,
        filled: Option<K::Filled>,
        more: bool,
    ) {
        if let Some(filled) = filled {
            self.pace.arrived();
            self.backlog.push_back(Collected::Filled(key, filled));
        }
        if result < 0 || !more {
            self.receive_ended(key, result, more);
        }
    }

    /// A receive has failed or ended, or both.
    fn receive_ended(&mut self, key: Key, result: i32, more: bool) {
        let Some(entry) = self.table.at(key) else { return };
        entry.armed = more;
        if !more && mem::take(&mut entry.cancelled) {
            self.cancelling -= 1;
        }
        if entry.is_ending() {
            return self.release_if_idle(key);
        }
        let fate = if result < 0 { errno::of_receive(-result) } else { ReceiveFate::Again };
        let failed = result < 0 && fate != ReceiveFate::Starved;
        entry.failures = if failed { entry.failures + 1 } else { 0 };
        self.counters.receive_errors += u64::from(failed);
        self.counters.starved += u64::from(fate == ReceiveFate::Starved);
        if more {
            return;
        }
        if fate == ReceiveFate::Broken || entry.failures > FAILURES_MAX {
            self.backlog.push_back(Collected::Broken(key, -result));
            return;
        }
        self.counters.rearmed += 1;
        self.is_deaf = true;
        self.to_arm.push_back(key);
    }
}
