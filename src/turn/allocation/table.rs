//! All allocations of one worker, by slot and by five-tuple.
//!
//! One hash finds the allocation of a flow, and none when the flow is that of the packet before:
//! packets come in runs. A slot has no generation: everything that names one (a flow, a live
//! relay, a timer) is taken back in the same call that frees it.

use std::collections::HashMap;

use foldhash::fast::FixedState;

use crate::turn::{
    allocation::Allocation,
    api::names::{identity::FiveTuple, session::SessionId},
};

/// The slot of an allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(in crate::turn) struct AllocationId(pub(in crate::turn) u32);

/// The table.
#[derive(Debug)]
pub(in crate::turn) struct Allocations {
    /// The serial number of what is in each slot, 0 when nothing is: all that a search by name
    /// looks at.
    serials: Vec<u64>,
    /// Boxed, so that growing moves pointers and freeing gives memory back.
    slots: Vec<Option<Box<Allocation>>>,
    free: Vec<AllocationId>,
    flows: HashMap<FiveTuple, AllocationId, FixedState>,
    latest: Option<(FiveTuple, AllocationId)>,
}

impl Allocations {
    pub(in crate::turn) fn new(hash: FixedState) -> Allocations {
        Allocations {
            serials: Vec::new(),
            slots: Vec::new(),
            free: Vec::new(),
            flows: HashMap::with_hasher(hash),
            latest: None,
        }
    }

    /// The allocation of a flow, whether its lifetime is over or not.
    pub(in crate::turn) fn find(&mut self, flow: FiveTuple) -> Option<AllocationId> {
        if let Some((latest, id)) = self.latest
            && latest == flow
        {
            return Some(id);
        }
        let id = *self.flows.get(&flow)?;
        self.latest = Some((flow, id));
        Some(id)
    }

    /// The slot the next [`Allocations::insert`] takes.
    pub(in crate::turn) fn insert(&mut self, allocation: Allocation) -> AllocationId {
        let (flow, serial) = (allocation.path.flow, allocation.session.serial);
        let id = self.free.pop().unwrap_or(AllocationId(self.slots.len() as u32));
        match self.slots.get_mut(id.0 as usize) {
            Some(slot) => *slot = Some(Box::new(allocation)),
            None => {
                self.slots.push(Some(Box::new(allocation)));
                self.serials.push(0);
            }
        }
        self.serials[id.0 as usize] = serial;
        self.flows.insert(flow, id);
        id
    }

    /// The allocation in a slot.
    pub(in crate::turn) fn at(&mut self, id: AllocationId) -> Option<&mut Allocation> {
        self.slots.get_mut(id.0 as usize)?.as_deref_mut()
    }

    /// The allocation in a slot, to look at.
    pub(in crate::turn) fn look_at(&self, id: AllocationId) -> Option<&Allocation> {
        self.slots.get(id.0 as usize)?.as_deref()
    }

    /// The slot of the allocation of that name. Looks at 8 bytes for each slot: for operators, not
    /// for packets.
    pub(in crate::turn) fn named(&self, session: SessionId) -> Option<AllocationId> {
        let place = self.serials.iter().position(|serial| *serial == session.serial)?;
        let id = AllocationId(place as u32);
        (self.look_at(id)?.session == session).then_some(id)
    }

    /// Takes an allocation out; its five-tuple is free at once.
    pub(in crate::turn) fn remove(&mut self, id: AllocationId) -> Option<Box<Allocation>> {
        let allocation = self.slots.get_mut(id.0 as usize)?.take()?;
        self.flows.remove(&allocation.path.flow);
        self.latest = None;
        self.serials[id.0 as usize] = 0;
        self.free.push(id);
        Some(allocation)
    }

    /// The slots in use among the `most` from `from` on, and where the next such page begins;
    /// `None` when this was the last.
    pub(in crate::turn) fn page(&self, from: u32, most: u32) -> (Vec<AllocationId>, Option<u32>) {
        let slots = self.slots.len() as u32;
        let end = from.saturating_add(most).min(slots);
        let used = (from..end).filter(|slot| self.slots[*slot as usize].is_some());
        (used.map(AllocationId).collect(), (end < slots).then_some(end))
    }

    /// Every slot in use, in order.
    pub(in crate::turn) fn ids(&self) -> Vec<AllocationId> {
        let used = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some());
        used.map(|(index, _)| AllocationId(index as u32)).collect()
    }
}
