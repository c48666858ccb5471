//! The TURN state machine, pure.

mod auth;
mod counters;
mod credentials;
mod effect;
mod identity;
mod nonce;
mod now;
mod policy;
mod quota;
mod reason;
mod reply_budget;
mod reservation;
mod server;
mod settings;
mod shard;
mod verdict;

pub use auth::{Authenticated, Authenticator, Refusal};
pub use counters::{Counters, METHODS};
pub use credentials::{Credentials, MAX_SECRETS, MAX_USERNAME_BYTES, TooManySecrets};
pub use effect::{
    Bind, Cause, Closed, Effect, Load, Open, Opened, Outcome, Purpose, Redeem, Socket, Traffic,
};
pub use identity::{FiveTuple, ListenerId, PendingId, RelayId, WorkerIndex};
pub use nonce::{DEFAULT_NONCE_LIFETIME_S, NONCE_BYTES, Nonces};
pub use now::Now;
pub use policy::{Judgement, PeerPolicy};
pub use quota::{Counts, Exhausted, Quota};
pub use reason::Reason;
pub use reply_budget::{ReplyBudget, ReplyRate};
pub use reservation::{NotReserved, Redeemed};
pub use server::Server;
pub use settings::{OnReallocate, Settings};
pub use shard::{PortPlan, RelayAddress, Shard};
pub use verdict::{ToClient, Undelivered, Verdict};

/// Bytes that every answer fits in: the longest is a signed 401 or 438 with realm and nonce, or an
/// error that lists unknown attributes.
pub const REPLY_BYTES: usize = 2048;
