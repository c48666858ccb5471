//! The calls of the portable driver: one wait per turn, one receive per readable socket and 32
//! messages, one send per sending socket and 32 messages.
//!
//! Its waits have milliseconds, rounded up; only a hold is a sleep of its own (see `pace`).

use std::{
    collections::VecDeque,
    convert::Infallible,
    io, mem,
    net::{SocketAddr, TcpListener, UdpSocket},
    os::fd::OwnedFd,
    rc::Rc,
    thread,
    time::Duration,
};

use socket2::SockAddr;

use super::{
    mmsg::{self, MESSAGES_MAX, ReceiveBatch, SendBatch},
    poll::{Epoll, Watched},
    streams::StreamCalls,
};
use crate::io::{
    datagram::{
        cursor::PieceCursor,
        outbox::Outbox,
        segmentation::Segmentation,
        train::{SendTrain, TRAINS_MAX},
    },
    engine::{
        errno::{self, ReceiveFate},
        figures::counters::Counters,
        kernel::{self, Arrived, Step},
        pace::Hold,
        table::{Key, Table},
        wait_plan::WaitPlan,
    },
    event::{SocketId, Wait},
    memory::pool::{Incoming, Pool},
    settings::Settings,
    stream::kernel::{Operation, Shots, StreamKernel, Write},
    waker::Waker,
};

/// Receives of up to [`MESSAGES_MAX`] messages each from one socket in one turn, so that a busy
/// socket does not keep the others waiting.
const RECEIVES_PER_TURN: usize = 4;
/// With no buffer to receive into, readable sockets would make every wait return at once.
const STARVED_PAUSE: Duration = Duration::from_millis(1);

/// An epoll instance, and the memory of the calls beside it. Every call is over when it returns, so
/// nothing here outlives anything else.
pub struct Kernel {
    epoll: Epoll,
    pool: Rc<Pool>,
    outbox: Outbox,
    incoming: ReceiveBatch,
    outgoing: SendBatch,
    /// Trains handed over, sorted by socket.
    sending: Vec<(SocketId, usize)>,
    /// Steps that calls have brought already.
    ended: VecDeque<Step<Self>>,
    /// Where the next look at what the last wait reported begins.
    next_ready: usize,
    reading: Option<Reading>,
    streams: StreamCalls,
    /// Some socket had more than one turn takes.
    left_over: bool,
    calls: u64,
}

/// A train that was sent, or not. Only the call that did it makes one.
#[derive(Debug)]
pub struct Sent {
    train: usize,
}

/// A readable socket, and what the last receive from it has brought.
#[derive(Debug, Clone, Copy)]
struct Reading {
    key: Key,
    receives_left: usize,
    /// The next message to take, of so many.
    next: usize,
    arrived: usize,
    /// The last receive had room for more messages: the socket is empty.
    is_empty: bool,
}

impl Reading {
    fn begin(key: Key) -> Self {
        let receives_left = RECEIVES_PER_TURN;
        Self { key, receives_left, next: 0, arrived: 0, is_empty: false }
    }
}

impl Kernel {
    fn send_chunk(&mut self, chunk: &[(SocketId, usize)], table: &Table) {
        let mut trains = [0; MESSAGES_MAX];
        let mut results = [0; MESSAGES_MAX];
        let trains = &mut trains[..chunk.len()];
        let results = &mut results[..chunk.len()];
        trains.iter_mut().zip(chunk).for_each(|(train, (_, index))| *train = *index);
        self.calls += 1;
        let entry = table.get(chunk[0].0).expect("a socket with queued sends is in the table");
        self.outgoing.send(entry.descriptor(), &mut self.outbox, trains, results);
        let sent = trains.iter().zip(results);
        self.ended.extend(
            sent.map(|(train, errno)| Step::Sent { sent: Sent { train: *train }, result: -*errno }),
        );
    }

    /// Looks at the next thing that the last wait reported; `None` after the last.
    fn look_at_next(&mut self) -> Option<()> {
        if self.next_ready == self.epoll.ready() {
            return None;
        }
        match self.epoll.reported(self.next_ready) {
            (Watched::Waker, _) => self.ended.push_back(Step::Woken),
            (Watched::Socket(key), _) => self.reading = Some(Reading::begin(key)),
            (Watched::Listener(key), _) => self.streams.listener_is_ready(&self.epoll, key),
            (Watched::Stream(key), ready) => {
                let parts = (&self.epoll, &self.pool);
                self.left_over |= self.streams.stream_is_ready(parts, key, ready);
            }
        }
        self.next_ready += 1;
        Some(())
    }

