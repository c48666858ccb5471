//! Records back into a server.
//!
//! A record is checked against all that the server has before anything is changed: it is taken
//! whole or not at all. Nothing in it is trusted to agree with itself, because it may come from a
//! file.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use super::record::{
    AllocationRecord, ChannelRecord, LATEST, Record, ReservationRecord, WorkerRecord,
};
use crate::turn::{
    allocation::{
        Allocation, Granted, Meters, Owner, RelayedAddress,
        channel::Channels,
        meter::Meter,
        permission::{Permissions, Reach},
    },
    api::{
        effect::{Purpose, Socket},
        names::identity::{FiveTuple, RelayId, WorkerIndex},
        now::Now,
        per_family::PerFamily,
    },
    ports::reservation::owner,
    relay::peer::canonical,
    server::Server,
};
use crate::wire::{ChannelNumber, ChannelRange, ErrorCode, Family, IntegrityKey, TransactionId};

/// Why a record is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportError {
    /// It is another worker's.
    Worker(WorkerIndex),
    /// It contradicts itself; what is named does.
    Inconsistent(&'static str),
    /// A relayed address is none of this server's.
    Address(SocketAddr),
    /// A port is taken.
    PortTaken(SocketAddr),
    /// The five-tuple has an allocation.
    FlowTaken(FiveTuple),
    /// The token is given out.
    TokenTaken,
}

impl std::fmt::Display for ImportError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ImportError::Worker(worker) => write!(f, "a record of worker {}", worker.0),
            ImportError::Inconsistent(what) => write!(f, "a record whose {what} cannot be"),
            ImportError::Address(address) => write!(f, "{address} is no relay address here"),
            ImportError::PortTaken(address) => write!(f, "{address} is taken"),
            ImportError::FlowTaken(flow) => write!(f, "{} has an allocation", flow.client),
            ImportError::TokenTaken => f.write_str("the reservation token is given out"),
        }
    }
}

impl std::error::Error for ImportError {}

/// What an import needs of the world: sockets, which are to be had under these names and addresses.
/// They count as bound. Whoever cannot have one ends the allocation, or has a reservation redeemed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Imported {
    /// None for a worker's record, 1 or 2 for an allocation's, 1 for a reservation's.
    pub sockets: Vec<Socket>,
}

/// What of a record could be taken, had all of it been looked at.
struct CheckedRecord {
    relayed: PerFamily<SocketAddr>,
    permissions: Vec<(IpAddr, Reach, u64)>,
    channels: Vec<(ChannelNumber, SocketAddr, u64)>,
    granted: Granted,
}

impl Server {
    /// Takes one record in. Permissions that the policy denies by now are left out, as after a
    /// reload; quotas refuse nobody who was there before.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing of the record is taken then.
    pub fn import(&mut self, now: Now, record: &Record) -> Result<Imported, ImportError> {
        match record {
            Record::Worker(record) => self.import_worker(*record),
            Record::Allocation(record) => self.import_allocation(now, record),
            Record::Reservation(record) => self.import_reservation(record),
        }
    }

    fn import_worker(&mut self, record: WorkerRecord) -> Result<Imported, ImportError> {
        self.is_own(record.worker)?;
        self.last_serial = self.last_serial.max(record.last_serial.min(LATEST));
        Ok(Imported::default())
    }

    fn import_allocation(
        &mut self,
        now: Now,
        record: &AllocationRecord,
    ) -> Result<Imported, ImportError> {
        let CheckedRecord { relayed, permissions, channels, granted } = self.check(record)?;
        let relays = self.claim_ports(relayed)?;
        let families = record.families().ok_or(ImportError::Inconsistent("relayed addresses"))?;
        self.counters.import(record.path().transport, families);
        self.last_serial = self.last_serial.max(record.serial.min(LATEST));
        let owner = imported_owner(&record.user, &record.account);
        self.shard.quota.hold(&owner.account);
        let expires_ms = |family| record.relayed().get(family).map_or(0, |it| it.expires_ms);
        let id = self.allocations.insert(Allocation {
            session: record.session(),
            path: record.path(),
            owner,
            relayed: PerFamily::from_fn(|family| {
                let relay = *relays.get(family)?;
                Some(RelayedAddress { relay, expires_ms: expires_ms(family) })
            }),
            permissions: Permissions::from_records(permissions),
            channels: Channels::from_records(&channels),
            traffic: record.traffic(),
            peers: record.peer_log(),
            meters: Meters {
                to_peers: Meter::from_debts(record.debts_to_peers),
                to_client: Meter::from_debts(record.debts_to_client),
            },
            connections: None,
            forwarded: Vec::new(),
            opened_ms: record.opened_ms.min(now.mono_ms),
            granted,
        });
        for relay in relays.iter() {
            self.relays.go_live(*relay, id);
        }
        self.rearm(now, id);
        self.tell_forwards(now, id);
        let socket = |relay: &RelayId| self.socket(*relay, Purpose::Relay);
        Ok(Imported { sockets: relays.iter().map(socket).collect() })
    }

    fn import_reservation(&mut self, record: &ReservationRecord) -> Result<Imported, ImportError> {
        self.is_own(owner(record.token).0)?;
        if self.reservations.has(record.token) {
            return Err(ImportError::TokenTaken);
        }
        let family = Family::of(record.local.ip());
        let local = PerFamily::from_fn(|it| (it == family).then_some(record.local));
        let relays = self.claim_ports(local)?;
        let relay = *relays.get(family).ok_or(ImportError::Address(record.local))?;
        self.relays.reserve(relay);
        let owner = imported_owner(&record.user, &record.account);
        self.shard.quota.hold(&owner.account);
        self.reservations.restore(record.token, relay, &owner, record.expires_ms);
        Ok(Imported { sockets: vec![self.socket(relay, Purpose::Reserve)] })
    }

