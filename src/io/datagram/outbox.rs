//! The send queue of one batch, and how its pieces become trains.
//!
//! The kernel's cost is per send, not per byte, so datagrams of one size for one destination leave
//! as one train (UDP_SEGMENT). Per `(socket, destination)` the newest train is found through a
//! small table, and a train takes datagrams until a shorter one, its size or its length closes it:
//!
//! ```text
//! pieces   a1200 b160 a1200 b160 a700 a1200          (flow, bytes)
//! trains   a[1200 1200 700]  b[160 160]  a[1200]     a shorter one is last in its train
//! ```
//!
//! Order within a flow holds because a flow only ever adds to its newest train, and trains are sent
//! in the order they were begun.
//!
//! All memory is taken once. It is used again from the start as soon as the kernel has finished
//! every train handed over, which with MSG_DONTWAIT is after every call.

use std::net::SocketAddr;

use crate::io::{
    datagram::{
        cursor::{END, Fragment, PieceCursor},
        gather::{Gather, IOVECS_MAX},
        recent_trains::{Bucket, RecentTrains},
        segmentation::Segmentation,
        train::{Fragments, SendTrain, TRAIN_SEGMENTS_MAX, TRAINS_MAX},
    },
    engine::figures::counters::Counters,
    event::SocketId,
    room::HEADROOM,
};

/// Pieces between two calls into the kernel.
const PIECES_MAX: usize = 2048;

/// Pieces and trains of one batch.
pub struct Outbox {
    trains: Box<[SendTrain]>,
    begun: usize,
    handed_over: usize,
    /// Some train of this batch has more than one datagram.
    has_trains: bool,
    in_flight: usize,
    fragments: Box<[Fragment]>,
    fragments_used: usize,
    headers: Box<[[u8; HEADROOM]]>,
    /// Gather entries that the trains so far will need.
    parts: usize,
    gather: Gather,
    recent: RecentTrains,
}

impl Outbox {
    pub(in crate::io) fn new() -> Self {
        let nobody = SocketAddr::from(([0, 0, 0, 0], 0));
        Self {
            trains: vec![SendTrain::begin(SocketId(0), nobody, 0, false); TRAINS_MAX].into(),
            begun: 0,
            handed_over: 0,
            has_trains: false,
            in_flight: 0,
            fragments: (0..PIECES_MAX).map(|_| Fragment::EMPTY).collect(),
            fragments_used: 0,
            headers: vec![[0; HEADROOM]; PIECES_MAX].into(),
            parts: 0,
            gather: Gather::new(),
            recent: RecentTrains::new(),
        }
    }

    /// Trains not yet handed to the kernel.
    pub(in crate::io) fn waiting(&self) -> usize {
        self.begun - self.handed_over
    }

    /// Trains the kernel has not finished.
    pub(in crate::io) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Whether any send of this batch is of more than one datagram.
    pub(in crate::io) fn has_trains(&self) -> bool {
        self.has_trains
    }

    pub(in crate::io) fn train(&self, index: usize) -> &SendTrain {
        &self.trains[index]
    }

    /// Queues as much of `cursor` as there is room for; whether that was all of it.
    pub(in crate::io) fn queue(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        cursor: &mut PieceCursor<'_>,
        segmentation: &Segmentation,
        counters: &mut Counters,
    ) -> bool {
        while cursor.segments() > 0 {
            if !self.has_room(cursor) {
                return false;
            }
            counters.joined += u64::from(self.queue_part(socket, to, cursor, segmentation));
        }
        true
    }

    /// Queues what one train takes of `cursor`, for which there is room; whether that train had
    /// been begun.
    ///
    /// Inlined into the loop above, which most pieces pass once, it would have everything loaded
    /// ahead of a second pass: a hundred instructions of a packet.
    #[inline(never)]
    fn queue_part(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        cursor: &mut PieceCursor<'_>,
        segmentation: &Segmentation,
    ) -> bool {
        let train = self.train_for(socket, to, cursor.datagram_bytes(), segmentation);
        let is_begun = self.trains[train].segments > 0;
        self.append(train, cursor);
        is_begun
    }

    fn has_room(&self, cursor: &PieceCursor<'_>) -> bool {
        let parts = cursor.segments().min(TRAIN_SEGMENTS_MAX) * cursor.parts();
        self.begun < TRAINS_MAX
            && self.fragments_used < PIECES_MAX
            && self.parts + parts <= IOVECS_MAX
    }

