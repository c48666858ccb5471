//! The portable driver: epoll, `recvmmsg`, `sendmmsg`, for where io_uring is absent or forbidden.
//!
//! The same sockets, leases, joining and trains as the io_uring driver; only the calls differ, and
//! there are more of them: one wait per turn, one receive per readable socket and 32 messages, one
//! send per sending socket and 32 messages. Its waits have milliseconds, rounded up;
//! only a hold is a sleep of its own (see `pace`).

use std::{
    collections::VecDeque,
    io, mem,
    net::SocketAddr,
    net::UdpSocket,
    rc::Rc,
    thread,
    time::{Duration, Instant},
};

use crate::io::{
    Counters, Driver, Event, HoldTimes, Lease, Piece, Received, Settings, SocketId, Wait, Waker,
    datagram::{
        cursor::PieceCursor,
        outbox::{Outbox, TRAINS_MAX},
    },
    engine::{
        core_use::CoreUse,
        errno::{self, ReceiveFate, SendFate},
        hold_times::Sampler,
        pace::Pace,
        table::{Key, Phase, Table},
    },
    epoll::{
        mmsg::{MESSAGES_MAX, ReceiveBatch, SendBatch, send_singly},
        poll::{Epoll, Readable},
    },
    memory::pool::Pool,
    sockets::{self, BufferSizes},
    sys,
};

/// Receives of up to [`MESSAGES_MAX`] messages each from one socket in one turn, so that a busy
/// socket does not keep the others waiting.
const RECEIVES_PER_TURN: usize = 4;
/// With no buffer to receive into, readable sockets would make every wait return at once.
const STARVED_PAUSE: Duration = Duration::from_millis(1);

/// Datagrams through plain system calls. See [`Driver`].
pub struct PortableDriver {
    epoll: Epoll,
    pool: Rc<Pool>,
    outbox: Outbox,
    incoming: ReceiveBatch,
    outgoing: SendBatch,
    /// Trains handed over, sorted by socket.
    sending: Vec<(SocketId, usize)>,
    table: Table,
    pub(in crate::io) core_use: CoreUse,
    pub(in crate::io) pace: Pace,
    /// Some socket had more than one turn takes.
    left_over: bool,
    spin: Duration,
    to_release: Vec<Key>,
    backlog: VecDeque<Event>,
    waker: Waker,
    counters: Counters,
    hold_times: HoldTimes,
    sampler: Sampler,
}

