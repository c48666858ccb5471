//! The doors between threads: one bounded inbox per worker.
//!
//! Only what is rare goes through here: commands of the control thread, reservations that a client
//! redeems at another worker, and batches of payloads for other workers' clients.

use std::{collections::VecDeque, sync::Arc};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use crate::worker::{
    effects::departures::{GivenPort, Redemption},
    mail::batch::{Batch, BatchReturn},
    start::listen::ListenerSockets,
    status::{questions::Question, snapshot::Snapshot},
    stream::{bounds::rules::StreamRules, entry::MovedClient},
};
use crate::{
    io::Waker,
    turn::{Alternates, FiveTuple, ListenerId, RelayPorts, Settings, WorkerIndex},
};

/// Messages an inbox holds before senders have to wait or drop.
const INBOX_MESSAGES: usize = 1024;

/// Messages that wait for room in one inbox before claims are dropped: two for each of 8192
/// allocations that come or go while a worker reads nothing, 2 MiB for each pair of workers.
const WAITING_MESSAGES: usize = 16_384;

/// What threads tell a worker.
#[derive(Debug)]
pub(in crate::worker) enum Mail {
    /// Payloads for clients of this worker.
    Batch {
        /// Whose it is; it goes back there.
        owner: WorkerIndex,
        /// The payloads.
        batch: Batch,
    },
    /// Another worker owns the allocation of a five-tuple.
    FlowOwned {
        /// The client.
        flow: FiveTuple,
        /// The worker.
        owner: WorkerIndex,
    },
    /// It owns it no more.
    FlowReleased {
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
        redemption: Box<Redemption>,
        /// The port, unless the token is not good.
        given: Option<GivenPort>,
    },
    /// A client's connection that asks for a peer connection of this worker.
    Client(Box<MovedClient>),
    /// The control thread wants to see the counters.
    Snapshot(Sender<Snapshot>),
    /// The control thread asks about sessions.
    Question(Question),
    /// Other rules from now on; the answer says that they hold.
    Settings(Arc<Settings>, Sender<WorkerIndex>),
    /// Other rules for connections that come from now on.
    StreamRules(Arc<StreamRules>),
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

impl Mail {
    /// Whether it says who owns a five-tuple, which a worker can do without.
    fn is_claim(&self) -> bool {
        matches!(self, Mail::FlowOwned { .. } | Mail::FlowReleased { .. })
    }
}

/// One worker's address: where its mail goes, what wakes it, how its batches return.
#[derive(Debug, Clone)]
pub(in crate::worker) struct Address {
    /// Its inbox.
    pub inbox: Sender<Mail>,
    /// Its driver's waker.
    pub waker: Waker,
    /// The way back for its batches.
    pub batch_return: BatchReturn,
}

impl Address {
    /// Posts a message, or gives it back when the inbox is full or its worker has ended.
    pub(in crate::worker) fn post(&self, message: Mail) -> Result<(), TrySendError<Mail>> {
        self.inbox.try_send(message)?;
        self.waker.wake();
        Ok(())
    }
}

/// Makes an inbox.
pub(in crate::worker) fn inbox() -> (Sender<Mail>, Receiver<Mail>) {
    bounded(INBOX_MESSAGES)
}

/// A worker's way to all others.
#[derive(Debug)]
pub(in crate::worker) struct Mailboxes {
    worker: WorkerIndex,
    addresses: Vec<Address>,
    /// Messages that must arrive and found the inbox full, by worker, in the order they were
    /// written: one that went past another could take back a claim before it is made. No more than
    /// [`WAITING_MESSAGES`] for a worker, and beyond them the answers to the Allocates that wait
    /// there, or the commands of the control thread: both are few.
    waiting: Vec<VecDeque<Mail>>,
    /// All of them: a turn that finds none looks at no queue.
    waiting_messages: usize,
    /// Claims dropped because too many messages waited.
    claims_dropped: u64,
}

impl Mailboxes {
    /// The mailboxes as one worker sees them; `addresses` are those of all workers, by index.
    pub(in crate::worker) fn new(worker: WorkerIndex, addresses: Vec<Address>) -> Mailboxes {
        let waiting = addresses.iter().map(|_| VecDeque::new()).collect();
        Mailboxes { worker, addresses, waiting, waiting_messages: 0, claims_dropped: 0 }
    }

    /// The mailboxes as the control thread sees them: it has the index after the last worker's.
    pub(in crate::worker) fn of_control(addresses: Vec<Address>) -> Mailboxes {
        Mailboxes::new(WorkerIndex(addresses.len() as u8), addresses)
    }

    /// Posts a message that may be refused, past those that wait.
    pub(in crate::worker) fn try_post(
        &self,
        to: WorkerIndex,
        message: Mail,
    ) -> Result<(), TrySendError<Mail>> {
        match self.addresses.get(usize::from(to.0)) {
            Some(address) => address.post(message),
            None => Err(TrySendError::Disconnected(message)),
        }
    }

    /// Every worker there is.
    pub(in crate::worker) fn workers(&self) -> impl Iterator<Item = WorkerIndex> + use<> {
        (0..self.addresses.len()).map(|worker| WorkerIndex(worker as u8))
    }

