//! What must come of every packet, kept from the meaning of packets alone.
//!
//! ```text
//! judge.rs    what a request must be answered, and what is so afterwards
//! flow.rs     where a payload must go
//! books.rs    quotas, sockets and counters, added up
//! streams.rs  connections, from accept to close
//! ```
//!
//! Nothing here reads a byte the server reads or shares a line with it.

mod books;
mod flow;
mod judge;
mod streams;

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, SocketAddr},
};

use uturn::turn::{Cause, SessionId, Traffic};

pub(crate) use flow::Fate;
pub(crate) use judge::{Arrival, Expect, relayed_addresses};
pub(crate) use streams::{Granted, MOST_ANSWERS, Media, Owed, Stage, Stream, Streams};

use super::{
    operator::DENIED,
    packet::{Ask, Request},
    scenario::{BEGIN_S, Scenario, ip},
};

/// The second a timer may be late, and the time a worker may be away.
pub(crate) const LATE_MS: u64 = 1_010 + STALL_MS;

/// The longest that a worker is away.
pub(crate) const STALL_MS: u64 = 400;

const PERMISSION_MS: u64 = 300_000;
const CHANNEL_MS: u64 = 600_000;
const GUARD_MS: u64 = 300_000;

/// One relayed address.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct End {
    pub(crate) relayed: SocketAddr,
    pub(crate) expires_ms: u64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Permission {
    pub(crate) until_ms: u64,
    /// Whether it reaches what is beside the relays on their addresses.
    pub(crate) opens_neighbours: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Channel {
    pub(crate) peer: SocketAddr,
    pub(crate) until_ms: u64,
}

/// One allocation, expired ones that have not been ended yet included.
#[derive(Debug, Clone)]
pub(crate) struct Allocation {
    pub(crate) worker: u8,
    pub(crate) request: Request,
    /// The answer, byte for byte, for whoever asks again, unless it was lost on its way.
    pub(crate) answer: Option<Vec<u8>>,
    pub(crate) user: String,
    pub(crate) account: String,
    pub(crate) ends: Vec<End>,
    pub(crate) permissions: HashMap<IpAddr, Permission>,
    pub(crate) channels: BTreeMap<u16, Channel>,
    pub(crate) traffic: Traffic,
    pub(crate) opened_ms: u64,
    /// What the operator calls it, once the log was told.
    pub(crate) session: Option<SessionId>,
}

impl Allocation {
    pub(crate) fn is_live(&self, now_ms: u64) -> bool {
        self.ends.iter().any(|end| end.expires_ms > now_ms)
    }

    /// The live end of the family of an address.
    pub(crate) fn end_for(&self, ip: IpAddr, now_ms: u64) -> Option<End> {
        let fits = |end: &&End| end.relayed.is_ipv4() == ip.is_ipv4() && end.expires_ms > now_ms;
        self.ends.iter().find(fits).copied()
    }

    /// A relayed address that is over takes its family's permissions and channels along.
    fn forget_what_is_over(&mut self, now_ms: u64) {
        let is_live = |ip: IpAddr| {
            let fits = |end: &End| end.relayed.is_ipv4() == ip.is_ipv4();
            self.ends.iter().any(|end| fits(end) && end.expires_ms > now_ms)
        };
        self.permissions.retain(|ip, permission| permission.until_ms > now_ms && is_live(*ip));
        self.channels.retain(|_, channel| {
            channel.until_ms + GUARD_MS > now_ms && is_live(channel.peer.ip())
        });
    }

    /// The permission for a peer's address.
    fn permission(&self, ip: IpAddr, now_ms: u64) -> Option<&Permission> {
        self.permissions.get(&ip).filter(|permission| permission.until_ms > now_ms)
    }
}

/// A reserved port that has not been redeemed.
#[derive(Debug, Clone)]
pub(crate) struct Reservation {
    pub(crate) user: String,
    pub(crate) account: String,
    pub(crate) relayed: SocketAddr,
    pub(crate) expires_ms: u64,
}

/// An Allocate that has been accepted and not answered.
#[derive(Debug, Clone)]
pub(crate) struct Opening {
    pub(crate) worker: u8,
    pub(crate) request: Request,
    pub(crate) account: String,
    pub(crate) places: u32,
}

impl Opening {
    /// Whether each try is for one socket.
    pub(crate) fn is_for_one_socket(&self) -> bool {
        let Ask::Allocate(wish) = &self.request.ask else { return false };
        !wish.is_dual && wish.even != Some(true)
    }
}

/// What the counters of all workers together must say.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sums {
    pub(crate) to_peers: (u64, u64),
    pub(crate) to_clients: (u64, u64),
    pub(crate) hairpin: (u64, u64),
    pub(crate) handed_over: (u64, u64),
    pub(crate) taken_over: (u64, u64),
    pub(crate) opened: u64,
    pub(crate) closed: u64,
    pub(crate) live: u64,
    pub(crate) already_pending: u64,
    pub(crate) misrouted: u64,
    pub(crate) hand_over_dropped: u64,
    pub(crate) no_buffer: u64,
    pub(crate) relays_broken: u64,
    pub(crate) reserved: u64,
    pub(crate) redeemed: u64,
    pub(crate) dropped: u64,
    pub(crate) successes: u64,
    pub(crate) errors: u64,
}

