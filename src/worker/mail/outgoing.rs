//! Payloads of this turn for clients of other workers, one open parcel per worker.

use crate::turn::WorkerIndex;
use crate::worker::{
    mail::mailbox::{Mail, Post},
    mail::parcel::{Parcel, Parcels, Passage},
};

/// The parcels being packed.
#[derive(Debug)]
pub(in crate::worker) struct Outgoing {
    empties: Parcels,
    open: Vec<Option<Parcel>>,
    any_open: bool,
    dropped: u64,
}

impl Outgoing {
    /// Begins with nothing packed.
    pub(in crate::worker) fn new(empties: Parcels, workers: usize) -> Outgoing {
        let open = (0..workers).map(|_| None).collect();
        Outgoing { empties, open, any_open: false, dropped: 0 }
    }

    /// Packs a payload for a client of another worker; posts a parcel that is full.
    pub(in crate::worker) fn pack(
        &mut self,
        post: &Post,
        worker: WorkerIndex,
        passage: Passage,
        payload: &[u8],
    ) {
        if self.try_pack(worker, passage, payload) {
            return;
        }
        self.dispatch(post, worker);
        if !self.try_pack(worker, passage, payload) {
            self.dropped += 1;
        }
    }

    /// Posts every open parcel. Called once a turn, so that a batch costs one wake-up.
    pub(in crate::worker) fn flush(&mut self, post: &Post) {
        if !self.any_open {
            return;
        }
        self.any_open = false;
        for worker in 0..self.open.len() {
            self.dispatch(post, WorkerIndex(worker as u8));
        }
    }

    /// Payloads dropped because no parcel was home or an inbox was full.
    pub(in crate::worker) fn dropped(&self) -> u64 {
        self.dropped
    }

    fn try_pack(&mut self, worker: WorkerIndex, passage: Passage, payload: &[u8]) -> bool {
        let Some(open) = self.open.get_mut(usize::from(worker.0)) else { return false };
        if open.is_none() {
            *open = self.empties.take();
        }
        let Some(parcel) = open else { return false };
        self.any_open = true;
        parcel.pack(passage, payload)
    }

    fn dispatch(&mut self, post: &Post, worker: WorkerIndex) {
        let Some(open) = self.open.get_mut(usize::from(worker.0)) else { return };
        let Some(parcel) = open.take() else { return };
        let owner = post.worker();
        let Err(refused) = post.try_post(worker, Mail::Parcel { owner, parcel }) else { return };
        if let Mail::Parcel { owner, parcel } = refused.into_inner() {
            self.dropped += parcel.len() as u64;
            post.take_back(owner, parcel);
        }
    }
}
