//! From a received datagram, through the state machine, to the socket it leaves from.
//!
//! The bytes stay where the kernel put them. Towards a peer a payload leaves from the middle of its
//! buffer; towards a client a prefix is put in front of it.

use std::{net::SocketAddr, ops::Range};

use crate::worker::{mail::batch::Handoff, reactor::Worker};
use crate::{
    io::{Driver, HEADROOM, Lease, PAD_MAX, Piece, Received},
    turn::{
        self, FiveTuple, ListenerId, Now, Path, Reason, RelayId, ToClient, Transport, Verdict,
        WorkerIndex,
    },
    wire::{self, MAX_PADDING, Prefix},
};

// The two numbers floors 0 and 1 must agree on without knowing each other.
const _: () = assert!(Prefix::MAX_BYTES <= HEADROOM && MAX_PADDING <= PAD_MAX);

/// A run of equal datagrams or frames in one buffer; only the last may be shorter.
pub(in crate::worker) struct LeasedTrain {
    pub(in crate::worker) lease: Lease,
    pub(in crate::worker) payload: Range<usize>,
    pub(in crate::worker) segment_bytes: usize,
}

/// Datagrams of a client that are judged as one: a single one, or frames of a train that have the
/// same header.
struct Run {
    lease: Lease,
    /// The first of them.
    first: Range<usize>,
    frames: usize,
}

impl<D: Driver> Worker<D> {
    /// Judges what came to a listener, run by run: in a train of one channel's frames the lookups
    /// are made once.
    pub(in crate::worker) fn receive_from_client(
        &mut self,
        now: Now,
        listener: ListenerId,
        received: Received,
    ) {
        let flow = FiveTuple { listener, client: received.from };
        if let Some(owner) = self.owners.owner(flow) {
            return self.hand_over(owner, flow, &received);
        }
        let (payload, segment_bytes) = (received.lease.range(), received.segment_bytes);
        let train = LeasedTrain { lease: received.lease, payload, segment_bytes };
        self.receive_train(now, Path::udp(flow), train);
    }

    /// Judges what a client sent, each segment by itself or many of them as one. Says why the last
    /// was dropped, if it was.
    pub(in crate::worker) fn receive_train(
        &mut self,
        now: Now,
        path: Path,
        train: LeasedTrain,
    ) -> Option<Reason> {
        let LeasedTrain { lease: whole, payload, segment_bytes } = train;
        let step = segment_bytes.max(1);
        if payload.len() <= step {
            return self.receive_run(now, path, Run { lease: whole, first: payload, frames: 1 });
        }
        let mut begin = payload.start;
        loop {
            let frames = wire::run(&whole.buffer()[begin..payload.end], step);
            let first = begin..payload.end.min(begin + step);
            begin += frames * step;
            if begin >= payload.end {
                return self.receive_run(now, path, Run { lease: whole, first, frames });
            }
            let run = Run { lease: whole.share(), first, frames };
            let dropped = self.receive_run(now, path, run);
            if dropped == Some(Reason::TooManyAnswers) {
                return dropped;
            }
            if dropped == Some(Reason::ReplyBudget) {
                let rest = &whole.buffer()[begin..payload.end];
                begin += self.server.refuse_alike(now, path, rest, step) * step;
                self.carry_out(now);
                if begin >= payload.end {
                    return Some(Reason::ReplyBudget);
                }
            }
        }
    }

    /// Passes a client's datagrams on to the worker that has its allocation.
    fn hand_over(&mut self, owner: WorkerIndex, flow: FiveTuple, received: &Received) {
        let (payload, step) = (received.lease.payload(), received.segment_bytes.max(1));
        self.counters.misrouted += received.segments() as u64;
        // An empty datagram is one too.
        for begin in (0..received.segments()).map(|segment| segment * step) {
            let datagram = &payload[begin..payload.len().min(begin + step)];
            self.batches.pack(&self.mailboxes, owner, Handoff::Misrouted(flow), datagram);
        }
    }

    /// Judges a datagram that a client of this worker sent and another worker received, from a
    /// buffer of this worker.
    pub(in crate::worker) fn receive_misrouted(
        &mut self,
        now: Now,
        flow: FiveTuple,
        datagram: &[u8],
    ) {
        match self.copied(datagram) {
            Some(lease) => {
                let first = lease.range();
                let run = Run { lease, first, frames: 1 };
                self.receive_run(now, Path::udp(flow), run);
            }
            None => self.counters.no_buffer += 1,
        }
    }

    /// Judges a run and carries the verdict out; says why it was dropped, if it was.
    fn receive_run(&mut self, now: Now, path: Path, run: Run) -> Option<Reason> {
        let Run { lease, first, frames } = run;
        let datagram = &lease.buffer()[first.clone()];
        let verdict = self.server.from_client(now, path, datagram, frames, &mut self.reply[..]);
        let stride = first.len();
        let mut dropped = None;
        match verdict {
            Verdict::ToPeer { relay, peer, payload, frames, dont_fragment } => {
                let piece = Piece::single(lease, shifted(payload, first.start));
                let piece = Piece { dont_fragment, ..piece.repeated(frames, stride) };
                self.send_to_peer(relay, peer, piece);
            }
            Verdict::ToClient { to, payload, frames } => {
                let piece = Piece::single(lease, shifted(payload, first.start));
                self.frame(now, to, piece.repeated(frames, stride));
            }
            Verdict::HandOver { worker, from, to, payload, frames } => {
                for frame in lease.buffer()[first.start..].chunks(stride.max(1)).take(frames) {
                    let handoff = Handoff::Hairpin { from, to };
                    self.batches.pack(&self.mailboxes, worker, handoff, &frame[payload.clone()]);
                }
            }
            Verdict::Reply(bytes) => self.reply_in(now, lease, path, bytes),
            Verdict::Pending => {}
            Verdict::Move(_) => debug_assert!(false, "no connection is bound"),
            Verdict::Drop(reason) => dropped = Some(reason),
        }
        self.carry_out(now);
        dropped
    }

