//! The ring itself: submit, wait, collect.
//!
//! Set up for one owner: SINGLE_ISSUER, and DEFER_TASKRUN so that completions are worked off only
//! inside our own calls (kernel 6.1). Every call carries GETEVENTS, without which deferred work
//! would never run; a full completion queue is flushed by the same flag, so none is ever lost.
#![expect(unsafe_code, reason = "submission entries point to memory the kernel reads and writes")]

use std::{
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsFd, AsRawFd},
};

use io_uring::{
    EnterFlags, IoUring, opcode, squeue,
    types::{self, CancelBuilder, DestinationSlot, Fixed, Napi, SubmitArgs, Timespec},
};

use socket2::SockAddr;

use crate::io::{
    engine::{
        errno::{self, WaitFate},
        wait_plan::WaitPlan,
    },
    event::SocketId,
    socket::address::{self, Name},
    sys::Setting,
};

/// Submissions between two calls into the kernel; more of them cost a call more.
const SUBMISSIONS: u32 = 1024;
/// Completions that fit before the kernel has to queue them elsewhere.
const COMPLETIONS: u32 = 8192;

/// For operations of which only a failure is news.
const QUIET: squeue::Flags = squeue::Flags::SKIP_SUCCESS;

/// One io_uring instance of the calling thread.
pub(super) struct Ring {
    ring: IoUring,
    calls: u64,
}

/// What the kernel says about one operation.
#[derive(Debug, Clone, Copy)]
pub(super) struct Completion {
    pub(super) token: u64,
    /// Bytes, or an errno below zero.
    pub(super) result: i32,
    /// The provided buffer it used.
    pub(super) buffer: Option<u16>,
    /// The operation goes on and will complete again.
    pub(super) more: bool,
}

