//! Relay sockets by number, by address and port, and who holds each port.
//!
//! ```text
//! RelayId --> slot --> address, port, use          one look per packet from a peer
//! address, port --> holder: nobody, here, lent     one look per hairpin packet
//! ```
//!
//! A port goes free -> opening -> live or reserved -> closing -> free. It is closing until the
//! kernel has let go of it, and not drawn again before. A redeemed reservation lends the port to
//! another worker: then it is lent here and borrowed there, until it is returned.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
};

use foldhash::fast::FixedState;

use crate::turn::{
    Chance, PortPlan, RelayAddress, RelayId, WorkerIndex,
    allocation::table::AllocationId,
    ports::pool::{Parity, PortPool},
};
use crate::wire::Family;

/// What a relay's slot is used for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Use {
    Free,
    /// Named for a socket that another worker may give.
    Expected,
    Opening,
    Live(AllocationId),
    Reserved,
    Closing,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    address: usize,
    port: u16,
    state: Use,
}

/// Who holds a port of this worker's slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Holder {
    Nobody,
    Here(RelayId),
    Lent(WorkerIndex),
}

#[derive(Debug)]
struct Address {
    relay: RelayAddress,
    pool: PortPool,
    first: u16,
    holders: Vec<Holder>,
}

/// How much of a worker's slice of the ports is in use on one relay address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortUse {
    /// What sockets are bound to.
    pub local: IpAddr,
    /// Ports of the slice.
    pub ports: usize,
    /// Those that cannot be drawn: live, reserved, lent, on their way up or not yet let go of.
    pub in_use: usize,
}

/// A relay drawn for an Allocate, and the odd port after it if a pair was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Drawn {
    pub(in crate::turn) relay: RelayId,
    pub(in crate::turn) next: Option<RelayId>,
}

/// What a peer address is to the relays of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum Target {
    /// No relay address of ours, or a port outside the relay range.
    Outside,
    /// A live relay of this worker.
    Here(AllocationId),
    /// A port of this worker that no live relay holds.
    Nobody,
    /// A port another worker owns, or has borrowed.
    Elsewhere(WorkerIndex),
}

/// A borrowed port that is to go back to its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct Borrowed {
    pub(in crate::turn) owner: WorkerIndex,
    pub(in crate::turn) local: SocketAddr,
}

/// Every relay of one worker.
#[derive(Debug)]
pub(in crate::turn) struct Relays {
    worker: WorkerIndex,
    plan: PortPlan,
    addresses: Vec<Address>,
    slots: Vec<Slot>,
    free: Vec<RelayId>,
    borrowed: HashMap<(usize, u16), RelayId, FixedState>,
}

impl Relays {
    pub(in crate::turn) fn new(
        worker: WorkerIndex,
        plan: PortPlan,
        addresses: &[RelayAddress],
        chance: &mut Chance,
    ) -> Relays {
        let slice = plan.slice(worker);
        let address = |relay: &RelayAddress| Address {
            relay: *relay,
            pool: PortPool::new(slice.clone()),
            first: *slice.start(),
            holders: vec![Holder::Nobody; slice.len()],
        };
        Relays {
            worker,
            plan,
            addresses: addresses.iter().map(address).collect(),
            slots: Vec::new(),
            free: Vec::new(),
            borrowed: HashMap::with_hasher(chance.hash_state()),
        }
    }

    /// True when relays of a family can be had at all.
    pub(in crate::turn) fn has_family(&self, family: Family) -> bool {
        self.addresses.iter().any(|address| Family::of(address.relay.local) == family)
    }

    /// How many ports are in use, address by address.
    pub(in crate::turn) fn port_use(&self) -> impl Iterator<Item = PortUse> {
        self.addresses.iter().map(|address| {
            let ports = address.holders.len();
            let in_use = ports - address.pool.free_count();
            PortUse { local: address.relay.local, ports, in_use }
        })
    }

    /// True for an address relays are bound to or advertised with.
    pub(in crate::turn) fn is_relay_address(&self, ip: IpAddr) -> bool {
        self.address_of(ip).is_some()
    }

    /// Takes a port on some address of a family, the first tried at random; `None` when none is
    /// left.
    pub(in crate::turn) fn draw(
        &mut self,
        family: Family,
        parity: Parity,
        chance: &mut Chance,
    ) -> Option<Drawn> {
        let count = self.addresses.len();
        let begin = chance.below(count)?;
        (0..count).map(|step| (begin + step) % count).find_map(|index| {
            let address = &mut self.addresses[index];
            if Family::of(address.relay.local) != family {
                return None;
            }
            let port = address.pool.take(parity, chance)?;
            let relay = self.hold(index, port);
            let next = (parity == Parity::Pair).then(|| self.hold(index, port + 1));
            Some(Drawn { relay, next })
        })
    }

    /// Makes an opening or reserved relay live for an allocation.
    pub(in crate::turn) fn go_live(&mut self, relay: RelayId, allocation: AllocationId) {
        self.set(relay, Use::Live(allocation));
    }

    /// Makes an opening relay a reserved one.
    pub(in crate::turn) fn reserve(&mut self, relay: RelayId) {
        self.set(relay, Use::Reserved);
    }

    /// Silences a relay; its port stays taken until [`Relays::release`].
    pub(in crate::turn) fn close(&mut self, relay: RelayId) {
        self.set(relay, Use::Closing);
    }

