//! Messages that are received at once.

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

use super::sys::{Scratch, empty_header};

/// Datagrams or trains per `recvmmsg`.
const IN_MESSAGES: usize = 32;

/// Bytes each receive can take: a whole train.
const IN_BYTES: usize = 65_536;

/// Room for both messages that come with a datagram: its arrival (32 bytes) and its segment size
/// (24).
type Control = [u64; 8];

/// Words of a control message's header: its length, then level and type.
const CONTROL_HEADER_BYTES: usize = 16;

/// One datagram, or a train of them.
struct Message {
    bytes: usize,
    segment_bytes: usize,
    stamp_ns: Option<u64>,
}

/// What one [`Inbox::receive`] brought.
pub(crate) struct Inbox {
    buffers: Box<[[u8; IN_BYTES]]>,
    controls: Box<[Control]>,
    messages: Vec<Message>,
    scratch: Scratch,
}

impl Inbox {
    pub(crate) fn new() -> Inbox {
        Inbox {
            buffers: vec![[0; IN_BYTES]; IN_MESSAGES].into_boxed_slice(),
            controls: vec![[0; 8]; IN_MESSAGES].into_boxed_slice(),
            messages: Vec::with_capacity(IN_MESSAGES),
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
            let flags = libc::MSG_DONTWAIT as _;
            libc::recvmmsg(fd, headers.as_mut_ptr(), limit as u32, flags, ptr::null_mut())
        };
        let outcome = usize::try_from(result).map_err(|_| io::Error::last_os_error());
        self.messages.clear();
        let filled = headers.iter().take(*outcome.as_ref().unwrap_or(&0));
        for (header, control) in filled.zip(&self.controls) {
            let bytes = header.msg_len as usize;
            let mut message = Message { bytes, segment_bytes: bytes.max(1), stamp_ns: None };
            // Types that differ between C libraries, here and below.
            let control_bytes: usize = header.msg_hdr.msg_controllen as _;
            message.read(control, control_bytes);
            self.messages.push(message);
        }
        self.scratch.iovecs.clear();
        self.scratch.headers.clear();
        outcome.map(|messages| messages == limit)
    }

    /// The datagrams of the last receive, trains taken apart, each with the kernel's stamp of its
    /// arrival (CLOCK_REALTIME); one for a whole train.
    pub(crate) fn datagrams(&self) -> impl Iterator<Item = (Option<u64>, &[u8])> {
        let messages = self.buffers.iter().zip(&self.messages);
        messages.flat_map(|(buffer, message)| {
            let datagrams = buffer[..message.bytes].chunks(message.segment_bytes);
            datagrams.map(|datagram| (message.stamp_ns, datagram))
        })
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
            header.msg_hdr.msg_controllen = size_of::<Control>() as _;
            self.scratch.headers.push(header);
        }
    }
}

impl Message {
    /// Takes over what the control messages say: `| length, 8 bytes | level, 4 | type, 4 | value |`
    /// each, the next at a multiple of 8.
    fn read(&mut self, control: &Control, control_bytes: usize) {
        let words = control.get(..control_bytes / 8).unwrap_or(control);
        let mut rest = words;
        while let [length, kind, value, ..] = rest {
            let (level, name) = (*kind as u32 as i32, (*kind >> 32) as i32);
            match (level, name, rest.get(3)) {
                (libc::SOL_UDP, libc::UDP_GRO, _) => {
                    self.segment_bytes = (*value as u32 as usize).max(1);
                }
                (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, Some(nanoseconds)) => {
                    self.stamp_ns = Some(value * 1_000_000_000 + nanoseconds);
                }
                (..) => {}
            }
            let words = (*length as usize).max(CONTROL_HEADER_BYTES).div_ceil(8);
            rest = rest.get(words..).unwrap_or_default();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::SystemTime};

    use super::*;
    use crate::socket::{set_option, stamp_arrivals};

    #[test]
    fn each_datagram_of_a_batch_has_a_stamp_of_its_own() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        stamp_arrivals(&receiver).unwrap();
        set_option(&receiver, libc::SOL_UDP, libc::UDP_GRO, 1).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let pause = std::time::Duration::from_millis(20);
        // The first to ask for stamps gets them a moment later.
        std::thread::sleep(pause);
        for _ in 0..3 {
            sender.send_to(&[7; 100], receiver.local_addr().unwrap()).unwrap();
            std::thread::sleep(pause);
        }
        let mut inbox = Inbox::new();
        inbox.receive(&receiver, 32).unwrap();
        let stamps: Vec<u64> = inbox.datagrams().filter_map(|(stamp_ns, _)| stamp_ns).collect();
        assert_eq!(stamps.len(), 3);
        let apart = stamps.windows(2).all(|two| two[1] - two[0] >= pause.as_nanos() as u64);
        assert!(apart, "{stamps:?}");
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert!(now.as_nanos() as u64 - stamps[2] >= pause.as_nanos() as u64, "{stamps:?}");
    }

    #[test]
    fn control_messages_are_read_in_any_order() {
        let gro = [20, (libc::UDP_GRO as u64) << 32 | libc::SOL_UDP as u64, 1_200];
        let kind = (libc::SCM_TIMESTAMPNS as u64) << 32 | libc::SOL_SOCKET as u64;
        let stamp = [32, kind, 5, 6];
        for control in [[&gro[..], &stamp].concat(), [&stamp[..], &gro].concat()] {
            let mut message = Message { bytes: 2_400, segment_bytes: 2_400, stamp_ns: None };
            let mut area = [0; 8];
            area[..7].copy_from_slice(&control);
            message.read(&area, 56);
            assert_eq!((message.segment_bytes, message.stamp_ns), (1_200, Some(5_000_000_006)));
        }
    }
}
