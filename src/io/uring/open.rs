//! Sockets that the ring opens and closes itself.
//!
//! ```text
//! bind   SOCKET into the slot │ options │ BIND      one call, with everything else of the turn
//! close  cancel the receive │ CLOSE the slot        one call
//! ```
//!
//! Such a socket has no descriptor of the process: it is in the ring's table of registered files
//! alone. That saves a dozen system calls for each allocation, and the limit of open files is one
//! for each ring instead of one for the process. The receive is armed with the call after the bind,
//! which is the one that tells the client of its port.

use std::io;

use super::{Collected, UringDriver};
use crate::io::{
    engine::table::{Key, Phase},
    sockets,
};

impl UringDriver {
    /// Queues what opens the sockets that are asked for.
    pub(super) fn open_wanted(&mut self) -> io::Result<()> {
        let Some(buffers) = self.direct else { return Ok(()) };
        for (key, address) in self.to_open.drain(..) {
            let settings = sockets::relay_settings(address.is_ipv6(), buffers);
            self.kernel.bind(key, address, settings)?;
        }
        Ok(())
    }

    /// Queues the end of sockets that only the ring has.
    pub(super) fn leave_closed(&mut self) -> io::Result<()> {
        for key in self.to_leave.drain(..) {
            self.kernel.leave(key)?;
        }
        Ok(())
    }

    /// Something on the way to a bound socket has failed; its bind fails, too, and comes last.
    pub(super) fn not_made(&mut self, key: Key, errno: i32) {
        let Some(entry) = self.table.at(key) else { return };
        match entry.phase {
            Phase::Opening(Ok(())) => entry.phase = Phase::Opening(Err(errno)),
            Phase::Opening(Err(_)) => {}
            Phase::Open | Phase::Refused(_) | Phase::Closing => {
                debug_assert!(false, "the DF bit of a socket can be switched: errno {errno}");
            }
        }
    }

    /// A socket is bound, or is not.
    pub(super) fn bound(&mut self, key: Key, result: i32) {
        let Some(entry) = self.table.at(key) else { return };
        let Phase::Opening(made) = entry.phase else { return };
        let bound = if result < 0 { Err(-result) } else { Ok(()) };
        match made.and(bound) {
            Ok(()) => {
                entry.phase = Phase::Open;
                self.to_arm.push_back(key);
                self.backlog.push_back(Collected::Opened(key));
            }
            Err(errno) => {
                entry.phase = Phase::Refused(errno);
                entry.leaving = true;
                self.to_leave.push(key);
            }
        }
    }

    /// The ring's table no longer has a socket; a receive may still hold it.
    pub(super) fn left(&mut self, key: Key) {
        if let Some(entry) = self.table.at(key) {
            entry.leaving = false;
        }
        self.release_if_idle(key);
    }

    /// Lets a closed socket be released once nothing of it is with the kernel.
    pub(super) fn release_if_idle(&mut self, key: Key) {
        if self.table.at(key).is_some_and(|entry| !entry.armed && !entry.leaving) {
            self.to_release.push(key);
        }
    }
}
