//! The send queue of one batch, and how its pieces become trains.
//!
//! The kernel's cost is per send, not per byte, so datagrams of one size for one destination leave
//! as one train (UDP_SEGMENT). Per `(socket, destination)` the latest open train is found through a
//! small direct-mapped table:
//!
//! ```text
//! pieces   a1200 b160 a1200 b160 a700 a1200          (flow, bytes)
//! trains   a[1200 1200 700]  b[160 160]  a[1200]     a shorter one is last in its train
//! ```
//!
//! Order within a flow holds because a flow only ever adds to its newest train and trains are sent
//! in the order they were begun. Two flows that meet in the table cost each other joins, not order.
//!
//! All memory is taken once. It is used again from the start as soon as the kernel has finished
//! every train handed over, which with MSG_DONTWAIT is after every call.

use std::net::SocketAddr;

use super::{
    Counters, HEADROOM, Lease, PAD_MAX, Piece, SocketId,
    gather::{Gather, IOVECS_MAX},
};

/// Trains, single datagrams included, between two calls into the kernel.
pub(super) const TRAINS_MAX: usize = 1024;
/// Pieces between two calls into the kernel.
const PIECES_MAX: usize = 2048;
/// Datagrams in one train: what every kernel with UDP_SEGMENT takes.
pub(super) const TRAIN_SEGMENTS_MAX: usize = 64;
/// Bytes of one train: what one IP packet holds before segmentation, with room for headers.
pub(super) const TRAIN_BYTES_MAX: usize = 65_000;
/// Entries of the table that finds a flow's newest train. A power of two.
const FLOWS: usize = 1024;
const END: u32 = u32::MAX;

/// Pieces and trains of one batch.
pub(super) struct Outbox {
    trains: Box<[Train]>,
    begun: usize,
    handed_over: usize,
    in_flight: usize,
    nodes: Box<[Node]>,
    nodes_used: usize,
    headers: Box<[[u8; HEADROOM]]>,
    iovecs_promised: usize,
    gather: Gather,
    flows: Box<[Flow; FLOWS]>,
    batch: u32,
    segments_max: usize,
}

/// Datagrams for one destination that leave in one send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Train {
    pub(super) socket: SocketId,
    pub(super) to: SocketAddr,
    pub(super) segment_bytes: usize,
    pub(super) bytes: usize,
    pub(super) segments: usize,
    pub(super) iovecs: usize,
    first: u32,
    last: u32,
    open: bool,
}

/// A piece, or the part of one that fitted into its train.
pub(super) struct Node {
    lease: Option<Lease>,
    start: u32,
    body_bytes: u32,
    stride: u32,
    segments: u32,
    next: u32,
    header_bytes: u8,
    pub(super) pad: u8,
}

/// Where a flow's newest train is, if the batch is still the same one; and the segment size the
/// kernel refused for a flow that met here.
#[derive(Clone, Copy)]
struct Flow {
    batch: u32,
    train: u32,
    refused_tag: u32,
    refused_bytes: u32,
}

/// What is left to queue of a piece.
pub(super) struct Run<'a> {
    header: &'a [u8],
    lease: Option<Lease>,
    start: usize,
    body_bytes: usize,
    stride: usize,
    segments: usize,
    pad: u8,
}

impl Outbox {
    pub(super) fn new(segmentation: bool) -> Self {
        let begun = Train {
            socket: SocketId(0),
            to: SocketAddr::from(([0, 0, 0, 0], 0)),
            segment_bytes: 0,
            bytes: 0,
            segments: 0,
            iovecs: 0,
            first: END,
            last: END,
            open: false,
        };
        let flow = Flow { batch: 0, train: 0, refused_tag: 0, refused_bytes: u32::MAX };
        Self {
            trains: vec![begun; TRAINS_MAX].into(),
            begun: 0,
            handed_over: 0,
            in_flight: 0,
            nodes: (0..PIECES_MAX).map(|_| Node::EMPTY).collect(),
            nodes_used: 0,
            headers: vec![[0; HEADROOM]; PIECES_MAX].into(),
            iovecs_promised: 0,
            gather: Gather::new(),
            flows: Box::new([flow; FLOWS]),
            batch: 1,
            segments_max: if segmentation { TRAIN_SEGMENTS_MAX } else { 1 },
        }
    }

    /// From now on every datagram is a send of its own. Returns whether that is news.
    pub(super) fn stop_segmentation(&mut self) -> bool {
        std::mem::replace(&mut self.segments_max, 1) > 1
    }

    /// Trains not yet handed to the kernel.
    pub(super) fn waiting(&self) -> usize {
        self.begun - self.handed_over
    }

