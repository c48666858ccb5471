//! Sockets that the kernel opens and closes itself.
//!
//! ```text
//! bind   SOCKET into the slot │ options │ BIND      one call, with everything else of the turn
//! close  cancel the receive │ CLOSE the slot        one call
//! take   cancel the receive │ INSTALL a descriptor │ CLOSE the slot
//! ```
//!
//! Such a socket has no descriptor of the process: it is in a ring's table of registered files
//! alone. That saves a dozen system calls for each allocation, and the limit of open files is one
//! for each ring instead of one for the process. The receive is armed with the call after the bind,
//! which is the one that tells the client of its port.

use std::{io, net::UdpSocket};

use super::{
    Collected, Engine,
    kernel::{Kernel, Slots},
    table::{Key, Phase},
};

impl<K: Kernel> Engine<K> {
    /// The kernel's own sockets, for a socket that is one of them.
    pub(super) fn slots(&mut self) -> &mut K::Slots {
        self.kernel.slots().expect("only a kernel with slots has sockets without a descriptor")
    }

    /// Queues what opens the sockets that are asked for, and ends those that are closed or taken.
    pub(super) fn open_and_leave(&mut self) -> io::Result<()> {
        let Some(slots) = self.kernel.slots() else { return Ok(()) };
        for key in self.to_leave.drain(..) {
            if self.table.entry(key).is_some_and(|entry| entry.phase == Phase::Leaving) {
                slots.install(key)?;
            }
            slots.leave(key)?;
        }
        self.to_open.drain(..).try_for_each(|(key, address)| slots.bind(key, address))
    }

    /// Something on the way to a bound socket has failed; its bind fails, too, and comes last.
    pub(super) fn not_made(&mut self, key: Key, errno: i32) {
        let Some(entry) = self.table.at(key) else { return };
        match entry.phase {
            Phase::Opening(Ok(())) => entry.phase = Phase::Opening(Err(errno)),
            Phase::Opening(Err(_)) => {}
            Phase::Open | Phase::Refused(_) | Phase::Closing | Phase::Leaving => {
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
                let receive = entry.receive;
                self.receive_unless_paused(key, receive);
                self.backlog.push_back(Collected::Opened(key));
            }
            Err(errno) => {
                entry.phase = Phase::Refused(errno);
                entry.leaving = true;
                self.to_leave.push(key);
            }
        }
    }

    /// A socket that is taken has a descriptor, unless there can be no more.
    pub(super) fn installed(&mut self, key: Key, socket: io::Result<UdpSocket>) {
        if let Some(entry) = self.table.at(key) {
            entry.installed = socket.ok();
        }
    }

    /// The kernel no longer has a socket; a receive may still hold it.
    pub(super) fn left(&mut self, key: Key) {
        if let Some(entry) = self.table.at(key) {
            entry.leaving = false;
        }
        self.release_if_idle(key);
    }
}
