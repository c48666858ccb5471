//! The system calls that std and socket2 do not have, each made safe.
//!
//! Every function here is sound for every argument; what can fail returns the errno.
#![expect(unsafe_code, reason = "calls into libc")]

use std::{
    ffi::c_int,
    io, mem,
    os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd},
    ptr,
};

/// Turns a libc result into an `io::Result`.
pub(super) fn check(result: c_int) -> io::Result<c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Gives memory that was freed back to the system. The allocator does so only beside other work,
/// and what threads freed that have ended it keeps until it needs it. Takes milliseconds for each
/// 100 MiB. Does nothing where a program has another allocator.
pub fn give_memory_back() {
    // SAFETY: it takes no memory of ours, and may be called by any thread at any time.
    unsafe { libmimalloc_sys::mi_collect(true) };
}

/// A new eventfd with count 0, non-blocking and closed on exec.
pub(super) fn eventfd() -> io::Result<OwnedFd> {
    // SAFETY: eventfd takes two integers and touches no memory of ours.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
    // SAFETY: the kernel has just returned this descriptor, and nothing else holds it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Raises the soft limit of open files to the hard one. Returns the limit now in force.
pub(super) fn raise_file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit that lives through the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: as above, and setrlimit only reads it.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })?;
    Ok(limit.rlim_cur)
}

/// The soft limit of open files.
pub(super) fn file_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a whole rlimit that lives through the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    Ok(limit.rlim_cur)
}

/// An integer socket option and the value it is to have. Those that sockets are given are
/// constants, so that the kernel may read them whenever it likes.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub(super) level: c_int,
    pub(super) name: c_int,
    pub(super) value: c_int,
}

impl Setting {
    pub(super) const fn new(level: c_int, name: c_int, value: c_int) -> Self {
        Self { level, name, value }
    }
}

/// Sets a socket option.
pub(super) fn set(socket: impl AsFd, setting: &Setting) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let Setting { level, name, value } = setting;
    let bytes = size_of::<c_int>() as libc::socklen_t;
    // SAFETY: the descriptor is borrowed, and the option value is one int that outlives the call.
    check(unsafe { libc::setsockopt(fd, *level, *name, (&raw const *value).cast(), bytes) })?;
    Ok(())
}

/// Sets an integer socket option.
pub(super) fn set_option(
    socket: impl AsFd,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    set(socket, &Setting { level, name, value })
}

/// An integer socket option.
#[cfg(test)]
pub(super) fn option(socket: impl AsFd, level: c_int, name: c_int) -> io::Result<c_int> {
    let (fd, mut value) = (socket.as_fd().as_raw_fd(), 0);
    let mut bytes = size_of::<c_int>() as libc::socklen_t;
    let out = (&raw mut value).cast();
    // SAFETY: `out` points to one int, `bytes` says so, and both outlive the call.
    check(unsafe { libc::getsockopt(fd, level, name, out, &raw mut bytes) })?;
    Ok(value)
}

/// Sets or clears the DF bit of what a socket sends.
pub(super) fn set_dont_fragment(socket: impl AsFd, v6: bool, on: bool) -> io::Result<()> {
    dont_fragment(v6, on).iter().try_for_each(|setting| set(&socket, setting))
}

/// The settings that make what a socket sends leave with the DF bit or without; for IPv6, that say
/// whether it fragments at all.
///
/// OMIT rather than DONT for IPv4: an ICMP message that says that the path's MTU is small is
/// believed whoever sends it, and would have everything for that address cut into pieces and no
/// train leave for ten minutes. Routers cut what needs it. Those of IPv6 do not, so that there such
/// a message must be believed; it cannot ask for less than 1,280 bytes.
///
/// PROBE rather than DO: the datagram leaves even when an earlier ICMP message lowered the path's
/// MTU, because the one who asked for DF is probing that very thing.
pub(super) fn dont_fragment(v6: bool, on: bool) -> &'static [Setting] {
    const V4: c_int = libc::IPPROTO_IP;
    const V6: c_int = libc::IPPROTO_IPV6;
    static OFF_V4: [Setting; 1] = [Setting::new(V4, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT)];
    static ON_V4: [Setting; 1] = [Setting::new(V4, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE)];
    static OFF_V6: [Setting; 2] = [
        Setting::new(V6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT),
        Setting::new(V6, libc::IPV6_DONTFRAG, 0),
    ];
    static ON_V6: [Setting; 2] = [
        Setting::new(V6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_PROBE),
        Setting::new(V6, libc::IPV6_DONTFRAG, 1),
    ];
    match (v6, on) {
        (false, false) => &OFF_V4,
        (false, true) => &ON_V4,
        (true, false) => &OFF_V6,
        (true, true) => &ON_V6,
    }
}

/// Writes to a stream without waiting: how many bytes the kernel took, or the errno.
pub(super) fn write_stream(socket: impl AsFd, bytes: &[u8]) -> Result<usize, i32> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let (fd, start) = (socket.as_fd().as_raw_fd(), bytes.as_ptr().cast());
    // SAFETY: `start` points to as many readable bytes as are named, and the call keeps neither.
    let sent = unsafe { libc::send(fd, start, bytes.len(), flags) };
    usize::try_from(sent).map_err(|_| last_errno())
}

/// Reads from a stream without waiting: how many bytes there were, or the errno.
pub(super) fn read_stream(socket: impl AsFd, room: &mut [u8]) -> Result<usize, i32> {
    let (fd, start) = (socket.as_fd().as_raw_fd(), room.as_mut_ptr().cast());
    // SAFETY: `start` points to as many writable bytes as are named, and the call keeps neither.
    let received = unsafe { libc::recv(fd, start, room.len(), libc::MSG_DONTWAIT) };
    usize::try_from(received).map_err(|_| last_errno())
}

/// The errno of the call that has just failed.
pub(super) fn last_errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Index of the drop count in the array that SO_MEMINFO returns (`SK_MEMINFO_DROPS`).
const MEMINFO_DROPS: usize = 8;
const MEMINFO_LEN: usize = 9;

/// Datagrams a socket dropped because its receive buffer was full.
pub(super) fn socket_drops(socket: impl AsFd) -> io::Result<u64> {
    let fd = socket.as_fd().as_raw_fd();
    let mut info = [0_u32; MEMINFO_LEN];
    let mut bytes = size_of_val(&info) as libc::socklen_t;
    let out = info.as_mut_ptr().cast();
    // SAFETY: `out` points to `bytes` writable bytes, and both outlive the call.
    check(unsafe {
        libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_MEMINFO, out, &raw mut bytes)
    })?;
    Ok(u64::from(info[MEMINFO_DROPS]))
}

/// A message header with nothing in it.
pub(super) fn empty_message() -> libc::msghdr {
    // SAFETY: msghdr is integers and raw pointers (and private padding), all valid as zero.
    unsafe { mem::zeroed() }
}

/// A scatter-gather entry with nothing in it.
pub(super) const EMPTY_IOVEC: libc::iovec = libc::iovec { iov_base: ptr::null_mut(), iov_len: 0 };