    /// Takes the next message of a socket, and receives more where there may be more.
    fn read_on(&mut self, reading: Reading, table: &Table) -> Option<Step<Self>> {
        let Reading { key, receives_left, next, arrived, is_empty } = reading;
        if next < arrived {
            self.reading = Some(Reading { next: next + 1, ..reading });
            let filled = Some(self.incoming.take(next));
            return Some(Step::Received { key, result: 0, filled, more: true });
        }
        if is_empty {
            return None;
        }
        if receives_left == 0 {
            self.left_over = true;
            return None;
        }
        let entry = table.entry(key)?;
        self.calls += 1;
        match self.incoming.receive(entry.descriptor(), &self.pool) {
            Ok((arrived, is_empty)) => {
                let receives_left = receives_left - 1;
                self.reading = Some(Reading { key, receives_left, next: 0, arrived, is_empty });
                None
            }
            Err(libc::EAGAIN) => None,
            Err(errno) => Some(self.failed(key, entry.descriptor(), errno)),
        }
    }

    fn failed(&mut self, key: Key, socket: &UdpSocket, errno: i32) -> Step<Self> {
        let fate = errno::of_receive(errno);
        self.left_over |= fate == ReceiveFate::Starved;
        let more = fate != ReceiveFate::Broken;
        if !more {
            self.ignore(socket);
        }
        Step::Received { key, result: -errno, filled: None, more }
    }

    /// No longer asks whether a socket is readable.
    fn ignore(&self, socket: &UdpSocket) {
        let ignored = self.epoll.ignore(socket);
        debug_assert!(ignored.is_ok(), "a socket that is read is being watched: {ignored:?}");
    }

    fn is_starved(&self) -> bool {
        self.pool.free(Incoming::Datagrams) == 0 && self.incoming.held() == 0
    }
}

impl kernel::Kernel for Kernel {
    /// `None` for a message that made no sense.
    type Filled = Option<Arrived>;
    type Sent = Sent;
    type Slots = Infallible;

    const ENDS_AT_ONCE: bool = true;

    fn new(settings: &Settings, _sockets: u32, waker: &Waker) -> io::Result<Self> {
        let epoll = Epoll::new()?;
        epoll.watch_edges(waker)?;
        // A hold ends up to 50 µs late otherwise, a ring's does not; if it cannot be had, it is
        // only late.
        let _ = nix::sys::prctl::set_timerslack(1);
        Ok(Self {
            epoll,
            pool: Pool::new(settings.buffers)?,
            outbox: Outbox::new(),
            incoming: ReceiveBatch::new(),
            outgoing: SendBatch::new(),
            sending: Vec::with_capacity(TRAINS_MAX),
            ended: VecDeque::with_capacity(TRAINS_MAX),
            next_ready: 0,
            reading: None,
            streams: StreamCalls::new(),
            left_over: false,
            calls: 0,
        })
    }

    fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    fn queue(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        cursor: &mut PieceCursor<'_>,
        segmentation: &Segmentation,
        counters: &mut Counters,
    ) -> bool {
        self.outbox.queue(socket, to, cursor, segmentation, counters)
    }

    /// A socket is watched from when it is armed.
    fn admit(&mut self, _: SocketId, _: &UdpSocket) -> io::Result<()> {
        Ok(())
    }

    /// A socket is ignored when its receive is cancelled.
    fn dismiss(&mut self, _: SocketId) {}

    fn slots(&mut self) -> Option<&mut Infallible> {
        None
    }