    /// Frees a relay whose socket is gone, or never was. A borrowed port is for its owner to free.
    pub(in crate::turn) fn release(&mut self, relay: RelayId) -> Option<Borrowed> {
        let slot = self.slots.get(relay.0 as usize).copied()?;
        match slot.state {
            Use::Closing | Use::Opening => self.vacate(relay),
            Use::Expected => {
                self.vacate(relay);
                return None;
            }
            Use::Free | Use::Live(_) | Use::Reserved => return None,
        }
        if self.borrowed.remove(&(slot.address, slot.port)).is_some() {
            let local = SocketAddr::new(self.addresses[slot.address].relay.local, slot.port);
            return Some(Borrowed { owner: self.plan.owner(slot.port)?, local });
        }
        self.give_back(slot.address, slot.port);
        None
    }

    /// The allocation behind a live relay: the one look a packet from a peer costs.
    pub(in crate::turn) fn live(&self, relay: RelayId) -> Option<AllocationId> {
        match self.slots.get(relay.0 as usize)?.state {
            Use::Live(allocation) => Some(allocation),
            Use::Free | Use::Expected | Use::Opening | Use::Reserved | Use::Closing => None,
        }
    }

    /// What sockets are bound to.
    pub(in crate::turn) fn local(&self, relay: RelayId) -> SocketAddr {
        let (address, port) = self.whereabouts(relay);
        SocketAddr::new(address.local, port)
    }

    /// What clients are told.
    pub(in crate::turn) fn advertised(&self, relay: RelayId) -> SocketAddr {
        let (address, port) = self.whereabouts(relay);
        SocketAddr::new(address.advertised, port)
    }

    /// What a peer address is to us.
    pub(in crate::turn) fn target(&self, to: SocketAddr) -> Target {
        let Some(address) = self.address_of(to.ip()) else { return Target::Outside };
        let Some(owner) = self.plan.owner(to.port()) else { return Target::Outside };
        let holder = match self.borrowed.get(&(address, to.port())) {
            Some(relay) => Holder::Here(*relay),
            None if owner == self.worker => self.holder(address, to.port()),
            None => Holder::Lent(owner),
        };
        match holder {
            Holder::Here(relay) => self.live(relay).map_or(Target::Nobody, Target::Here),
            Holder::Lent(worker) => Target::Elsewhere(worker),
            Holder::Nobody => Target::Nobody,
        }
    }

    /// True for a port that carries a relay of this process, as far as this worker knows.
    pub(in crate::turn) fn is_live(&self, address: SocketAddr) -> bool {
        match self.target(address) {
            Target::Here(_) | Target::Elsewhere(_) => true,
            Target::Outside | Target::Nobody => false,
        }
    }

    /// Lends a reserved port to another worker; its name is free here at once.
    pub(in crate::turn) fn lend(&mut self, relay: RelayId, worker: WorkerIndex) -> SocketAddr {
        let local = self.local(relay);
        let slot = self.slots[relay.0 as usize];
        self.set_holder(slot.address, slot.port, Holder::Lent(worker));
        self.vacate(relay);
        local
    }

    /// Frees a port that was lent.
    pub(in crate::turn) fn returned(&mut self, local: SocketAddr) {
        let Some(address) = self.addresses.iter().position(|a| a.relay.local == local.ip()) else {
            return;
        };
        if self.plan.owner(local.port()) != Some(self.worker) {
            return;
        }
        if let Holder::Lent(_) = self.holder(address, local.port()) {
            self.give_back(address, local.port());
        }
    }

    /// Makes a name for a socket that another worker may give.
    pub(in crate::turn) fn expect(&mut self) -> RelayId {
        self.occupy(Slot { address: 0, port: 0, state: Use::Expected })
    }

    /// Learns what the given socket is bound to; false when that is no relay address of ours.
    pub(in crate::turn) fn borrow(&mut self, relay: RelayId, local: SocketAddr) -> bool {
        let place = self.addresses.iter().position(|a| a.relay.local == local.ip());
        let expected = self.slots[relay.0 as usize].state == Use::Expected
            && self.plan.owner(local.port()).is_some();
        let Some(address) = place.filter(|_| expected) else { return false };
        self.slots[relay.0 as usize] = Slot { address, port: local.port(), state: Use::Opening };
        self.borrowed.insert((address, local.port()), relay);
        true
    }

    fn whereabouts(&self, relay: RelayId) -> (RelayAddress, u16) {
        let slot = self.slots[relay.0 as usize];
        (self.addresses[slot.address].relay, slot.port)
    }

    fn address_of(&self, ip: IpAddr) -> Option<usize> {
        self.addresses.iter().position(|a| a.relay.advertised == ip || a.relay.local == ip)
    }

    fn hold(&mut self, address: usize, port: u16) -> RelayId {
        let relay = self.occupy(Slot { address, port, state: Use::Opening });
        self.set_holder(address, port, Holder::Here(relay));
        relay
    }

    fn give_back(&mut self, address: usize, port: u16) {
        self.set_holder(address, port, Holder::Nobody);
        self.addresses[address].pool.put(port);
    }

    fn holder(&self, address: usize, port: u16) -> Holder {
        let address = &self.addresses[address];
        address.holders[usize::from(port - address.first)]
    }

    fn set_holder(&mut self, address: usize, port: u16, holder: Holder) {
        let address = &mut self.addresses[address];
        address.holders[usize::from(port - address.first)] = holder;
    }

    fn set(&mut self, relay: RelayId, state: Use) {
        self.slots[relay.0 as usize].state = state;
    }

    fn occupy(&mut self, slot: Slot) -> RelayId {
        if let Some(relay) = self.free.pop() {
            self.slots[relay.0 as usize] = slot;
            return relay;
        }
        self.slots.push(slot);
        RelayId(self.slots.len() as u32 - 1)
    }

    fn vacate(&mut self, relay: RelayId) {
        self.set(relay, Use::Free);
        self.free.push(relay);
    }
}
