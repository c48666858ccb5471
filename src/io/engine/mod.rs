//! The driver, once for both kernels: sockets in a table, errors decided, waits chosen, figures
//! kept.
//!
//! ```text
//! turn   arm receives │ hand sends over │ cancel closed   ─┐ with a ring: one call
//!        wait for the first completion                     ─┘
//!        collect: sends end, receives queue up for `next`, ended ones arm again
//!        hold, if that makes packets join (see `pace`): wait once more, collect
//! ```
//!
//! Which calls those are is the [`Kernel`]'s business.

use std::{
    collections::VecDeque,
    io, mem,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    time::Duration,
};

#[cfg(test)]
use std::net::IpAddr;

use bytes::BytesMut;

use super::{
    datagram::{cursor::PieceCursor, segmentation::Segmentation},
    driver::Driver,
    engine::figures::{counters::Counters, hold_times::HoldTimes},
    event::{Event, Receive, Received, SocketId, Wait},
    memory::pool::Lease,
    piece::Piece,
    settings::Settings,
    socket::open::{self as sockets, BufferSizes},
    stream::{
        acceptor::Claim,
        event::{AcceptorId, HangUpHow, Remote, StreamId},
        stream_set::StreamSet,
        streams::Streams,
    },
    sys,
    waker::Waker,
};
use figures::{core_use::CoreUse, hold_times::Sampler};
use kernel::{Arrived, Kernel, Slots};
use pace::Pace;
use table::{Key, Phase, Table};

mod collect;
pub(in crate::io) mod errno;
pub(in crate::io) mod figures;
pub(in crate::io) mod kernel;
pub(in crate::io) mod pace;
mod receive;
#[cfg(test)]
mod refused;
mod slots;
pub(in crate::io) mod table;
mod turn;
pub(in crate::io) mod wait_plan;

/// Room in the backlog for what is collected beside the contents of all buffers.
const BACKLOG_BESIDE: usize = 64;

/// Datagrams through a kernel. See [`Driver`].
pub struct Engine<K: Kernel> {
    pub(in crate::io) kernel: K,
    table: Table,
    segmentation: Segmentation,
    pub(in crate::io) core_use: CoreUse,
    pub(in crate::io) pace: Pace,
    spin: Duration,
    /// Sockets whose receive is to be armed, first in, first out.
    to_arm: VecDeque<Key>,
    /// A receive has ended since receives were last armed: its socket may hold datagrams.
    is_deaf: bool,
    /// Sockets that the kernel is to open.
    to_open: Vec<(Key, SocketAddr)>,
    /// Closed and taken sockets whose receive is to be cancelled.
    to_cancel: Vec<Key>,
    /// Receives that are cancelled and have not ended yet.
    cancelling: usize,
    /// Closed, taken or refused sockets that only the kernel has and is to let go of.
    to_leave: Vec<Key>,
    /// Closed and taken sockets that have nothing under way any more.
    to_release: Vec<Key>,
    streams: StreamSet,
    /// What was collected and not yet taken.
    backlog: VecDeque<Collected<K::Filled>>,
    waker: Waker,
    counters: Counters,
    hold_times: HoldTimes,
    sampler: Sampler,
    /// Destinations whose trains are told as refused with EIO, whatever became of them.
    #[cfg(test)]
    refuses: fn(IpAddr) -> bool,
}

/// An event before it is looked at.
enum Collected<F> {
    Filled(Key, F),
    Woken,
    Opened(Key),
    Refused(SocketId, i32),
    Closed(SocketId),
    Taken(SocketId, OwnedFd),
    Broken(Key, i32),
    SegmentationOff,
    SegmentationOn,
}