impl Ring {
    pub(super) fn new() -> io::Result<Self> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_coop_taskrun()
            .setup_submit_all()
            .setup_cqsize(COMPLETIONS)
            .build(SUBMISSIONS)?;
        Ok(Self { ring, calls: 0 })
    }

    /// The ring, for registering with it.
    pub(super) fn submitter(&self) -> io_uring::Submitter<'_> {
        self.ring.submitter()
    }

    /// Has the kernel poll the queues that our sockets receive from before it lets us sleep.
    ///
    /// # Errors
    /// `EINVAL` before kernel 6.9, or in one built without busy polling.
    pub(super) fn poll_devices(&self, busy_poll_us: u32) -> io::Result<()> {
        let mut napi = Napi::new().set_busy_poll_timeout(busy_poll_us).set_prefer_busy_poll(true);
        self.submitter().register_napi(&mut napi)
    }

    /// Makes an empty table of registered sockets.
    pub(super) fn register_table(&self, sockets: u32) -> io::Result<()> {
        self.submitter().register_files_sparse(sockets)
    }

    /// Puts a socket into the registered table.
    pub(super) fn register(&self, id: SocketId, socket: &UdpSocket) -> io::Result<()> {
        self.submitter().register_files_update(id.0, &[socket.as_raw_fd()]).map(drop)
    }

    /// Takes a socket out of the registered table.
    pub(super) fn unregister(&self, id: SocketId) -> io::Result<()> {
        self.submitter().register_files_update(id.0, &[-1]).map(drop)
    }

    /// Queues an operation; when the queue is full, what is in it is submitted first.
    ///
    /// # Errors
    /// When the kernel takes no submissions. The operation is then not queued.
    ///
    /// # Safety
    /// All memory the operation names stays valid, and unchanged by us where the kernel reads and
    /// untouched where it writes, until the operation's last completion has been collected.
    pub(super) unsafe fn push(&mut self, operation: squeue::Entry, token: u64) -> io::Result<()> {
        let entry = operation.user_data(token);
        if self.ring.submission().is_full() {
            self.enter(WaitPlan::NONE)?;
        }
        let mut queue = self.ring.submission();
        // SAFETY: the caller vouches for the memory.
        let pushed = unsafe { queue.push(&entry) };
        pushed.map_err(|_full| io::Error::from_raw_os_error(libc::EBUSY))
    }

    /// Queues the cancellation of the operation with token `target`; it completes only if there is
    /// nothing to cancel.
    pub(super) fn push_cancel(&mut self, target: u64, token: u64) -> io::Result<()> {
        let cancel = opcode::AsyncCancel::new(target).build().flags(QUIET);
        // SAFETY: a cancellation names no memory.
        unsafe { self.push(cancel, token) }
    }

    /// Queues the making of a UDP socket that has no descriptor, only the table's slot; it
    /// completes only if it fails.
    ///
    /// What is queued after it is about that socket: the kernel works off such entries in order,
    /// since none of them has to wait for anything. Were one to overtake another, it would fail.
    pub(super) fn push_socket(&mut self, id: SocketId, v6: bool, token: u64) -> io::Result<()> {
        let family = if v6 { libc::AF_INET6 } else { libc::AF_INET };
        let slot = DestinationSlot::try_from_slot_target(id.0)
            .map_err(|_| io::Error::from_raw_os_error(libc::EMFILE))?;
        let kind = libc::SOCK_DGRAM | libc::SOCK_NONBLOCK;
        let socket = opcode::Socket::new(family, kind, libc::IPPROTO_UDP);
        let socket = socket.file_index(Some(slot)).build().flags(QUIET);
        // SAFETY: it names no memory.
        unsafe { self.push(socket, token) }
    }

    /// Queues the setting of an option (kernel 6.7); it completes only if it fails.
    pub(super) fn push_setting(
        &mut self,
        id: SocketId,
        setting: &'static Setting,
        token: u64,
    ) -> io::Result<()> {
        let (value, bytes) = (&raw const setting.value, size_of_val(&setting.value) as u32);
        let (level, name) = (setting.level as u32, setting.name as u32);
        let set = opcode::SetSockOpt::new(Fixed(id.0), level, name, value.cast(), bytes);
        // SAFETY: the value is a constant of the program.
        unsafe { self.push(set.build().flags(QUIET), token) }
    }

    /// Queues the end of a socket that has no descriptor.
    pub(super) fn push_close(&mut self, id: SocketId, token: u64) -> io::Result<()> {
        // SAFETY: it names no memory.
        unsafe { self.push(opcode::Close::new(Fixed(id.0)).build(), token) }
    }

    /// Queues the making of a descriptor for a socket that has none (kernel 6.8).
    pub(super) fn push_descriptor(&mut self, id: SocketId, token: u64) -> io::Result<()> {
        // SAFETY: it names no memory.
        unsafe { self.push(opcode::FixedFdInstall::new(Fixed(id.0), 0).build(), token) }
    }

    /// Queues a watch on `descriptor` that completes each time something is written to it.
    pub(super) fn push_watch(&mut self, descriptor: impl AsFd, token: u64) -> io::Result<()> {
        let descriptor = types::Fd(descriptor.as_fd().as_raw_fd());
        let watch = opcode::PollAdd::new(descriptor, libc::POLLIN as u32).multi(true).build();
        // SAFETY: a poll names no memory.
        unsafe { self.push(watch, token) }
    }

    /// Calls that submit or collect, so far.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Submits everything queued, runs deferred work, and waits as `plan` says.
    ///
    /// Running out of time and being interrupted are no errors.
    pub(super) fn enter(&mut self, plan: WaitPlan) -> io::Result<()> {
        self.calls += 1;
        let submissions = self.ring.submission().len() as u32;
        let limit = plan.limit.map(Timespec::from);
        let mut args = SubmitArgs::new();
        if let Some(limit) = &limit {
            args = args.timespec(limit);
        }
        let flags = EnterFlags::GETEVENTS | EnterFlags::EXT_ARG;
        let submitter = self.ring.submitter();
        // SAFETY: EXT_ARG announces exactly this argument, which together with the time it points
        // to lives through the call; the entries' memory was vouched for when they were pushed.
        let entered =
            unsafe { submitter.enter(submissions, plan.completions, flags.bits(), Some(&args)) };
        entered.map(drop).or_else(|error| match errno::of_wait(error.raw_os_error().unwrap_or(0)) {
            WaitFate::Return => Ok(()),
            WaitFate::Fatal => Err(error),
        })
    }

    /// Submits everything queued and does nothing else: no deferred work is run, so that nothing
    /// arrives by it.
    pub(super) fn submit(&mut self) -> io::Result<()> {
        self.calls += 1;
        let submissions = self.ring.submission().len() as u32;
        let submitter = self.ring.submitter();
        // SAFETY: no argument is passed, and the entries' memory was vouched for when they were
        // pushed.
        let entered = unsafe { submitter.enter::<libc::sigset_t>(submissions, 0, 0, None) };
        entered.map(drop).or_else(|error| match errno::of_wait(error.raw_os_error().unwrap_or(0)) {
            WaitFate::Return => Ok(()),
            WaitFate::Fatal => Err(error),
        })
    }

    /// Whether something queued has not been submitted.
    pub(super) fn has_submissions(&mut self) -> bool {
        !self.ring.submission().is_empty()
    }

    /// Whether there are completions that did not fit into the queue. The kernel keeps them until a
    /// call after there is room; one that it has no memory to keep makes the next call fail
    /// (EBADR).
    pub(super) fn has_overflow(&mut self) -> bool {
        self.ring.submission().cq_overflow()
    }

    /// Whether every completion there was has been taken.
    pub(super) fn is_settled(&mut self) -> bool {
        self.ring.completion().is_empty() && !self.has_overflow()
    }

    /// Takes the next completion.
    pub(super) fn pop(&mut self) -> Option<Completion> {
        let entry = self.ring.completion().next()?;
        Some(Completion {
            token: entry.user_data(),
            result: entry.result(),
            buffer: io_uring::cqueue::buffer_select(entry.flags()),
            more: io_uring::cqueue::more(entry.flags()),
        })
    }

    /// Takes all sockets out of the registered table, for the end of the driver: their ports are
    /// free some 100 ms sooner than if the ring's own end did it.
    pub(super) fn unregister_table(&self) -> io::Result<()> {
        self.submitter().unregister_files()
    }

    /// Cancels everything at once, for the end of the driver.
    pub(super) fn cancel_all(&self) -> io::Result<()> {
        let all = CancelBuilder::any().all();
        self.submitter().register_sync_cancel(Some(Timespec::new().sec(1)), all)
    }
}

