//! Messages through plain system calls: `sendmsg`, `sendmmsg`, `recvmmsg`.
//!
//! The portable driver lives on these; the io_uring driver sends the datagrams of a refused train
//! with them. All never block.
#![expect(unsafe_code, reason = "system calls on message headers that hold raw pointers")]

use std::{net::UdpSocket, os::fd::AsRawFd, ptr, rc::Rc};

use crate::io::{
    datagram::{
        layout::{CONTROL_BYTES, V6_NAME_BYTES, segment_bytes},
        outbox::Outbox,
    },
    engine::{errno, figures::counters::Counters, kernel::Arrived},
    memory::pool::{Incoming, Lease, Pool},
    room::HEADROOM,
    socket::address,
    sys::{EMPTY_IOVEC, check, empty_message, last_errno},
};

/// Messages in one `sendmmsg` or `recvmmsg`.
pub(in crate::io) const MESSAGES_MAX: usize = 32;
/// Where a received payload starts in its buffer: a cache line, and no less than the headroom.
const PAYLOAD_START: usize = 64;

const _: () = assert!(PAYLOAD_START >= HEADROOM);

/// Sends a handed-over train again, datagram by datagram, and counts what becomes of each.
pub(in crate::io) fn send_singly(
    socket: &UdpSocket,
    outbox: &mut Outbox,
    train: usize,
    counters: &mut Counters,
) {
    counters.trains_unjoined += 1;
    let (name, name_len) = outbox.name(train);
    for entries in outbox.datagrams(train) {
        let mut message = empty_message();
        message.msg_name = name.cast_mut().cast();
        message.msg_namelen = name_len;
        message.msg_iov = entries.as_ptr().cast_mut();
        message.msg_iovlen = entries.len() as _;
        // SAFETY: name and entries are the outbox's and hold until the train is finished, which
        // the borrow of the outbox excludes meanwhile; `sendmsg` only reads them.
        let sent =
            unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT) };
        match usize::try_from(sent) {
            Ok(bytes) => counters.count_datagram(bytes),
            Err(_) => counters.count_dropped(errno::of_send(last_errno(), false), 1),
        }
    }
}

/// Messages about to be sent through one socket.
pub(in crate::io) struct SendBatch {
    headers: Box<[libc::mmsghdr]>,
    used: usize,
}

impl SendBatch {
    pub(in crate::io) fn new() -> Self {
        Self { headers: (0..MESSAGES_MAX).map(|_| empty_header()).collect(), used: 0 }
    }

    /// Sends the given handed-over trains in order. Says for each what became of it: an errno, or
    /// 0.
    ///
    /// # Panics
    /// If there are more than [`MESSAGES_MAX`].
    pub(in crate::io) fn send(
        &mut self,
        socket: &UdpSocket,
        outbox: &mut Outbox,
        trains: &[usize],
        results: &mut [i32],
    ) {
        self.used = trains.len();
        for (header, train) in self.headers[..trains.len()].iter_mut().zip(trains) {
            let message = outbox.message(*train);
            // SAFETY: the outbox has just written this message, and keeps it until the train is
            // finished.
            header.msg_hdr = unsafe { *message };
        }
        let mut next = 0;
        while next < self.used {
            match self.send_from(socket, next) {
                Ok(sent) => {
                    results[next..next + sent].fill(0);
                    next += sent;
                }
                Err(errno) => {
                    results[next] = errno;
                    next += 1;
                }
            }
        }
    }

    /// Sends messages from `first` on until one fails; at least one is sent, or the first failed.
    fn send_from(&mut self, socket: &UdpSocket, first: usize) -> Result<usize, i32> {
        let headers = &mut self.headers[first..self.used];
        let (start, count) = (headers.as_mut_ptr(), headers.len() as u32);
        // SAFETY: `start` points to `count` message headers, and all they name belongs to trains
        // that the outbox has handed over and not finished.
        let sent =
            unsafe { libc::sendmmsg(socket.as_raw_fd(), start, count, libc::MSG_DONTWAIT as _) };
        check(sent).map(|sent| sent.max(1) as usize).map_err(|_| last_errno())
    }
}

/// Buffers and headers for one `recvmmsg`.
pub(in crate::io) struct ReceiveBatch {
    headers: Box<[libc::mmsghdr]>,
    iovecs: Box<[libc::iovec]>,
    names: Box<[[u8; V6_NAME_BYTES]]>,
    controls: Box<[GroControl]>,
    leases: Box<[Option<Lease>]>,
}

