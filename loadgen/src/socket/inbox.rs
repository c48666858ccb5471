//! Messages that are received at once.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use super::{Control, Scratch, empty_header};

/// Datagrams or trains per `recvmmsg`.
const IN_MESSAGES: usize = 32;

/// Bytes each receive can take: a whole train.
const IN_BYTES: usize = 65_536;

/// What one [`Inbox::receive`] brought.
pub(crate) struct Inbox {
    buffers: Box<[[u8; IN_BYTES]]>,
    controls: Box<[Control]>,
    /// Length and segment size of each message.
    lengths: Vec<(usize, usize)>,
    scratch: Scratch,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox {
            buffers: vec![[0; IN_BYTES]; IN_MESSAGES].into_boxed_slice(),
            controls: vec![[0; 4]; IN_MESSAGES].into_boxed_slice(),
            lengths: Vec::with_capacity(IN_MESSAGES),
            scratch: Scratch::default(),
        }
    }

    /// Takes up to `limit` messages that are there already. Says whether there may be more.
    pub(crate) fn receive(&mut self, socket: &impl AsFd, limit: usize) -> io::Result<bool> {
        let limit = limit.min(IN_MESSAGES);
        self.prepare(limit);
        let headers = &mut self.scratch.headers;
        let fd = socket.as_fd().as_raw_fd();
        // SAFETY: the headers point into buffers and controls of self, which is borrowed for the
        // call, and `limit` of them were made; no timeout is given.
        let result = unsafe {
            let flags = libc::MSG_DONTWAIT;
            libc::recvmmsg(fd, headers.as_mut_ptr(), limit as u32, flags, ptr::null_mut())
        };
        let outcome = usize::try_from(result).map_err(|_| io::Error::last_os_error());
        self.lengths.clear();
        let filled = headers.iter().take(*outcome.as_ref().unwrap_or(&0));
        for (header, control) in filled.zip(&self.controls) {
            let bytes = header.msg_len as usize;
            let segment = received_segment(control, header.msg_hdr.msg_controllen);
            self.lengths.push((bytes, segment.unwrap_or(bytes).max(1)));
        }
        self.scratch.iovecs.clear();
        self.scratch.headers.clear();
        outcome.map(|messages| messages == limit)
    }

    /// The datagrams of the last receive, trains taken apart.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = &[u8]> {
        let messages = self.buffers.iter().zip(&self.lengths);
        messages.flat_map(|(buffer, (bytes, segment))| buffer[..*bytes].chunks(*segment))
    }

    fn prepare(&mut self, limit: usize) {
        for buffer in self.buffers.iter_mut().take(limit) {
            let base = buffer.as_mut_ptr().cast();
            self.scratch.iovecs.push(libc::iovec { iov_base: base, iov_len: IN_BYTES });
        }
        for (iovec, control) in self.scratch.iovecs.iter_mut().zip(&mut self.controls) {
            let mut header = empty_header();
            header.msg_hdr.msg_iov = iovec;
            header.msg_hdr.msg_iovlen = 1;
            header.msg_hdr.msg_control = control.as_mut_ptr().cast();
            header.msg_hdr.msg_controllen = size_of::<Control>();
            self.scratch.headers.push(header);
        }
    }
}

/// The segment size of a train: an int behind a header that names UDP_GRO.
fn received_segment(control: &Control, control_bytes: usize) -> Option<usize> {
    let kind = (libc::UDP_GRO as u64) << 32 | libc::SOL_UDP as u64;
    let named = control_bytes >= 20 && control[1] == kind;
    named.then_some((control[2] & 0xFFFF_FFFF) as usize)
}
