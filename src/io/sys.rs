//! The system calls that std and socket2 do not have, each made safe.
//!
//! Every function here is sound for every argument; what can fail returns the errno.
#![expect(unsafe_code, reason = "calls into libc")]

use std::{
    io,
    os::fd::{FromRawFd, OwnedFd},
};

/// Turns a libc result into an `io::Result`.
pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// A new eventfd with count 0, non-blocking and closed on exec.
pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes two integers and touches no memory of ours.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