    fn make_ready(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn may_arm(&self) -> usize {
        usize::MAX
    }

    fn arm(&mut self, key: Key, table: &Table) -> io::Result<()> {
        let Some(entry) = table.entry(key) else { return Ok(()) };
        if let Err(error) = self.epoll.watch(entry.descriptor(), key) {
            let result = -error.raw_os_error().unwrap_or(libc::EIO);
            self.ended.push_back(Step::Received { key, result, filled: None, more: false });
        }
        Ok(())
    }

    fn cancel(&mut self, key: Key, table: &Table) -> io::Result<()> {
        let Some(entry) = table.entry(key) else { return Ok(()) };
        self.ignore(entry.descriptor());
        let result = -libc::ECANCELED;
        self.ended.push_back(Step::Received { key, result, filled: None, more: false });
        Ok(())
    }

    /// Sends everything queued, socket by socket and for each in order.
    fn send_waiting(&mut self, table: &Table) -> io::Result<()> {
        let mut sending = mem::take(&mut self.sending);
        while let Some(train) = self.outbox.hand_over() {
            sending.push((self.outbox.train(train).socket, train));
        }
        sending.sort_unstable();
        for of_one_socket in sending.chunk_by(|a, b| a.0 == b.0) {
            of_one_socket.chunks(MESSAGES_MAX).for_each(|chunk| self.send_chunk(chunk, table));
        }
        sending.clear();
        self.sending = sending;
        Ok(())
    }

    fn has_submissions(&mut self) -> bool {
        false
    }

    fn submit(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn enter(&mut self, plan: WaitPlan) -> io::Result<()> {
        self.calls += 1;
        (self.next_ready, self.left_over) = (0, false);
        let wait = match plan.limit {
            _ if !plan.waits() => Wait::None,
            Some(limit) => Wait::For(limit),
            None => Wait::Forever,
        };
        self.epoll.wait(if self.is_starved() { pause(wait) } else { wait })
    }

    /// None while some socket has more than was taken: whoever sleeps beside full sockets loses
    /// packets with a third of the core unused.
    fn may_hold_for(&self) -> u32 {
        if self.left_over { 0 } else { u32::MAX }
    }

    /// A plain sleep: epoll cannot wait for more than one event.
    fn hold(&mut self, hold: Hold) -> io::Result<()> {
        thread::sleep(hold.longest);
        kernel::Kernel::enter(self, WaitPlan::NONE)
    }

    fn pop(&mut self, table: &Table) -> Option<Step<Self>> {
        loop {
            let step =
                self.ended.pop_front().or_else(|| self.streams.next_step().map(Step::Stream));
            if step.is_some() {
                return step;
            }
            match self.reading.take() {
                Some(reading) => {
                    if let Some(step) = self.read_on(reading, table) {
                        return Some(step);
                    }
                }
                None => self.look_at_next()?,
            }
        }
    }

    fn read(&mut self, filled: Option<Arrived>, _v6: bool) -> Option<Arrived> {
        filled
    }

    fn train(&self, sent: &Sent) -> &SendTrain {
        self.outbox.train(sent.train)
    }

    fn refuse(&mut self, sent: &Sent) {
        self.outbox.refuse(sent.train);
    }

    fn send_singly(&mut self, sent: &Sent, socket: &UdpSocket, counters: &mut Counters) {
        mmsg::send_singly(socket, &mut self.outbox, sent.train, counters);
    }

    fn finish(&mut self, sent: Sent) {
        self.outbox.finish(sent.train);
    }

    fn count(&mut self, counters: &mut Counters) {
        counters.enters = self.calls;
        let free = self.pool.free(Incoming::Datagrams) as usize + self.incoming.held();
        counters.note_free_buffers(free);
    }
}

impl StreamKernel for Kernel {
    fn begin_streams(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Every call says that it does not wait, whatever the socket is set to.
    fn admit_stream(&mut self, _: &OwnedFd) -> io::Result<()> {
        Ok(())
    }

    fn admit_listener(&mut self, listener: &TcpListener) -> io::Result<()> {
        listener.set_nonblocking(true)
    }

    fn accept(&mut self, key: Key, listener: &Rc<TcpListener>) -> io::Result<()> {
        self.streams.accept(&self.epoll, key, listener);
        Ok(())
    }

    fn stop_accepts(&mut self, key: Key) -> io::Result<()> {
        self.streams.stop_accepts(&self.epoll, key);
        Ok(())
    }

    fn connect_stream(
        &mut self,
        key: Key,
        socket: &Rc<OwnedFd>,
        address: SockAddr,
    ) -> io::Result<()> {
        self.streams.connect(&self.epoll, key, socket, &address);
        Ok(())
    }

    fn may_receive_streams(&mut self) -> bool {
        self.streams.may_receive(&self.pool)
    }

    fn receive_stream(&mut self, key: Key, socket: &Rc<OwnedFd>, _: Shots) -> io::Result<()> {
        self.streams.receive(&self.epoll, key, socket);
        Ok(())
    }

    fn write_stream(&mut self, key: Key, socket: &Rc<OwnedFd>, write: Write) -> io::Result<()> {
        self.streams.write(&self.epoll, key, socket, write);
        Ok(())
    }

    fn stop(&mut self, key: Key, operation: Operation) -> io::Result<()> {
        self.streams.stop(&self.epoll, key, operation);
        Ok(())
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
