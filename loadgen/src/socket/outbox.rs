//! Packets that leave through one socket at once, each gathered from its head, its body and
//! padding.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd},
};

use socket2::SockAddr;

use super::sys::{Scratch, empty_header};

/// Room for the longest framing (48) and the header of a payload (32).
pub(crate) const HEAD_BYTES: usize = 80;

/// Messages per `sendmmsg`.
const OUT_MESSAGES: usize = 64;

/// Packets per `sendmmsg`, all its trains together.
const OUT_PACKETS: usize = 512;

/// Segments the kernel takes in one train (UDP_MAX_SEGMENTS of older kernels).
pub(crate) const TRAIN_PACKETS: usize = 64;

/// Bytes of one train: below the 65,507 a datagram can carry.
pub(crate) const TRAIN_BYTES: usize = 65_000;

/// A control area of the one message that is sent: a u16.
type Control = [u64; 4];

const ZEROS: [u8; 4] = [0; 4];

/// One packet: bytes of its head in the outbox, its body, and zeros behind it.
struct Piece {
    head_bytes: usize,
    body: &'static [u8],
    pad_bytes: usize,
}

impl Piece {
    fn bytes(&self) -> usize {
        self.head_bytes + self.body.len() + self.pad_bytes
    }
}

struct Message {
    to: Option<SockAddr>,
    pieces: std::ops::Range<usize>,
}

/// What one [`Outbox::send`] did.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// Packets the kernel took.
    pub(crate) packets: u64,
    /// Packets it did not take: its own send buffer was full, or the far port is closed.
    pub(crate) refused: u64,
    /// What it said when it refused.
    pub(crate) error: Option<io::Error>,
}

/// Packets that leave through one socket with the next [`Outbox::send`].
pub(crate) struct Outbox {
    heads: Box<[[u8; HEAD_BYTES]]>,
    pieces: Vec<Piece>,
    messages: Vec<Message>,
    controls: Vec<Control>,
    scratch: Scratch,
}

impl Outbox {
    pub(crate) fn new() -> Outbox {
        Outbox {
            heads: vec![[0; HEAD_BYTES]; OUT_PACKETS].into_boxed_slice(),
            pieces: Vec::with_capacity(OUT_PACKETS),
            messages: Vec::with_capacity(OUT_MESSAGES),
            controls: Vec::with_capacity(OUT_MESSAGES),
            scratch: Scratch::default(),
        }
    }

    /// True when another train still fits.
    pub(crate) fn has_room(&self) -> bool {
        self.messages.len() < OUT_MESSAGES && self.pieces.len() + TRAIN_PACKETS <= OUT_PACKETS
    }

    /// Begins a message; the packets pushed next belong to it. More than one make a train, whose
    /// segment size is that of the first.
    pub(crate) fn open(&mut self, to: Option<&SockAddr>) {
        let at = self.pieces.len();
        self.messages.push(Message { to: to.cloned(), pieces: at..at });
    }

    /// Adds a packet to the open message; `write` fills its head and says how long it is.
    pub(crate) fn push(
        &mut self,
        body: &'static [u8],
        pad_bytes: usize,
        write: impl FnOnce(&mut [u8; HEAD_BYTES]) -> usize,
    ) {
        let (Some(message), Some(head)) =
            (self.messages.last_mut(), self.heads.get_mut(self.pieces.len()))
        else {
            return;
        };
        let head_bytes = write(head).min(HEAD_BYTES);
        self.pieces.push(Piece { head_bytes, body, pad_bytes: pad_bytes.min(ZEROS.len()) });
        message.pieces.end = self.pieces.len();
    }

    /// Hands everything to the kernel without waiting and forgets it, taken or not.
    pub(crate) fn send(&mut self, socket: &impl AsFd) -> Sent {
        self.prepare();
        let mut sent = Sent::default();
        let mut first = 0;
        while first < self.messages.len() {
            match send_batch(socket.as_fd(), &mut self.scratch.headers[first..]) {
                Ok(messages) => {
                    sent.packets += self.packets_of(first..first + messages);
                    first += messages;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    sent.refused += self.packets_of(first..first + 1);
                    first += 1;
                    sent.error = Some(error);
                }
            }
        }
        self.forget();
        sent
    }

    fn packets_of(&self, messages: std::ops::Range<usize>) -> u64 {
        let messages = self.messages.get(messages).unwrap_or_default();
        messages.iter().map(|message| message.pieces.len() as u64).sum()
    }

    fn forget(&mut self) {
        self.scratch.iovecs.clear();
        self.scratch.headers.clear();
        self.controls.clear();
        self.messages.clear();
        self.pieces.clear();
    }

    /// Makes the kernel's view of the messages. All vectors reach their final length before a
    /// pointer into them is taken.
    fn prepare(&mut self) {
        // An empty view costs the kernel as much as a full one.
        let padded = self.pieces.iter().any(|piece| piece.pad_bytes > 0);
        let views = if padded { 3 } else { 2 };
        let iovecs = &mut self.scratch.iovecs;
        for (piece, head) in self.pieces.iter().zip(&self.heads) {
            iovecs.push(view(&head[..piece.head_bytes]));
            iovecs.push(view(piece.body));
            if padded {
                iovecs.push(view(&ZEROS[..piece.pad_bytes]));
            }
        }
        for message in &self.messages {
            let segment = self.pieces.get(message.pieces.start).map_or(0, Piece::bytes);
            self.controls.push(segment_control(segment));
        }
        for (message, control) in self.messages.iter().zip(&mut self.controls) {
            let mut header = empty_header();
            if let Some(to) = &message.to {
                header.msg_hdr.msg_name = to.as_ptr().cast_mut().cast();
                header.msg_hdr.msg_namelen = to.len();
            }
            header.msg_hdr.msg_iov = iovecs[message.pieces.start * views..].as_mut_ptr();
            // A type that differs between C libraries, as that of the flags below.
            header.msg_hdr.msg_iovlen = (message.pieces.len() * views) as _;
            if message.pieces.len() > 1 {
                header.msg_hdr.msg_control = control.as_mut_ptr().cast();
                header.msg_hdr.msg_controllen = 24;
            }
            self.scratch.headers.push(header);
        }
    }
}

fn view(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// `cmsghdr { len = 18, level = SOL_UDP, type = UDP_SEGMENT }` and the size, as the words they are
/// on a 64-bit machine.
fn segment_control(segment_bytes: usize) -> Control {
    let kind = (libc::UDP_SEGMENT as u64) << 32 | libc::SOL_UDP as u64;
    [18_u64.to_le(), kind.to_le(), (segment_bytes as u64 & 0xFFFF).to_le(), 0]
}

fn send_batch(socket: BorrowedFd<'_>, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    let count = headers.len() as libc::c_uint;
    // SAFETY: the headers were just made from borrows of the outbox that outlive this call, which
    // reads them and writes only their lengths.
    let result =
        unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, flags as _) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}
