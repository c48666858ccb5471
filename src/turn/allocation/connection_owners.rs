//! Whose each peer connection of a worker is, and their names.

use std::collections::{HashMap, hash_map::Entry};

use foldhash::fast::FixedState;

use crate::turn::{
    allocation::table::AllocationId,
    api::names::{connection::ConnectionId, identity::WorkerIndex},
    rng::Rng,
};

/// The allocation of each peer connection of one worker.
#[derive(Debug)]
pub(in crate::turn) struct ConnectionOwners {
    worker: WorkerIndex,
    owners: HashMap<ConnectionId, AllocationId, FixedState>,
}

impl ConnectionOwners {
    pub(in crate::turn) fn new(worker: WorkerIndex, hash: FixedState) -> ConnectionOwners {
        ConnectionOwners { worker, owners: HashMap::with_hasher(hash) }
    }

    /// The allocation a connection belongs to.
    pub(in crate::turn) fn find(&self, id: ConnectionId) -> Option<AllocationId> {
        self.owners.get(&id).copied()
    }

    /// Draws a name that no connection of this worker has.
    pub(in crate::turn) fn name(&mut self, owner: AllocationId, rng: &mut Rng) -> ConnectionId {
        loop {
            let bits = rng.bits() as u32 >> 8;
            let id = ConnectionId(u32::from(self.worker.0) << 24 | bits);
            if let Entry::Vacant(place) = self.owners.entry(id) {
                place.insert(owner);
                return id;
            }
        }
    }

    pub(in crate::turn) fn forget(&mut self, id: ConnectionId) {
        self.owners.remove(&id);
    }

    /// Connections there are.
    #[cfg(test)]
    pub(in crate::turn) fn count(&self) -> usize {
        self.owners.len()
    }
}
