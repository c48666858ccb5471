//! Waiting for readable sockets with epoll.
//!
//! Sockets are watched by level, so that what one turn leaves unread is reported again; the waker
//! by edge, because its count is never read.
#![expect(unsafe_code, reason = "calls into libc")]

use std::{
    ffi::c_int,
    io,
    net::UdpSocket,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd},
    ptr,
    time::Duration,
};

use crate::io::{
    engine::{
        errno::{self, WaitFate},
        table::Key,
    },
    event::Wait,
    sys::check,
};

/// Readable descriptors reported by one wait; the rest are reported by the next.
const READY_MAX: usize = 256;
/// The token of the waker; no key of a socket packs to it, since generations have 24 bits.
const WAKER: u64 = u64::MAX;

/// An epoll instance and what its last wait reported.
pub(in crate::io) struct Epoll {
    instance: OwnedFd,
    events: Box<[libc::epoll_event]>,
    ready: usize,
}

/// Something that can be read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Readable {
    Socket(Key),
    Waker,
}

impl Epoll {
    pub(in crate::io) fn new() -> io::Result<Self> {
        // SAFETY: epoll_create1 takes an integer and touches no memory of ours.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just returned this descriptor, and nothing else holds it.
        let instance = unsafe { OwnedFd::from_raw_fd(fd) };
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; READY_MAX].into();
        Ok(Self { instance, events, ready: 0 })
    }

    /// Reports `socket` under `key` whenever it is readable.
    pub(in crate::io) fn watch(&self, socket: &UdpSocket, key: Key) -> io::Result<()> {
        let token = u64::from(key.generation) << 32 | u64::from(key.slot);
        self.control(libc::EPOLL_CTL_ADD, socket.as_raw_fd(), libc::EPOLLIN, token)
    }

    /// Reports each time something was written to the waker.
    pub(in crate::io) fn watch_edges(&self, waker: impl AsFd) -> io::Result<()> {
        let fd = waker.as_fd().as_raw_fd();
        self.control(libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN | libc::EPOLLET, WAKER)
    }

    /// No longer reports `socket`.
    pub(in crate::io) fn ignore(&self, socket: &UdpSocket) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket.as_raw_fd(), 0, 0)
    }

    fn control(&self, operation: c_int, fd: RawFd, events: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let instance = self.instance.as_raw_fd();
        // SAFETY: both descriptors are borrowed from their owners, and `event` lives through the
        // call, which only reads it.
        check(unsafe { libc::epoll_ctl(instance, operation, fd, &raw mut event) }).map(drop)
    }

    /// Waits until something is readable. Running out of time and being interrupted are no errors.
    pub(in crate::io) fn wait(&mut self, wait: Wait) -> io::Result<()> {
        let (instance, events) = (self.instance.as_raw_fd(), self.events.as_mut_ptr());
        self.ready = 0;
        // SAFETY: `events` points to READY_MAX writable events that outlive the call.
        let ready =
            unsafe { libc::epoll_wait(instance, events, READY_MAX as c_int, milliseconds(wait)) };
        match check(ready) {
            Ok(ready) => self.ready = ready as usize,
            Err(error) => match errno::of_wait(error.raw_os_error().unwrap_or(0)) {
                WaitFate::Return => {}
                WaitFate::Fatal => return Err(error),
            },
        }
        Ok(())
    }

    /// How many descriptors the last wait reported.
    pub(in crate::io) fn ready(&self) -> usize {
        self.ready
    }

    /// What the last wait reported at `index`.
    pub(in crate::io) fn readable(&self, index: usize) -> Readable {
        // SAFETY: the field is an initialised integer; epoll_event is packed on some machines, so
        // it is copied out of its place unaligned.
        let token = unsafe { ptr::read_unaligned(&raw const self.events[index].u64) };
        if token == WAKER {
            return Readable::Waker;
        }
        Readable::Socket(Key { slot: token as u32, generation: (token >> 32) as u32 })
    }
}

/// epoll's own unit, rounded up so that a wait never ends early.
fn milliseconds(wait: Wait) -> c_int {
    match wait {
        Wait::None => 0,
        Wait::Forever => -1,
        Wait::For(limit) => {
            let rounded = limit.saturating_add(Duration::from_nanos(999_999)).as_millis();
            c_int::try_from(rounded).unwrap_or(c_int::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up() {
        assert_eq!(milliseconds(Wait::None), 0);
        assert_eq!(milliseconds(Wait::Forever), -1);
        assert_eq!(milliseconds(Wait::For(Duration::ZERO)), 0);
        assert_eq!(milliseconds(Wait::For(Duration::from_micros(1))), 1);
        assert_eq!(milliseconds(Wait::For(Duration::from_millis(7))), 7);
        assert_eq!(milliseconds(Wait::For(Duration::MAX)), c_int::MAX);
    }
}
