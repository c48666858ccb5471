//! Workers without threads, on sockets and a clock that are given: for whoever simulates the rest.
//!
//! They are made as those of [`spawn`](super::spawn::spawn) are, and [`Workers`] controls them as
//! it controls those. Only their turns are taken from outside, by [`Worker::turn`], in any order.

use std::{io, sync::Mutex};

use crate::worker::{
    clock::Clock,
    mail::mailbox::Mailboxes,
    reactor::Worker,
    start::init::{OpenedWorker, WorkerInit, World, addresses, prepare},
    start::listen::{GrantedSockets, OpenListeners},
    start::plan::{Plan, SpawnError},
    start::spawn::Workers,
    status::report::Tell,
};
use crate::{io::Driver, turn::WorkerIndex};

/// What stands in for the machine.
pub struct Stage<M> {
    /// Opens listening sockets.
    pub listening: Box<dyn OpenListeners>,
    /// Says what time it is.
    pub clock: Clock,
    /// What the generators of all workers come from.
    pub seed: [u8; 32],
    /// Makes the driver of a worker.
    pub driver: M,
}

/// Makes the workers of a plan, by index. Its cores say how many; they are pinned to none of them,
/// and [`Plan::driver`] and [`Plan::io`] are not looked at.
///
/// # Errors
/// Names the address or the step that failed.
pub fn assemble<D: Driver>(
    plan: &Plan,
    tell: &Tell,
    stage: Stage<impl FnMut(WorkerIndex) -> io::Result<D>>,
) -> Result<(Workers, Vec<Worker<D>>), SpawnError> {
    let Stage { listening, clock, seed, mut driver } = stage;
    let mut sockets: Vec<Vec<_>> = plan.cores.iter().map(|_| Vec::new()).collect();
    for listen in &plan.listen {
        let opened = listening.open(*listen)?;
        sockets.iter_mut().zip(opened).for_each(|(worker, opened)| worker.push(opened));
    }
    let mut drawn = 0;
    let seed = || {
        drawn += 1;
        let mut seed = seed;
        seed[0] = seed[0].wrapping_add(drawn);
        Ok(seed)
    };
    let mut world = World { listening, clock, seed };
    let prepared = prepare(plan, tell, sockets, &mut world)?;
    let mut open = |worker: WorkerInit| driver(worker.index).and_then(|made| worker.open(made));
    let opened = prepared.workers.into_iter().map(&mut open);
    let opened = opened.collect::<io::Result<Vec<_>>>().map_err(SpawnError::Driver)?;
    let wakers = opened.iter().map(OpenedWorker::waker).collect();
    let addresses = addresses(prepared.handles, wakers);
    let workers = opened.into_iter().map(|worker| worker.begin(addresses.clone())).collect();
    let control = Workers {
        mailboxes: Mutex::new(Mailboxes::of_control(addresses)),
        threads: Vec::new(),
        listening: world.listening,
        granted: GrantedSockets { buffers: None, requests_apart: true },
        quota: prepared.quota,
        ports: plan.ports,
        relays: Mutex::new(prepared.relays),
    };
    Ok((control, workers))
}