    /// Trains the kernel has not finished.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    pub(super) fn train(&self, index: usize) -> &Train {
        &self.trains[index]
    }

    /// Queues as much of `run` as there is room for; whether that was all of it.
    pub(super) fn queue(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        run: &mut Run<'_>,
        counters: &mut Counters,
    ) -> bool {
        while run.segments > 0 {
            if !self.has_room(run) {
                return false;
            }
            let train = self.train_for(socket, to, run.datagram_bytes());
            counters.joined += u64::from(self.trains[train].segments > 0);
            self.append(train, run);
        }
        true
    }

    fn has_room(&self, run: &Run<'_>) -> bool {
        let iovecs = run.segments.min(TRAIN_SEGMENTS_MAX) * run.datagram_iovecs();
        self.begun < TRAINS_MAX
            && self.nodes_used < PIECES_MAX
            && self.iovecs_promised + iovecs <= IOVECS_MAX
    }

    /// The train that takes the next datagram of this flow: its newest one, or one just begun.
    fn train_for(&mut self, socket: SocketId, to: SocketAddr, datagram_bytes: usize) -> usize {
        let hash = hash(socket, to);
        let flow = &mut self.flows[bucket(hash)];
        let newest = flow.train as usize;
        if flow.batch == self.batch && newest >= self.handed_over {
            let train = &self.trains[newest];
            if train.socket == socket && train.to == to && train.takes(datagram_bytes) {
                return newest;
            }
        }
        let refused =
            flow.refused_tag == tag(hash) && datagram_bytes >= flow.refused_bytes as usize;
        let open = self.segments_max > 1 && datagram_bytes > 0 && !refused;
        (flow.batch, flow.train) = (self.batch, self.begun as u32);
        self.trains[self.begun] = Train {
            socket,
            to,
            segment_bytes: datagram_bytes,
            bytes: 0,
            segments: 0,
            iovecs: 0,
            first: END,
            last: END,
            open,
        };
        self.begun += 1;
        self.begun - 1
    }

    fn append(&mut self, train: usize, run: &mut Run<'_>) {
        let index = self.nodes_used as u32;
        let train = &mut self.trains[train];
        let datagram_bytes = run.datagram_bytes();
        let segments = run.segments.min(train.room(datagram_bytes));
        train.iovecs += segments * run.datagram_iovecs();
        self.iovecs_promised += segments * run.datagram_iovecs();
        train.bytes += segments * datagram_bytes;
        train.segments += segments;
        train.open &= datagram_bytes == train.segment_bytes;
        match train.last {
            END => train.first = index,
            last => self.nodes[last as usize].next = index,
        }
        train.last = index;
        self.headers[self.nodes_used][..run.header.len()].copy_from_slice(run.header);
        self.nodes[self.nodes_used] = run.split_off(segments);
        self.nodes_used += 1;
    }

    /// Hands the oldest waiting train to the caller, who sends it and then says it is
    /// [finished](Self::finish).
    pub(super) fn hand_over(&mut self) -> Option<usize> {
        if self.handed_over == self.begun {
            return None;
        }
        self.handed_over += 1;
        self.in_flight += 1;
        Some(self.handed_over - 1)
    }

    /// The bytes of a train that is one datagram in one place.
    pub(super) fn plain(&self, index: usize) -> Option<&[u8]> {
        let train = &self.trains[index];
        if train.segments > 1 || train.iovecs > 1 {
            return None;
        }
        Some(self.nodes[train.first as usize].body(0))
    }

    /// The name of a train's destination, at an address that holds until the train is finished.
    pub(super) fn name(&mut self, index: usize) -> (*const libc::sockaddr, libc::socklen_t) {
        self.gather.name(index, self.trains[index].to)
    }

    /// A train as a message for `sendmsg`; it and all it points to hold until the train is finished.
    pub(super) fn message(&mut self, index: usize) -> *const libc::msghdr {
        let train = self.trains[index];
        let nodes = Nodes { outbox_nodes: &self.nodes, headers: &self.headers, next: train.first };
        self.gather.message(index, &train, nodes)
    }

    /// The datagrams of a train that is handed over, each as what `sendmsg` gathers.
    pub(super) fn datagrams(&self, index: usize) -> impl Iterator<Item = &[libc::iovec]> {
        self.gather.datagrams(index, self.trains[index].segment_bytes)
    }

    /// Remembers that the kernel refused a train, so that such datagrams of this flow go out singly.
    pub(super) fn refuse(&mut self, index: usize) {
        let train = &self.trains[index];
        let hash = hash(train.socket, train.to);
        let flow = &mut self.flows[bucket(hash)];
        (flow.refused_tag, flow.refused_bytes) = (tag(hash), train.segment_bytes as u32);
    }

    /// Ends a train that the kernel no longer reads: its leases are dropped.
    pub(super) fn finish(&mut self, index: usize) {
        let mut next = self.trains[index].first;
        self.trains[index].first = END;
        while let Some(node) = self.nodes.get_mut(next as usize) {
            node.lease = None;
            next = node.next;
        }
        self.in_flight -= 1;
        if self.in_flight == 0 && self.waiting() == 0 {
            self.start_over();
        }
    }

    fn start_over(&mut self) {
        (self.begun, self.handed_over) = (0, 0);
        (self.nodes_used, self.iovecs_promised) = (0, 0);
        self.gather.start_over();
        self.batch = self.batch.wrapping_add(1);
        if self.batch == 0 {
            self.batch = 1;
            self.flows.iter_mut().for_each(|flow| flow.batch = 0);
        }
    }
}

