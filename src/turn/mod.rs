//! The TURN state machine, pure.
//!
//! A datagram goes in, one [`Verdict`] comes out. Time is an argument, chance is one seed, sockets
//! are numbers: a run is repeated by repeating its calls. What needs the world is an [`Effect`],
//! taken after each call; nothing is answered as done before the world has done it.
//!
//! ```text
//! server.rs     the entry points: a client's datagram, a peer's, the time, the operator
//! api/          what crosses the edge: verdict, effect, reason, counters, settings, names
//! method/       one TURN method per file, the request it is given and the answer it writes
//! relay/        payload in both directions, and the hairpin between two of our own relays
//! allocation/   an allocation with its permissions and channels; the table of them; its end
//! ports/        the relay ports of all workers, the sockets that have them, reservations
//! auth/         who sent a request: credentials, nonces, the reply budget for strangers
//! policy/       which peers may be reached, quotas, where clients go while the server drains
//! handover/     records out, and in again in the next process
//! rng.rs        the one seeded generator
//! scenario/     tests that read like the RFC
//! ```
//!
//! Per packet: no heap, no clock, no log, and nothing that grows with the number of allocations.
//! Nothing is kept for whoever has not proved who he is.

mod allocation;
mod api;
mod auth;
mod handover;
mod method;
mod policy;
mod ports;
mod relay;
mod rng;
#[cfg(test)]
mod scenario;
mod server;

pub use allocation::{
    Way,
    listing::{Bound, Detail, PAGE_SLOTS, Page, Permitted, Session},
    meter::RateLimits,
    peer_log::PeerLog,
};
pub use api::{
    counters::{Counters, METHODS, QuotaHit},
    effect::{Bind, Effect, ForwardedChannel, Open, Outcome, Purpose, Redeem, Socket},
    names::{
        connection::{Connect, ConnectionId, NotConnected},
        identity::{FiveTuple, ListenerId, PendingId, RelayId, WorkerIndex},
        path::{Path, Transport},
        session::SessionId,
    },
    now::{Now, earliest},
    per_family::{Families, PerFamily},
    reason::Reason,
    report::{Cause, Closed, Load, Opened, Report, RequestRefused, StrangersRefused, Traffic},
    settings::{OnReallocate, Settings},
    train::Train,
    verdict::{Delivered, ToClient, Verdict},
};
pub(crate) use auth::refusal_reports::RefusalReports;
pub use auth::{
    authenticator::{Authenticated, Authenticator, Refusal},
    credentials::{Credentials, MAX_SECRETS, MAX_USERNAME_BYTES, TooManySecrets},
    nonce::{DEFAULT_NONCE_LIFETIME_S, NONCE_BYTES, NonceState, Nonces},
    reply_budget::kind::ReplyKind,
};
pub use handover::{
    AllocationRecord, BadRecord, ChannelRecord, Debts, ExportFrom, ExportPage, GrantRecord,
    ImportError, Imported, PermissionRecord, RECORD_VERSION, Record, RelayedRecord,
    ReservationRecord, TransportRecord, WorkerRecord,
};
pub use policy::{
    Judgement, PeerPolicy,
    alternates::{Alternates, TwoOfAFamily},
    quota::{Counts, Exhausted, Quota},
};
pub use ports::{
    plan::{PortPlan, RelayAddress, RelayPorts, Shard},
    relays::PortUse,
    reservation::{NotReserved, Redeemed},
    table::{PortHolder, PortTable},
};
pub use server::Server;

/// Bytes that every answer fits in: the longest is a signed 401 or 438 with realm and nonce, or an
/// error that lists unknown attributes.
pub const REPLY_BYTES: usize = 2048;