/// The truth.
pub(crate) struct Model {
    pub(crate) scenario: Scenario,
    /// By the client's address as the server sees it.
    pub(crate) allocations: BTreeMap<SocketAddr, Allocation>,
    pub(crate) reservations: BTreeMap<[u8; 8], Reservation>,
    pub(crate) openings: BTreeMap<SocketAddr, Opening>,
    /// The same of clients that have gone before there was an answer.
    pub(crate) abandoned: BTreeMap<SocketAddr, Opening>,
    pub(crate) streams: Streams,
    /// Who was given a nonce, and when.
    pub(crate) nonces: HashMap<Vec<u8>, (SocketAddr, u64)>,
    /// Reserved ports on their way to another worker, and whose quota they count against.
    pub(crate) moving: BTreeMap<SocketAddr, String>,
    /// The relays of allocations that have not been ended, by what they are bound to, and the
    /// worker that has them.
    pub(crate) holders: BTreeMap<SocketAddr, u8>,
    /// Ends that must be reported before this step is over.
    pub(crate) to_close: Vec<(SocketAddr, Cause, Allocation)>,
    pub(crate) sums: Sums,
    /// What the operator has changed, by worker: each takes it when it reads its mail.
    pub(crate) operated: Vec<Operated>,
    /// Whether each worker has a listening address, by its place in the scenario.
    pub(crate) listening: Vec<Vec<bool>>,
    /// The wall clock, which jumps.
    pub(crate) unix_s: u64,
}

/// What the operator has changed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Operated {
    /// Who is let in no more.
    pub(crate) banned: Option<String>,
    pub(crate) denies_a_peer: bool,
    /// Whatever is beside the relays on their addresses may be reached.
    pub(crate) opens_neighbours: bool,
    /// No new clients; whether there are servers to send them to.
    pub(crate) drains: Option<bool>,
}

impl Operated {
    /// A time-limited name is banned with its secret, and so with all others.
    pub(crate) fn bans(&self, name: &str) -> bool {
        self.banned.as_deref() == Some(name) || (self.bans_the_secret() && is_timed(name))
    }

    pub(crate) fn bans_the_secret(&self) -> bool {
        self.banned.as_deref().is_some_and(is_timed)
    }
}

/// The names of the scenario that a secret vouches for: ten digits of time, at least.
fn is_timed(name: &str) -> bool {
    name.len() >= 10
}

impl Model {
    pub(crate) fn new(scenario: Scenario) -> Model {
        let workers = scenario.workers;
        let is_open = |index| index < scenario.listening_from_the_start();
        let listening = (0..scenario.listeners().len()).map(is_open).collect();
        let listening = vec![listening; usize::from(workers)];
        Model {
            allocations: BTreeMap::new(),
            reservations: BTreeMap::new(),
            openings: BTreeMap::new(),
            abandoned: BTreeMap::new(),
            streams: Streams { most: scenario.streams as usize, ..Streams::default() },
            nonces: HashMap::new(),
            moving: BTreeMap::new(),
            holders: BTreeMap::new(),
            to_close: Vec::new(),
            sums: Sums::default(),
            operated: vec![Operated::default(); usize::from(workers)],
            listening,
            unix_s: BEGIN_S,
            scenario,
        }
    }

    pub(crate) fn live(&self, client: SocketAddr, now_ms: u64) -> Option<&Allocation> {
        self.allocations.get(&client).filter(|allocation| allocation.is_live(now_ms))
    }

    /// The client that owns a live relayed address.
    pub(crate) fn client_of(&self, relayed: SocketAddr, now_ms: u64) -> Option<SocketAddr> {
        let owns = |allocation: &Allocation| {
            allocation.ends.iter().any(|end| end.relayed == relayed && end.expires_ms > now_ms)
        };
        self.allocations.iter().find(|(_, allocation)| owns(allocation)).map(|(client, _)| *client)
    }

    /// The rules a worker goes by.
    pub(crate) fn operated(&self, worker: u8) -> &Operated {
        &self.operated[usize::from(worker)]
    }

    /// Whether a worker has the listening address that a client talks to.
    pub(crate) fn listens(&self, worker: u8, client: SocketAddr) -> bool {
        self.listening[usize::from(worker)][self.scenario.listener_index(client)]
    }

    /// A worker measures all permissions by the rules it has been given.
    pub(crate) fn review(&mut self, worker: u8) {
        let Operated { denies_a_peer, opens_neighbours, .. } = *self.operated(worker);
        for allocation in self.allocations.values_mut().filter(|it| it.worker == worker) {
            if denies_a_peer {
                allocation.permissions.remove(&ip(DENIED));
            }
            for permission in allocation.permissions.values_mut() {
                permission.opens_neighbours = opens_neighbours;
            }
        }
    }

    /// Ends an allocation that must now be reported as ended.
    pub(crate) fn end(&mut self, client: SocketAddr, cause: Cause) {
        if let Some(allocation) = self.allocations.remove(&client) {
            self.to_close.push((client, cause, allocation));
        }
    }
}
