//! The io_uring driver: one ring, one call into the kernel per turn.
//!
//! ```text
//! turn   publish free buffers │ arm receives │ submit sends │ cancel closed   ─┐ one
//!        wait for the first completion                                         ─┘ enter
//!        collect: sends end, receives queue up for `next`, ended ones arm again
//!        hold, if that makes packets join (see `pace`): wait once more, collect
//! ```
//!
//! A receive is multishot: armed once, it completes for every datagram or train, each into a buffer
//! of the shared pool. Whatever ends it, the turn in which it ends arms it again (see `arm`).

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, UdpSocket},
    os::fd::AsRawFd,
    time::{Duration, Instant},
};

use io_uring::types::{Fd, Fixed};

use super::{
    Counters, Driver, Event, HoldTimes, Lease, Piece, Received, Settings, SocketId, Wait, Waker,
    datagram::{cursor::PieceCursor, layout},
    engine::{
        core_use::CoreUse,
        hold_times::Sampler,
        pace::Pace,
        table::{Key, Phase, Table},
    },
    socket::open::BufferLimit,
    sockets::{self, BufferSizes},
    sys,
};
use arm::ARMS_PER_CALL;
use kernel::{Filled, Kernel};
use ring::{Target, WaitPlan};
use token::Token;

mod arm;
mod buffer_ring;
mod collect;
mod kernel;
mod open;
mod ring;
mod token;

/// Datagrams through io_uring. See [`Driver`].
pub struct UringDriver {
    kernel: Kernel,
    table: Table,
    registered: bool,
    /// How sockets are sized that the ring opens; `None` where it cannot open any.
    direct: Option<BufferLimit>,
    pub(super) core_use: CoreUse,
    pub(super) pace: Pace,
    spin: Duration,
    /// Sockets whose receive is to be armed, first in, first out.
    to_arm: VecDeque<Key>,
    /// A receive has ended since receives were last armed: its socket may hold datagrams.
    is_deaf: bool,
    /// Sockets that the ring is to open.
    to_open: Vec<(Key, SocketAddr)>,
    /// Closed sockets whose receive is to be cancelled.
    to_cancel: Vec<Key>,
    /// Closed or refused sockets that only the ring has and is to let go of.
    to_leave: Vec<Key>,
    /// Closed sockets that have nothing under way any more.
    to_release: Vec<Key>,
    /// What was collected and not yet taken.
    backlog: VecDeque<Collected>,
    waker: Waker,
    watching: bool,
    counters: Counters,
    hold_times: HoldTimes,
    sampler: Sampler,
}

/// An event before it is looked at.
enum Collected {
    Filled(Key, Filled),
    Woken,
    Opened(Key),
    Refused(SocketId, i32),
    Closed(SocketId),
    Broken(Key, i32),
    SegmentationOff,
}

impl UringDriver {
    /// Makes the calling thread's ring and takes its memory.
    ///
    /// # Errors
    /// When io_uring is not there, is forbidden, or is older than kernel 6.1; and when memory or
    /// the file limit does not suffice. [`Facts::probe`](super::Facts::probe) tells which.
    pub fn new(settings: &Settings) -> io::Result<Self> {
        let mut kernel = Kernel::new(settings)?;
        let sockets = settings.sockets.min(u32::try_from(sys::file_limit()?).unwrap_or(u32::MAX));
        if settings.registered_files {
            kernel.ring().register_table(sockets)?;
        }
        if settings.busy_poll_us > 0 {
            kernel.ring().poll_devices(settings.busy_poll_us)?;
        }
        let direct = settings.direct_sockets && settings.registered_files;
        Ok(Self {
            kernel,
            table: Table::new(sockets as usize),
            registered: settings.registered_files,
            direct: direct.then(BufferLimit::allowed).transpose()?,
            core_use: CoreUse::new(),
            pace: Pace::new(Duration::from_micros(settings.hold_us.into())),
            spin: Duration::from_micros(settings.spin_us.into()),
            to_arm: VecDeque::with_capacity(sockets as usize),
            is_deaf: false,
            to_open: Vec::new(),
            to_cancel: Vec::with_capacity(sockets as usize),
            to_leave: Vec::new(),
            to_release: Vec::with_capacity(sockets as usize),
            backlog: VecDeque::with_capacity(settings.buffers as usize + ARMS_PER_CALL),
            waker: Waker::new()?,
            watching: false,
            counters: Counters::new(settings.buffers),
            hold_times: HoldTimes::default(),
            sampler: Sampler::default(),
        })
    }