impl<K: Kernel> Engine<K> {
    /// Makes the calling thread's driver and takes its memory.
    ///
    /// # Errors
    /// When memory or the file limit does not suffice. Of a ring also when io_uring is not there,
    /// is forbidden, or is older than kernel 6.1; [`Facts::probe`](super::Facts::probe) tells
    /// which.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let sockets = settings.sockets.min(u32::try_from(sys::file_limit()?).unwrap_or(u32::MAX));
        let waker = Waker::new()?;
        let kernel = K::new(settings, sockets, &waker)?;
        let sockets = sockets as usize;
        Ok(Self {
            kernel,
            table: Table::new(sockets),
            segmentation: Segmentation::new(settings.segmentation),
            core_use: CoreUse::new(),
            pace: Pace::new(Duration::from_micros(settings.hold_us.into())),
            spin: Duration::from_micros(settings.spin_us.into()),
            to_arm: VecDeque::with_capacity(sockets),
            is_deaf: false,
            to_open: Vec::new(),
            to_cancel: Vec::with_capacity(sockets),
            cancelling: 0,
            to_leave: Vec::new(),
            to_release: Vec::with_capacity(sockets),
            streams: StreamSet::new(settings.streams as usize),
            backlog: VecDeque::with_capacity(settings.buffers as usize + BACKLOG_BESIDE),
            waker,
            counters: Counters::new(settings.buffers),
            hold_times: HoldTimes::default(),
            sampler: Sampler::default(),
            #[cfg(test)]
            refuses: |_| false,
        })
    }

    /// Makes the socket's DF bit what a piece asks for. Pieces queued before leave first.
    fn switch_dont_fragment(&mut self, key: Key, on: bool) -> io::Result<()> {
        let Some(entry) = self.table.at(key).filter(|entry| entry.differs(on)) else {
            return Ok(());
        };
        let v6 = entry.v6;
        entry.note_dont_fragment(on);
        if entry.socket.is_none() {
            self.submit_sends()?;
            return self.slots().set(key, sys::dont_fragment(v6, on));
        }
        if self.kernel.outbox().waiting() > 0 {
            self.counters.early_flushes += 1;
            self.flush()?;
        }
        let entry = self.table.get(key.id());
        entry.map_or(Ok(()), |entry| sys::set_dont_fragment(entry.descriptor(), v6, on))
    }

    /// Queues as much of `cursor` as there is room for; whether that was all of it.
    fn queue(&mut self, socket: SocketId, to: SocketAddr, cursor: &mut PieceCursor<'_>) -> bool {
        self.kernel.queue(socket, to, cursor, &self.segmentation, &mut self.counters)
    }

    /// The datagram in a filled buffer, unless its socket was closed meanwhile.
    fn received(&mut self, key: Key, filled: K::Filled) -> Option<Received> {
        let open = self.table.at(key).filter(|entry| entry.phase == Phase::Open);
        let v6 = open.map(|entry| entry.v6);
        let arrived = self.kernel.read(filled, v6.unwrap_or_default());
        if v6.is_none() {
            self.counters.received_after_close += 1;
            return None;
        }
        let Some(arrived) = arrived else {
            self.counters.receive_errors += 1;
            return None;
        };
        let Arrived { from, segment_bytes, lease } = arrived;
        let received = Received { socket: key.id(), from, segment_bytes, lease };
        self.counters.count_received(&received);
        self.pace.received(received.segments());
        Some(received)
    }

    /// The event that something collected is; `None` when its socket was closed meanwhile.
    fn event(&mut self, collected: Collected<K::Filled>) -> Option<Event> {
        match collected {
            Collected::Filled(key, filled) => self.received(key, filled).map(Event::Received),
            Collected::Woken => Some(Event::Woken),
            Collected::Opened(key) => self.is_open(key).then_some(Event::Opened(key.id())),
            Collected::Refused(socket, errno) => {
                self.table.vacate(socket);
                Some(Event::Refused(socket, errno))
            }
            Collected::Closed(socket) => {
                self.table.vacate(socket);
                Some(Event::Closed(socket))
            }
            Collected::Taken(socket, descriptor) => {
                self.table.vacate(socket);
                Some(Event::Taken(socket, descriptor))
            }
            Collected::Broken(key, errno) => {
                self.is_open(key).then_some(Event::Broken(key.id(), errno))
            }
            Collected::SegmentationOff => Some(Event::SegmentationOff),
            Collected::SegmentationOn => Some(Event::SegmentationOn),
        }
    }

    fn is_open(&self, key: Key) -> bool {
        self.table.open_key(key.id()) == Some(key)
    }

    /// Takes over a socket with a descriptor.
    fn take_over(&mut self, socket: UdpSocket, receive: Receive) -> io::Result<Key> {
        let key = self.table.insert(socket, receive)?;
        let entry = self.table.get(key.id()).expect("just inserted");
        if let Err(error) = self.kernel.admit(key.id(), entry.descriptor()) {
            self.table.remove(key);
            self.table.vacate(key.id());
            return Err(error);
        }
        self.receive_unless_paused(key, receive);
        Ok(key)
    }

    /// Ends a socket, as `phase` says.
    fn end(&mut self, socket: SocketId, phase: Phase) {
        let Some(key) = self.table.open_key(socket) else { return };
        if let Some(entry) = self.table.at(key) {
            entry.phase = phase;
            if entry.socket.is_none() {
                entry.leaving = true;
                self.to_leave.push(key);
            }
        }
        self.to_cancel.push(key);
    }
}

