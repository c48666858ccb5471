//! A worker's allocations written down, and read back by the server that comes after it.
//!
//! [`Server::export`] says everything that a client could notice if it were gone, in pages of
//! records; [`Server::import`](crate::turn::Server::import) takes them into a server of the same
//! settings, which then gives the same verdicts at the same times. Deadlines are absolute
//! ([`Now::mono_ms`](crate::turn::Now) counts from boot), so that time goes on between the two.
//!
//! ```text
//! record.rs   what is said, one record an allocation or a reservation
//! import.rs   records back into a server: all of one, or nothing of it
//! bytes.rs    records to bytes: version, length, checksum, body
//! ```
//!
//! What a record leaves out, and why nobody misses it:
//!
//! - **Keys.** The next request of a client is verified with the credentials, as after a reload:
//!   the same answers, and no secret in the records. What vouches for the client must be the same:
//!   the users and secrets, and the key of [`Nonces`](crate::turn::Nonces).
//! - **Allocates that wait for a socket.** Their clients send again.
//! - **What strangers were answered.** It is paid off in two seconds.
//! - **Sockets.** They go their own way; an import names each of them.
//! - **What may be forwarded.** It is said anew.

mod bytes;
mod import;
mod record;

pub use bytes::{BadRecord, RECORD_VERSION};
pub use import::{ImportError, Imported};
pub use record::{
    AllocationRecord, ChannelRecord, Debts, GrantRecord, PermissionRecord, Record, RelayedRecord,
    ReservationRecord, TransportRecord, WorkerRecord,
};

use crate::turn::{PAGE_SLOTS, Server};

/// Permissions and channels after which a page takes no other allocation: with the 8192 that the
/// last one may hold, a page is written within a millisecond.
const PAGE_WEIGHT: usize = if cfg!(test) { 16 } else { 4096 };

/// Where a page of an export begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ExportFrom {
    /// With what the worker says of itself, and the first allocations.
    #[default]
    Start,
    /// With the allocation in a slot.
    Allocation(u32),
    /// With one of the reservations, in the order they expire.
    Reservation(u32),
}

/// A part of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPage {
    /// What is said, perhaps nothing.
    pub records: Vec<Record>,
    /// Where the next page begins; `None` when this was the last.
    pub next: Option<ExportFrom>,
}

impl Server {
    /// Writes the next page down: at most [`PAGE_SLOTS`] allocations or reservations. What changes
    /// between two pages may be missing or stand in both, so nothing should.
    pub fn export(&self, from: ExportFrom) -> ExportPage {
        match from {
            ExportFrom::Start => {
                let mut page = self.export_allocations(0);
                page.records.insert(0, Record::Worker(self.worker_record()));
                page
            }
            ExportFrom::Allocation(slot) => self.export_allocations(slot),
            ExportFrom::Reservation(nth) => self.export_reservations(nth),
        }
    }

    fn export_allocations(&self, from: u32) -> ExportPage {
        let (ids, next) = self.allocations.page(from, PAGE_SLOTS);
        let (mut records, mut weight) = (Vec::with_capacity(ids.len()), 0);
        for id in ids {
            if weight >= PAGE_WEIGHT {
                return ExportPage { records, next: Some(ExportFrom::Allocation(id.0)) };
            }
            let Some(allocation) = self.allocations.look_at(id) else { continue };
            let record = self.allocation_record(allocation);
            weight += record.permissions.len() + record.channels.len();
            records.push(Record::Allocation(Box::new(record)));
        }
        let next = next.map_or(ExportFrom::Reservation(0), ExportFrom::Allocation);
        ExportPage { records, next: Some(next) }
    }

    fn export_reservations(&self, from: u32) -> ExportPage {
        let all = self.reservations.iter().skip(from as usize);
        let page = all.take(PAGE_SLOTS as usize);
        let records = page.map(|(token, held)| {
            let local = self.relays.local(held.relay);
            Record::Reservation(ReservationRecord::of(token, held, local))
        });
        let records = Vec::from_iter(records);
        let more = records.len() == PAGE_SLOTS as usize;
        let next = more.then(|| ExportFrom::Reservation(from + PAGE_SLOTS));
        ExportPage { records, next }
    }
}
