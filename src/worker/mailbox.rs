//! The doors between threads: one bounded inbox per worker.
//!
//! Only what is rare goes through here: commands of the control thread, reservations that a client
//! redeems at another worker, ports that come home, and hairpin payloads packed into parcels.

use std::{collections::VecDeque, net::SocketAddr, net::UdpSocket, sync::Arc};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{
    parcel::{Home, Parcel},
    questions::Question,
    snapshot::Snapshot,
};
use crate::{
    io::Waker,
    turn::{Alternates, FiveTuple, PendingId, RelayId, Settings, WorkerIndex},
};

/// Letters an inbox holds before senders have to wait or drop.
const INBOX_LETTERS: usize = 1024;

/// What threads tell a worker.
#[derive(Debug)]
pub(super) enum Mail {
    /// Payloads for clients of this worker.
    Parcel {
        /// Whose parcel it is; it goes back there.
        owner: WorkerIndex,
        /// The payloads.
        parcel: Parcel,
    },
    /// Another worker owns the allocation of a five-tuple.
    Claimed {
        /// The client.
        flow: FiveTuple,
        /// The worker.
        owner: WorkerIndex,
    },
    /// It does no longer.
    Unclaimed {
        /// The client.
        flow: FiveTuple,
        /// The worker.
        owner: WorkerIndex,
    },
    /// A client of another worker redeems a reservation made here.
    Redeem(Redemption),
    /// The answer to a [`Mail::Redeem`].
    Redeemed {
        /// The question, as it was asked.
        redemption: Redemption,
        /// The socket and what it is bound to, unless the token is not good.
        socket: Option<(UdpSocket, SocketAddr)>,
    },
    /// A port of this worker comes back from the one it was lent to.
    Returned(SocketAddr),
    /// The control thread wants to see the counters.
    Snapshot(Sender<Snapshot>),
    /// The control thread asks about sessions.
    Question(Question),
    /// Other rules from now on; the answer says that they hold.
    Settings(Arc<Settings>, Sender<WorkerIndex>),
    /// Take no new clients and send them there, or take them again.
    Drain(Option<Alternates>),
    /// End: close every allocation and return.
    Stop,
}

/// A reservation token on its way to the worker that made it, and back.
#[derive(Debug)]
pub(super) struct Redemption {
    /// Who asks.
    pub worker: WorkerIndex,
    /// Who made the reservation, and gets the port back.
    pub owner: WorkerIndex,
    /// The Allocate that waits.
    pub pending: PendingId,
    /// The client that waits.
    pub flow: FiveTuple,
    /// The name the socket will have at the worker that asks.
    pub relay: RelayId,
    /// The token.
    pub token: [u8; 8],
    /// Who redeems.
    pub user: Arc<str>,
}

/// One worker's address: where its mail goes, what wakes it, where its parcels live.
#[derive(Debug, Clone)]
pub(super) struct Address {
    /// Its inbox.
    pub inbox: Sender<Mail>,
    /// Its driver's waker.
    pub waker: Waker,
    /// The home of its parcels.
    pub home: Home,
}

impl Address {
    /// Posts a letter, or gives it back when the inbox is full or its worker has ended.
    pub(super) fn post(&self, mail: Mail) -> Result<(), TrySendError<Mail>> {
        self.inbox.try_send(mail)?;
        self.waker.wake();
        Ok(())
    }
}

/// Makes an inbox.
pub(super) fn inbox() -> (Sender<Mail>, Receiver<Mail>) {
    bounded(INBOX_LETTERS)
}

/// A worker's way to all others.
#[derive(Debug)]
pub(super) struct Post {
    worker: WorkerIndex,
    addresses: Vec<Address>,
    /// Letters that must arrive and found the inbox full. Bounded by the relay ports there are:
    /// each carries one, or a claim of one of their owners.
    waiting: VecDeque<(WorkerIndex, Mail)>,
}

impl Post {
    /// The post office of one worker; `addresses` are those of all workers, by index.
    pub(super) fn new(worker: WorkerIndex, addresses: Vec<Address>) -> Post {
        Post { worker, addresses, waiting: VecDeque::new() }
    }

    /// Posts a letter that may be refused.
    pub(super) fn try_post(&self, to: WorkerIndex, mail: Mail) -> Result<(), TrySendError<Mail>> {
        match self.addresses.get(usize::from(to.0)) {
            Some(address) => address.post(mail),
            None => Err(TrySendError::Disconnected(mail)),
        }
    }

    /// Every worker there is.
    pub(super) fn workers(&self) -> impl Iterator<Item = WorkerIndex> + use<> {
        (0..self.addresses.len()).map(|worker| WorkerIndex(worker as u8))
    }

    /// Posts a letter that carries a port or a claim and so must arrive; it waits here while the
    /// inbox is full.
    pub(super) fn post(&mut self, to: WorkerIndex, mail: Mail) {
        match self.try_post(to, mail) {
            Ok(()) => {}
            Err(TrySendError::Full(mail)) => self.waiting.push_back((to, mail)),
            // A worker that has ended has no ports any more.
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    /// True when a letter waits for room in an inbox.
    pub(super) fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Tries the waiting letters once more; true when some still wait.
    pub(super) fn retry(&mut self) -> bool {
        for _ in 0..self.waiting.len() {
            let Some((to, mail)) = self.waiting.pop_front() else { break };
            self.post(to, mail);
        }
        self.has_waiting()
    }

    /// Sends an emptied parcel back to the worker that owns it.
    pub(super) fn take_back(&self, owner: WorkerIndex, parcel: Parcel) {
        if let Some(address) = self.addresses.get(usize::from(owner.0)) {
            address.home.take_back(parcel);
        }
    }

    /// Whose post office this is.
    pub(super) fn worker(&self) -> WorkerIndex {
        self.worker
    }
}