    /// The train that takes the next datagram of this flow: its newest one, or one just begun.
    fn train_for(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        datagram_bytes: usize,
        segmentation: &Segmentation,
    ) -> usize {
        let bucket = Bucket::of(socket, to);
        let newest = self.recent.newest(bucket).filter(|newest| *newest >= self.handed_over);
        if let Some(newest) = newest {
            let train = &self.trains[newest];
            if train.socket == socket && train.to == to && train.takes(datagram_bytes) {
                return newest;
            }
        }
        let joins = segmentation.allows(to.ip()) && !self.recent.is_refused(bucket, datagram_bytes);
        self.recent.set_newest(bucket, self.begun);
        self.trains[self.begun] = SendTrain::begin(socket, to, datagram_bytes, joins);
        self.begun += 1;
        self.begun - 1
    }

    fn append(&mut self, train: usize, cursor: &mut PieceCursor<'_>) {
        let index = self.fragments_used;
        let train = &mut self.trains[train];
        let segments = match cursor.segments() {
            // A train is found for one datagram at least, and to find room for more is a division.
            1 => 1,
            segments => segments.min(train.room(cursor.datagram_bytes())),
        };
        train.extend(segments, cursor.datagram_bytes(), cursor.parts());
        self.has_trains |= train.segments > 1;
        self.parts += segments * cursor.parts();
        match train.last {
            END => train.first = index as u32,
            last => self.fragments[last as usize].next = index as u32,
        }
        train.last = index as u32;
        if !cursor.header().is_empty() {
            self.headers[index][..cursor.header().len()].copy_from_slice(cursor.header());
        }
        self.fragments[index] = cursor.split_off(segments);
        self.fragments_used += 1;
    }

    /// Hands the oldest waiting train to the caller, who sends it and then says it is
    /// [finished](Self::finish).
    pub(in crate::io) fn hand_over(&mut self) -> Option<usize> {
        if self.handed_over == self.begun {
            return None;
        }
        self.handed_over += 1;
        self.in_flight += 1;
        Some(self.handed_over - 1)
    }

    /// The bytes of a train that is one datagram in one place.
    pub(in crate::io) fn plain(&self, index: usize) -> Option<&[u8]> {
        let train = &self.trains[index];
        let fragment = self.fragments.get(train.first as usize)?;
        (train.segments == 1 && train.parts == 1).then(|| fragment.body(0))
    }

    /// The name of a train's destination, at an address that holds until the train is finished.
    pub(in crate::io) fn name(&mut self, index: usize) -> (*const libc::sockaddr, libc::socklen_t) {
        self.gather.name(index, self.trains[index].to)
    }

    /// A train as a message for `sendmsg`; it and all it points to hold until the train is
    /// finished.
    pub(in crate::io) fn message(&mut self, index: usize) -> *const libc::msghdr {
        let train = &self.trains[index];
        let fragments =
            Fragments { fragments: &self.fragments, headers: &self.headers, next: train.first };
        self.gather.message(index, train, fragments)
    }

    /// The datagrams of a train that is a [message](Self::message), each as what `sendmsg` gathers.
    pub(in crate::io) fn datagrams(&self, index: usize) -> impl Iterator<Item = &[libc::iovec]> {
        self.gather.datagrams(index, self.trains[index].segment_bytes)
    }

    /// Remembers that the kernel refused a train, so that such datagrams of this flow go out
    /// singly.
    pub(in crate::io) fn refuse(&mut self, index: usize) {
        let train = &self.trains[index];
        self.recent.refuse(Bucket::of(train.socket, train.to), train.segment_bytes);
    }

    /// Ends a train that the kernel no longer reads: its leases are dropped.
    pub(in crate::io) fn finish(&mut self, index: usize) {
        let train = &mut self.trains[index];
        let mut next = std::mem::replace(&mut train.first, END);
        train.parts = 0;
        while let Some(fragment) = self.fragments.get_mut(next as usize) {
            fragment.finish();
            next = fragment.next;
        }
        self.in_flight -= 1;
        if self.in_flight == 0 && self.waiting() == 0 {
            self.start_over();
        }
    }

    fn start_over(&mut self) {
        (self.begun, self.handed_over, self.has_trains) = (0, 0, false);
        (self.fragments_used, self.parts) = (0, 0);
        self.gather.start_over();
        self.recent.next_batch();
    }
}
