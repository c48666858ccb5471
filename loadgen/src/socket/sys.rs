//! Single system calls that std and socket2 do not have, and what the batches share.

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd},
};

/// Pointers for one system call; empty between calls.
#[derive(Default)]
pub(super) struct Scratch {
    pub(super) iovecs: Vec<libc::iovec>,
    pub(super) headers: Vec<libc::mmsghdr>,
}

// SAFETY: the vectors hold pointers only inside a call that borrows what they point to; between
// calls both are empty, so nothing but capacity changes threads.
unsafe impl Send for Scratch {}

pub(super) fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and pointers; all zeros mean absent.
    unsafe { mem::zeroed() }
}

/// Sets an integer option of a socket.
pub(crate) fn set_option(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let bytes = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads the four bytes of `value` during the call.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), bytes) }).map(drop)
}

/// Has the kernel stamp every datagram when it arrives, before it is queued at the socket.
pub(crate) fn stamp_arrivals(socket: &impl AsFd) -> io::Result<()> {
    set_option(socket, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, 1)
}

/// What SO_MEMINFO returns (kernel 4.12); the last of it is what we want.
const MEMINFO_LEN: usize = 9;

/// Datagrams a socket had no room for since it was opened.
pub(crate) fn drops(socket: &impl AsFd) -> io::Result<u64> {
    let fd = socket.as_fd().as_raw_fd();
    let mut info = [0_u32; MEMINFO_LEN];
    let mut bytes = size_of_val(&info) as libc::socklen_t;
    let (level, name, out) = (libc::SOL_SOCKET, libc::SO_MEMINFO, info.as_mut_ptr().cast());
    // SAFETY: `out` points to `bytes` writable bytes during the call.
    check(unsafe { libc::getsockopt(fd, level, name, out, &raw mut bytes) })?;
    Ok(u64::from(info[MEMINFO_LEN - 1]))
}

/// Lets this thread's timers fire on time instead of up to 50 µs late.
pub(crate) fn exact_timers() {
    // SAFETY: takes integers only; a failure leaves the timers as they were.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_usize) };
}

/// Raises the number of open files to what the hard limit allows and says what that is.
pub(crate) fn raise_open_files() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel writes the limit during the call.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) };
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: the kernel reads the limit during the call; a failure leaves the old one.
    unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) };
    limit.rlim_cur
}

pub(super) fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
