//! What one worker's server owns of the process: its index, its slice of the relay ports.
//!
//! The port range is cut into one contiguous slice per worker, at even ports so that a pair of
//! EVEN-PORT never lies across a cut. The rule is pure arithmetic, so every worker can name the
//! owner of any port without asking.

use std::{net::IpAddr, ops::RangeInclusive};

use crate::turn::{Quota, WorkerIndex};

/// One worker's part.
pub struct Shard {
    /// Which worker this is.
    pub worker: WorkerIndex,
    /// How the relay ports are shared out; the same in every worker.
    pub ports: PortPlan,
    /// Where relays may be, both families; the same in every worker. At least one.
    pub relay_addresses: Vec<RelayAddress>,
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

    /// True for a worker that takes part.
    pub fn has_worker(&self, worker: WorkerIndex) -> bool {
        worker.0 < self.workers
    }

    /// The worker whose slice holds a port, or `None` outside of the range.
    pub fn owner(&self, port: u16) -> Option<WorkerIndex> {
        if !(self.low..=self.high).contains(&port) {
            return None;
        }
        let pair = u32::from(port / 2 - self.low / 2);
        let worker = pair * u32::from(self.workers) / self.pairs();
        Some(WorkerIndex(worker as u8))
    }

    /// The ports of one worker; empty when there are more workers than pairs.
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

    /// The first pair whose owner is not below `worker` begins here.
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
        fn every_port_has_one_owner_and_lies_in_its_slice(a: u16, b: u16, workers in 1_u8..) {
            let plan = PortPlan::new(a, b, workers);
            let mut ports = 0_u32;
            for worker in 0..workers {
                for port in plan.slice(WorkerIndex(worker)) {
                    assert_eq!(plan.owner(port), Some(WorkerIndex(worker)));
                    ports += 1;
                }
            }
            assert_eq!(ports, u32::from(a.abs_diff(b)) + 1);
        }

        #[test]
        fn a_pair_is_never_cut(a: u16, b: u16, workers in 1_u8.., even: u16) {
            let plan = PortPlan::new(a, b, workers);
            let even = even & !1;
            if let (Some(one), Some(other)) = (plan.owner(even), plan.owner(even + 1)) {
                assert_eq!(one, other);
            }
        }
    }
}