    /// Posts a message that carries a socket, a claim or a command and so must arrive; it waits
    /// here while the inbox is full. A claim that finds [`WAITING_MESSAGES`] before it is dropped
    /// and counted: packets of that client that reach the other worker are then judged there, and
    /// dropped, as if steering had never moved them.
    pub(in crate::worker) fn post(&mut self, to: WorkerIndex, message: Mail) {
        let Some(waiting) = self.waiting.get_mut(usize::from(to.0)) else { return };
        if waiting.len() >= WAITING_MESSAGES && message.is_claim() {
            self.claims_dropped += 1;
            return;
        }
        waiting.push_back(message);
        self.waiting_messages += 1;
        self.deliver(to);
    }

    /// Claims dropped so far because too many messages waited for a worker.
    pub(in crate::worker) fn claims_dropped(&self) -> u64 {
        self.claims_dropped
    }

    /// True when a message waits for room in an inbox.
    pub(in crate::worker) fn has_waiting(&self) -> bool {
        self.waiting_messages > 0
    }

    /// Tries the waiting messages once more.
    pub(in crate::worker) fn retry(&mut self) {
        if self.has_waiting() {
            self.workers().for_each(|worker| self.deliver(worker));
        }
    }

    /// Posts what waits for a worker, as far as there is room.
    fn deliver(&mut self, to: WorkerIndex) {
        let index = usize::from(to.0);
        let (address, waiting) = (&self.addresses[index], &mut self.waiting[index]);
        while let Some(message) = waiting.pop_front() {
            match address.post(message) {
                // A worker that has ended has no sockets any more.
                Ok(()) | Err(TrySendError::Disconnected(_)) => self.waiting_messages -= 1,
                Err(TrySendError::Full(message)) => return waiting.push_front(message),
            }
        }
    }

    /// How many messages a worker has not read yet.
    pub(in crate::worker) fn unread(&self, by: WorkerIndex) -> usize {
        self.addresses.get(usize::from(by.0)).map_or(0, |address| address.inbox.len())
    }

    /// Sends an emptied batch back to the worker that owns it.
    pub(in crate::worker) fn take_back(&self, owner: WorkerIndex, batch: Batch) {
        if let Some(address) = self.addresses.get(usize::from(owner.0)) {
            address.batch_return.take_back(batch);
        }
    }

    /// Whose they are.
    pub(in crate::worker) fn worker(&self) -> WorkerIndex {
        self.worker
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{turn::ListenerId, worker::mail::batch::BatchPool};

    /// The mailboxes as worker 0 sees them, and the inbox of worker 1.
    fn mailboxes() -> (Mailboxes, Receiver<Mail>) {
        let address = || {
            let ((inbox, messages), (_, batch_return)) = (inbox(), BatchPool::new());
            (Address { inbox, waker: Waker::new().expect("an eventfd"), batch_return }, messages)
        };
        let ((own, _), (other, messages)) = (address(), address());
        (Mailboxes::new(WorkerIndex(0), vec![own, other]), messages)
    }

    fn flow_released(port: u16) -> Mail {
        let flow = FiveTuple { listener: ListenerId(0), client: ([192, 0, 2, 1], port).into() };
        Mail::FlowReleased { flow, owner: WorkerIndex(0) }
    }

    fn ports(messages: &Receiver<Mail>) -> Vec<u16> {
        let port = |mail| match mail {
            Mail::FlowReleased { flow, .. } => flow.client.port(),
            mail => panic!("{mail:?} was never posted"),
        };
        messages.try_iter().map(port).collect()
    }

    #[test]
    fn messages_that_found_a_full_inbox_arrive_in_their_order() {
        let (mut mailboxes, messages) = mailboxes();
        let full = INBOX_MESSAGES as u16;
        (0..full + 2).for_each(|port| mailboxes.post(WorkerIndex(1), flow_released(port)));
        assert!(mailboxes.has_waiting());
        assert_eq!(ports(&messages), Vec::from_iter(0..full));
        mailboxes.post(WorkerIndex(1), flow_released(full + 2));
        assert!(!mailboxes.has_waiting());
        assert_eq!(ports(&messages), [full, full + 1, full + 2]);
    }

    #[test]
    fn waiting_messages_are_tried_again_and_dropped_when_the_reader_is_gone() {
        let (mut mailboxes, messages) = mailboxes();
        let full = INBOX_MESSAGES as u16;
        (0..=full).for_each(|port| mailboxes.post(WorkerIndex(1), flow_released(port)));
        mailboxes.retry();
        assert!(mailboxes.has_waiting());
        messages.recv().expect("the first");
        mailboxes.retry();
        assert!(!mailboxes.has_waiting());
        mailboxes.post(WorkerIndex(1), flow_released(full + 1));
        drop(messages);
        mailboxes.retry();
        assert!(!mailboxes.has_waiting());
    }

    #[test]
    fn claims_beyond_the_bound_are_dropped_and_counted_and_commands_still_wait() {
        let (mut mailboxes, messages) = mailboxes();
        let most = INBOX_MESSAGES + WAITING_MESSAGES;
        (0..most).for_each(|_| mailboxes.post(WorkerIndex(1), flow_released(1)));
        assert_eq!(mailboxes.claims_dropped(), 0);
        mailboxes.post(WorkerIndex(1), flow_released(2));
        assert_eq!(mailboxes.claims_dropped(), 1);
        mailboxes.post(WorkerIndex(1), Mail::Stop);
        assert_eq!(mailboxes.claims_dropped(), 1);
        let mut last = None;
        while mailboxes.has_waiting() {
            last = messages.try_iter().last();
            mailboxes.retry();
        }
        let last = messages.try_iter().last().or(last);
        assert!(matches!(last, Some(Mail::Stop)), "{last:?} came last");
    }
}
