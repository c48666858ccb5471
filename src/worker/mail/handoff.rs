//! Payloads for clients of other workers, one open batch per worker.
//!
//! A batch leaves with the turn it was packed in, so that a payload waits for nothing. Towards a
//! worker that has fallen behind that would use up the batches, a few payloads in each: there the
//! open batch waits until it is full or the worker reads again, so that what a stall costs is
//! bounded by bytes.

use crate::turn::WorkerIndex;
use crate::worker::{
    mail::batch::{Batch, BatchPool, Handoff},
    mail::mailbox::{Mail, Mailboxes},
};

/// Messages that a worker has not read, from which on it has fallen behind: more than a batch of
/// each turn that may pass while a turn of its own takes long.
const BEHIND_MESSAGES: usize = 8;

/// The batches being packed.
#[derive(Debug)]
pub(in crate::worker) struct OpenBatches {
    empties: BatchPool,
    open: Vec<Option<Batch>>,
    any_open: bool,
    dropped: u64,
}

impl OpenBatches {
    /// Begins with nothing packed.
    pub(in crate::worker) fn new(empties: BatchPool, workers: usize) -> OpenBatches {
        let open = (0..workers).map(|_| None).collect();
        OpenBatches { empties, open, any_open: false, dropped: 0 }
    }

    /// Packs a payload for a client of another worker; posts a batch that is full.
    pub(in crate::worker) fn pack(
        &mut self,
        mailboxes: &Mailboxes,
        worker: WorkerIndex,
        handoff: Handoff,
        payload: &[u8],
    ) {
        if self.try_pack(worker, handoff, payload) {
            return;
        }
        self.dispatch(mailboxes, worker);
        if !self.try_pack(worker, handoff, payload) {
            self.dropped += 1;
        }
    }

    /// Posts the open batches, except to workers that have fallen behind. Called once a turn, so
    /// that a batch costs one wake-up.
    pub(in crate::worker) fn flush(&mut self, mailboxes: &Mailboxes) {
        if !self.any_open {
            return;
        }
        for worker in (0..self.open.len()).map(|worker| WorkerIndex(worker as u8)) {
            // The mailbox is shared memory: it is looked at only where there is something for it.
            let is_open = self.open[usize::from(worker.0)].is_some();
            if is_open && mailboxes.unread(worker) < BEHIND_MESSAGES {
                self.dispatch(mailboxes, worker);
            }
        }
        self.any_open = self.open.iter().any(Option::is_some);
    }

    /// Whether a batch waits for a worker that has fallen behind.
    pub(in crate::worker) fn has_open(&self) -> bool {
        self.any_open
    }

    /// Payloads dropped because no batch was free or an inbox was full.
    pub(in crate::worker) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn try_pack(&mut self, worker: WorkerIndex, handoff: Handoff, payload: &[u8]) -> bool {
        let Some(open) = self.open.get_mut(usize::from(worker.0)) else { return false };
        if open.is_none() {
            *open = self.empties.take();
        }
        let Some(batch) = open else { return false };
        self.any_open = true;
        batch.pack(handoff, payload)
    }

    fn dispatch(&mut self, mailboxes: &Mailboxes, worker: WorkerIndex) {
        let Some(open) = self.open.get_mut(usize::from(worker.0)) else { return };
        let Some(batch) = open.take() else { return };
        let owner = mailboxes.worker();
        let Err(refused) = mailboxes.try_post(worker, Mail::Batch { owner, batch }) else {
            return;
        };
        if let Mail::Batch { owner, batch } = refused.into_inner() {
            self.dropped += batch.len() as u64;
            mailboxes.take_back(owner, batch);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use crossbeam_channel::Receiver;

    use super::*;
    use crate::{
        io::Waker,
        worker::mail::{
            batch::BatchReturn,
            mailbox::{Address, inbox},
        },
    };

    const OTHER: WorkerIndex = WorkerIndex(1);

    /// The batches of worker 0, its mailboxes, and the inbox of worker 1.
    fn of_two() -> (OpenBatches, Mailboxes, Receiver<Mail>) {
        let (pool, batch_return) = BatchPool::new();
        let address = |batch_return: BatchReturn| {
            let (inbox, messages) = inbox();
            (Address { inbox, waker: Waker::new().expect("an eventfd"), batch_return }, messages)
        };
        let ((own, _), (other, messages)) = (address(batch_return), address(BatchPool::new().1));
        let mailboxes = Mailboxes::new(WorkerIndex(0), vec![own, other]);
        (OpenBatches::new(pool, 2), mailboxes, messages)
    }

    fn hairpin() -> Handoff {
        let address = SocketAddr::from(([192, 0, 2, 1], 50_000));
        Handoff::Hairpin { from: address, to: address }
    }

    /// Reads everything and gives the batches back, as the other worker does.
    fn read(messages: &Receiver<Mail>, mailboxes: &Mailboxes) -> Vec<Vec<u8>> {
        let mut payloads = Vec::new();
        for message in messages.try_iter() {
            let Mail::Batch { owner, batch } = message else { panic!("only batches are posted") };
            payloads.extend(batch.entries().map(|(_, payload)| payload.to_vec()));
            mailboxes.take_back(owner, batch);
        }
        payloads
    }

    #[test]
    fn a_payload_leaves_with_its_turn_while_the_other_worker_reads() {
        let (mut batches, mailboxes, messages) = of_two();
        for turn in 0..100_u8 {
            batches.pack(&mailboxes, OTHER, hairpin(), &[turn]);
            batches.flush(&mailboxes);
            assert!(!batches.has_open());
            assert_eq!(read(&messages, &mailboxes), [[turn]]);
        }
    }

    #[test]
    fn a_worker_that_is_away_for_thousands_of_turns_loses_nothing() {
        const TURNS: u16 = 4_000;
        let (mut batches, mailboxes, messages) = of_two();
        for turn in 0..TURNS {
            batches.pack(&mailboxes, OTHER, hairpin(), &turn.to_be_bytes());
            batches.flush(&mailboxes);
        }
        assert!(batches.has_open());
        let mut payloads = read(&messages, &mailboxes);
        batches.flush(&mailboxes);
        assert!(!batches.has_open());
        payloads.extend(read(&messages, &mailboxes));
        assert_eq!(payloads, Vec::from_iter((0..TURNS).map(u16::to_be_bytes)));
        assert_eq!(batches.dropped(), 0);
    }

    #[test]
    fn what_a_worker_that_is_away_costs_is_bounded_and_counted() {
        let (mut batches, mailboxes, _messages) = of_two();
        for _ in 0..40_000 {
            batches.pack(&mailboxes, OTHER, hairpin(), &[7; 100]);
            batches.flush(&mailboxes);
        }
        assert!(batches.dropped() > 0);
    }
}
