//! A worker's allocations written down, and read back by the server that comes after it.
//!
//! [`Server::export`] says everything that a client could notice if it were gone, in pages of
//! records; [`Server::import`] takes them into a server of the same settings, which then gives the
//! same verdicts at the same times. Deadlines are absolute ([`Now::mono_ms`](crate::turn::Now)
//! counts from boot), so that time goes on between the two.
//!
//! [`Server::export`]: crate::turn::Server::export
//! [`Server::import`]: crate::turn::Server::import
//! [`Server::disconnected`]: crate::turn::Server::disconnected
//!
//! ```text
//! record.rs   what is said, one record an allocation or a reservation
//! export.rs   a server into records, page by page
//! import.rs   records back into a server: all of one, or nothing of it
//! bytes.rs    records to bytes: version, length, checksum, body
//! ```
//!
//! What a record leaves out, and why nobody misses it:
//!
//! - **Keys.** The next request of a client is verified with the credentials, as after a reload:
//!   the same answers, and no secret in the records. What vouches for the client must be the same:
//!   the users and secrets, and the key of [`Nonces`](crate::turn::Nonces).
//! - **Allocations of TCP and TLS clients.** Their connections end with this process, and an
//!   allocation ends with its connection: the client sees it at once and begins anew. Whoever stops
//!   after an export ends them with [`Server::disconnected`], so that each has its report.
//! - **Allocates that wait for a socket.** Their clients send again.
//! - **What strangers were answered.** It is paid off in two seconds.
//! - **Sockets.** They go their own way; an import names each of them.
//! - **What may be forwarded.** It is said anew.

pub(super) mod bytes;
pub(super) mod export;
pub(super) mod import;
pub(super) mod record;

pub use bytes::{BadRecord, RECORD_VERSION};
pub use export::{ExportFrom, ExportPage};
pub use import::{ImportError, Imported};
pub use record::{
    AllocationRecord, ChannelRecord, Debts, GrantRecord, PermissionRecord, Record, RelayedRecord,
    ReservationRecord, TransportRecord, WorkerRecord,
};