    fn socket(&self, relay: RelayId, purpose: Purpose) -> Socket {
        Socket { relay, local: self.relays.local(relay), purpose }
    }

    fn is_own(&self, worker: u8) -> Result<(), ImportError> {
        let worker = WorkerIndex(worker);
        if worker == self.shard.worker { Ok(()) } else { Err(ImportError::Worker(worker)) }
    }

    fn check(&mut self, record: &AllocationRecord) -> Result<CheckedRecord, ImportError> {
        self.is_own(record.worker)?;
        let (path, relayed) = (record.path(), record.relayed());
        if self.allocations.find(path.flow).is_some() {
            return Err(ImportError::FlowTaken(path.flow));
        }
        for (family, relayed) in Family::ALL.into_iter().filter_map(|f| Some((f, relayed.get(f)?)))
        {
            if Family::of(relayed.local.ip()) != family {
                return Err(ImportError::Inconsistent("relayed addresses"));
            }
        }
        let has_family = |peer: IpAddr| relayed.get(Family::of(peer)).is_some();
        Ok(CheckedRecord {
            permissions: self.permissions(record, has_family)?,
            channels: channels(record, has_family)?,
            granted: granted(record)?,
            relayed: relayed.map(|relayed| relayed.local),
        })
    }

    /// The permissions that the policy still grants.
    fn permissions(
        &self,
        record: &AllocationRecord,
        has_family: impl Fn(IpAddr) -> bool,
    ) -> Result<Vec<(IpAddr, Reach, u64)>, ImportError> {
        let peers = record.permissions.iter().map(|permission| permission.peer);
        if !peers.clone().is_sorted_by(|one, next| one < next) {
            return Err(ImportError::Inconsistent("permissions"));
        }
        if !peers.clone().all(|peer| has_family(peer) && peer == peer.to_canonical()) {
            return Err(ImportError::Inconsistent("permissions"));
        }
        let granted = record.permissions.iter().filter_map(|permission| {
            let reach = self.permit(permission.peer).ok()?;
            Some((permission.peer, reach, permission.expires_ms))
        });
        Ok(granted.collect())
    }

    /// Takes the ports of a record, all or none.
    fn claim_ports(
        &mut self,
        locals: PerFamily<SocketAddr>,
    ) -> Result<PerFamily<RelayId>, ImportError> {
        let mut relays = PerFamily::default();
        for local in locals.iter() {
            let claimed = match self.relays.claim(*local) {
                Some(Some(relay)) => Ok(relay),
                Some(None) => Err(ImportError::PortTaken(*local)),
                None => Err(ImportError::Address(*local)),
            };
            match claimed {
                Ok(relay) => relays.set(Family::of(local.ip()), relay),
                Err(error) => {
                    relays.iter().for_each(|relay| self.relays.release(*relay));
                    return Err(error);
                }
            }
        }
        Ok(relays)
    }
}

/// The channels of a record: each number and each peer once.
fn channels(
    record: &AllocationRecord,
    has_family: impl Fn(IpAddr) -> bool,
) -> Result<Vec<(ChannelNumber, SocketAddr, u64)>, ImportError> {
    const BAD: ImportError = ImportError::Inconsistent("channels");
    if !record.channels.is_sorted_by(|one, next| one.number < next.number) {
        return Err(BAD);
    }
    let mut peers = Vec::from_iter(record.channels.iter().map(|channel| channel.peer));
    peers.sort_unstable();
    if peers.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(BAD);
    }
    let channel = |channel: &ChannelRecord| {
        let number = ChannelNumber::new(channel.number, ChannelRange::Rfc5766)?;
        let peer = channel.peer;
        let is_good = canonical(peer) == peer && peer.port() != 0 && has_family(peer.ip());
        let until_ms = channel.bound_until_ms.min(LATEST);
        is_good.then_some((number, peer, until_ms))
    };
    record.channels.iter().map(channel).collect::<Option<Vec<_>>>().ok_or(BAD)
}

fn granted(record: &AllocationRecord) -> Result<Granted, ImportError> {
    const BAD: ImportError = ImportError::Inconsistent("grant");
    let grant = &record.granted;
    let code = |number: Option<u16>| {
        number.map(|number| ErrorCode::from_number(number).ok_or(BAD)).transpose()
    };
    let missing = match (code(grant.missing_v4)?, code(grant.missing_v6)?) {
        (None, None) => None,
        (Some(code), None) => Some((Family::V4, code)),
        (None, Some(code)) => Some((Family::V6, code)),
        (Some(_), Some(_)) => return Err(BAD),
    };
    let relayed = PerFamily::from_fn(|family| match family {
        Family::V4 => grant.v4,
        Family::V6 => grant.v6,
    });
    for family in Family::ALL {
        let told = relayed.get(family).map(|told| Family::of(told.ip()));
        if told.is_some_and(|told| told != family)
            || (told.is_none() && record.relayed().get(family).is_some())
        {
            return Err(BAD);
        }
    }
    Ok(Granted {
        transaction: TransactionId(grant.transaction),
        relayed,
        lifetime_s: grant.lifetime_s,
        reservation: grant.reservation,
        missing,
    })
}

/// An owner whose key is still to be verified.
fn imported_owner(user: &str, account: &str) -> Owner {
    let user: Arc<str> = user.into();
    let account = if *account == *user { user.clone() } else { account.into() };
    Owner { user, account, key: IntegrityKey::from_bytes(&[]), settings_epoch: None }
}