/// A socket as an operation names it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    Registered(Fixed),
    Plain(types::Fd),
}

impl Target {
    /// A SEND with a destination, for one datagram in one place.
    pub(super) fn send(
        self,
        (start, len): (*const u8, usize),
        (name, name_len): (*const libc::sockaddr, u32),
    ) -> squeue::Entry {
        let len = len as u32;
        let send = match self {
            Self::Registered(socket) => opcode::Send::new(socket, start, len),
            Self::Plain(socket) => opcode::Send::new(socket, start, len),
        };
        send.flags(libc::MSG_DONTWAIT).dest_addr(name).dest_addr_len(name_len).build()
    }

    /// A BIND (kernel 6.11).
    pub(super) fn bind(self, name: &Name) -> squeue::Entry {
        match self {
            Self::Registered(socket) => {
                opcode::Bind::new(socket, name.as_ptr(), name.len()).build()
            }
            Self::Plain(socket) => opcode::Bind::new(socket, name.as_ptr(), name.len()).build(),
        }
    }

    /// A SENDMSG.
    pub(super) fn send_message(self, message: *const libc::msghdr) -> squeue::Entry {
        let send = match self {
            Self::Registered(socket) => opcode::SendMsg::new(socket, message),
            Self::Plain(socket) => opcode::SendMsg::new(socket, message),
        };
        send.flags(libc::MSG_DONTWAIT as u32).build()
    }

    /// A multishot RECVMSG into the buffers of `group`, with the area lengths of `template`.
    pub(super) fn receive(self, template: *const libc::msghdr, group: u16) -> squeue::Entry {
        match self {
            Self::Registered(socket) => opcode::RecvMsgMulti::new(socket, template, group).build(),
            Self::Plain(socket) => opcode::RecvMsgMulti::new(socket, template, group).build(),
        }
    }
}

/// Where an ACCEPT writes the address of who connects.
#[derive(Debug, Default)]
pub(super) struct NameRoom {
    bytes: [u8; size_of::<libc::sockaddr_in6>()],
    used: libc::socklen_t,
}

impl NameRoom {
    /// What was written. `None` for what is no address of IP.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        address::decode(self.bytes.get(..self.used as usize)?)
    }
}

/// An ACCEPT of one connection.
pub(super) fn accept(listener: types::Fd, name: &mut NameRoom) -> squeue::Entry {
    name.used = name.bytes.len() as libc::socklen_t;
    let room = name.bytes.as_mut_ptr().cast();
    opcode::Accept::new(listener, room, &raw mut name.used).flags(libc::SOCK_CLOEXEC).build()
}

/// A CONNECT.
pub(super) fn connect(socket: types::Fd, address: &SockAddr) -> squeue::Entry {
    opcode::Connect::new(socket, address.as_ptr().cast(), address.len()).build()
}

/// A multishot RECV into the buffers of `group`.
pub(super) fn receive_stream(socket: types::Fd, group: u16) -> squeue::Entry {
    opcode::RecvMulti::new(socket, group).build()
}

/// A RECV of up to `bytes` into a buffer of `group`.
pub(super) fn receive_once(socket: types::Fd, group: u16, bytes: usize) -> squeue::Entry {
    let receive = opcode::Recv::new(socket, std::ptr::null_mut(), bytes as u32).buf_group(group);
    receive.build().flags(squeue::Flags::BUFFER_SELECT)
}

/// A SEND that ends when the kernel has all of it, however long that takes. It may still be cut
/// short.
pub(super) fn send_stream(socket: types::Fd, bytes: &[u8]) -> squeue::Entry {
    let send = opcode::Send::new(socket, bytes.as_ptr(), bytes.len() as u32);
    send.flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL).build()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overflows_is_seen_and_not_lost() {
        let mut ring = Ring::new().expect("io_uring");
        let some_more = u64::from(COMPLETIONS + 100);
        for token in 0..some_more {
            // SAFETY: a no-op names no memory.
            unsafe { ring.push(opcode::Nop::new().build(), token) }.expect("room");
        }
        assert!(!ring.has_overflow());
        ring.submit().expect("taken");
        assert!(ring.has_overflow());
        let mut taken = 0;
        while taken < some_more {
            taken += std::iter::from_fn(|| ring.pop()).count() as u64;
            ring.enter(WaitPlan::NONE).expect("a call");
        }
        assert!(!ring.has_overflow());
        assert_eq!(taken, some_more);
    }
}
