//! Everything the kernel may touch, in one owner.
//!
//! The ring, the published buffers, the send queue's memory and the receive templates live and die
//! together: nothing here is freed while an operation is under way. That, and the proofs that only
//! this file makes from completions ([`Filled`] buffers, [`Sent`] trains), is what makes the rest
//! of the driver safe code.
#![expect(unsafe_code, reason = "vouches for the memory that operations name")]

use std::{
    collections::HashMap,
    collections::VecDeque,
    io,
    mem::ManuallyDrop,
    net::{SocketAddr, UdpSocket},
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use io_uring::types::{Fd, Fixed};

use super::{
    buffer_ring::{BufferRing, GROUP},
    ring::{Completion, Ring, Target},
    stream_memory::StreamMemory,
    token::Token,
};
use crate::io::{
    datagram::{
        cursor::PieceCursor,
        layout::{self, CONTROL_BYTES, Layout, V4_NAME_BYTES, V6_NAME_BYTES},
        outbox::Outbox,
        segmentation::Segmentation,
        train::SendTrain,
    },
    engine::{
        figures::counters::Counters,
        kernel::{self, Arrived, Slots, Step},
        pace::Hold,
        table::{Key, Table},
        wait_plan::WaitPlan,
    },
    epoll::mmsg,
    event::{SocketId, Wait},
    memory::pool::{Incoming, Lease, Pool},
    settings::Settings,
    socket::{address::Name, open},
    sys::{self, Setting},
    waker::Waker,
};

/// Receives armed with one call; each may at once fill up to 32 buffers.
const ARMS_PER_CALL: usize = 64;
/// How often, and how long each time, the end of a driver waits for the kernel to let go.
const DRAIN_ROUNDS: u32 = 40;
const DRAIN_WAIT: Duration = Duration::from_millis(50);
/// Calls that let out what is ending already; the kernel completes some twenty operations in one.
const ENDING_CALLS: u32 = 10_000;

/// The ring and all memory its operations name.
pub struct Kernel {
    pub(super) ring: Ring,
    pub(super) pool: Rc<Pool>,
    pub(super) shared: ManuallyDrop<Shared>,
    waker: Waker,
    watching: bool,
    /// Sockets are registered with the ring, under the numbers of their slots.
    registered: bool,
    /// How sockets are sized that the ring opens; `None` where it cannot open any.
    direct: Option<open::BufferLimit>,
    /// Receives under way.
    armed: usize,
    /// Completions that came while one of them was waited for.
    aside: VecDeque<Completion>,
    overflows: u64,
}

pub(super) struct Shared {
    outbox: Outbox,
    buffers: BufferRing,
    templates: Templates,
    /// The addresses of binds under way, by slot.
    binding: HashMap<u32, Box<Name>>,
    pub(super) streams: StreamMemory,
}

/// Message headers that only say how long the name and control areas are to be.
struct Templates {
    v4: Box<libc::msghdr>,
    v6: Box<libc::msghdr>,
}

/// A buffer that the kernel has filled and given back. Only a completion makes one.
#[derive(Debug)]
pub struct Filled {
    place: u16,
    bytes: u32,
}

/// A train that the kernel no longer reads. Only a completion makes one.
#[derive(Debug)]
pub struct Sent {
    train: usize,
}

impl Kernel {
    /// Whether a ring of the kind we need can be made, buffers aside.
    pub(in crate::io) fn has_ring() -> bool {
        Ring::new().is_ok()
    }

    /// Whether the kernel polls devices for a ring.
    pub(in crate::io) fn polls_devices(&mut self) -> bool {
        self.ring.poll_devices(1).is_ok()
    }

    /// Gives free receive buffers to the kernel: for use before all others, unless it may have
    /// taken some that it has not told us of.
    fn publish_free(&mut self) {
        let is_settled = self.aside.is_empty() && self.ring.is_settled();
        if is_settled {
            self.shared.buffers.publish_first();
        } else {
            self.shared.buffers.publish_last();
        }
        self.shared.streams.publish(is_settled);
    }

    fn watch_waker(&mut self) -> io::Result<()> {
        if !self.watching {
            self.ring.push_watch(&self.waker, Token::Wake.pack())?;
            self.watching = true;
        }
        Ok(())
    }

    fn step(&mut self, token: Token, entry: Completion) -> Option<Step<Self>> {
        let Completion { result, more, buffer, .. } = entry;
        Some(match token {
            Token::Receive(key) => {
                self.armed -= usize::from(!more);
                let filled = buffer.map(|place| {
                    self.shared.buffers.returned();
                    Filled { place, bytes: result.max(0) as u32 }
                });
                Step::Received { key, result, filled, more }
            }
            Token::Send(train) => Step::Sent { sent: Sent { train: train as usize }, result },
            // It completes only if there was nothing to cancel.
            Token::Cancel(key) => Step::NotCancelled { key },
            Token::Wake => {
                self.watching = more;
                Step::Woken
            }
            Token::Make(key) => Step::NotMade { key, errno: -result },
            Token::Bind(key) => {
                self.shared.binding.remove(&key.slot);
                Step::Bound { key, result }
            }
            Token::Install(key) => Step::Installed { key, socket: descriptor(&entry) },
            Token::Leave(key) => Step::Left { key },
            // Taken where it is waited for.
            Token::Descriptor => return None,
            Token::Accept(_)
            | Token::StreamConnect(_)
            | Token::StreamReceive(_)
            | Token::StreamWrite(_)
            | Token::StopAccept(_)
            | Token::StopStream(..) => {
                Step::Stream(self.shared.streams.step(token, entry, &self.pool)?)
            }
        })
    }

    fn next_step(&mut self) -> Option<Step<Self>> {
        loop {
            let entry = self.aside.pop_front().or_else(|| self.ring.pop())?;
            if let Some(step) = Token::unpack(entry.token).and_then(|t| self.step(t, entry)) {
                return Some(step);
            }
        }
    }

    fn is_quiet(&self) -> bool {
        let Shared { outbox, binding, streams, .. } = &*self.shared;
        let has_datagrams = self.armed > 0 || outbox.in_flight() > 0 || !binding.is_empty();
        !has_datagrams && streams.is_quiet()
    }

    /// Lets out what is ending already. To cancel everything, the kernel looks at each operation
    /// once for each that it cancels, which takes 2 s for 4,000 sockets.
    fn let_out(&mut self) {
        let mut calls = 0..ENDING_CALLS;
        while self.take_steps() > 0 && calls.next().is_some() {
            let _ = self.ring.enter(WaitPlan::NONE);
        }
    }

    /// Takes what has completed, of which only lent memory matters any more; says how much it was.
    fn take_steps(&mut self) -> usize {
        let mut steps = 0;
        while let Some(step) = self.next_step() {
            if let Step::Sent { sent, .. } = step {
                self.shared.outbox.finish(sent.train);
            }
            steps += 1;
        }
        steps
    }

    /// Ends every operation and waits for it. Whether the kernel has let go of everything.
    fn drain(&mut self) -> bool {
        let _ = self.ring.enter(WaitPlan::NONE);
        for _ in 0..DRAIN_ROUNDS {
            self.let_out();
            if self.is_quiet() {
                return true;
            }
            // Whatever fails here is tried again, and in the end shows in not being quiet.
            let _ = self.ring.cancel_all();
            let wait = WaitPlan::first(Wait::For(DRAIN_WAIT));
            let _ = self.ring.enter(wait);
        }
        false
    }
}

impl kernel::Kernel for Kernel {
    type Filled = Filled;
    type Sent = Sent;
    type Slots = Self;

    const ENDS_AT_ONCE: bool = false;

    fn new(settings: &Settings, sockets: u32, waker: &Waker) -> io::Result<Self> {
        let ring = Ring::new()?;
        let pool = Pool::new(settings.buffers)?;
        // SAFETY: `drop` below lets go of the buffers only once no receive is under way.
        let buffers = unsafe {
            BufferRing::register(&ring, Rc::clone(&pool), Incoming::Datagrams, settings.buffers)
        }?;
        let outbox = Outbox::new();
        let templates = Templates { v4: template(V4_NAME_BYTES), v6: template(V6_NAME_BYTES) };
        let binding = HashMap::new();
        let streams = StreamMemory::default();
        let shared = ManuallyDrop::new(Shared { outbox, buffers, templates, binding, streams });
        let registered = settings.registered_files;
        let mut kernel = Self {
            ring,
            pool,
            shared,
            waker: waker.clone(),
            watching: false,
            registered,
            direct: None,
            armed: 0,
            aside: VecDeque::new(),
            overflows: 0,
        };
        if registered {
            kernel.ring.register_table(sockets)?;
        }
        if settings.busy_poll_us > 0 {
            kernel.ring.poll_devices(settings.busy_poll_us)?;
        }
        if settings.direct_sockets && registered {
            kernel.direct = Some(open::BufferLimit::allowed()?);
        }
        Ok(kernel)
    }

    fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    fn queue(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        cursor: &mut PieceCursor<'_>,
        segmentation: &Segmentation,
        counters: &mut Counters,
    ) -> bool {
        self.shared.outbox.queue(socket, to, cursor, segmentation, counters)
    }

    fn admit(&mut self, id: SocketId, socket: &UdpSocket) -> io::Result<()> {
        if self.registered { self.ring.register(id, socket) } else { Ok(()) }
    }

    fn dismiss(&mut self, id: SocketId) {
        if self.registered {
            let taken_out = self.ring.unregister(id);
            debug_assert!(taken_out.is_ok(), "a registered slot can be emptied: {taken_out:?}");
        }
    }

    fn slots(&mut self) -> Option<&mut Self> {
        self.direct.is_some().then_some(self)
    }

    fn make_ready(&mut self) -> io::Result<()> {
        self.publish_free();
        self.watch_waker()
    }

    fn may_arm(&self) -> usize {
        (self.shared.buffers.published() as usize).min(ARMS_PER_CALL)
    }

    fn arm(&mut self, key: Key, table: &Table) -> io::Result<()> {
        let Some(entry) = table.get(key.id()) else { return Ok(()) };
        let templates = &self.shared.templates;
        let template: *const libc::msghdr = if entry.v6 { &*templates.v6 } else { &*templates.v4 };
        let receive = target(table, self.registered, key.id()).receive(template, GROUP);
        // SAFETY: the template and the buffer group live in `shared`, which `drop` keeps until the
        // receive has ended. Published buffers are out of safe code's reach (see `Pool`).
        unsafe { self.ring.push(receive, Token::Receive(key).pack()) }?;
        self.armed += 1;
        Ok(())
    }

    fn cancel(&mut self, key: Key, _table: &Table) -> io::Result<()> {
        self.ring.push_cancel(Token::Receive(key).pack(), Token::Cancel(key).pack())
    }

    fn send_waiting(&mut self, table: &Table) -> io::Result<()> {
        while let Some(train) = self.shared.outbox.hand_over() {
            let target = target(table, self.registered, self.shared.outbox.train(train).socket);
            let outbox = &mut self.shared.outbox;
            let send = match outbox.plain(train).map(|bytes| (bytes.as_ptr(), bytes.len())) {
                Some(bytes) => target.send(bytes, outbox.name(train)),
                None => target.send_message(outbox.message(train)),
            };
            // SAFETY: name, message, gather entries, headers and leases are the outbox's, which
            // keeps them until the train is finished, and lives in `shared`. Only a completion's
            // `Sent` finishes a train.
            unsafe { self.ring.push(send, Token::Send(train as u32).pack()) }?;
        }
        Ok(())
    }

    fn has_submissions(&mut self) -> bool {
        self.ring.has_submissions()
    }

    fn submit(&mut self) -> io::Result<()> {
        if self.ring.has_submissions() { self.ring.submit() } else { Ok(()) }
    }

    fn enter(&mut self, plan: WaitPlan) -> io::Result<()> {
        self.ring.enter(plan)?;
        self.overflows += u64::from(self.ring.has_overflow());
        Ok(())
    }

    fn may_hold_for(&self) -> u32 {
        self.shared.buffers.published()
    }

    fn hold(&mut self, hold: Hold) -> io::Result<()> {
        kernel::Kernel::enter(
            self,
            WaitPlan { completions: hold.arrivals, limit: Some(hold.longest) },
        )
    }

    fn pop(&mut self, _table: &Table) -> Option<Step<Self>> {
        self.next_step()
    }

    fn read(&mut self, filled: Filled, v6: bool) -> Option<Arrived> {
        let (mut lease, bytes) = filled.lease(self);
        let Layout { from, payload, segment_bytes } = layout::parse(lease.buffer(), bytes, v6)?;
        lease.set_range(payload);
        Some(Arrived { from, segment_bytes, lease })
    }

    fn train(&self, sent: &Sent) -> &SendTrain {
        self.shared.outbox.train(sent.train)
    }

    fn refuse(&mut self, sent: &Sent) {
        self.shared.outbox.refuse(sent.train);
    }

    fn send_singly(&mut self, sent: &Sent, socket: &UdpSocket, counters: &mut Counters) {
        mmsg::send_singly(socket, &mut self.shared.outbox, sent.train, counters);
    }

    fn finish(&mut self, sent: Sent) {
        self.shared.outbox.finish(sent.train);
    }

    fn count(&mut self, counters: &mut Counters) {
        counters.enters = self.ring.calls();
        counters.ring_overflows = self.overflows;
        let free = self.shared.buffers.published() + self.pool.free(Incoming::Datagrams);
        counters.note_free_buffers(free as usize);
    }
}

impl Slots for Kernel {
    fn bind(&mut self, key: Key, address: SocketAddr) -> io::Result<()> {
        let limit = self.direct.expect("only a ring that opens sockets is asked to");
        let v6 = address.is_ipv6();
        self.ring.push_socket(key.id(), v6, Token::Make(key).pack())?;
        for setting in open::relay_settings(v6, limit) {
            self.ring.push_setting(key.id(), setting, Token::Make(key).pack())?;
        }
        let name = self.shared.binding.entry(key.slot).or_default();
        **name = Name::new(address);
        let bind = Target::Registered(Fixed(key.slot)).bind(name);
        // SAFETY: the name has a place of its own in `shared`, which `drop` keeps until the bind
        // has ended; only its completion takes it out, and a slot has one bind under way at most.
        unsafe { self.ring.push(bind, Token::Bind(key).pack()) }
    }

    fn set(&mut self, key: Key, settings: &'static [Setting]) -> io::Result<()> {
        let token = Token::Make(key).pack();
        settings.iter().try_for_each(|setting| self.ring.push_setting(key.id(), setting, token))
    }

    fn install(&mut self, key: Key) -> io::Result<()> {
        self.ring.push_descriptor(key.id(), Token::Install(key).pack())
    }

    fn leave(&mut self, key: Key) -> io::Result<()> {
        self.ring.push_close(key.id(), Token::Leave(key).pack())
    }

    fn descriptor(&mut self, id: SocketId) -> io::Result<UdpSocket> {
        self.ring.push_descriptor(id, Token::Descriptor.pack())?;
        loop {
            self.ring.enter(WaitPlan::FIRST)?;
            while let Some(entry) = self.ring.pop() {
                if Token::unpack(entry.token) == Some(Token::Descriptor) {
                    return descriptor(&entry);
                }
                self.aside.push_back(entry);
            }
        }
    }
}

/// A socket of the table as operations name it.
fn target(table: &Table, registered: bool, id: SocketId) -> Target {
    if registered {
        return Target::Registered(Fixed(id.0));
    }
    let entry = table.get(id).expect("a socket with work under way is in the table");
    Target::Plain(Fd(entry.descriptor().as_raw_fd()))
}

impl Filled {
    /// The lease of the buffer, and how much of it the kernel filled.
    fn lease(self, kernel: &Kernel) -> (Lease, usize) {
        let bytes = self.bytes as usize;
        // SAFETY: a completion said that the kernel is done with this buffer, and `self`, which is
        // made once per completion and used up here, is the proof.
        let lease = unsafe { kernel.pool.claim(Incoming::Datagrams, self.place, bytes) };
        (lease, bytes)
    }
}

impl Drop for Kernel {
    fn drop(&mut self) {
        let quiet = self.drain();
        // There is no table when sockets are not registered; nothing else can go wrong here.
        let _ = self.ring.unregister_table();
        if quiet {
            // SAFETY: this is the only place that drops `shared`, and it is not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.shared) };
        }
        // Otherwise the memory is left to the process: the kernel may still write to it. `shared`
        // holds the pool, so the buffers stay mapped too.
    }
}

/// The descriptor that a completion brings.
fn descriptor(entry: &Completion) -> io::Result<UdpSocket> {
    if entry.result < 0 {
        return Err(io::Error::from_raw_os_error(-entry.result));
    }
    // SAFETY: the kernel has just made this descriptor for us, and nothing else holds it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(entry.result) };
    Ok(descriptor.into())
}

fn template(name_bytes: usize) -> Box<libc::msghdr> {
    let mut header = sys::empty_message();
    header.msg_namelen = name_bytes as libc::socklen_t;
    header.msg_controllen = CONTROL_BYTES as _;
    Box::new(header)
}
