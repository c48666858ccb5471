//! A probe: one request of each kind at a steady pace beside other traffic, and how long each
//! answer took.
//!
//! A request that gets no answer is sent again as RFC 8489 §6.2.1 says, and its answer counts from
//! the first time. What is given up never came.

use super::{
    cycles::{Churn, Count, PROBE},
    work::Place,
};
use crate::{
    count::latency::Latency,
    fault::Fault,
    offer::spec::Spec,
    rig::{self, gauge::Gauge, lane::ThreadUse},
};

/// Cycles that may wait for answers at a time.
const CYCLES_AT_ONCE: usize = 256;

/// The cycles of one span of time.
pub(crate) struct Probe<'a> {
    spec: Spec,
    place: Place<'a>,
    gauge: Gauge,
    count: Count,
}

impl<'a> Probe<'a> {
    /// Prepares `rate` cycles a second within the window of `place`.
    pub(crate) fn new(spec: &Spec, rate: f64, place: Place<'a>) -> Result<Probe<'a>, Fault> {
        let per_cycle =
            Spec { threads: 1, window: CYCLES_AT_ONCE, rate: Some(rate), ..spec.clone() };
        rig::allow_sockets((spec.allocations + 2 * CYCLES_AT_ONCE) as u64)?;
        Ok(Probe { spec: per_cycle, place, gauge: Gauge::default(), count: Count::new(PROBE) })
    }

    /// Asks until the window ends and everything is answered or given up.
    pub(crate) fn run(&mut self) -> Result<Vec<ThreadUse>, Fault> {
        let mut churn = Churn::new(&self.spec, self.place, PROBE, &self.gauge)?;
        let used = churn.run(self.spec.cores.last().copied())?;
        self.count = churn.count();
        Ok(vec![used])
    }

    /// How long the answers to each kind of request took.
    pub(crate) fn answers(&self) -> Vec<(String, Option<Latency>)> {
        let each = self.count.requests.iter();
        each.map(|(request, took)| (request.name().to_owned(), Latency::of(took))).collect()
    }

    /// Cycles that came to nothing, and why the last did.
    pub(crate) fn failures(&self) -> (u64, Option<String>) {
        self.count.failures.clone()
    }
}
