//! One pinned thread: one `turn::Server`, one `io` driver, and the glue between them.
//!
//! No protocol rule and no `unsafe` lives here. A worker reaps a batch, gives each datagram to its
//! state machine, carries out the verdict, and submits once. Workers share nothing: each owns two
//! reuse-port sockets per listening address (one for payload, one for requests), its slice of the
//! relay ports, its allocations and its counters. What must cross goes through bounded mailboxes.
//!
//! ```text
//!            ┌────────────── worker ──────────────┐
//!  kernel ──▶│ io ──▶ inbound ──▶ turn ──▶ inbound │──▶ kernel
//!            │                     │ effects       │
//!            │                     ▼               │
//!            │  sockets ◀──── effects.rs ──▶ tell  │──▶ control thread
//!            │  letters ◀──── mailbox ──▶ post     │──▶ other workers
//!            └─────────────────────────────────────┘
//! ```
//!
//! ```text
//! spawn.rs     every socket first, then one pinned thread each
//! reactor.rs   the loop
//! inbound.rs   a datagram from socket to socket
//! effects.rs   what the state machine needs the world to do
//! openings.rs  Allocates that wait for sockets
//! letters.rs   what a worker does with its mail
//! sockets.rs   which socket is which listener or relay
//! mailbox.rs   the doors between threads
//! outgoing.rs  payloads for other workers' clients, packed into
//! parcel.rs    parcels
//! strays.rs    clients whose packets arrive at another worker's core
//! quota.rs     the counts all workers share
//! clock.rs     time, read once a turn
//! report.rs    what the control thread is told
//! snapshot.rs  what it can ask for
//! questions.rs and about sessions
//! ```

mod clock;
mod effects;
mod inbound;
mod letters;
mod mailbox;
mod openings;
mod outgoing;
mod parcel;
mod questions;
mod quota;
mod reactor;
mod report;
mod snapshot;
mod sockets;
mod spawn;
mod strays;

pub use questions::{Answer, Question};
pub use quota::Limits;
pub use report::{Report, Tell};
pub use snapshot::{Counters, Snapshot};
pub use sockets::Role;
pub use spawn::{
    DriverKind, Granted, Plan, SOCKETS_OF_A_LISTENER, SpawnError, Steering, Workers, spawn,
};
