//! Packets of a client that arrive at a worker which does not own its allocation.
//!
//! With steering by core a client's packets come to the core that received them, and that changes
//! when a network card spreads its flows anew. Every worker therefore tells the others which
//! five-tuples it owns, so that a misrouted packet is handed over, and strangers' packets never
//! cause a question. Without steering the kernel's hash keeps every client where it is; then
//! there is nothing to tell and nothing to look up.
//!
//! Two workers may both get a request that makes an allocation, before either heard of the other.
//! A worker that then hears the other's claim gives in while it has no allocation itself. Of two
//! that have one, the higher ends its own, and one five-tuple has one allocation again.
//!
//! What the owner of a misrouted packet answers leaves from the owner's own socket, which has the
//! same address.

use std::collections::HashMap;

use crate::turn::{FiveTuple, WorkerIndex};
use crate::worker::{
    mail::mailbox::{Mail, Mailboxes},
    start::plan::Steering,
};

/// The five-tuples of other workers. Bounded by the allocations there may be in total.
#[derive(Debug)]
pub(in crate::worker) struct FlowOwners {
    steering: Steering,
    owners: HashMap<FiveTuple, WorkerIndex, foldhash::quality::RandomState>,
}

impl FlowOwners {
    pub(in crate::worker) fn new(steering: Steering) -> FlowOwners {
        FlowOwners { steering, owners: HashMap::default() }
    }

    /// Who owns the allocation of this five-tuple, if it is another worker.
    pub(in crate::worker) fn owner(&self, flow: FiveTuple) -> Option<WorkerIndex> {
        if self.owners.is_empty() { None } else { self.owners.get(&flow).copied() }
    }

    /// Notes that another worker owns a five-tuple.
    pub(in crate::worker) fn claimed(&mut self, flow: FiveTuple, owner: WorkerIndex) {
        self.owners.insert(flow, owner);
    }

    /// Notes that the other worker owns it no more.
    pub(in crate::worker) fn released(&mut self, flow: FiveTuple, owner: WorkerIndex) {
        if self.owners.get(&flow) == Some(&owner) {
            self.owners.remove(&flow);
        }
    }

    /// Tells every other worker that this one now owns a five-tuple.
    pub(in crate::worker) fn claim(&self, mailboxes: &mut Mailboxes, flow: FiveTuple) {
        let owner = mailboxes.worker();
        self.tell(mailboxes, || Mail::FlowOwned { flow, owner });
    }

    /// Tells every other worker that this one owns it no more.
    pub(in crate::worker) fn release(&self, mailboxes: &mut Mailboxes, flow: FiveTuple) {
        let owner = mailboxes.worker();
        self.tell(mailboxes, || Mail::FlowReleased { flow, owner });
    }

    fn tell(&self, mailboxes: &mut Mailboxes, message: impl Fn() -> Mail) {
        match self.steering {
            Steering::Hash => {}
            Steering::Cpu => {
                let own = mailboxes.worker();
                for worker in mailboxes.workers().filter(|worker| *worker != own) {
                    mailboxes.post(worker, message());
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
    fn a_five_tuple_belongs_to_the_worker_that_claimed_it_last() {
        let mut owners = FlowOwners::new(Steering::Cpu);
        assert_eq!(owners.owner(flow(1)), None);
        owners.claimed(flow(1), WorkerIndex(1));
        owners.claimed(flow(1), WorkerIndex(2));
        owners.released(flow(1), WorkerIndex(1));
        assert_eq!(owners.owner(flow(1)), Some(WorkerIndex(2)));
        assert_eq!(owners.owner(flow(2)), None);
        owners.released(flow(1), WorkerIndex(2));
        assert_eq!(owners.owner(flow(1)), None);
    }
}