impl Train {
    fn takes(&self, datagram_bytes: usize) -> bool {
        self.open
            && (1..=self.segment_bytes).contains(&datagram_bytes)
            && self.room(datagram_bytes) > 0
    }

    /// How many more datagrams of this size fit; a train just begun takes at least one.
    fn room(&self, datagram_bytes: usize) -> usize {
        if self.segments == 0 && !self.open {
            return 1;
        }
        let by_bytes = TRAIN_BYTES_MAX.saturating_sub(self.bytes) / datagram_bytes.max(1);
        let room = by_bytes.min(TRAIN_SEGMENTS_MAX - self.segments);
        let room = if datagram_bytes < self.segment_bytes { room.min(1) } else { room };
        if self.segments == 0 { room.max(1) } else { room }
    }
}

impl Node {
    const EMPTY: Self = Self {
        lease: None,
        start: 0,
        body_bytes: 0,
        stride: 0,
        segments: 0,
        next: END,
        header_bytes: 0,
        pad: 0,
    };

    pub(super) fn bodies(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.segments).map(|segment| self.body(segment))
    }

    fn body(&self, segment: u32) -> &[u8] {
        let lease =
            self.lease.as_ref().expect("a node keeps its lease until its train is finished");
        let start = (self.start + segment * self.stride) as usize;
        &lease.buffer()[start..start + self.body_bytes as usize]
    }
}

/// The nodes of one train in order, each with its header.
pub(super) struct Nodes<'a> {
    outbox_nodes: &'a [Node],
    headers: &'a [[u8; HEADROOM]],
    next: u32,
}

impl<'a> Iterator for Nodes<'a> {
    type Item = (&'a [u8], &'a Node);

    fn next(&mut self) -> Option<Self::Item> {
        let index = self.next as usize;
        let node = self.outbox_nodes.get(index)?;
        self.next = node.next;
        Some((&self.headers[index][..usize::from(node.header_bytes)], node))
    }
}

impl<'a> Run<'a> {
    /// Checks a piece against its bounds, and where it is one datagram in a buffer of its own,
    /// writes header and pad around the body so that the kernel has nothing to gather.
    pub(super) fn new(piece: Piece<'a>) -> Self {
        let Piece { header, lease, body, segments, stride, pad, dont_fragment: _ } = piece;
        assert!(header.len() <= HEADROOM && usize::from(pad) <= PAD_MAX, "bounds of a piece");
        assert!(body.start <= body.end && segments > 0, "a piece has a datagram");
        let last = body.end + (segments - 1) * stride;
        assert!(last <= lease.buffer().len(), "a piece lies in its buffer");
        let (start, body_bytes) = (body.start, body.len());
        let mut run = Self { header, lease: Some(lease), start, body_bytes, stride, segments, pad };
        if segments == 1 {
            run.write_in_place();
        }
        run
    }

    fn write_in_place(&mut self) {
        let Some(buffer) = self.lease.as_mut().and_then(Lease::exclusive) else { return };
        let end = self.start + self.body_bytes;
        if let Some(pad) = buffer.get_mut(end..end + usize::from(self.pad)) {
            pad.fill(0);
            self.body_bytes += usize::from(std::mem::take(&mut self.pad));
        }
        if let Some(start) = self.start.checked_sub(self.header.len()) {
            buffer[start..self.start].copy_from_slice(self.header);
            self.body_bytes += std::mem::take(&mut self.header).len();
            self.start = start;
        }
    }

    pub(super) fn segments(&self) -> usize {
        self.segments
    }

    fn datagram_bytes(&self) -> usize {
        self.header.len() + self.body_bytes + usize::from(self.pad)
    }

    fn datagram_iovecs(&self) -> usize {
        1 + usize::from(!self.header.is_empty()) + usize::from(self.pad > 0)
    }

    /// Takes the first `segments` datagrams off, with a lease of their own.
    fn split_off(&mut self, segments: usize) -> Node {
        let start = self.start;
        self.segments -= segments;
        self.start += segments * self.stride;
        let lease = if self.segments == 0 {
            self.lease.take()
        } else {
            self.lease.as_ref().map(Lease::share)
        };
        Node {
            lease,
            start: start as u32,
            body_bytes: self.body_bytes as u32,
            stride: self.stride as u32,
            segments: segments as u32,
            next: END,
            header_bytes: self.header.len() as u8,
            pad: self.pad,
        }
    }
}

/// A multiplicative hash: cheap, and flows an adversary makes meet lose only joins.
fn hash(socket: SocketId, to: SocketAddr) -> u64 {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let address = match to {
        SocketAddr::V4(v4) => u64::from(v4.ip().to_bits()),
        SocketAddr::V6(v6) => {
            let bits = v6.ip().to_bits();
            (bits >> 64) as u64 ^ (bits as u64).rotate_left(32)
        }
    };
    let endpoint = u64::from(to.port()) << 32 | u64::from(socket.0);
    (address.wrapping_mul(ODD) ^ endpoint).wrapping_mul(ODD)
}

fn bucket(hash: u64) -> usize {
    (hash >> 32) as usize % FLOWS
}

fn tag(hash: u64) -> u32 {
    (hash >> 16) as u32 | 1
}