    /// Queues everything that is to happen with the next call into the kernel.
    fn prepare(&mut self) -> io::Result<()> {
        self.kernel.publish_free();
        self.watch_waker()?;
        self.arm_receives()?;
        self.submit_sends()?;
        self.cancel_closed()?;
        self.leave_closed()?;
        self.open_wanted()
    }

    fn watch_waker(&mut self) -> io::Result<()> {
        if !self.watching {
            self.kernel.ring().push_watch(&self.waker, Token::Wake.pack())?;
            self.watching = true;
        }
        Ok(())
    }

    /// Whether the kernel polls devices for a ring.
    pub(super) fn polls_devices(&mut self) -> bool {
        self.kernel.ring().poll_devices(1).is_ok()
    }

    /// Whether a ring of the kind we need can be made, buffers aside.
    pub(super) fn has_ring() -> bool {
        ring::Ring::new().is_ok()
    }

    fn target_of(&self, id: SocketId) -> Target {
        target_of(&self.table, self.registered, id)
    }

    fn submit_sends(&mut self) -> io::Result<()> {
        self.kernel.send_waiting(|socket| target_of(&self.table, self.registered, socket))
    }

    /// Cancels the receives of closed sockets; those that have none can be let go.
    fn cancel_closed(&mut self) -> io::Result<()> {
        while let Some(key) = self.to_cancel.pop() {
            let Some(entry) = self.table.at(key) else { continue };
            if !entry.armed {
                self.release_if_idle(key);
                continue;
            }
            let (target, token) = (Token::Receive(key).pack(), Token::Cancel(key).pack());
            self.kernel.ring().push_cancel(target, token)?;
        }
        Ok(())
    }

    /// Lets go of sockets that have nothing under way.
    ///
    /// While submissions are left over, one of them may still name such a socket.
    fn release_closed(&mut self) {
        if self.kernel.ring().has_submissions() {
            return;
        }
        while let Some(key) = self.to_release.pop() {
            self.release(key);
        }
    }

    fn release(&mut self, key: Key) {
        let Some(entry) = self.table.at(key) else { return };
        let phase = entry.phase;
        if self.registered && entry.socket.is_some() {
            let taken_out = self.kernel.ring().unregister(key.id());
            debug_assert!(taken_out.is_ok(), "a registered slot can be emptied: {taken_out:?}");
        }
        self.table.remove(key);
        self.backlog.push_back(match phase {
            Phase::Refused(errno) => Collected::Refused(key.id(), errno),
            Phase::Opening(_) | Phase::Open | Phase::Closing => Collected::Closed(key.id()),
        });
    }

    /// Hands the send queue over now and waits until the kernel has worked it off.
    fn flush(&mut self) -> io::Result<()> {
        self.kernel.publish_free();
        self.submit_sends()?;
        let mut plan = WaitPlan::NONE;
        loop {
            self.enter(plan)?;
            if self.kernel.outbox().in_flight() == 0 {
                return Ok(());
            }
            plan.completions = 1;
        }
    }

    fn enter(&mut self, plan: WaitPlan) -> io::Result<()> {
        self.counters.enters += 1;
        self.kernel.ring().enter(plan)?;
        self.collect();
        self.release_closed();
        Ok(())
    }

