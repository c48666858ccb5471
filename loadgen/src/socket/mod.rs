//! Sockets in batches: `sendmmsg` with UDP_SEGMENT, `recvmmsg` with UDP_GRO, epoll.
//!
//! ```text
//! sys.rs      single system calls, each behind a function that is sound
//! outbox.rs   packets of one socket, gathered into messages and trains
//! inbox.rs    messages received at once, trains taken apart
//! poller.rs   which sockets have something to read, or room to send
//! ```
//!
//! The one folder of the generator that holds `unsafe`. Every function is sound for every argument:
//! pointers handed to the kernel are made from live borrows inside the call that uses them, and
//! forgotten before it returns.
#![expect(unsafe_code, reason = "sendmmsg, recvmmsg and epoll are not in std or socket2")]

mod inbox;
mod outbox;
mod poller;
mod sys;

pub(crate) use inbox::Inbox;
pub(crate) use outbox::{HEAD_BYTES, Outbox, TRAIN_BYTES, TRAIN_PACKETS};
pub(crate) use poller::Poller;
pub(crate) use sys::{drops, exact_timers, raise_open_files, set_option, stamp_arrivals};
