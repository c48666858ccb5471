//! Rings, buffers and sockets: datagrams in and out, in batches.
//!
//! A worker owns one [`Driver`]. It calls [`Driver::turn`] once per loop, which hands the kernel
//! everything queued and waits; it takes what arrived with [`Driver::next`], and queues answers
//! with [`Driver::send`]. There is no call into the kernel per packet.
//!
//! ```text
//!            next()                    send()                  turn()
//!  kernel ──────────▶ Received{Lease} ────────▶ Piece{Lease} ─────────▶ kernel
//!     ▲                     │ drop                                │ sent
//!     └───── pool ◀─────────┴─────────────────────────────────────┘
//! ```
//!
//! The law of this floor: a buffer the kernel does not own is a value, a [`Lease`]. Possession is
//! the proof that it may be read; being its only holder is the proof that it may be written.
//! Nothing here knows what stands in a datagram.
//!
//! ```text
//! engine/           the driver, once for both kernels; kernel.rs says what a third one has to do
//! uring/ epoll/     the kernels: calls, and the memory that the operating system may touch
//! datagram/         how pieces become trains, and where those may go
//! stream/           connections: accepted, written to, handed over
//! memory/           buffers, and who may touch them
//! socket/           how sockets are opened, addressed and steered
//! driver.rs         what every driver does, with event.rs and piece.rs: what it brings and takes
//! room.rs           bytes that are free around a payload
//! probe.rs          what this machine's kernel can do
//! ```

mod datagram;
mod driver;
mod engine;
mod epoll;
mod event;
mod memory;
mod piece;
mod probe;
mod room;
mod settings;
mod socket;
mod stream;
mod sys;
mod uring;
mod waker;

pub use driver::Driver;
pub use engine::{
    figures::{
        counters::{Counters, TrainSizes, TurnSizes},
        hold_times::HoldTimes,
        size_histogram::SizeHistogram,
    },
    pace::{Hold, Pace},
};
pub use epoll::PortableDriver;
pub use event::{Event, Receive, Received, SocketId, Wait};
pub use memory::pool::{Lease, Pool};
pub use piece::Piece;
pub use probe::{Facts, Obstacle};
pub use room::{HEADROOM, PAD_MAX};
pub use settings::Settings;
pub use socket::{
    open::{self as sockets, BufferSizes},
    steer,
};
pub use stream::{
    event::{AcceptorId, HangUpHow, Remote, StreamEvent, StreamId},
    streams::Streams,
};
pub use sys::give_memory_back;
pub use uring::UringDriver;
pub use waker::Waker;
