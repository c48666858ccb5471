//! What one worker's server owns of the process: its index, its slice of the relay ports.
//!
//! The port range is cut into one contiguous slice per worker, at even ports so that a pair of
//! EVEN-PORT never lies across a cut. A worker draws from its own slice while something there will
//! do, and then from everybody's ([`PortTable`]).

use std::{net::IpAddr, ops::RangeInclusive, sync::Arc};

use crate::turn::{
    api::names::identity::WorkerIndex, policy::quota::Quota, ports::table::PortTable,
};

/// One worker's part.
pub struct Shard {
    /// Which worker this is.
    pub worker: WorkerIndex,
    /// How the relay ports are shared out; the same in every worker.
    pub ports: PortPlan,
    /// Where relays may be, both families; the same in every worker. At least one.
    pub relays: Vec<RelayPorts>,
    /// This worker's door to the counts of allocations per user and in total.
    pub quota: Box<dyn Quota>,
}

/// An address relays are bound to, and the one clients are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayAddress {
    /// What sockets are bound to.
    pub local: IpAddr,
    /// What XOR-RELAYED-ADDRESS says; differs from `local` behind a 1:1 NAT. Same family.
    pub advertised: IpAddr,
}

/// A relay address and its ports. A clone has the same ports.
#[derive(Debug, Clone)]
pub struct RelayPorts {
    /// Where the ports are.
    pub address: RelayAddress,
    /// Which of them are taken, and by whom.
    pub table: Arc<PortTable>,
}

/// How the relay-port range is shared out between the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortPlan {
    low: u16,
    high: u16,
    workers: u8,
}

impl PortPlan {
    /// Shares `low..=high` out between `workers`; a reversed range is taken the right way round,
    /// and no workers as one.
    pub fn new(low: u16, high: u16, workers: u8) -> PortPlan {
        PortPlan { low: low.min(high), high: low.max(high), workers: workers.max(1) }
    }

    /// The ports of some addresses, all free.
    pub fn open(&self, addresses: &[RelayAddress]) -> Vec<RelayPorts> {
        let ports = |address: &RelayAddress| RelayPorts { address: *address, table: self.table() };
        addresses.iter().map(ports).collect()
    }

    /// The ports of one address, all free.
    pub fn table(&self) -> Arc<PortTable> {
        Arc::new(PortTable::new(self.low..=self.high))
    }

    /// True for a worker that takes part.
    pub fn has_worker(&self, worker: WorkerIndex) -> bool {
        worker.0 < self.workers
    }

    /// The ports that a worker draws first; empty when there are more workers than pairs.
    pub fn slice(&self, worker: WorkerIndex) -> RangeInclusive<u16> {
        let first = self.first_port(u32::from(worker.0));
        let end = self.first_port(u32::from(worker.0) + 1);
        let last = end.saturating_sub(1).min(u32::from(self.high));
        let first = first.max(u32::from(self.low));
        if first > last {
            return RangeInclusive::new(1, 0);
        }
        first as u16..=last as u16
    }

    /// The slice of `worker` begins at this even port, and the slice before it ends.
    fn first_port(&self, worker: u32) -> u32 {
        let pair = (worker * self.pairs()).div_ceil(u32::from(self.workers));
        (u32::from(self.low / 2) + pair) * 2
    }

    /// Pairs of an even port and the odd one after it that the range touches.
    fn pairs(&self) -> u32 {
        u32::from(self.high / 2 - self.low / 2) + 1
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::proptest;

    use super::*;

    proptest! {
        #[test]
        fn slices_follow_each_other_through_the_whole_range(a: u16, b: u16, workers in 1_u8..) {
            let plan = PortPlan::new(a, b, workers);
            let slices = (0..workers).map(|worker| plan.slice(WorkerIndex(worker)));
            let mut next = u32::from(a.min(b));
            for slice in slices.filter(|slice| !slice.is_empty()) {
                assert_eq!(u32::from(*slice.start()), next);
                next = u32::from(*slice.end()) + 1;
                assert!(next.is_multiple_of(2) || next == u32::from(a.max(b)) + 1, "a cut pair");
            }
            assert_eq!(next, u32::from(a.max(b)) + 1);
        }

        #[test]
        fn slices_are_of_one_size_to_within_a_pair(a: u16, b: u16, workers in 1_u8..) {
            let plan = PortPlan::new(a, b, workers);
            let lens = (0..workers).map(|worker| plan.slice(WorkerIndex(worker)).len());
            let lens: Vec<usize> = lens.collect();
            // The range may begin with an odd port and end with an even one: half pairs.
            assert!(lens.iter().max().unwrap() - lens.iter().min().unwrap() <= 4, "{lens:?}");
        }
    }
}