impl PortableDriver {
    /// Makes an epoll instance and takes the driver's memory.
    ///
    /// # Errors
    /// When memory or file descriptors do not suffice.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let sockets = settings.sockets.min(u32::try_from(sys::file_limit()?).unwrap_or(u32::MAX));
        let (epoll, waker) = (Epoll::new()?, Waker::new()?);
        epoll.watch_edges(&waker)?;
        // A hold ends up to 50 µs late otherwise, a ring's does not; if it cannot be had, it is only
        // late.
        let _ = nix::sys::prctl::set_timerslack(1);
        Ok(Self {
            epoll,
            pool: Pool::new(settings.buffers)?,
            outbox: Outbox::new(settings.segmentation),
            incoming: ReceiveBatch::new(),
            outgoing: SendBatch::new(),
            sending: Vec::with_capacity(TRAINS_MAX),
            table: Table::new(sockets as usize),
            core_use: CoreUse::new(),
            pace: Pace::new(Duration::from_micros(settings.hold_us.into())),
            left_over: false,
            spin: Duration::from_micros(settings.spin_us.into()),
            to_release: Vec::with_capacity(sockets as usize),
            backlog: VecDeque::with_capacity(settings.buffers as usize + MESSAGES_MAX),
            waker,
            counters: Counters::new(settings.buffers),
            hold_times: HoldTimes::default(),
            sampler: Sampler::default(),
        })
    }

    /// Sends everything queued, socket by socket and for each in order.
    fn flush(&mut self) {
        let mut sending = mem::take(&mut self.sending);
        while let Some(train) = self.outbox.hand_over() {
            sending.push((self.outbox.train(train).socket, train));
        }
        sending.sort_unstable();
        for of_one_socket in sending.chunk_by(|a, b| a.0 == b.0) {
            of_one_socket.chunks(MESSAGES_MAX).for_each(|chunk| self.send_chunk(chunk));
        }
        sending.clear();
        self.sending = sending;
    }

    fn send_chunk(&mut self, chunk: &[(SocketId, usize)]) {
        let mut trains = [0; MESSAGES_MAX];
        let mut results = [0; MESSAGES_MAX];
        let trains = &mut trains[..chunk.len()];
        let results = &mut results[..chunk.len()];
        trains.iter_mut().zip(chunk).for_each(|(train, (_, index))| *train = *index);
        self.counters.enters += 1;
        let entry = self.table.get(chunk[0].0).expect("a socket with queued sends is in the table");
        self.outgoing.send(entry.descriptor(), &mut self.outbox, trains, results);
        for (train, errno) in trains.iter().zip(results) {
            self.send_ended(*train, *errno);
        }
    }

    fn send_ended(&mut self, index: usize, errno: i32) {
        let train = *self.outbox.train(index);
        if errno == 0 {
            self.counters.count_sent(&train);
        } else {
            let fate = errno::of_send(errno, train.segments > 1);
            self.send_failed(index, train.socket, fate);
        }
        self.outbox.finish(index);
    }

    fn send_failed(&mut self, index: usize, socket: SocketId, fate: SendFate) {
        match fate {
            SendFate::Unjoin => self.outbox.refuse(index),
            SendFate::NoOffload if self.outbox.stop_segmentation() => {
                self.backlog.push_back(Event::SegmentationOff);
            }
            SendFate::NoOffload => {}
            SendFate::Full
            | SendFate::Forbidden
            | SendFate::Unreachable
            | SendFate::TooLong
            | SendFate::Error => {
                return self.counters.count_dropped(fate, self.outbox.train(index).segments);
            }
        }
        let Some(entry) = self.table.get(socket) else { return };
        send_singly(entry.descriptor(), &mut self.outbox, index, &mut self.counters);
    }

    fn release_closed(&mut self) {
        while let Some(key) = self.to_release.pop() {
            self.table.remove(key);
            self.backlog.push_back(Event::Closed(key.id()));
        }
    }

    /// Waits until there is something to collect.
    fn wait(&mut self, wait: Wait) -> io::Result<()> {
        self.counters.enters += 1;
        let wait = if self.backlog.is_empty() { wait } else { Wait::None };
        let starved = self.pool.free_receive() == 0 && self.incoming.held() == 0;
        let wait = if starved { pause(wait) } else { wait };
        if self.spins(wait)? {
            return Ok(());
        }
        self.epoll.wait(wait)
    }

    /// Looks for packets for a while instead of sleeping at once; whether there were any.
    fn spins(&mut self, wait: Wait) -> io::Result<bool> {
        let spin = match wait {
            Wait::None => return Ok(false),
            Wait::For(limit) => limit.min(self.spin),
            Wait::Forever => self.spin,
        };
        let began = Instant::now();
        while !spin.is_zero() && began.elapsed() < spin {
            self.epoll.wait(Wait::None)?;
            if self.epoll.ready() > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Keeps what has arrived waiting for company, if that is worth it. epoll cannot wait for more
    /// than one event, so this is a plain sleep, left out when the turn left something in a socket:
    /// whoever sleeps beside full sockets loses packets with a third of the core unused.
    fn hold(&mut self) -> io::Result<()> {
        let left_over = mem::take(&mut self.left_over);
        let Some(hold) = self.pace.hold() else { return Ok(()) };
        if left_over {
            return Ok(());
        }
        thread::sleep(hold.longest);
        self.counters.enters += 1;
        self.epoll.wait(Wait::None)?;
        self.collect();
        Ok(())
    }

    fn collect(&mut self) {
        for index in 0..self.epoll.ready() {
            match self.epoll.readable(index) {
                Readable::Waker => {
                    self.waker.acknowledge();
                    self.backlog.push_back(Event::Woken);
                }
                Readable::Socket(key) => self.receive(key),
            }
        }
        let free = self.pool.free_receive() as usize + self.incoming.held();
        self.counters.note_free_buffers(free);
    }

    fn receive(&mut self, key: Key) {
        for _ in 0..RECEIVES_PER_TURN {
            let Some(entry) = self.table.at(key) else { return };
            if entry.phase != Phase::Open {
                return;
            }
            self.counters.enters += 1;
            match self.incoming.receive(entry.descriptor(), &self.pool) {
                Ok((arrived, had_room)) => {
                    (0..arrived).for_each(|index| self.take(key, index));
                    if had_room {
                        return;
                    }
                }
                Err(libc::EAGAIN) => return,
                Err(errno) => return self.receive_failed(key, errno),
            }
        }
        self.left_over = true;
    }

    fn take(&mut self, key: Key, index: usize) {
        let Some(arrived) = self.incoming.take(index) else {
            self.counters.receive_errors += 1;
            return;
        };
        let received = Received {
            socket: key.id(),
            from: arrived.from,
            segment_bytes: arrived.segment_bytes,
            lease: arrived.lease,
        };
        self.counters.count_received(&received);
        self.pace.arrived();
        self.pace.received(received.segments());
        self.backlog.push_back(Event::Received(received));
    }

    fn receive_failed(&mut self, key: Key, errno: i32) {
        match errno::of_receive(errno) {
            ReceiveFate::Starved => {
                self.counters.starved += 1;
                self.left_over = true;
            }
            ReceiveFate::Again | ReceiveFate::Cancelled => self.counters.receive_errors += 1,
            ReceiveFate::Broken => {
                self.counters.receive_errors += 1;
                self.ignore(key);
                self.backlog.push_back(Event::Broken(key.id(), errno));
            }
        }
    }

    /// No longer asks whether a socket is readable.
    fn ignore(&mut self, key: Key) {
        let Some(entry) = self.table.at(key) else { return };
        let ignored = self.epoll.ignore(entry.descriptor());
        debug_assert!(ignored.is_ok(), "an open socket is being watched: {ignored:?}");
    }

    /// Whether an event still concerns an open socket.
    fn is_current(&self, event: &Event) -> bool {
        match event {
            Event::Received(received) => self.table.open_key(received.socket).is_some(),
            Event::Broken(socket, _) => self.table.open_key(*socket).is_some(),
            Event::Opened(socket) => self.table.open_key(*socket).is_some(),
            Event::Woken | Event::Refused(..) | Event::Closed(_) | Event::SegmentationOff => true,
        }
    }

    /// Makes the socket's DF bit what a piece asks for. Pieces queued before leave first.
    fn switch_dont_fragment(&mut self, key: Key, on: bool) -> io::Result<()> {
        let differs = self.table.at(key).is_some_and(|entry| entry.differs(on));
        if !differs {
            return Ok(());
        }
        if self.outbox.waiting() > 0 {
            self.counters.early_flushes += 1;
            self.flush();
        }
        let Some(entry) = self.table.at(key) else { return Ok(()) };
        entry.note_dont_fragment(on);
        sys::set_dont_fragment(entry.descriptor(), entry.v6, on)
    }
}

/// Sleeps a little, and leaves nothing of the wait.
fn pause(wait: Wait) -> Wait {
    match wait {
        Wait::None => {}
        Wait::For(limit) => thread::sleep(limit.min(STARVED_PAUSE)),
        Wait::Forever => thread::sleep(STARVED_PAUSE),
    }
    Wait::None
}

impl Driver for PortableDriver {
    fn open(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        let key = self.table.insert(socket)?;
        let entry = self.table.at(key).expect("just inserted");
        if let Err(error) = self.epoll.watch(entry.descriptor(), key) {
            self.table.remove(key);
            self.table.vacate(key.id());
            return Err(error);
        }
        Ok(key.id())
    }

    fn bind(&mut self, address: SocketAddr) -> io::Result<SocketId> {
        let id = self.open(sockets::relay(address, BufferSizes::RELAY)?)?;
        self.backlog.push_back(Event::Opened(id));
        Ok(id)
    }

    fn close(&mut self, socket: SocketId) {
        let Some(key) = self.table.open_key(socket) else { return };
        if let Some(entry) = self.table.at(key) {
            entry.phase = Phase::Closing;
        }
        self.to_release.push(key);
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, piece: Piece<'_>) {
        let Some(key) = self.table.open_key(socket) else {
            self.counters.dropped_error += piece.segments as u64;
            return;
        };
        let switched = self.switch_dont_fragment(key, piece.dont_fragment);
        let mut cursor = PieceCursor::new(piece);
        while switched.is_ok() && !self.outbox.queue(socket, to, &mut cursor, &mut self.counters) {
            self.counters.early_flushes += 1;
            self.flush();
        }
        self.counters.dropped_error += cursor.segments() as u64;
    }

    fn turn(&mut self, wait: Wait) -> io::Result<()> {
        let datagrams = self.pace.datagrams();
        self.counters.count_turn(datagrams);
        self.pace.end_turn(self.counters.joined);
        if let Some(percent) = self.core_use.sample() {
            self.pace.uses(percent);
        }
        self.flush();
        if self.sampler.is_under_way() {
            self.sampler.sent(&mut self.hold_times, datagrams);
        }
        self.release_closed();
        self.wait(wait)?;
        self.collect();
        self.sampler.arrived();
        self.hold()
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.backlog.pop_front()?;
            if let Event::Closed(socket) = event {
                self.table.vacate(socket);
            }
            if self.is_current(&event) {
                return Some(event);
            }
            self.counters.received_after_close += 1;
        }
    }

    fn blank(&mut self, bytes: usize) -> Option<Lease> {
        let lease = self.pool.blank(bytes);
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
        sys::socket_drops(self.table.get(socket)?.descriptor()).ok()
    }
}
