//! The TURN state machine, pure.
//!
//! A datagram goes in, one [`Verdict`] comes out. Time is an argument, chance is one seed, sockets
//! are numbers: a run is repeated by repeating its calls. What needs the world is an [`Effect`],
//! taken after each call; nothing is answered as done before the world has done it.
//!
//! ```text
//! server.rs        every datagram from a client is judged here
//!   request.rs       a verified request and the allocation it is about
//!   method/          one TURN method per file
//!   answer.rs        the one place where answers are written
//! relay.rs         payload in both directions, hairpin.rs between two of our own relays
//! lifecycle.rs     how allocations end and the time passes, on the wheel of timer.rs
//!
//! allocations.rs   by slot and by five-tuple; allocation.rs is one of them, with its
//!                  permission.rs and channel.rs, and its correspondents.rs
//! relays.rs        relay sockets by number and by port, drawn from ports.rs
//! openings.rs      Allocates that wait for a socket, reservation.rs ports that wait for a client
//!
//! auth.rs          who sent a request: credentials.rs, nonce.rs
//! policy/          which peers may be reached
//! reply_budget.rs  how much a stranger's network may be answered
//! quota.rs         how much a user may hold, limits.rs how much an allocation may relay
//! settings.rs      what the operator decides, reconfigure.rs when that changes
//! alternates.rs    where clients are sent while the server drains
//! shard.rs         what one worker owns
//! sessions.rs      what operators see of allocations
//! effect.rs, verdict.rs, reason.rs, counters.rs, identity.rs, session.rs, train.rs
//!                  what is said to the worker, and by it
//! ```
//!
//! Per packet: no heap, no clock, no log, and nothing that grows with the number of allocations.
//! Nothing is kept for whoever has not proved who he is.

mod allocation;
mod allocations;
mod alternates;
mod answer;
mod attributes;
mod auth;
mod chance;
mod channel;
mod correspondents;
mod counters;
mod credentials;
mod effect;
mod hairpin;
mod identity;
mod lifecycle;
mod limits;
mod method;
mod nonce;
mod now;
mod openings;
mod peer;
mod permission;
mod policy;
mod ports;
mod quota;
mod reason;
mod reconfigure;
mod relay;
mod relays;
mod reply_budget;
mod request;
mod reservation;
#[cfg(test)]
mod scenario;
mod server;
mod session;
mod sessions;
mod settings;
mod shard;
mod timer;
mod train;
mod verdict;

pub use alternates::{Alternates, TwoOfAFamily};
pub use auth::{Authenticated, Authenticator, Refusal};
pub use correspondents::Correspondents;
pub use counters::{Counters, Ends, METHODS, QuotaHit};
pub use credentials::{Credentials, MAX_SECRETS, MAX_USERNAME_BYTES, TooManySecrets};
pub use effect::{
    Bind, Cause, Closed, Effect, Load, Open, Opened, Outcome, Purpose, Redeem, Socket, Traffic,
};
pub use identity::{FiveTuple, ListenerId, PendingId, RelayId, WorkerIndex};
pub use limits::RateLimits;
pub use nonce::{DEFAULT_NONCE_LIFETIME_S, NONCE_BYTES, Nonces};
pub use now::Now;
pub use policy::{Judgement, PeerPolicy};
pub use quota::{Counts, Exhausted, Quota};
pub use reason::Reason;
pub use relays::PortUse;
pub use reply_budget::{ReplyBudget, ReplyRate};
pub use reservation::{NotReserved, Redeemed};
pub use server::Server;
pub use session::SessionId;
pub use sessions::{Bound, Detail, PAGE_SLOTS, Page, Permitted, Session};
pub use settings::{OnReallocate, Settings};
pub use shard::{PortPlan, RelayAddress, Shard};
pub use train::Train;
pub use verdict::{Delivered, ToClient, Undelivered, Verdict};

use chance::Chance;

/// Bytes that every answer fits in: the longest is a signed 401 or 438 with realm and nonce, or an
/// error that lists unknown attributes.
pub const REPLY_BYTES: usize = 2048;