impl<K: Kernel> Driver for Engine<K> {
    fn open(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        self.take_over(socket, Receive::Now).map(Key::id)
    }

    fn bind(&mut self, address: SocketAddr, receive: Receive) -> io::Result<SocketId> {
        if self.kernel.slots().is_some() {
            let key = self.table.reserve(address.is_ipv6(), receive)?;
            self.to_open.push((key, address));
            return Ok(key.id());
        }
        let key = self.take_over(sockets::relay(address, BufferSizes::RELAY)?, receive)?;
        self.backlog.push_back(Collected::Opened(key));
        Ok(key.id())
    }

    fn resume(&mut self, socket: SocketId) {
        let Some(key) = self.table.open_key(socket) else { return };
        let Some(entry) = self.table.at(key) else { return };
        if mem::replace(&mut entry.receive, Receive::Now) == Receive::Paused {
            self.to_arm.push_back(key);
        }
    }

    fn close(&mut self, socket: SocketId) {
        self.end(socket, Phase::Closing);
    }

    fn take(&mut self, socket: SocketId) {
        self.end(socket, Phase::Leaving);
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, piece: Piece<'_>) {
        let Some(key) = self.table.open_key(socket) else {
            self.counters.dropped_error += piece.segments as u64;
            return;
        };
        let switched = self.switch_dont_fragment(key, piece.dont_fragment);
        let mut cursor = PieceCursor::new(piece);
        let mut ready = switched.is_ok();
        while ready && !self.queue(socket, to, &mut cursor) {
            self.counters.early_flushes += 1;
            ready = self.flush().is_ok();
        }
        self.counters.dropped_error += cursor.segments() as u64;
    }

    fn turn(&mut self, wait: Wait) -> io::Result<()> {
        self.begin_turn()?;
        self.wait(wait)?;
        self.sampler.arrived();
        self.hold()
    }

    fn next(&mut self) -> Option<Event> {
        while let Some(collected) = self.backlog.pop_front() {
            if let Some(event) = self.event(collected) {
                return Some(event);
            }
        }
        self.streams.next().map(Event::Stream)
    }

    fn blank(&mut self, bytes: usize) -> Option<Lease> {
        let lease = self.kernel.pool().blank(bytes);
        self.counters.blank_exhausted += u64::from(lease.is_none());
        lease
    }

    fn waker(&self) -> Waker {
        self.waker.clone()
    }

    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn hold_times(&self) -> &HoldTimes {
        &self.hold_times
    }

    fn kernel_drops(&self, socket: SocketId) -> Option<u64> {
        sys::socket_drops(self.table.get(socket)?.socket.as_ref()?).ok()
    }
}

impl<K: Kernel> Streams for Engine<K> {
    fn accept(&mut self, listener: TcpListener) -> io::Result<AcceptorId> {
        self.kernel.admit_listener(&listener)?;
        self.streams.accept(listener, Claim::Places)
    }

    fn accept_leftovers(&mut self, listener: TcpListener) -> io::Result<AcceptorId> {
        self.kernel.admit_listener(&listener)?;
        self.streams.accept(listener, Claim::Leftovers)
    }

    fn stop_accepting(&mut self, acceptor: AcceptorId) {
        self.streams.stop_accepting(acceptor);
    }

    fn adopt(&mut self, socket: OwnedFd, reading: Receive) -> io::Result<StreamId> {
        self.kernel.admit_stream(&socket)?;
        self.streams.adopt(socket, reading)
    }

    fn connect(&mut self, remote: Remote<'_>) -> io::Result<StreamId> {
        self.kernel.begin_streams()?;
        self.streams.connect(remote)
    }

    fn write(&mut self, stream: StreamId, buffer: BytesMut) {
        self.streams.write(stream, buffer);
    }

    fn finish(&mut self, stream: StreamId) {
        self.streams.finish(stream);
    }

    fn pause(&mut self, stream: StreamId) {
        self.streams.set_paused(stream, true);
    }

    fn unpause(&mut self, stream: StreamId) {
        self.streams.set_paused(stream, false);
    }

    fn hang_up(&mut self, stream: StreamId, how: HangUpHow) {
        self.streams.hang_up(stream, how);
    }

    fn detach(&mut self, stream: StreamId) {
        self.streams.detach(stream);
    }
}
