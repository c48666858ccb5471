//! Allocations and reservations into records, page by page.

use std::net::SocketAddr;

use super::record::{
    AllocationRecord, GrantRecord, Record, RelayedRecord, ReservationRecord, TransportRecord,
    WorkerRecord,
};
use crate::turn::{
    allocation::{Allocation, listing::PAGE_SLOTS},
    api::{names::path::Transport, report::Traffic},
    ports::reservation::{Reservation, ReservationToken},
    server::Server,
};
use crate::wire::Family;

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
            let Some(record) = self.allocation_record(allocation) else { continue };
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

impl Server {
    fn worker_record(&self) -> WorkerRecord {
        WorkerRecord { worker: self.shard.worker.0, last_serial: self.last_serial }
    }

    /// `None` for the allocation of a stream, which does not go over.
    fn allocation_record(&self, allocation: &Allocation) -> Option<AllocationRecord> {
        let transport = TransportRecord::of(allocation.path.transport)?;
        let relayed = |family| {
            let relayed = allocation.relayed.get(family)?;
            let local = self.relays.local(relayed.relay);
            Some(RelayedRecord { local, expires_ms: relayed.expires_ms })
        };
        let Traffic { to_peers, to_client, dropped } = allocation.traffic;
        Some(AllocationRecord {
            worker: allocation.session.worker.0,
            serial: allocation.session.serial,
            listener: allocation.path.flow.listener.0,
            client: allocation.path.client(),
            transport,
            user: allocation.owner.user.to_string(),
            account: allocation.owner.account.to_string(),
            v4: relayed(Family::V4),
            v6: relayed(Family::V6),
            granted: GrantRecord::of(allocation),
            permissions: allocation.permissions.records().collect(),
            channels: allocation.channels.records().collect(),
            to_peers: (to_peers.packets, to_peers.bytes),
            to_client: (to_client.packets, to_client.bytes),
            dropped,
            peers: allocation.peers.named().to_vec(),
            peers_more: allocation.peers.more(),
            debts_to_peers: allocation.meters.to_peers.debts(),
            debts_to_client: allocation.meters.to_client.debts(),
            opened_ms: allocation.opened_ms,
        })
    }
}

impl TransportRecord {
    const fn of(transport: Transport) -> Option<TransportRecord> {
        match transport {
            Transport::Udp => Some(TransportRecord::Udp),
            Transport::Tcp | Transport::Tls => None,
        }
    }
}

impl GrantRecord {
    fn of(allocation: &Allocation) -> GrantRecord {
        let granted = &allocation.granted;
        let missing = |family| {
            let (_, code) = granted.missing.filter(|(missing, _)| *missing == family)?;
            Some(code.number())
        };
        GrantRecord {
            transaction: granted.transaction.0,
            v4: granted.relayed.get(Family::V4).copied(),
            v6: granted.relayed.get(Family::V6).copied(),
            lifetime_s: granted.lifetime_s,
            reservation: granted.reservation,
            missing_v4: missing(Family::V4),
            missing_v6: missing(Family::V6),
        }
    }
}

impl ReservationRecord {
    fn of(token: ReservationToken, held: &Reservation, local: SocketAddr) -> Self {
        ReservationRecord {
            token,
            local,
            user: held.user.to_string(),
            account: held.account.to_string(),
            expires_ms: held.expires_ms,
        }
    }
}
