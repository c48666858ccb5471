//! Waiting for sockets that are ready with epoll.
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
        table::{GENERATION_MASK, Key},
    },
    event::Wait,
    sys::check,
};

/// Ready descriptors reported by one wait; the rest are reported by the next.
const READY_MAX: usize = 256;
/// The token of the waker; no key of a socket packs to it, since generations have 24 bits and
/// kinds are few.
const WAKER: u64 = u64::MAX;
/// What a key is of, in the bits above its generation.
const KIND_SHIFT: u32 = 56;
const SOCKET: u64 = 0;
const STREAM: u64 = 1;
const LISTENER: u64 = 2;

/// Events after which a read or a write does not wait: it may as well fail.
const READS: c_int = libc::EPOLLIN | libc::EPOLLHUP | libc::EPOLLERR;
const WRITES: c_int = libc::EPOLLOUT | libc::EPOLLHUP | libc::EPOLLERR;

/// An epoll instance and what its last wait reported.
pub(in crate::io) struct Epoll {
    instance: OwnedFd,
    events: Box<[libc::epoll_event]>,
    ready: usize,
}

/// Something that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum Watched {
    Socket(Key),
    Stream(Key),
    Listener(Key),
    Waker,
}

/// What a descriptor is watched for, or is ready for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::io) struct Readiness {
    pub(in crate::io) reads: bool,
    pub(in crate::io) writes: bool,
}

impl Readiness {
    pub(in crate::io) const NONE: Self = Self { reads: false, writes: false };
    pub(in crate::io) const READS: Self = Self { reads: true, writes: false };

    fn events(self) -> c_int {
        let reads = if self.reads { libc::EPOLLIN } else { 0 };
        let writes = if self.writes { libc::EPOLLOUT } else { 0 };
        reads | writes
    }
}

impl Watched {
    fn token(self) -> u64 {
        let packed = |kind: u64, key: Key| {
            kind << KIND_SHIFT | u64::from(key.generation) << 32 | u64::from(key.slot)
        };
        match self {
            Self::Socket(key) => packed(SOCKET, key),
            Self::Stream(key) => packed(STREAM, key),
            Self::Listener(key) => packed(LISTENER, key),
            Self::Waker => WAKER,
        }
    }

    fn of(token: u64) -> Self {
        let generation = (token >> 32) as u32 & GENERATION_MASK;
        let key = Key { slot: token as u32, generation };
        match token >> KIND_SHIFT {
            SOCKET => Self::Socket(key),
            STREAM => Self::Stream(key),
            LISTENER => Self::Listener(key),
            _ => Self::Waker,
        }
    }
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
        let token = Watched::Socket(key).token();
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

    /// Changes what a descriptor is watched for.
    pub(in crate::io) fn set(
        &self,
        descriptor: impl AsFd,
        watched: Watched,
        before: Readiness,
        after: Readiness,
    ) -> io::Result<()> {
        let operation = match (before, after) {
            (before, after) if before == after => return Ok(()),
            (Readiness::NONE, _) => libc::EPOLL_CTL_ADD,
            (_, Readiness::NONE) => libc::EPOLL_CTL_DEL,
            _ => libc::EPOLL_CTL_MOD,
        };
        let fd = descriptor.as_fd().as_raw_fd();
        self.control(operation, fd, after.events(), watched.token())
    }

    fn control(&self, operation: c_int, fd: RawFd, events: c_int, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let instance = self.instance.as_raw_fd();
        // SAFETY: both descriptors are borrowed from their owners, and `event` lives through the
        // call, which only reads it.
        check(unsafe { libc::epoll_ctl(instance, operation, fd, &raw mut event) }).map(drop)
    }

    /// Waits until something is ready. Running out of time and being interrupted are no errors.
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

    /// What the last wait reported at `index`, and what it is ready for.
    pub(in crate::io) fn reported(&self, index: usize) -> (Watched, Readiness) {
        // SAFETY: the field is an initialised integer; epoll_event is packed on some machines, so
        // it is copied out of its place unaligned.
        let token = unsafe { ptr::read_unaligned(&raw const self.events[index].u64) };
        // SAFETY: as above.
        let events = unsafe { ptr::read_unaligned(&raw const self.events[index].events) } as c_int;
        let ready = Readiness { reads: events & READS != 0, writes: events & WRITES != 0 };
        (Watched::of(token), ready)
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
    fn tokens_survive_epoll() {
        let key = Key { slot: u32::MAX, generation: GENERATION_MASK };
        let of_keys = [Watched::Socket, Watched::Stream, Watched::Listener].map(|it| it(key));
        for watched in of_keys.into_iter().chain([Watched::Waker]) {
            assert_eq!(Watched::of(watched.token()), watched);
        }
    }

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
