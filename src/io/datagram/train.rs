//! Datagrams for one destination that leave in one send, and where their bytes stand.

use std::net::SocketAddr;

use crate::io::{
    datagram::cursor::{END, Fragment},
    event::SocketId,
    room::HEADROOM,
};

/// Trains, single datagrams included, between two calls into the kernel.
pub(in crate::io) const TRAINS_MAX: usize = 1024;
/// Datagrams in one train: what every kernel with UDP_SEGMENT takes.
pub(super) const TRAIN_SEGMENTS_MAX: usize = 64;
/// Bytes of one train: what one IP packet holds before segmentation, with room for headers.
const TRAIN_BYTES_MAX: usize = 65_000;

/// Datagrams for one destination that leave in one send.
#[derive(Debug, Clone, Copy)]
pub struct SendTrain {
    pub(in crate::io) socket: SocketId,
    pub(in crate::io) to: SocketAddr,
    /// Bytes of each datagram; the last may be shorter.
    pub(in crate::io) segment_bytes: usize,
    pub(in crate::io) bytes: usize,
    pub(in crate::io) segments: usize,
    /// Places it is gathered from.
    pub(in crate::io) parts: usize,
    /// Its fragments: the first and the last of a chain.
    pub(super) first: u32,
    pub(super) last: u32,
    open: bool,
}

impl SendTrain {
    /// An empty train; `joins` says whether it may become longer than one datagram. An empty
    /// datagram cannot be told apart in a train, so it is one by itself.
    pub(super) fn begin(
        socket: SocketId,
        to: SocketAddr,
        segment_bytes: usize,
        joins: bool,
    ) -> Self {
        let open = joins && segment_bytes > 0;
        let (bytes, segments, parts) = (0, 0, 0);
        Self { socket, to, segment_bytes, bytes, segments, parts, first: END, last: END, open }
    }

    pub(super) fn takes(&self, datagram_bytes: usize) -> bool {
        self.open
            && (1..=self.segment_bytes).contains(&datagram_bytes)
            && self.segments < TRAIN_SEGMENTS_MAX
            && self.bytes + datagram_bytes <= TRAIN_BYTES_MAX
    }

    /// How many more datagrams of this size fit; a train just begun takes at least one.
    pub(super) fn room(&self, datagram_bytes: usize) -> usize {
        if self.segments == 0 && !self.open {
            return 1;
        }
        let by_bytes = TRAIN_BYTES_MAX.saturating_sub(self.bytes) / datagram_bytes.max(1);
        let room = by_bytes.min(TRAIN_SEGMENTS_MAX - self.segments);
        let room = if datagram_bytes < self.segment_bytes { room.min(1) } else { room };
        if self.segments == 0 { room.max(1) } else { room }
    }

    pub(super) fn extend(&mut self, segments: usize, datagram_bytes: usize, parts: usize) {
        self.segments += segments;
        self.bytes += segments * datagram_bytes;
        self.parts += segments * parts;
        self.open &= datagram_bytes == self.segment_bytes;
    }
}

/// The fragments of one train in order, each with its header.
pub(in crate::io) struct Fragments<'a> {
    pub(super) fragments: &'a [Fragment],
    pub(super) headers: &'a [[u8; HEADROOM]],
    pub(super) next: u32,
}

impl<'a> Iterator for Fragments<'a> {
    type Item = (&'a [u8], &'a Fragment);

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next as usize;
        let fragment = self.fragments.get(index)?;
        self.next = fragment.next;
        Some((&self.headers[index][..fragment.header_bytes()], fragment))
    }
}