/// Room for one UDP_GRO control message, aligned as its header asks.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct GroControl([u8; CONTROL_BYTES]);

impl ReceiveBatch {
    pub(in crate::io) fn new() -> Self {
        Self {
            headers: (0..MESSAGES_MAX).map(|_| empty_header()).collect(),
            iovecs: vec![EMPTY_IOVEC; MESSAGES_MAX].into(),
            names: vec![[0; V6_NAME_BYTES]; MESSAGES_MAX].into(),
            controls: vec![GroControl([0; CONTROL_BYTES]); MESSAGES_MAX].into(),
            leases: (0..MESSAGES_MAX).map(|_| None).collect(),
        }
    }

    /// Receives up to [`MESSAGES_MAX`] messages, as far as there are buffers. How many there were,
    /// each of which has to be [taken](Self::take), and whether there was room for more.
    ///
    /// # Errors
    /// `ENOBUFS` without a system call when no buffer is free; else what `recvmmsg` says.
    pub(in crate::io) fn receive(
        &mut self,
        socket: &UdpSocket,
        pool: &Rc<Pool>,
    ) -> Result<(usize, bool), i32> {
        let ready = (0..MESSAGES_MAX).take_while(|index| self.make_ready(*index, pool)).count();
        if ready == 0 {
            return Err(libc::ENOBUFS);
        }
        let (start, flags) = (self.headers.as_mut_ptr(), libc::MSG_DONTWAIT as _);
        // SAFETY: `start` points to `ready` headers that `make_ready` has filled in: each names an
        // iovec, a name and a control area of ours, and the iovec a buffer that we hold the only
        // lease of, all untouched until the call returns. There is no timeout: one of zero would
        // end the call after its first message.
        let arrived = unsafe {
            libc::recvmmsg(socket.as_raw_fd(), start, ready as u32, flags, ptr::null_mut())
        };
        let arrived = check(arrived).map_err(|_| last_errno())? as usize;
        Ok((arrived, arrived < ready))
    }

    /// Points header `index` to a free buffer, if it has none. Whether there was one.
    fn make_ready(&mut self, index: usize, pool: &Rc<Pool>) -> bool {
        if self.leases[index].is_none() {
            let lease = pool.lease(Incoming::Datagrams).or_else(|| self.spare_behind(index));
            self.leases[index] = lease;
            self.point(index);
        }
        self.leases[index].is_some()
    }

    /// A buffer that was set aside for a later message than `index`.
    fn spare_behind(&mut self, index: usize) -> Option<Lease> {
        self.leases[index + 1..].iter_mut().rev().find_map(Option::take)
    }

    fn point(&mut self, index: usize) {
        let Some(buffer) = self.leases[index].as_mut().and_then(Lease::exclusive) else { return };
        let room = &mut buffer[PAYLOAD_START..];
        self.iovecs[index] =
            libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
        let header = &mut self.headers[index].msg_hdr;
        header.msg_iov = &raw mut self.iovecs[index];
        header.msg_iovlen = 1;
        header.msg_name = self.names[index].as_mut_ptr().cast();
        header.msg_namelen = V6_NAME_BYTES as libc::socklen_t;
        header.msg_control = self.controls[index].0.as_mut_ptr().cast();
        header.msg_controllen = CONTROL_BYTES as _;
    }

    /// Takes message `index` of the last receive. `None` if it makes no sense or was cut short.
    pub(in crate::io) fn take(&mut self, index: usize) -> Option<Arrived> {
        let header = &self.headers[index];
        let mut lease = self.leases[index].take()?;
        let payload_bytes = header.msg_len as usize;
        lease.set_range(PAYLOAD_START..PAYLOAD_START + payload_bytes);
        let name = self.names[index].get(..header.msg_hdr.msg_namelen as usize)?;
        let from = address::decode(name)?;
        // Its type differs from one C library to the other.
        let control_bytes: usize = header.msg_hdr.msg_controllen as _;
        let control = self.controls[index].0.get(..control_bytes)?;
        let segment_bytes = segment_bytes(control).unwrap_or(payload_bytes);
        let cut = header.msg_hdr.msg_flags & libc::MSG_TRUNC != 0;
        (!cut).then_some(Arrived { from, segment_bytes, lease })
    }

    /// Buffers set aside for the next receive.
    pub(in crate::io) fn held(&self) -> usize {
        self.leases.iter().flatten().count()
    }
}

fn empty_header() -> libc::mmsghdr {
    libc::mmsghdr { msg_hdr: empty_message(), msg_len: 0 }
}