    /// Keeps what has arrived waiting for company, if that is worth it and nothing else is to be done.
    /// No send is under way by now.
    ///
    /// No more is waited for than there are buffers, and nothing beside a receive that has ended: in
    /// both cases the wait would go on beside full sockets.
    fn hold(&mut self) -> io::Result<()> {
        let Some(hold) = self.pace.hold() else { return Ok(()) };
        let arrivals = hold.arrivals.min(self.kernel.published());
        if arrivals == 0 || self.is_deaf || !self.to_release.is_empty() {
            return Ok(());
        }
        self.enter(WaitPlan::hold(arrivals, hold.longest))?;
        self.receive_on()
    }

    /// Hands over what is queued in a call of its own, so that the clock can be read when the kernel
    /// has it. Nothing is collected, which would change what the turn waits for.
    fn submit(&mut self) -> io::Result<()> {
        if self.kernel.ring().has_submissions() {
            self.counters.enters += 1;
            self.kernel.ring().submit()?;
        }
        Ok(())
    }

    /// Waits, after a look for packets if there is to be one.
    ///
    /// Every send completes within the call that submits it, which must not count as something to
    /// wake up for. Only trains are looked at right away, since the kernel may refuse one and its
    /// datagrams then leave one by one.
    fn wait(&mut self, mut plan: WaitPlan) -> io::Result<()> {
        if !self.spins(plan)? {
            if plan.completions > 0 && self.kernel.outbox().has_trains() {
                self.enter(WaitPlan::NONE)?;
                plan = self.unless_busy(plan);
            }
            let sends = self.kernel.outbox().in_flight();
            self.enter(plan.beside(sends))?;
        }
        self.receive_on()
    }

    /// The same, but no wait where a turn has something to do that it would delay.
    fn unless_busy(&mut self, plan: WaitPlan) -> WaitPlan {
        if self.has_work() { WaitPlan::NONE } else { plan }
    }

