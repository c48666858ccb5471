//! Relay sockets by number, and the tables of the ports they have.
//!
//! ```text
//! RelayId --> slot --> address, port, use     one look per packet from a peer
//! address, port --> worker and relay          one look per hairpin packet, in the shared table
//! ```
//!
//! A port goes free -> opening -> live or reserved -> closing -> free. It is closing until the
//! kernel has let go of it, and not drawn again before. A redeemed reservation takes its port along
//! to another worker: it stays taken, and whoever has its socket gives it back.

use std::{
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
};

use crate::turn::{
    allocation::table::AllocationId,
    api::names::identity::{RelayId, WorkerIndex},
    ports::{
        plan::{RelayAddress, RelayPorts, Shard},
        table::{Parity, PortHolder, PortTable},
    },
    rng::Rng,
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
    /// Live for TCP.
    Listening(AllocationId),
    Reserved,
    Closing,
}

#[derive(Debug, Clone, Copy)]
struct RelaySlot {
    address: usize,
    port: u16,
    state: Use,
}

#[derive(Debug)]
struct RelayPool {
    relay: RelayAddress,
    ports: Arc<PortTable>,
    /// Ports that this worker has taken and not given back.
    held: usize,
    /// Relays are opened here; false for an address that the machine has lost.
    is_drawn: bool,
}

impl RelayPool {
    fn is_drawn_for(&self, family: Family) -> bool {
        self.is_drawn && Family::of(self.relay.local) == family
    }
}

/// How many ports of one relay address a worker has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortUse {
    /// What sockets are bound to.
    pub local: IpAddr,
    /// Ports of the worker's slice, which it draws first. Those of all workers are the whole range.
    pub ports: usize,
    /// Ports that the worker has, from whichever slice: live, reserved, on their way up or not yet
    /// let go of. Nobody else can draw them.
    pub in_use: usize,
}

/// Which ports are drawn first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum DrawnFirst {
    /// Those of the worker's slice, where hardly any other draws, and then all.
    OwnSlice,
    /// All alike.
    Anyones,
}

/// A relay drawn for an Allocate, and the odd port after it if a pair was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct DrawnRelay {
    pub(in crate::turn) relay: RelayId,
    pub(in crate::turn) next: Option<RelayId>,
}

/// What a peer address is to the relays of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) enum RelayTarget {
    /// No relay address of ours, or a port outside the relay range.
    Outside,
    /// A live relay of this worker.
    Here(AllocationId),
    /// A port of the relay range that no live relay of any worker has.
    Nobody,
    /// A live relay of another worker.
    Elsewhere(WorkerIndex),
}

/// A TCP relay of any worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::turn) struct TcpRelay {
    pub(in crate::turn) local: SocketAddr,
    pub(in crate::turn) advertised: SocketAddr,
}

/// Every relay of one worker.
#[derive(Debug)]
pub(in crate::turn) struct Relays {
    worker: WorkerIndex,
    slice: RangeInclusive<u16>,
    addresses: Vec<RelayPool>,
    slots: Vec<RelaySlot>,
    free: Vec<RelayId>,
}

