//! Sockets in batches: `sendmmsg` with UDP_SEGMENT, `recvmmsg` with UDP_GRO, epoll.
//!
//! The one file of the generator that holds `unsafe`. Every function is sound for every argument:
//! pointers handed to the kernel are made from live borrows inside the call that uses them, and
//! forgotten before it returns.
#![expect(unsafe_code, reason = "sendmmsg, recvmmsg and epoll are not in std or socket2")]

use std::{
    io, mem,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    ptr,
    time::Duration,
};

use socket2::SockAddr;

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

/// Datagrams or trains per `recvmmsg`.
const IN_MESSAGES: usize = 32;

/// Bytes each receive can take: a whole train.
const IN_BYTES: usize = 65_536;

/// A control area of the one message that is used here: an int, or a u16.
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

/// Pointers for one system call; empty between calls.
#[derive(Default)]
struct Scratch {
    iovecs: Vec<libc::iovec>,
    headers: Vec<libc::mmsghdr>,
}

// SAFETY: the vectors hold pointers only inside a call that borrows what they point to; between
// calls both are empty, so nothing but capacity changes threads.
unsafe impl Send for Scratch {}

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
            header.msg_hdr.msg_iovlen = message.pieces.len() * views;
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

fn empty_header() -> libc::mmsghdr {
    // SAFETY: mmsghdr is integers and pointers; all zeros mean absent.
    unsafe { mem::zeroed() }
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
    let result = unsafe { libc::sendmmsg(socket.as_raw_fd(), headers.as_mut_ptr(), count, flags) };
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

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

/// Which sockets have something to read.
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
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: token };
        let (epoll, fd) = (self.epoll.as_raw_fd(), socket.as_fd().as_raw_fd());
        // SAFETY: both descriptors are borrowed, the event is read during the call.
        check(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) }).map(drop)
    }

    /// Waits for a readable socket, at most `timeout`, and names those that are (256 at most).
    pub(crate) fn wait(&mut self, timeout: Duration) -> io::Result<impl Iterator<Item = u64>> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        // SAFETY: epoll_pwait2 (Linux 5.11) writes at most `len` events and reads the timeout; no
        // signal mask is given.
        let result = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len() as libc::c_int,
                &raw const timeout,
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

/// Sets an integer option of a socket.
pub(crate) fn set_option(socket: &impl AsFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let bytes = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the kernel reads the four bytes of `value` during the call.
    check(unsafe { libc::setsockopt(fd, level, name, (&raw const value).cast(), bytes) }).map(drop)
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

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
