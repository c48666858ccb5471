//! Packets of a client that arrive at a worker which does not own its allocation.
//!
//! With steering by core a client's packets come to the core that received them, and that changes
//! when a network card spreads its flows anew. Every worker therefore tells the others which
//! five-tuples it owns, so that a packet that went astray is handed over, and strangers' packets
//! never cause a question. Without steering the kernel's hash keeps every client where it is; then
//! there is nothing to tell and nothing to look up.
//!
//! What a stray's owner answers leaves from the owner's own socket, which has the same address.

use std::collections::HashMap;

use crate::turn::{FiveTuple, WorkerIndex};
use crate::worker::{
    mail::mailbox::{Mail, Post},
    start::spawn::Steering,
};

/// The five-tuples of other workers. Bounded by the allocations there may be in total.
#[derive(Debug)]
pub(in crate::worker) struct Strays {
    steering: Steering,
    owners: HashMap<FiveTuple, WorkerIndex, foldhash::quality::RandomState>,
}

impl Strays {
    pub(in crate::worker) fn new(steering: Steering) -> Strays {
        Strays { steering, owners: HashMap::default() }
    }

    /// Who owns the allocation of this five-tuple, if it is another worker.
    pub(in crate::worker) fn owner(&self, flow: FiveTuple) -> Option<WorkerIndex> {
        if self.owners.is_empty() { None } else { self.owners.get(&flow).copied() }
    }

    /// Notes that another worker owns a five-tuple.
    pub(in crate::worker) fn claimed(&mut self, flow: FiveTuple, owner: WorkerIndex) {
        self.owners.insert(flow, owner);
    }

    /// Notes that it does no longer.
    pub(in crate::worker) fn released(&mut self, flow: FiveTuple, owner: WorkerIndex) {
        if self.owners.get(&flow) == Some(&owner) {
            self.owners.remove(&flow);
        }
    }

    /// Tells every other worker that this one now owns a five-tuple.
    pub(in crate::worker) fn claim(&self, post: &mut Post, flow: FiveTuple) {
        let owner = post.worker();
        self.tell(post, || Mail::Claimed { flow, owner });
    }

    /// Tells every other worker that this one does no longer.
    pub(in crate::worker) fn release(&self, post: &mut Post, flow: FiveTuple) {
        let owner = post.worker();
        self.tell(post, || Mail::Unclaimed { flow, owner });
    }

    fn tell(&self, post: &mut Post, mail: impl Fn() -> Mail) {
        match self.steering {
            Steering::Hash => {}
            Steering::Cpu => {
                let own = post.worker();
                for worker in post.workers().filter(|worker| *worker != own) {
                    post.post(worker, mail());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::turn::ListenerId;

    fn flow(port: u16) -> FiveTuple {
        FiveTuple { listener: ListenerId(0), client: ([192, 0, 2, 1], port).into() }
    }

    #[test]
    fn a_five_tuple_belongs_to_who_claimed_it_last() {
        let mut strays = Strays::new(Steering::Cpu);
        assert_eq!(strays.owner(flow(1)), None);
        strays.claimed(flow(1), WorkerIndex(1));
        strays.claimed(flow(1), WorkerIndex(2));
        strays.released(flow(1), WorkerIndex(1));
        assert_eq!(strays.owner(flow(1)), Some(WorkerIndex(2)));
        assert_eq!(strays.owner(flow(2)), None);
        strays.released(flow(1), WorkerIndex(2));
        assert_eq!(strays.owner(flow(1)), None);
    }
}
