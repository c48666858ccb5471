//! The memory a `sendmsg` reads: message header, destination, control message, gather list.
//!
//! One message per train, at a fixed place, and one arena of gather entries from which each train
//! takes a consecutive run. The kernel reads all of it until the train's completion, so nothing is
//! reused before the whole batch is done.
//!
//! ```text
//! message ─▶ name      where to
//!         ─▶ control   UDP_SEGMENT: bytes of each datagram
//!         ─▶ iovecs    [header][body][pad] [header][body][pad] …
//! ```

use std::{ffi::c_int, ffi::c_void, mem, net::SocketAddr, ptr};

use crate::io::{
    datagram::train::{Fragments, SendTrain, TRAINS_MAX},
    room::PAD_MAX,
    socket::address::Name,
    sys::{EMPTY_IOVEC, empty_message},
};

/// Gather entries between two calls into the kernel.
pub(in crate::io) const IOVECS_MAX: usize = 8192;

static ZEROS: [u8; PAD_MAX] = [0; PAD_MAX];

/// Messages and gather entries of one batch.
pub(in crate::io) struct Gather {
    messages: Box<[Message]>,
    iovecs: Box<[libc::iovec]>,
    used: usize,
}

struct Message {
    header: libc::msghdr,
    name: Name,
    control: SegmentControl,
}

/// One UDP_SEGMENT control message, as CMSG_SPACE(2) lays it out.
#[repr(C, align(8))]
struct SegmentControl {
    /// CMSG_LEN(2): header and data, without the padding behind.
    len: usize,
    level: c_int,
    kind: c_int,
    segment_bytes: u16,
    padding: [u8; 6],
}

const CONTROL_LEN: usize = size_of::<libc::cmsghdr>() + size_of::<u16>();

const _: () = assert!(mem::offset_of!(SegmentControl, segment_bytes) == size_of::<libc::cmsghdr>());
const _: () =
    assert!(size_of::<SegmentControl>() == size_of::<libc::cmsghdr>() + size_of::<usize>());

impl Gather {
    pub(in crate::io) fn new() -> Self {
        let messages = (0..TRAINS_MAX).map(|_| Message::empty()).collect();
        Self { messages, iovecs: vec![EMPTY_IOVEC; IOVECS_MAX].into(), used: 0 }
    }

    pub(in crate::io) fn start_over(&mut self) {
        self.used = 0;
    }

    pub(in crate::io) fn name(
        &mut self,
        index: usize,
        to: SocketAddr,
    ) -> (*const libc::sockaddr, u32) {
        let name = &mut self.messages[index].name;
        *name = Name::new(to);
        (name.as_ptr(), name.len())
    }

    pub(in crate::io) fn message(
        &mut self,
        index: usize,
        train: &SendTrain,
        fragments: Fragments<'_>,
    ) -> *const libc::msghdr {
        let iovecs = &mut self.iovecs[self.used..self.used + train.parts];
        self.used += train.parts;
        fill(iovecs, fragments);
        let message = &mut self.messages[index];
        message.set_iovecs(iovecs);
        message.set_name(train.to);
        message.set_segments(train);
        &raw const message.header
    }

    /// The gather entries of a message made by [`message`](Self::message), datagram by datagram.
    pub(in crate::io) fn datagrams(
        &self,
        index: usize,
        segment_bytes: usize,
    ) -> impl Iterator<Item = &[libc::iovec]> {
        let header = &self.messages[index].header;
        let first = self.position(header.msg_iov);
        // Its type differs from one C library to the other.
        let entries: usize = header.msg_iovlen as _;
        let mut rest = &self.iovecs[first..first + entries];
        std::iter::from_fn(move || {
            let (datagram, behind) = rest.split_at(one_datagram(rest, segment_bytes)?);
            rest = behind;
            Some(datagram)
        })
    }

    fn position(&self, entry: *const libc::iovec) -> usize {
        (entry.addr() - self.iovecs.as_ptr().addr()) / size_of::<libc::iovec>()
    }
}

/// How many entries make the first datagram; `None` when there is none.
fn one_datagram(entries: &[libc::iovec], segment_bytes: usize) -> Option<usize> {
    let mut bytes = 0;
    let full = entries.iter().position(|entry| {
        bytes += entry.iov_len;
        bytes >= segment_bytes
    });
    full.map(|last| last + 1).or((!entries.is_empty()).then_some(entries.len()))
}

fn fill(iovecs: &mut [libc::iovec], fragments: Fragments<'_>) {
    let mut out = iovecs.iter_mut();
    let mut put = |bytes: &[u8]| {
        let entry = out.next().expect("the outbox promised an entry for each part");
        *entry = libc::iovec { iov_base: readable(bytes), iov_len: bytes.len() };
    };
    for (header, fragment) in fragments {
        let pad = &ZEROS[..fragment.pad_bytes()];
        for body in fragment.bodies() {
            if !header.is_empty() {
                put(header);
            }
            put(body);
            if !pad.is_empty() {
                put(pad);
            }
        }
    }
}

/// The kernel's types do not know `const`; a send only reads.
fn readable<T>(bytes: &[T]) -> *mut c_void {
    bytes.as_ptr().cast_mut().cast()
}

impl Message {
    fn empty() -> Self {
        let control = SegmentControl {
            len: CONTROL_LEN,
            level: libc::SOL_UDP,
            kind: libc::UDP_SEGMENT,
            segment_bytes: 0,
            padding: [0; 6],
        };
        Self { header: empty_message(), name: Name::EMPTY, control }
    }

    fn set_iovecs(&mut self, iovecs: &mut [libc::iovec]) {
        self.header.msg_iov = iovecs.as_mut_ptr();
        self.header.msg_iovlen = iovecs.len() as _;
    }

    fn set_name(&mut self, to: SocketAddr) {
        self.name = Name::new(to);
        self.header.msg_name = self.name.as_ptr().cast_mut().cast();
        self.header.msg_namelen = self.name.len();
    }

    fn set_segments(&mut self, train: &SendTrain) {
        if train.segments < 2 {
            self.header.msg_control = ptr::null_mut();
            self.header.msg_controllen = 0;
            return;
        }
        self.control.segment_bytes = train.segment_bytes as u16;
        self.header.msg_control = (&raw mut self.control).cast();
        self.header.msg_controllen = size_of::<SegmentControl>() as _;
    }
}
