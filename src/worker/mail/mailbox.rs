//! The doors between threads: one bounded inbox per worker.
//!
//! Only what is rare goes through here: commands of the control thread, reservations that a client
//! redeems at another worker, and hairpin payloads packed into parcels.

use std::{collections::VecDeque, net::SocketAddr, net::UdpSocket, sync::Arc};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::worker::{
    mail::parcel::{Home, Parcel},
    start::listen::ListenerSockets,
    status::questions::Question,
    status::snapshot::Snapshot,
};
use crate::{
    io::Waker,
    turn::{
        Alternates, FiveTuple, ListenerId, PendingId, RelayId, RelayPorts, Settings, WorkerIndex,
    },
};

/// Letters an inbox holds before senders have to wait or drop.
const INBOX_LETTERS: usize = 1024;

/// What threads tell a worker.
#[derive(Debug)]
pub(in crate::worker) enum Mail {
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
    /// The control thread wants to see the counters.
    Snapshot(Sender<Snapshot>),
    /// The control thread asks about sessions.
    Question(Question),
    /// Other rules from now on; the answer says that they hold.
    Settings(Arc<Settings>, Sender<WorkerIndex>),
    /// Listen on one more address, or again on one.
    Listen {
        /// How it is named from now on.
        listener: ListenerId,
        /// Its sockets.
        sockets: ListenerSockets,
    },
    /// Listen on it no more.
    StopListening(ListenerId),
    /// Open relays on these addresses from now on.
    Relays(Arc<[RelayPorts]>),
    /// Take no new clients and send them there, or take them again.
    Drain(Option<Alternates>),
    /// End: close every allocation and return.
    Stop,
}

/// A reservation token on its way to the worker that made it, and back.
#[derive(Debug)]
pub(in crate::worker) struct Redemption {
    /// Who asks.
    pub worker: WorkerIndex,
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
pub(in crate::worker) struct Address {
    /// Its inbox.
    pub inbox: Sender<Mail>,
    /// Its driver's waker.
    pub waker: Waker,
    /// The home of its parcels.
    pub home: Home,
}

impl Address {
    /// Posts a letter, or gives it back when the inbox is full or its worker has ended.
    pub(in crate::worker) fn post(&self, mail: Mail) -> Result<(), TrySendError<Mail>> {
        self.inbox.try_send(mail)?;
        self.waker.wake();
        Ok(())
    }
}

/// Makes an inbox.
pub(in crate::worker) fn inbox() -> (Sender<Mail>, Receiver<Mail>) {
    bounded(INBOX_LETTERS)
}

/// A worker's way to all others.
#[derive(Debug)]
pub(in crate::worker) struct Post {
    worker: WorkerIndex,
    addresses: Vec<Address>,
    /// Letters that must arrive and found the inbox full, by worker, in the order they were written:
    /// one that went past another could take back a claim before it is made. Bounded by the reserved
    /// ports that worker asks for, and by two for each allocation that comes and goes while it reads
    /// nothing, for which the watchdog ends the server.
    waiting: Vec<VecDeque<Mail>>,
}

impl Post {
    /// The post office of one worker; `addresses` are those of all workers, by index.
    pub(in crate::worker) fn new(worker: WorkerIndex, addresses: Vec<Address>) -> Post {
        let waiting = addresses.iter().map(|_| VecDeque::new()).collect();
        Post { worker, addresses, waiting }
    }

    /// Posts a letter that may be refused, past those that wait.
    pub(in crate::worker) fn try_post(
        &self,
        to: WorkerIndex,
        mail: Mail,
    ) -> Result<(), TrySendError<Mail>> {
        match self.addresses.get(usize::from(to.0)) {
            Some(address) => address.post(mail),
            None => Err(TrySendError::Disconnected(mail)),
        }
    }

    /// Every worker there is.
    pub(in crate::worker) fn workers(&self) -> impl Iterator<Item = WorkerIndex> + use<> {
        (0..self.addresses.len()).map(|worker| WorkerIndex(worker as u8))
    }