impl Relays {
    pub(in crate::turn) fn new(shard: &Shard) -> Relays {
        let addresses = shard.relays.iter().map(|relay| RelayPool {
            relay: relay.address,
            ports: relay.table.clone(),
            held: 0,
            is_drawn: true,
        });
        Relays {
            worker: shard.worker,
            slice: shard.ports.slice(shard.worker),
            addresses: addresses.collect(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }

    /// Opens relays on these addresses from now on, and on no others; those that are open live on.
    pub(in crate::turn) fn relay_on(&mut self, relays: &[RelayPorts]) {
        let is_asked = |local| relays.iter().any(|relay| relay.address.local == local);
        for address in &mut self.addresses {
            address.is_drawn = false;
        }
        for RelayPorts { address: relay, table } in relays {
            let known = self.addresses.iter().position(|it| it.relay.local == relay.local);
            if let Some(known) = known {
                let address = &mut self.addresses[known];
                (address.relay, address.is_drawn) = (*relay, true);
                continue;
            }
            let ports = Arc::clone(table);
            let new = RelayPool { relay: *relay, ports, held: 0, is_drawn: true };
            // The place of an address on which nothing is left, or there would be more every day.
            let is_left = |it: &RelayPool| it.held == 0 && !is_asked(it.relay.local);
            match self.addresses.iter().position(is_left) {
                Some(left) => self.addresses[left] = new,
                None => self.addresses.push(new),
            }
        }
    }

    /// True when relays of a family can be had at all.
    pub(in crate::turn) fn has_family(&self, family: Family) -> bool {
        self.addresses.iter().any(|address| address.is_drawn_for(family))
    }

    /// How many ports this worker has, address by address.
    pub(in crate::turn) fn port_use(&self) -> impl Iterator<Item = PortUse> {
        self.addresses.iter().map(|address| PortUse {
            local: address.relay.local,
            ports: self.slice.len(),
            in_use: address.held,
        })
    }

    /// True for an address relays are bound to or advertised with.
    pub(in crate::turn) fn is_relay_address(&self, ip: IpAddr) -> bool {
        let mut drawn = self.addresses.iter().filter(|address| address.is_drawn);
        drawn.any(|address| address.relay.advertised == ip || address.relay.local == ip)
    }

    /// Takes a port on some address of a family, the first tried at random. `None` when no worker
    /// has one that will do.
    pub(in crate::turn) fn draw(
        &mut self,
        family: Family,
        parity: Parity,
        first: DrawnFirst,
        rng: &mut Rng,
    ) -> Option<DrawnRelay> {
        let count = self.addresses.len();
        let begin = rng.below(count)?;
        let addresses = (0..count).map(|step| (begin + step) % count);
        let of_family = addresses.filter(|at| self.addresses[*at].is_drawn_for(family));
        let ports = |at: usize| &self.addresses[at].ports;
        let mut own = of_family.clone().filter(|_| first == DrawnFirst::OwnSlice);
        let own =
            own.find_map(|at| ports(at).take_from(&self.slice, parity, rng).map(|port| (at, port)));
        let (address, port) = own.or_else(|| {
            of_family.clone().find_map(|at| Some((at, ports(at).take_anywhere(parity, rng)?)))
        })?;
        let relay = self.hold(address, port);
        let next = (parity == Parity::Pair).then(|| self.hold(address, port + 1));
        Some(DrawnRelay { relay, next })
    }

    /// Takes one particular port for a socket that is there already: `None` on an address that is
    /// not ours or outside the relay range, `Some(None)` while somebody has it.
    pub(in crate::turn) fn claim(&mut self, local: SocketAddr) -> Option<Option<RelayId>> {
        let address = self.addresses.iter().position(|it| it.relay.local == local.ip())?;
        let ports = &self.addresses[address].ports;
        if !ports.has(local.port()) {
            return None;
        }
        let is_free = ports.claim(local.port());
        Some(is_free.then(|| self.hold(address, local.port())))
    }

    /// Makes an opening or reserved relay live for an allocation.
    pub(in crate::turn) fn go_live(&mut self, relay: RelayId, allocation: AllocationId) {
        self.set(relay, Use::Live(allocation));
        let slot = self.slots[relay.0 as usize];
        let holder = PortHolder { worker: self.worker, relay };
        self.addresses[slot.address].ports.go_live(slot.port, holder);
    }

    /// Makes an opening relay one that listens for TCP connections to an allocation.
    pub(in crate::turn) fn listen(&mut self, relay: RelayId, allocation: AllocationId) {
        self.set(relay, Use::Listening(allocation));
        let slot = self.slots[relay.0 as usize];
        self.addresses[slot.address].ports.listen(slot.port);
    }

    /// Makes an opening relay a reserved one.
    pub(in crate::turn) fn reserve(&mut self, relay: RelayId) {
        self.set(relay, Use::Reserved);
    }

    /// Silences a relay; its port stays taken until [`Relays::release`].
    pub(in crate::turn) fn close(&mut self, relay: RelayId) {
        let slot = self.slots[relay.0 as usize];
        if let Use::Live(_) | Use::Listening(_) = slot.state {
            self.addresses[slot.address].ports.silence(slot.port);
        }
        self.set(relay, Use::Closing);
    }

    /// Frees a relay whose socket is gone, or never was.
    pub(in crate::turn) fn release(&mut self, relay: RelayId) {
        let Some(slot) = self.slots.get(relay.0 as usize).copied() else { return };
        match slot.state {
            Use::Closing | Use::Opening => {
                let address = &mut self.addresses[slot.address];
                address.held -= 1;
                address.ports.give_back(slot.port);
                self.vacate(relay);
            }
            Use::Expected => self.vacate(relay),
            Use::Free | Use::Live(_) | Use::Listening(_) | Use::Reserved => {}
        }
    }

    /// The allocation behind a live relay: the one look a packet from a peer costs.
    pub(in crate::turn) fn live(&self, relay: RelayId) -> Option<AllocationId> {
        match self.slots.get(relay.0 as usize)?.state {
            Use::Live(allocation) => Some(allocation),
            Use::Free
            | Use::Expected
            | Use::Opening
            | Use::Listening(_)
            | Use::Reserved
            | Use::Closing => None,
        }
    }

    /// The allocation behind a relay that listens for TCP connections.
    pub(in crate::turn) fn listening(&self, relay: RelayId) -> Option<AllocationId> {
        match self.slots.get(relay.0 as usize)?.state {
            Use::Listening(allocation) => Some(allocation),
            Use::Free
            | Use::Expected
            | Use::Opening
            | Use::Live(_)
            | Use::Reserved
            | Use::Closing => None,
        }
    }

    /// A TCP relay of this process by either of its addresses: what it is bound to, and what
    /// clients are told.
    pub(in crate::turn) fn tcp_relay(&self, at: SocketAddr) -> Option<TcpRelay> {
        let address = &self.addresses[self.address_of(at.ip())?];
        let RelayAddress { local, advertised } = address.relay;
        address.ports.listens(at.port()).then(|| TcpRelay {
            local: SocketAddr::new(local, at.port()),
            advertised: SocketAddr::new(advertised, at.port()),
        })
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
    pub(in crate::turn) fn target(&self, to: SocketAddr) -> RelayTarget {
        let Some(address) = self.address_of(to.ip()) else { return RelayTarget::Outside };
        let ports = &self.addresses[address].ports;
        match ports.holder(to.port()) {
            Some(PortHolder { worker, relay }) if worker == self.worker => {
                self.live(relay).map_or(RelayTarget::Nobody, RelayTarget::Here)
            }
            Some(PortHolder { worker, .. }) => RelayTarget::Elsewhere(worker),
            None if ports.has(to.port()) => RelayTarget::Nobody,
            None => RelayTarget::Outside,
        }
    }

    /// True for a port that carries a relay of this process.
    pub(in crate::turn) fn is_live(&self, address: SocketAddr) -> bool {
        match self.target(address) {
            RelayTarget::Here(_) | RelayTarget::Elsewhere(_) => true,
            RelayTarget::Outside | RelayTarget::Nobody => false,
        }
    }

    /// Parts with a reserved relay, whose socket goes to another worker; its name is free here at
    /// once, and its port stays taken.
    pub(in crate::turn) fn part_with(&mut self, relay: RelayId) -> SocketAddr {
        let local = self.local(relay);
        let slot = self.slots[relay.0 as usize];
        self.addresses[slot.address].held -= 1;
        self.vacate(relay);
        local
    }

    /// Makes a name for a socket that another worker may give.
    pub(in crate::turn) fn expect(&mut self) -> RelayId {
        self.occupy(RelaySlot { address: 0, port: 0, state: Use::Expected })
    }

    /// Learns what the given socket is bound to; false when that is no relay address of ours.
    pub(in crate::turn) fn adopt(&mut self, relay: RelayId, local: SocketAddr) -> bool {
        let place = self.addresses.iter().position(|a| a.relay.local == local.ip());
        let expected = self.slots[relay.0 as usize].state == Use::Expected;
        let Some(address) = place.filter(|_| expected) else { return false };
        self.slots[relay.0 as usize] =
            RelaySlot { address, port: local.port(), state: Use::Opening };
        self.addresses[address].held += 1;
        true
    }

    /// Frees the port of a given socket that could not be used here and is gone.
    pub(in crate::turn) fn discard(&mut self, local: SocketAddr) {
        if let Some(address) = self.addresses.iter().find(|a| a.relay.local == local.ip()) {
            address.ports.give_back(local.port());
        }
    }

    fn whereabouts(&self, relay: RelayId) -> (RelayAddress, u16) {
        let slot = self.slots[relay.0 as usize];
        (self.addresses[slot.address].relay, slot.port)
    }

    fn address_of(&self, ip: IpAddr) -> Option<usize> {
        self.addresses.iter().position(|a| a.relay.advertised == ip || a.relay.local == ip)
    }

    fn hold(&mut self, address: usize, port: u16) -> RelayId {
        self.addresses[address].held += 1;
        self.occupy(RelaySlot { address, port, state: Use::Opening })
    }

    fn set(&mut self, relay: RelayId, state: Use) {
        self.slots[relay.0 as usize].state = state;
    }

    fn occupy(&mut self, slot: RelaySlot) -> RelayId {
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
