//! What is in the mailboxes of the workers, as far as one can know from outside.

use std::{collections::VecDeque, net::SocketAddr};

use uturn::turn::SessionId;

use super::{model::Operated, packet::Packet};

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
    Stop,
}

/// The mailboxes, and the batches that each worker packs.
#[derive(Debug)]
pub(crate) struct Mailboxes {
    inboxes: Vec<Option<VecDeque<Mail>>>,
    /// By the worker that packs, and the one it packs for.
    open: Vec<Vec<Option<Vec<Entry>>>>,
    free: Vec<usize>,
    /// Payloads that found no batch and no reader.
    pub(crate) dropped: u64,
}

impl Mailboxes {
    pub(crate) fn new(workers: u8) -> Mailboxes {
        let workers = usize::from(workers);
        Mailboxes {
            inboxes: vec![Some(VecDeque::new()); workers],
            open: vec![vec![None; workers]; workers],
            free: vec![BATCHES; workers],
            dropped: 0,
        }
    }

    pub(crate) fn post(&mut self, to: u8, mail: Mail) {
        if let Some(inbox) = &mut self.inboxes[usize::from(to)] {
            inbox.push_back(mail);
        } else if let Mail::Batch { owner, entries } = mail {
            self.dropped += entries.len() as u64;
            self.free[usize::from(owner)] += 1;
        }
    }

    /// Whether somebody still reads a mailbox.
    pub(crate) fn is_open(&self, worker: u8) -> bool {
        self.inboxes[usize::from(worker)].is_some()
    }

    pub(crate) fn post_all(&mut self, mail: &Mail) {
        (0..self.inboxes.len() as u8).for_each(|worker| self.post(worker, mail.clone()));
    }

    pub(crate) fn post_others(&mut self, worker: u8, mail: &Mail) {
        for other in (0..self.inboxes.len() as u8).filter(|other| *other != worker) {
            self.post(other, mail.clone());
        }
    }

    pub(crate) fn take(&mut self, worker: u8) -> Option<Mail> {
        self.inboxes[usize::from(worker)].as_mut()?.pop_front()
    }

    /// A worker packs a payload for another one.
    pub(crate) fn pack(&mut self, from: u8, to: u8, entry: Entry) {
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
        assert!(open.as_ref().is_none_or(|it| it.len() <= BATCH_ENTRIES), "a turn has less");
    }

    /// At the end of its turn a worker posts what it has packed.
    pub(crate) fn flush(&mut self, worker: u8) {
        for to in 0..self.inboxes.len() {
            if let Some(entries) = self.open[usize::from(worker)][to].take() {
                self.post(to as u8, Mail::Batch { owner: worker, entries });
            }
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