    /// Posts a letter that carries a socket or a claim and so must arrive; it waits here while the
    /// inbox is full.
    pub(in crate::worker) fn post(&mut self, to: WorkerIndex, mail: Mail) {
        let Some(waiting) = self.waiting.get_mut(usize::from(to.0)) else { return };
        waiting.push_back(mail);
        self.deliver(to);
    }

    /// True when a letter waits for room in an inbox.
    pub(in crate::worker) fn has_waiting(&self) -> bool {
        self.waiting.iter().any(|waiting| !waiting.is_empty())
    }

    /// Tries the waiting letters once more.
    pub(in crate::worker) fn retry(&mut self) {
        self.workers().for_each(|worker| self.deliver(worker));
    }

    /// Posts what waits for a worker, as far as there is room.
    fn deliver(&mut self, to: WorkerIndex) {
        let index = usize::from(to.0);
        let (address, waiting) = (&self.addresses[index], &mut self.waiting[index]);
        while let Some(mail) = waiting.pop_front() {
            match address.post(mail) {
                Ok(()) => {}
                Err(TrySendError::Full(mail)) => return waiting.push_front(mail),
                // A worker that has ended has no sockets any more.
                Err(TrySendError::Disconnected(_)) => {}
            }
        }
    }

    /// Sends an emptied parcel back to the worker that owns it.
    pub(in crate::worker) fn take_back(&self, owner: WorkerIndex, parcel: Parcel) {
        if let Some(address) = self.addresses.get(usize::from(owner.0)) {
            address.home.take_back(parcel);
        }
    }

    /// Whose post office this is.
    pub(in crate::worker) fn worker(&self) -> WorkerIndex {
        self.worker
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{turn::ListenerId, worker::mail::parcel::Parcels};

    /// The post of worker 0, and the inbox of worker 1.
    fn post() -> (Post, Receiver<Mail>) {
        let address = || {
            let ((inbox, letters), (_, home)) = (inbox(), Parcels::new());
            (Address { inbox, waker: Waker::new().expect("an eventfd"), home }, letters)
        };
        let ((own, _), (other, letters)) = (address(), address());
        (Post::new(WorkerIndex(0), vec![own, other]), letters)
    }

    fn unclaimed(port: u16) -> Mail {
        let flow = FiveTuple { listener: ListenerId(0), client: ([192, 0, 2, 1], port).into() };
        Mail::Unclaimed { flow, owner: WorkerIndex(0) }
    }

    fn ports(letters: &Receiver<Mail>) -> Vec<u16> {
        let port = |mail| match mail {
            Mail::Unclaimed { flow, .. } => flow.client.port(),
            mail => panic!("{mail:?} was never posted"),
        };
        letters.try_iter().map(port).collect()
    }

    #[test]
    fn letters_that_must_arrive_do_so_in_their_order() {
        let (mut post, letters) = post();
        let full = INBOX_LETTERS as u16;
        (0..full + 2).for_each(|port| post.post(WorkerIndex(1), unclaimed(port)));
        assert!(post.has_waiting());
        assert_eq!(ports(&letters), Vec::from_iter(0..full));
        post.post(WorkerIndex(1), unclaimed(full + 2));
        assert!(!post.has_waiting());
        assert_eq!(ports(&letters), [full, full + 1, full + 2]);
    }

    #[test]
    fn what_waits_is_tried_again_and_forgotten_with_its_reader() {
        let (mut post, letters) = post();
        let full = INBOX_LETTERS as u16;
        (0..=full).for_each(|port| post.post(WorkerIndex(1), unclaimed(port)));
        post.retry();
        assert!(post.has_waiting());
        letters.recv().expect("the first");
        post.retry();
        assert!(!post.has_waiting());
        post.post(WorkerIndex(1), unclaimed(full + 1));
        drop(letters);
        post.retry();
        assert!(!post.has_waiting());
    }
}
