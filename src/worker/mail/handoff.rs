//! Payloads of this turn for clients of other workers, one open batch per worker.

use crate::turn::WorkerIndex;
use crate::worker::{
    mail::batch::{Batch, BatchPool, Handoff},
    mail::mailbox::{Mailboxes, Message},
};

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

    /// Posts every open batch. Called once a turn, so that a batch costs one wake-up.
    pub(in crate::worker) fn flush(&mut self, mailboxes: &Mailboxes) {
        if !self.any_open {
            return;
        }
        self.any_open = false;
        for worker in 0..self.open.len() {
            self.dispatch(mailboxes, WorkerIndex(worker as u8));
        }
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
        let Err(refused) = mailboxes.try_post(worker, Message::Batch { owner, batch }) else {
            return;
        };
        if let Message::Batch { owner, batch } = refused.into_inner() {
            self.dropped += batch.len() as u64;
            mailboxes.take_back(owner, batch);
        }
    }
}
