//! What is in the mailboxes of the workers, as far as one can know from outside.

use std::{collections::VecDeque, net::SocketAddr};

use uturn::turn::SessionId;

use super::{model::Operated, packet::Packet};

/// What fits into an inbox.
const INBOX_MESSAGES: usize = 1024;
/// With so many messages unread a worker has fallen behind.
const BEHIND_MESSAGES: usize = 8;
/// Batches that a worker has.
const BATCHES: usize = 32;
/// What fits into one.
const BATCH_ENTRIES: usize = 256;

/// A reservation that a client redeems at another worker than the one that made it.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    pub(crate) asker: u8,
    pub(crate) client: SocketAddr,
    pub(crate) token: [u8; 8],
    pub(crate) user: String,
}

/// A reserved port that goes to another worker.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given {
    pub(crate) local: SocketAddr,
    pub(crate) has_descriptor: bool,
}

/// One payload in a batch.
#[derive(Debug, Clone)]
pub(crate) enum Entry {
    Hairpin { from: SocketAddr, to: SocketAddr, payload: Vec<u8> },
    Misrouted { client: SocketAddr, packet: Packet },
}

/// What workers are told, by each other and by the operator.
#[derive(Debug, Clone)]
pub(crate) enum Mail {
    Batch {
        owner: u8,
        entries: Vec<Entry>,
    },
    FlowOwned {
        client: SocketAddr,
        owner: u8,
    },
    FlowReleased {
        client: SocketAddr,
        owner: u8,
    },
    Redeem(Redemption),
    Redeemed {
        redemption: Redemption,
        given: Option<Given>,
    },
    Settings(Operated),
    Drain(Option<bool>),
    /// By its place among [`Scenario::listeners`](super::scenario::Scenario::listeners).
    Listen(usize),
    StopListening(usize),
    List,
    Show(SessionId),
    Kill(SessionId),
    /// A question whose answer nobody looks at.
    Nothing,
    Stop,
}

/// The mailboxes, and the batches that each worker packs.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    inboxes: Vec<Option<VecDeque<Mail>>>,
    /// What finds no room in an inbox and must arrive, by who posts it and by whom it is for. The
    /// control thread posts as the worker after the last one.
    waiting: Vec<Vec<VecDeque<Mail>>>,
    /// By the worker that packs, and the one it packs for.
    open: Vec<Vec<Option<Vec<Entry>>>>,
    free: Vec<usize>,
    /// Payloads that found no batch and no reader.
    pub(crate) dropped: u64,
    /// Posts that found an inbox full.
    pub(crate) found_full: u64,
}

impl Mailboxes {
    pub(crate) fn new(workers: u8) -> Mailboxes {
        let workers = usize::from(workers);
        Mailboxes {
            inboxes: vec![Some(VecDeque::new()); workers],
            waiting: vec![vec![VecDeque::new(); workers]; workers + 1],
            open: vec![vec![None; workers]; workers],
            free: vec![BATCHES; workers],
            dropped: 0,
            found_full: 0,
        }
    }

    /// Who the control thread is.
    pub(crate) fn control(&self) -> u8 {
        self.inboxes.len() as u8
    }

    /// Posts what must arrive.
    pub(crate) fn post(&mut self, from: u8, to: u8, mail: Mail) {
        self.waiting[usize::from(from)][usize::from(to)].push_back(mail);
        self.deliver(from, to);
    }

    /// Posts what may be refused; says whether it was not.
    pub(crate) fn try_post(&mut self, to: u8, mail: Mail) -> bool {
        match &mut self.inboxes[usize::from(to)] {
            Some(inbox) if inbox.len() < INBOX_MESSAGES => inbox.push_back(mail),
            Some(_) => {
                self.found_full += 1;
                return false;
            }
            None => return false,
        }
        true
    }

    /// Tries again what found an inbox full.
    pub(crate) fn retry(&mut self, from: u8) {
        (0..self.inboxes.len()).for_each(|to| self.deliver(from, to as u8));
    }

    pub(crate) fn has_waiting(&self, from: u8) -> bool {
        self.waiting[usize::from(from)].iter().any(|waiting| !waiting.is_empty())
    }

    fn deliver(&mut self, from: u8, to: u8) {
        let waiting = &mut self.waiting[usize::from(from)][usize::from(to)];
        let Some(inbox) = &mut self.inboxes[usize::from(to)] else { return waiting.clear() };
        while inbox.len() < INBOX_MESSAGES
            && let Some(mail) = waiting.pop_front()
        {
            inbox.push_back(mail);
        }
        self.found_full += u64::from(!waiting.is_empty());
    }

    /// The control thread tells every worker.
    pub(crate) fn command(&mut self, mail: &Mail) {
        let control = self.control();
        (0..control).for_each(|worker| self.post(control, worker, mail.clone()));
    }

    pub(crate) fn post_others(&mut self, worker: u8, mail: &Mail) {
        for other in (0..self.control()).filter(|other| *other != worker) {
            self.post(worker, other, mail.clone());
        }
    }

    pub(crate) fn take(&mut self, worker: u8) -> Option<Mail> {
        self.inboxes[usize::from(worker)].as_mut()?.pop_front()
    }

    /// A worker packs a payload for another one.
    pub(crate) fn pack(&mut self, from: u8, to: u8, entry: Entry) {
        let open = &self.open[usize::from(from)][usize::from(to)];
        if open.as_ref().is_some_and(|it| it.len() == BATCH_ENTRIES) {
            self.dispatch(from, to);
        }
        let open = &mut self.open[usize::from(from)][usize::from(to)];
        let free = &mut self.free[usize::from(from)];
        if open.is_none() && *free > 0 {
            *free -= 1;
            *open = Some(Vec::new());
        }
        match open {
            Some(entries) => entries.push(entry),
            None => self.dropped += 1,
        }
    }

    /// At the end of its turn a worker posts what it has packed for those that read their mail.
    pub(crate) fn flush(&mut self, worker: u8) {
        for to in 0..self.control() {
            let unread = self.inboxes[usize::from(to)].as_ref().map_or(0, VecDeque::len);
            if unread < BEHIND_MESSAGES {
                self.dispatch(worker, to);
            }
        }
    }

    fn dispatch(&mut self, from: u8, to: u8) {
        let open = self.open[usize::from(from)][usize::from(to)].take();
        let Some(entries) = open else { return };
        let count = entries.len() as u64;
        if !self.try_post(to, Mail::Batch { owner: from, entries }) {
            self.dropped += count;
            self.take_back(from);
        }
    }

    /// An emptied batch goes back to its worker.
    pub(crate) fn take_back(&mut self, owner: u8) {
        self.free[usize::from(owner)] += 1;
    }

    /// A worker has ended, and its mailbox with it.
    pub(crate) fn stop(&mut self, worker: u8) {
        if let Some(inbox) = self.inboxes[usize::from(worker)].take() {
            assert!(inbox.is_empty(), "a worker reads all its mail in a turn: {inbox:?}");
        }
    }
}
