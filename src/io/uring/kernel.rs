//! Everything the kernel may touch, in one owner.
//!
//! The ring, the published buffers, the send queue's memory and the receive templates live and die
//! together: nothing here is freed while an operation is under way. That, and the proofs that only
//! this file makes from completions ([`Filled`] buffers, [`Sent`] trains), is what makes the rest
//! of the driver safe code.
#![expect(unsafe_code, reason = "vouches for the memory that operations name")]

use std::{
    collections::{HashMap, VecDeque},
    io,
    mem::ManuallyDrop,
    net::{SocketAddr, UdpSocket},
    os::fd::{FromRawFd, OwnedFd},
    rc::Rc,
    time::Duration,
};

use io_uring::types::Fixed;

use super::{
    buffer_ring::{BufferRing, GROUP},
    ring::{Completion, Ring, Target, WaitPlan},
    token::Token,
};
use crate::io::{
    Counters, Lease, Settings, SocketId, Wait,
    datagram::{
        cursor::PieceCursor,
        layout::{CONTROL_BYTES, V4_NAME_BYTES, V6_NAME_BYTES},
        outbox::{Outbox, SendTrain},
    },
    engine::table::Key,
    epoll::mmsg,
    memory::pool::Pool,
    socket::address::Name,
    sys::{self, Setting},
};

/// How often, and how long each time, the end of a driver waits for the kernel to let go.
const DRAIN_ROUNDS: u32 = 40;
const DRAIN_WAIT: Duration = Duration::from_millis(50);

/// The ring and all memory its operations name.
pub(super) struct Kernel {
    ring: Ring,
    pool: Rc<Pool>,
    shared: ManuallyDrop<Shared>,
    /// Receives under way.
    armed: usize,
    /// Completions that came while one of them was waited for.
    aside: VecDeque<Completion>,
}

struct Shared {
    outbox: Outbox,
    buffers: BufferRing,
    templates: Templates,
    /// The addresses of binds under way, by slot.
    binding: HashMap<u32, Box<Name>>,
}

/// Message headers that only say how long the name and control areas are to be.
struct Templates {
    v4: Box<libc::msghdr>,
    v6: Box<libc::msghdr>,
}

/// A buffer that the kernel has filled and given back. Only a completion makes one.
#[derive(Debug)]
pub(super) struct Filled {
    slot: u16,
    bytes: u32,
}

/// A train that the kernel no longer reads. Only a completion makes one.
#[derive(Debug)]
pub(super) struct Sent {
    train: usize,
}

/// One step of one operation.
pub(super) enum Step {
    /// A receive: an errno below zero, the buffer it filled, and whether it goes on.
    Received { key: Key, result: i32, filled: Option<Filled>, more: bool },
    /// A send has ended, with an errno below zero if it failed.
    Sent { sent: Sent, result: i32 },
    /// A cancellation has ended, with an errno below zero if there was nothing to cancel.
    Cancelled { key: Key, result: i32 },
    /// The waker was written to; and whether it is still watched.
    Woken { more: bool },
    /// A socket could not be made, or set, with this errno.
    NotMade { key: Key, errno: i32 },
    /// A socket was bound, with an errno below zero if not.
    Bound { key: Key, result: i32 },
    /// The ring no longer has a socket.
    Left { key: Key },
}

impl Kernel {
    pub(super) fn new(settings: &Settings) -> io::Result<Self> {
        let ring = Ring::new()?;
        let pool = Pool::new(settings.buffers)?;
        // SAFETY: `drop` below lets go of the buffers only once no receive is under way.
        let buffers = unsafe { BufferRing::register(&ring, Rc::clone(&pool), settings.buffers) }?;
        let outbox = Outbox::new(settings.segmentation);
        let templates = Templates { v4: template(V4_NAME_BYTES), v6: template(V6_NAME_BYTES) };
        let binding = HashMap::new();
        let shared = ManuallyDrop::new(Shared { outbox, buffers, templates, binding });
        Ok(Self { ring, pool, shared, armed: 0, aside: VecDeque::new() })
    }

    pub(super) fn ring(&mut self) -> &mut Ring {
        &mut self.ring
    }

    pub(super) fn pool(&self) -> &Rc<Pool> {
        &self.pool
    }

    pub(super) fn outbox(&self) -> &Outbox {
        &self.shared.outbox
    }

    /// Queues as much of `cursor` as there is room for; whether that was all of it.
    pub(super) fn queue(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        cursor: &mut PieceCursor<'_>,
        counters: &mut Counters,
    ) -> bool {
        self.shared.outbox.queue(socket, to, cursor, counters)
    }

    /// See [`Outbox::stop_segmentation`].
    pub(super) fn stop_segmentation(&mut self) -> bool {
        self.shared.outbox.stop_segmentation()
    }

    /// BufferRing the kernel can still receive into, as far as it has told us.
    pub(super) fn published(&self) -> u32 {
        self.shared.buffers.published()
    }

    /// Gives free receive buffers to the kernel: for use before all others, unless it may have
    /// taken some that it has not told us of.
    pub(super) fn publish_free(&mut self) {
        if self.aside.is_empty() && self.ring.is_settled() {
            self.shared.buffers.publish_first();
        } else {
            self.shared.buffers.publish_last();
        }
    }

