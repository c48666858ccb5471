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
//!            │ messages ◀─── mailbox ──▶ handoff   │──▶ other workers
//!            └─────────────────────────────────────┘
//! ```
//!
//! ```text
//! reactor.rs   the loop
//! start/       every socket first, then one pinned thread each
//! data/        a datagram from socket to socket
//! effects/     what the state machine needs the world to do, and the counts all workers share
//! mail/        the doors between threads
//! status/      what the control thread is told, and may ask
//! stream/      connections of clients, from accept to close
//! clock.rs     time, read once a turn
//! ```

mod clock;
mod data;
mod effects;
mod mail;
mod reactor;
mod start;
mod status;
mod stream;

pub use clock::{Clock, VirtualTime};
pub use data::sockets::Role;
pub use effects::{forwarder::Forwarder, quota::Limits};
pub use reactor::Worker;
pub use start::{
    assemble::{Stage, assemble},
    listen::{
        DatagramSockets, GrantedSockets, ListenerSockets, OpenListeners, SOCKETS_OF_A_LISTENER,
    },
    plan::{DriverKind, Listen, ListenKind, Plan, SpawnError, Steering},
    spawn::{Workers, spawn},
};
pub use status::{
    questions::{AnswerTo, Question},
    report::{Report, SourceRefused, StreamRefused, Tell},
    snapshot::{Counters, Snapshot},
};
pub use stream::{
    bounds::{
        rules::{StreamRules, WebBackend, WebGreeting, WebPlace},
        sources::SourceLimits,
    },
    counters::{HANDSHAKES, PipeCounters, StreamCounters},
};
