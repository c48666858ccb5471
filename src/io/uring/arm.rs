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
//! So the turn in which a receive ends also arms it again and takes what has come meanwhile, as often
//! as it takes. What a turn has to leave to the next one, for want of buffers or because there is no
//! end to it, keeps that one from waiting for a batch.

use std::io;

use super::{UringDriver, ring::WaitPlan};
use crate::io::engine::table::Phase;

/// Receives armed with one call; each may at once fill up to 32 buffers.
pub(super) const ARMS_PER_CALL: usize = 64;
/// Calls of one turn that arm receives which ended in it.
const REARMS_PER_TURN: u32 = 64;

impl UringDriver {
    /// Arms what waits for it, unless there is no buffer to receive into.
    pub(super) fn arm_receives(&mut self) -> io::Result<()> {
        let free = self.kernel.published() as usize;
        self.is_deaf &= free == 0;
        for _ in 0..free.min(ARMS_PER_CALL) {
            let Some(key) = self.to_arm.pop_front() else { break };
            let Some(entry) = self.table.at(key) else { continue };
            if entry.phase != Phase::Open {
                continue;
            }
            entry.armed = true;
            let v6 = entry.v6;
            let target = self.target_of(key.id());
            self.kernel.arm(target, key, v6)?;
        }
        Ok(())
    }

    /// Arms the receives that have ended, and takes what has come to their sockets meanwhile.
    pub(super) fn receive_on(&mut self) -> io::Result<()> {
        let mut calls = 0..REARMS_PER_TURN;
        while self.is_deaf && calls.next().is_some() {
            self.kernel.publish_free();
            self.arm_receives()?;
            if self.is_deaf {
                break;
            }
            self.enter(WaitPlan::NONE)?;
        }
        Ok(())
    }
}