    /// Makes a socket in the ring's table, sets it and binds it: one [`Step::Bound`], after one
    /// [`Step::NotMade`] for each thing that failed.
    pub(super) fn bind(
        &mut self,
        key: Key,
        address: SocketAddr,
        settings: impl Iterator<Item = &'static Setting>,
    ) -> io::Result<()> {
        let (id, token) = (key.id(), Token::Make(key).pack());
        self.ring.push_socket(id, address.is_ipv6(), token)?;
        self.set(key, settings)?;
        let name = self.shared.binding.entry(key.slot).or_default();
        **name = Name::new(address);
        let bind = Target::Registered(Fixed(id.0)).bind(name);
        // SAFETY: the name has a place of its own in `shared`, which `drop` keeps until the bind has
        // ended; only its completion takes it out, and a slot has one bind under way at most.
        unsafe { self.ring.push(bind, Token::Bind(key).pack()) }
    }

    /// Sets a socket that only the ring has, before whatever is queued next.
    pub(super) fn set(
        &mut self,
        key: Key,
        mut settings: impl Iterator<Item = &'static Setting>,
    ) -> io::Result<()> {
        let token = Token::Make(key).pack();
        settings.try_for_each(|setting| self.ring.push_setting(key.id(), setting, token))
    }

    /// Lets go of a socket that only the ring has; [`Step::Left`] follows.
    pub(super) fn leave(&mut self, key: Key) -> io::Result<()> {
        self.ring.push_close(key.id(), Token::Leave(key).pack())
    }

    /// A descriptor of a socket that only the ring has, for the one call that needs it.
    ///
    /// # Errors
    /// When there can be no more descriptors; and when the ring fails.
    pub(super) fn descriptor(&mut self, id: SocketId) -> io::Result<UdpSocket> {
        self.ring.push_descriptor(id, Token::Descriptor.pack())?;
        loop {
            self.ring.enter(WaitPlan::first(Wait::Forever))?;
            while let Some(entry) = self.ring.pop() {
                if Token::unpack(entry.token) == Some(Token::Descriptor) {
                    return descriptor(&entry);
                }
                self.aside.push_back(entry);
            }
        }
    }

    /// Starts receiving on a socket.
    pub(super) fn arm(&mut self, target: Target, key: Key, v6: bool) -> io::Result<()> {
        let templates = &self.shared.templates;
        let template: *const libc::msghdr = if v6 { &*templates.v6 } else { &*templates.v4 };
        let receive = target.receive(template, GROUP);
        // SAFETY: the template and the buffer group live in `shared`, which `drop` keeps until the
        // receive has ended. Published buffers are out of safe code's reach (see `Pool`).
        unsafe { self.ring.push(receive, Token::Receive(key).pack()) }?;
        self.armed += 1;
        Ok(())
    }

    /// Submits the trains of the outbox; `target` names their sockets.
    pub(super) fn send_waiting(&mut self, target: impl Fn(SocketId) -> Target) -> io::Result<()> {
        while let Some(train) = self.shared.outbox.hand_over() {
            let target = target(self.shared.outbox.train(train).socket);
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

    /// The train that a send was of.
    pub(super) fn train(&self, sent: &Sent) -> &SendTrain {
        self.shared.outbox.train(sent.train)
    }

    /// Sends a refused train again, datagram by datagram.
    pub(super) fn send_singly(&mut self, sent: &Sent, socket: &UdpSocket, counters: &mut Counters) {
        mmsg::send_singly(socket, &mut self.shared.outbox, sent.train, counters);
    }

    /// See [`Outbox::refuse`].
    pub(super) fn refuse(&mut self, sent: &Sent) {
        self.shared.outbox.refuse(sent.train);
    }

    /// Takes the next step of one of our operations.
    pub(super) fn pop(&mut self) -> Option<Step> {
        loop {
            let entry = self.aside.pop_front().or_else(|| self.ring.pop())?;
            if let Some(step) = Token::unpack(entry.token).and_then(|t| self.step(t, entry)) {
                return Some(step);
            }
        }
    }

    fn step(&mut self, token: Token, entry: Completion) -> Option<Step> {
        let Completion { result, more, buffer, .. } = entry;
        Some(match token {
            Token::Receive(key) => {
                self.armed -= usize::from(!more);
                let filled = buffer.map(|slot| {
                    self.shared.buffers.returned();
                    Filled { slot, bytes: result.max(0) as u32 }
                });
                Step::Received { key, result, filled, more }
            }
            Token::Send(train) => Step::Sent { sent: Sent { train: train as usize }, result },
            Token::Cancel(key) => Step::Cancelled { key, result },
            Token::Wake => Step::Woken { more },
            Token::Make(key) => Step::NotMade { key, errno: -result },
            Token::Bind(key) => {
                self.shared.binding.remove(&key.slot);
                Step::Bound { key, result }
            }
            Token::Leave(key) => Step::Left { key },
            // Taken where it is waited for.
            Token::Descriptor => return None,
        })
    }

    fn is_quiet(&self) -> bool {
        let Shared { outbox, binding, .. } = &*self.shared;
        self.armed == 0 && outbox.in_flight() == 0 && binding.is_empty()
    }

    /// Ends every operation and waits for it. Whether the kernel has let go of everything.
    fn drain(&mut self) -> bool {
        for _ in 0..DRAIN_ROUNDS {
            while let Some(step) = self.pop() {
                if let Step::Sent { sent, .. } = step {
                    sent.finish(self);
                }
            }
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

impl Filled {
    /// The lease of the buffer, and how much of it the kernel filled.
    pub(super) fn lease(self, kernel: &Kernel) -> (Lease, usize) {
        let bytes = self.bytes as usize;
        // SAFETY: a completion said that the kernel is done with this buffer, and `self`, which is
        // made once per completion and used up here, is the proof.
        let lease = unsafe { kernel.pool.claim(self.slot.into(), 0..bytes) };
        (lease, bytes)
    }
}

impl Sent {
    /// Drops the train's leases. Its memory is used again once all of its batch have ended.
    pub(super) fn finish(self, kernel: &mut Kernel) {
        kernel.shared.outbox.finish(self.train);
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
