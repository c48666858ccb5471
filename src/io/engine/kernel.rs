//! What the kernels of an [`Engine`](super::Engine) differ in: the calls.
//!
//! The engine decides what is done and when. A kernel does it: it takes receives, sends and
//! cancellations, waits, and says step by step what has become of them. It owns all memory that the
//! operating system may touch meanwhile, so that its end can wait for that or leave the memory be.

use std::{
    convert::Infallible,
    io,
    net::{SocketAddr, UdpSocket},
    rc::Rc,
};

use super::{
    pace::Hold,
    table::{Key, Table},
    wait_plan::WaitPlan,
};
use crate::io::{
    datagram::{cursor::PieceCursor, outbox::Outbox, segmentation::Segmentation, train::SendTrain},
    engine::figures::counters::Counters,
    event::SocketId,
    memory::pool::{Lease, Pool},
    settings::Settings,
    stream::kernel::{StreamKernel, StreamStep},
    sys::Setting,
    waker::Waker,
};

/// One way into the operating system.
pub trait Kernel: StreamKernel + Sized {
    /// A buffer that a receive has filled.
    type Filled;
    /// A train that the operating system no longer reads. Only [`Step::Sent`] brings one.
    type Sent;
    /// How sockets without a descriptor are opened.
    type Slots: Slots;

    /// Whether operations end within the call that hands them over, so that their steps are there
    /// before anything is waited for.
    const ENDS_AT_ONCE: bool;

    /// Takes its memory, for so many sockets, and watches the waker.
    fn new(settings: &Settings, sockets: u32, waker: &Waker) -> io::Result<Self>;

    /// The buffers.
    fn pool(&self) -> &Rc<Pool>;

    /// The send queue.
    fn outbox(&self) -> &Outbox;

    /// Queues as much of `cursor` as there is room for; whether that was all of it.
    fn queue(
        &mut self,
        socket: SocketId,
        to: SocketAddr,
        cursor: &mut PieceCursor<'_>,
        segmentation: &Segmentation,
        counters: &mut Counters,
    ) -> bool;

    /// Learns of a socket with a descriptor.
    fn admit(&mut self, id: SocketId, socket: &UdpSocket) -> io::Result<()>;

    /// Forgets a socket with a descriptor that has nothing under way.
    fn dismiss(&mut self, id: SocketId);

    /// Sockets without a descriptor, if this kernel opens such.
    fn slots(&mut self) -> Option<&mut Self::Slots>;

    /// Does what comes before each call: gives free buffers away, watches the waker.
    fn make_ready(&mut self) -> io::Result<()>;

    /// How many receives may be begun now.
    fn may_arm(&self) -> usize;

    /// Begins to receive on a socket. Steps with `more` follow, until one without.
    fn arm(&mut self, key: Key, table: &Table) -> io::Result<()>;

    /// Ends the receive on a socket.
    fn cancel(&mut self, key: Key, table: &Table) -> io::Result<()>;

    /// Hands over the trains of the send queue.
    fn send_waiting(&mut self, table: &Table) -> io::Result<()>;

    /// Whether something queued has not reached the operating system.
    fn has_submissions(&mut self) -> bool;

    /// Has what is queued reach the operating system, and nothing else happen.
    fn submit(&mut self) -> io::Result<()>;

    /// Hands everything over, and waits.
    fn enter(&mut self, plan: WaitPlan) -> io::Result<()>;

    /// For how many arrivals packets may be held; for none where others could be had at once.
    fn may_hold_for(&self) -> u32;

    /// Waits for packets to join those that have arrived.
    fn hold(&mut self, hold: Hold) -> io::Result<()>;

    /// Takes the next step of an operation.
    fn pop(&mut self, table: &Table) -> Option<Step<Self>>;

    /// The datagram in a filled buffer, of a socket of this family. `None` if it makes no sense or
    /// was cut short.
    fn read(&mut self, filled: Self::Filled, v6: bool) -> Option<Arrived>;

    /// The train that a send was of.
    fn train(&self, sent: &Self::Sent) -> &SendTrain;

    /// See [`Outbox::refuse`].
    fn refuse(&mut self, sent: &Self::Sent);

    /// Sends a refused train again, datagram by datagram.
    fn send_singly(&mut self, sent: &Self::Sent, socket: &UdpSocket, counters: &mut Counters);

    /// Drops the train's leases. Its memory is used again once all of its batch have ended.
    fn finish(&mut self, sent: Self::Sent);

    /// Writes down what only the kernel knows: its calls, and how many receive buffers are free.
    fn count(&mut self, counters: &mut Counters);
}

/// Sockets that a kernel opens and keeps itself, each under the number of its slot in the table.
pub trait Slots {
    /// Makes a socket, sets and binds it: one [`Step::Bound`], after one [`Step::NotMade`] for each
    /// thing that failed.
    fn bind(&mut self, key: Key, address: SocketAddr) -> io::Result<()>;

    /// Sets a socket before whatever is queued next.
    fn set(&mut self, key: Key, settings: &'static [Setting]) -> io::Result<()>;

    /// Gives a socket a descriptor (kernel 6.8); [`Step::Installed`] follows.
    fn install(&mut self, key: Key) -> io::Result<()>;

    /// Lets go of a socket; [`Step::Left`] follows.
    fn leave(&mut self, key: Key) -> io::Result<()>;

    /// A descriptor of a socket, for the one call that needs it.
    ///
    /// # Errors
    /// When there can be no more descriptors; and when the kernel fails.
    fn descriptor(&mut self, id: SocketId) -> io::Result<UdpSocket>;
}

/// Of a kernel that opens no socket: there is no value to ask.
impl Slots for Infallible {
    fn bind(&mut self, _: Key, _: SocketAddr) -> io::Result<()> {
        match *self {}
    }

    fn set(&mut self, _: Key, _: &'static [Setting]) -> io::Result<()> {
        match *self {}
    }

    fn install(&mut self, _: Key) -> io::Result<()> {
        match *self {}
    }

    fn leave(&mut self, _: Key) -> io::Result<()> {
        match *self {}
    }

    fn descriptor(&mut self, _: SocketId) -> io::Result<UdpSocket> {
        match *self {}
    }
}

/// One step of one operation. Results below zero are errnos.
pub enum Step<K: Kernel> {
    /// A receive: the buffer it filled, and whether it goes on.
    Received { key: Key, result: i32, filled: Option<K::Filled>, more: bool },
    /// A send has ended.
    Sent { sent: K::Sent, result: i32 },
    /// There was no receive to cancel.
    NotCancelled { key: Key },
    /// The waker was written to.
    Woken,
    /// A socket could not be made, or set, with this errno.
    NotMade { key: Key, errno: i32 },
    /// A socket was bound, or was not.
    Bound { key: Key, result: i32 },
    /// A socket was given a descriptor, or was not.
    Installed { key: Key, socket: io::Result<UdpSocket> },
    /// The kernel no longer has a socket.
    Left { key: Key },
    /// Of a stream.
    Stream(StreamStep),
}

/// One datagram or train from a socket.
#[derive(Debug)]
pub struct Arrived {
    pub(in crate::io) from: SocketAddr,
    /// Bytes of each datagram; the last may be shorter.
    pub(in crate::io) segment_bytes: usize,
    pub(in crate::io) lease: Lease,
}