    /// Looks for packets for a while instead of sleeping at once; whether there were any.
    fn spins(&mut self, plan: WaitPlan) -> io::Result<bool> {
        if self.spin.is_zero() || plan.completions == 0 {
            return Ok(false);
        }
        let spin = plan.limit.map_or(self.spin, |limit| limit.min(self.spin));
        let began = Instant::now();
        while began.elapsed() < spin {
            self.enter(WaitPlan::NONE)?;
            if self.has_work() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether a turn has something to do that a sleep would delay.
    ///
    /// A receive that ended for want of buffers can be armed as soon as one is there, and sends under
    /// way give theirs back within the next call. Whoever slept then would sleep beside sockets that
    /// nobody reads, for as long as nothing else happens.
    fn has_work(&mut self) -> bool {
        let has_buffers = self.kernel.published() > 0 || self.kernel.outbox().in_flight() > 0;
        !self.backlog.is_empty()
            || !self.to_release.is_empty()
            || (!self.to_arm.is_empty() && has_buffers)
    }

    /// The datagram in a filled buffer, unless its socket was closed meanwhile.
    fn received(&mut self, key: Key, filled: Filled) -> Option<Received> {
        let (mut lease, bytes) = filled.lease(&self.kernel);
        let open = self.table.at(key).filter(|entry| entry.phase == Phase::Open);
        let Some(v6) = open.map(|entry| entry.v6) else {
            self.counters.received_after_close += 1;
            return None;
        };
        let Some(layout) = layout::parse(lease.buffer(), bytes, v6) else {
            self.counters.receive_errors += 1;
            return None;
        };
        lease.set_range(layout.payload);
        let (socket, from, segment_bytes) = (key.id(), layout.from, layout.segment_bytes);
        let received = Received { socket, from, segment_bytes, lease };
        self.counters.count_received(&received);
        self.pace.received(received.segments());
        Some(received)
    }

    /// Makes the socket's DF bit what a piece asks for. Pieces queued before leave first.
    fn switch_dont_fragment(&mut self, key: Key, on: bool) -> io::Result<()> {
        let differs = self.table.at(key).is_some_and(|entry| entry.differs(on));
        if !differs {
            return Ok(());
        }
        let Some(entry) = self.table.at(key) else { return Ok(()) };
        let v6 = entry.v6;
        entry.note_dont_fragment(on);
        if entry.socket.is_none() {
            self.submit_sends()?;
            return self.kernel.set(key, sys::dont_fragment(v6, on).iter());
        }
        if self.kernel.outbox().waiting() > 0 {
            self.counters.early_flushes += 1;
            self.flush()?;
        }
        let entry = self.table.get(key.id());
        entry.map_or(Ok(()), |entry| sys::set_dont_fragment(entry.descriptor(), v6, on))
    }
}

fn target_of(table: &Table, registered: bool, id: SocketId) -> Target {
    if registered {
        return Target::Registered(Fixed(id.0));
    }
    let entry = table.get(id).expect("a socket with work under way is in the table");
    Target::Plain(Fd(entry.descriptor().as_raw_fd()))
}

impl Driver for UringDriver {
    fn open(&mut self, socket: UdpSocket) -> io::Result<SocketId> {
        let key = self.table.insert(socket)?;
        if self.registered {
            let entry = self.table.get(key.id()).expect("just inserted");
            if let Err(error) = self.kernel.ring().register(key.id(), entry.descriptor()) {
                self.table.remove(key);
                self.table.vacate(key.id());
                return Err(error);
            }
        }
        self.to_arm.push_back(key);
        Ok(key.id())
    }

    fn bind(&mut self, address: SocketAddr) -> io::Result<SocketId> {
        if self.direct.is_some() {
            let key = self.table.reserve(address.is_ipv6())?;
            self.to_open.push((key, address));
            return Ok(key.id());
        }
        let id = self.open(sockets::relay(address, BufferSizes::RELAY)?)?;
        let key = self.table.open_key(id).expect("just opened");
        self.backlog.push_back(Collected::Opened(key));
        Ok(id)
    }

    fn close(&mut self, socket: SocketId) {
        let Some(key) = self.table.open_key(socket) else { return };
        if let Some(entry) = self.table.at(key) {
            entry.phase = Phase::Closing;
            if entry.socket.is_none() {
                entry.leaving = true;
                self.to_leave.push(key);
            }
        }
        self.to_cancel.push(key);
    }

    fn send(&mut self, socket: SocketId, to: SocketAddr, piece: Piece<'_>) {
        let Some(key) = self.table.open_key(socket) else {
            self.counters.dropped_error += piece.segments as u64;
            return;
        };
        let switched = self.switch_dont_fragment(key, piece.dont_fragment);
        let mut cursor = PieceCursor::new(piece);
        let mut ready = switched.is_ok();
        while ready && !self.kernel.queue(socket, to, &mut cursor, &mut self.counters) {
            self.counters.early_flushes += 1;
            ready = self.flush().is_ok();
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
        self.prepare()?;
        if self.sampler.is_under_way() {
            self.submit()?;
            self.sampler.sent(&mut self.hold_times, datagrams);
        }
        let plan = self.unless_busy(WaitPlan::first(wait));
        self.wait(plan)?;
        self.sampler.arrived();
        self.hold()
    }

    fn next(&mut self) -> Option<Event> {
        loop {
            match self.backlog.pop_front()? {
                Collected::Filled(key, filled) => {
                    if let Some(received) = self.received(key, filled) {
                        return Some(Event::Received(received));
                    }
                }
                Collected::Woken => return Some(Event::Woken),
                Collected::Opened(key) => {
                    if self.table.open_key(key.id()) == Some(key) {
                        return Some(Event::Opened(key.id()));
                    }
                }
                Collected::Refused(socket, errno) => {
                    self.table.vacate(socket);
                    return Some(Event::Refused(socket, errno));
                }
                Collected::Closed(socket) => {
                    self.table.vacate(socket);
                    return Some(Event::Closed(socket));
                }
                Collected::Broken(key, errno) => {
                    if self.table.open_key(key.id()) == Some(key) {
                        return Some(Event::Broken(key.id(), errno));
                    }
                }
                Collected::SegmentationOff => return Some(Event::SegmentationOff),
            }
        }
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
