//! Which sockets have something to read, or room to send.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

use super::sys::check;

/// An epoll of sockets with names.
pub(crate) struct Poller {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poller {
    pub(crate) fn new() -> io::Result<Poller> {
        // SAFETY: takes a flag and returns a descriptor or -1.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the kernel has just returned this descriptor, and nothing else holds it.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Poller { epoll, events: vec![libc::epoll_event { events: 0, u64: 0 }; 256] })
    }

    /// Watches a socket until it is closed; `token` names it.
    pub(crate) fn add(&self, socket: &impl AsFd, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, libc::EPOLLIN, token)
    }

    /// The same, and for room to send; named whenever either changes, and then not again until the
    /// socket was asked for more than it has.
    pub(crate) fn add_changes(&self, socket: &impl AsFd, token: u64) -> io::Result<()> {
        let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET;
        self.control(libc::EPOLL_CTL_ADD, socket, events, token)
    }

    /// Names a socket once it has room to send, one time.
    pub(crate) fn await_room(&self, socket: &impl AsFd, token: u64) -> io::Result<()> {
        let events = libc::EPOLLOUT | libc::EPOLLONESHOT;
        match self.control(libc::EPOLL_CTL_MOD, socket, events, token) {
            Err(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                self.control(libc::EPOLL_CTL_ADD, socket, events, token)
            }
            other => other,
        }
    }

    /// Watches a socket no longer.
    pub(crate) fn forget(&self, socket: &impl AsFd) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, socket, 0, 0)
    }

    fn control(
        &self,
        operation: libc::c_int,
        socket: &impl AsFd,
        events: libc::c_int,
        token: u64,
    ) -> io::Result<()> {
        let mut event = libc::epoll_event { events: events as u32, u64: token };
        let (epoll, fd) = (self.epoll.as_raw_fd(), socket.as_fd().as_raw_fd());
        // SAFETY: both descriptors are borrowed, the event is read during the call.
        check(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) }).map(drop)
    }

    /// Waits for a socket that is ready, at most `timeout`, and names those that are (256 at most).
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<impl Iterator<Item = u64>> {
        // The kernel's own timespec: seconds and nanoseconds, of 64 bits on every platform.
        let timeout = [timeout.as_secs() as i64, i64::from(timeout.subsec_nanos())];
        // SAFETY: epoll_pwait2 (Linux 5.11) writes at most `len` events and reads the timeout; no
        // signal mask is given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                timeout.as_ptr(),
                ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        let ready = match check(result as libc::c_int) {
            Ok(ready) => ready as usize,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            Err(error) => return Err(error),
        };
        Ok(self.events.iter().take(ready).map(|event| event.u64))
    }
}
