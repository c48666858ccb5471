//! How a multishot receive lays a datagram out in its buffer.
//!
//! ```text
//!          0        16          16+n          40+n
//!          │ lengths │ name (n) │ control (24) │ payload …
//! IPv4     n = 16, payload at 56
//! IPv6     n = 32, payload at 72
//! ```
//!
//! The areas have the sizes that were asked for, whatever was used of them, so the payload always
//! starts at the same place. Once source and segment size are read, all in front of it is headroom.

use std::{net::SocketAddr, ops::Range};

use crate::io::{room::HEADROOM, socket::address};

/// Bytes asked for the source address; for IPv6 rounded up so that the control area is aligned.
pub(in crate::io) const V4_NAME_BYTES: usize = 16;
pub(in crate::io) const V6_NAME_BYTES: usize = 32;
/// Bytes of one UDP_GRO control message: CMSG_SPACE(4).
pub(in crate::io) const CONTROL_BYTES: usize = 24;
/// `struct io_uring_recvmsg_out`: lengths of name, control and payload, and flags.
const LENGTHS_BYTES: usize = 16;

const _: () = assert!(LENGTHS_BYTES + V4_NAME_BYTES + CONTROL_BYTES >= HEADROOM);
const _: () = assert!(CONTROL_BYTES == size_of::<libc::cmsghdr>() + size_of::<usize>());

/// What a receive wrote in front of, and about, its payload.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::io) struct Layout {
    pub(in crate::io) from: SocketAddr,
    pub(in crate::io) payload: Range<usize>,
    pub(in crate::io) segment_bytes: usize,
}

/// Reads the areas of a multishot receive of `filled` bytes. `None` if they make no sense, or the
/// payload was cut short.
pub(in crate::io) fn parse(buffer: &[u8], filled: usize, v6: bool) -> Option<Layout> {
    let [name_used, control_used, payload_bytes, flags] = lengths(buffer)?;
    let name_bytes = if v6 { V6_NAME_BYTES } else { V4_NAME_BYTES };
    let control = LENGTHS_BYTES + name_bytes;
    let start = control + CONTROL_BYTES;
    let name = buffer.get(LENGTHS_BYTES..)?.get(..name_used.min(name_bytes))?;
    let from = address::decode(name)?;
    let payload = start..start + payload_bytes;
    let cut = flags & libc::MSG_TRUNC as usize != 0;
    if cut || payload.end > filled.min(buffer.len()) {
        return None;
    }
    let control = buffer.get(control..)?.get(..control_used.min(CONTROL_BYTES))?;
    let segment_bytes = segment_bytes(control).unwrap_or(payload_bytes);
    Some(Layout { from, payload, segment_bytes })
}

fn lengths(buffer: &[u8]) -> Option<[usize; 4]> {
    let (words, _) = buffer.get(..LENGTHS_BYTES)?.as_chunks::<4>();
    let words: &[[u8; 4]; 4] = words.try_into().ok()?;
    Some(words.map(|word| u32::from_ne_bytes(word) as usize))
}

/// The segment size a UDP_GRO control message tells, if there is one.
pub(in crate::io) fn segment_bytes(control: &[u8]) -> Option<usize> {
    const DATA: usize = size_of::<libc::cmsghdr>();
    let data = control.get(DATA..DATA + 4)?;
    let level = i32::from_ne_bytes(*control.get(DATA - 8..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*control.get(DATA - 4..)?.first_chunk()?);
    let segment_bytes = i32::from_ne_bytes(*data.first_chunk()?);
    let ours = level == libc::SOL_UDP && kind == libc::UDP_GRO && segment_bytes > 0;
    ours.then_some(segment_bytes as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A receive of `payload` from 192.0.2.7:9, with a UDP_GRO message if `segment` is given.
    fn received(payload: &[u8], segment: Option<i32>) -> Vec<u8> {
        let control_used = if segment.is_some() { CONTROL_BYTES } else { 0 };
        let mut out = Vec::new();
        for length in [16, control_used, payload.len(), 0] {
            out.extend((length as u32).to_ne_bytes());
        }
        out.extend((libc::AF_INET as u16).to_ne_bytes());
        out.extend([0, 9, 192, 0, 2, 7, 0, 0, 0, 0, 0, 0, 0, 0]);
        out.extend(20_usize.to_ne_bytes());
        out.extend(libc::SOL_UDP.to_ne_bytes());
        out.extend(libc::UDP_GRO.to_ne_bytes());
        out.extend(segment.unwrap_or(7).to_ne_bytes());
        out.extend([0; 4]);
        out.extend(payload);
        out
    }

    #[test]
    fn a_single_and_a_train_are_told_apart() {
        let single = received(b"hello", None);
        let layout = parse(&single, single.len(), false).expect("well formed");
        assert_eq!(layout.from, "192.0.2.7:9".parse().expect("an address"));
        assert_eq!((layout.payload, layout.segment_bytes), (56..61, 5));

        let train = received(b"hello", Some(2));
        let layout = parse(&train, train.len(), false).expect("well formed");
        assert_eq!((layout.payload, layout.segment_bytes), (56..61, 2));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let whole = received(b"hello", None);
        assert_eq!(parse(&whole, whole.len() - 1, false), None);
        assert_eq!(parse(&whole[..40], whole.len(), false), None);
        let mut cut = whole.clone();
        cut[12..16].copy_from_slice(&(libc::MSG_TRUNC as u32).to_ne_bytes());
        assert_eq!(parse(&cut, cut.len(), false), None);
    }
}