    /// Judges what came to a relay socket: one look for a whole train, which has one sender.
    pub(in crate::worker) fn receive_from_peer(
        &mut self,
        now: Now,
        relay: RelayId,
        received: Received,
    ) {
        let payload = received.lease.range();
        let segment_bytes = received.segment_bytes;
        let train =
            turn::Train { segments: received.segments(), segment_bytes, bytes: payload.len() };
        if let Ok(delivered) = self.server.from_peer(now, relay, received.from, train) {
            let payload = payload.start..payload.start + delivered.train.bytes;
            self.train_to_client(
                now,
                delivered.to,
                LeasedTrain { lease: received.lease, payload, segment_bytes },
            );
        }
    }

    /// Delivers a payload another worker has handed over, from a buffer of this worker.
    pub(in crate::worker) fn receive_from_worker(
        &mut self,
        now: Now,
        to: ToClient,
        payload: &[u8],
    ) {
        match self.copied(payload) {
            Some(lease) => {
                let range = lease.range();
                let segment_bytes = payload.len();
                self.train_to_client(now, to, LeasedTrain { lease, payload: range, segment_bytes });
            }
            None => self.counters.no_buffer += 1,
        }
    }

    /// The same bytes in a buffer of the driver's.
    pub(in crate::worker) fn copied(&mut self, bytes: &[u8]) -> Option<Lease> {
        let mut lease = self.driver.blank(bytes.len())?;
        let range = lease.range();
        lease.exclusive()?[range].copy_from_slice(bytes);
        Some(lease)
    }

    /// Sends an answer from a buffer of the server's own.
    pub(in crate::worker) fn reply(&mut self, now: Now, path: Path, bytes: usize) {
        if path.transport.is_stream() {
            return self.answer_stream(now, path.flow, bytes);
        }
        match self.driver.blank(bytes) {
            Some(lease) => self.reply_in(now, lease, path, bytes),
            None => self.counters.no_buffer += 1,
        }
    }

    /// Sends an answer from the buffer its request came in, unless others still read that one.
    fn reply_in(&mut self, now: Now, mut lease: Lease, path: Path, bytes: usize) {
        if path.transport.is_stream() {
            return self.answer_stream(now, path.flow, bytes);
        }
        let start = lease.range().start;
        let Some(room) = lease.exclusive().and_then(|b| b.get_mut(start..start + bytes)) else {
            return self.reply(now, path, bytes);
        };
        room.copy_from_slice(&self.reply[..bytes]);
        self.send_to_client(now, path, Piece::single(lease, start..start + bytes));
    }

    fn send_to_peer(&mut self, relay: RelayId, peer: SocketAddr, piece: Piece<'_>) {
        if let Some(socket) = self.sockets.relay(relay) {
            self.driver.send(socket, peer, piece);
        }
    }

    /// Frames the equal segments of a train with one prefix, and a shorter last one with its own.
    fn train_to_client(&mut self, now: Now, to: ToClient, train: LeasedTrain) {
        let LeasedTrain { lease, payload, segment_bytes } = train;
        // An empty payload is one datagram too.
        let equal = (payload.len() / segment_bytes.max(1)).max(1);
        let first = payload.start..payload.start + segment_bytes;
        let rest = payload.start + equal * segment_bytes..payload.end;
        if rest.is_empty() {
            self.frame(now, to, Piece::single(lease, first).repeated(equal, segment_bytes));
        } else {
            let equal = Piece::single(lease.share(), first).repeated(equal, segment_bytes);
            self.frame(now, to, equal);
            self.frame(now, to, Piece::single(lease, rest));
        }
    }

    /// Puts the prefix in front of every body of a piece. The driver writes it into the headroom
    /// where the buffer has one reader, and gathers it where others share the buffer.
    fn frame(&mut self, now: Now, to: ToClient, piece: Piece<'_>) {
        let mut header = [0; Prefix::MAX_BYTES];
        let Ok(bytes) = to.prefix.write(piece.body.len(), &mut header) else {
            self.counters.too_long += piece.segments as u64;
            return;
        };
        let pad = to.trailing_bytes(piece.body.len()) as u8;
        self.send_to_client(now, to.path, piece.with_header(&header[..bytes]).with_pad(pad));
    }

    /// The one way to a client, for answers, payload and hairpins, whatever the transport.
    fn send_to_client(&mut self, now: Now, path: Path, piece: Piece<'_>) {
        let Path { flow, transport } = path;
        match transport {
            Transport::Udp => {
                if let Some(socket) = self.sockets.listener(flow.listener) {
                    self.driver.send(socket, flow.client, piece);
                }
            }
            Transport::Tcp | Transport::Tls => self.send_to_stream(now, flow, &piece),
        }
    }
}

fn shifted(range: Range<usize>, by: usize) -> Range<usize> {
    range.start + by..range.end + by
}
