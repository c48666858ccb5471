//! A piece on its way into trains.
//!
//! A [`PieceCursor`] is what is left to queue of a piece. A [`Fragment`] is the part of it that
//! went into one train, with a lease of its own. Most pieces are one datagram and become one
//! fragment.

use std::mem;

use crate::io::{
    memory::pool::Lease,
    piece::Piece,
    room::{HEADROOM, PAD_MAX},
};

/// What is left to queue of a piece.
pub struct PieceCursor<'a> {
    header: &'a [u8],
    lease: Option<Lease>,
    start: usize,
    body_bytes: usize,
    stride: usize,
    segments: usize,
    pad: u8,
}

/// Datagrams in one buffer that belong to one train.
pub(in crate::io) struct Fragment {
    lease: Option<Lease>,
    start: u32,
    body_bytes: u32,
    stride: u32,
    segments: u32,
    header_bytes: u8,
    pad: u8,
    /// The next fragment of the train.
    pub(in crate::io) next: u32,
}

/// The `next` of a train's last fragment.
pub(in crate::io) const END: u32 = u32::MAX;

impl<'a> PieceCursor<'a> {
    /// Checks a piece against its bounds, and where it is one datagram in a buffer of its own,
    /// writes header and pad around the body so that the kernel has nothing to gather.
    pub(in crate::io) fn new(piece: Piece<'a>) -> Self {
        let Piece { header, lease, body, segments, stride, pad, dont_fragment: _ } = piece;
        assert!(header.len() <= HEADROOM && usize::from(pad) <= PAD_MAX, "bounds of a piece");
        assert!(body.start <= body.end && segments > 0, "a piece has a datagram");
        let last = body.end + (segments - 1) * stride;
        assert!(last <= lease.buffer().len(), "a piece lies in its buffer");
        let (start, body_bytes) = (body.start, body.len());
        let mut cursor =
            Self { header, lease: Some(lease), start, body_bytes, stride, segments, pad };
        if segments == 1 && cursor.parts() > 1 {
            cursor.write_in_place();
        }
        cursor
    }

    fn write_in_place(&mut self) {
        let Some(buffer) = self.lease.as_mut().and_then(Lease::exclusive) else { return };
        let end = self.start + self.body_bytes;
        if let Some(pad) = buffer.get_mut(end..end + usize::from(self.pad)) {
            pad.fill(0);
            self.body_bytes += usize::from(mem::take(&mut self.pad));
        }
        if let Some(start) = self.start.checked_sub(self.header.len()) {
            buffer[start..self.start].copy_from_slice(self.header);
            self.body_bytes += mem::take(&mut self.header).len();
            self.start = start;
        }
    }

    pub(in crate::io) fn segments(&self) -> usize {
        self.segments
    }

    pub(in crate::io) fn header(&self) -> &[u8] {
        self.header
    }

    pub(in crate::io) fn datagram_bytes(&self) -> usize {
        self.header.len() + self.body_bytes + usize::from(self.pad)
    }

    /// Places a datagram is gathered from: header, body and pad, as far as there are any.
    pub(in crate::io) fn parts(&self) -> usize {
        1 + usize::from(!self.header.is_empty()) + usize::from(self.pad > 0)
    }

    /// Takes the first `segments` datagrams off, with a lease of their own.
    pub(in crate::io) fn split_off(&mut self, segments: usize) -> Fragment {
        let start = self.start;
        self.segments -= segments;
        self.start += segments * self.stride;
        let lease = match self.segments {
            0 => self.lease.take(),
            _ => self.lease.as_ref().map(Lease::share),
        };
        Fragment {
            lease,
            start: start as u32,
            body_bytes: self.body_bytes as u32,
            stride: self.stride as u32,
            segments: segments as u32,
            header_bytes: self.header.len() as u8,
            pad: self.pad,
            next: END,
        }
    }
}

impl Fragment {
    pub(in crate::io) const EMPTY: Self = Self {
        lease: None,
        start: 0,
        body_bytes: 0,
        stride: 0,
        segments: 0,
        header_bytes: 0,
        pad: 0,
        next: END,
    };

    pub(in crate::io) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.segments).map(|segment| self.body(segment))
    }

    pub(in crate::io) fn body(&self, segment: u32) -> &[u8] {
        let lease =
            self.lease.as_ref().expect("a fragment keeps its lease until its train is finished");
        let start = (self.start + segment * self.stride) as usize;
        &lease.buffer()[start..start + self.body_bytes as usize]
    }

    pub(in crate::io) fn header_bytes(&self) -> usize {
        self.header_bytes.into()
    }

    pub(in crate::io) fn pad_bytes(&self) -> usize {
        self.pad.into()
    }

    /// Gives the lease up.
    pub(in crate::io) fn finish(&mut self) {
        self.lease = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::memory::pool::Pool;

    #[test]
    fn a_lone_datagram_becomes_one_part_and_a_shared_one_does_not() {
        let pool = Pool::new(1).expect("memory");
        let lease = pool.blank(10).expect("a buffer");
        let kept = lease.share();
        let body = lease.range();
        let piece = Piece::single(lease, body.clone()).with_header(b"head").with_pad(2);
        assert_eq!(PieceCursor::new(piece).parts(), 3);

        let mut cursor =
            PieceCursor::new(Piece::single(kept, body).with_header(b"head").with_pad(2));
        assert_eq!((cursor.parts(), cursor.datagram_bytes()), (1, 16));
        let fragment = cursor.split_off(1);
        assert_eq!(fragment.body(0), b"head\0\0\0\0\0\0\0\0\0\0\0\0");
    }

    #[test]
    fn parts_of_a_run_share_its_lease() {
        let pool = Pool::new(1).expect("memory");
        let lease = pool.blank(100).expect("a buffer");
        let start = lease.range().start;
        let mut cursor = PieceCursor::new(Piece::single(lease, start..start + 10).repeated(10, 10));
        let first = cursor.split_off(3);
        assert_eq!((first.bodies().count(), cursor.segments()), (3, 7));
        let rest = cursor.split_off(7);
        assert_eq!(rest.bodies().count(), 7);
        assert_eq!(rest.body(0).as_ptr().addr() - first.body(0).as_ptr().addr(), 30);
    }

    #[test]
    #[should_panic(expected = "a piece lies in its buffer")]
    fn a_piece_outside_of_its_buffer_is_a_bug() {
        let pool = Pool::new(1).expect("memory");
        let lease = pool.blank(100).expect("a buffer");
        let body = lease.range();
        let _run = PieceCursor::new(Piece::single(lease, body).repeated(1000, 100));
    }
}
