//! The TURN state machine, pure.

mod counters;
mod effect;
mod identity;
mod now;
pub mod policy;
mod quota;
mod reason;
mod reservation;
mod server;
mod settings;
mod shard;
mod verdict;

pub use counters::{Counters, METHODS};
pub use effect::{
    Bind, Cause, Closed, Effect, Load, Open, Opened, Outcome, Purpose, Redeem, Socket, Traffic,
};
pub use identity::{FiveTuple, ListenerId, PendingId, RelayId, WorkerIndex};
pub use now::Now;
pub use quota::{Counts, Exhausted, Quota};
pub use reason::Reason;
pub use reservation::{NotReserved, Redeemed};
pub use server::Server;
pub use settings::{OnReallocate, Settings};
pub use shard::{PortPlan, RelayAddress, Shard};
pub use verdict::{ToClient, Undelivered, Verdict};

/// Bytes that every answer fits in: the longest is a signed 401 or 438 with realm and nonce, or an
/// error that lists unknown attributes.
pub const REPLY_BYTES: usize = 2048;
