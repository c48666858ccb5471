//! What every worker is made from, whoever takes its turns: a thread, or a simulation.

use std::{io, sync::Arc};

use crossbeam_channel::{Receiver, Sender};

use crate::worker::{
    clock::Clock,
    data::{owners::FlowOwners, sockets::Listener},
    effects::quota::SharedQuota,
    mail::{
        batch::{BatchPool, BatchReturn},
        handoff::OpenBatches,
        mailbox::{Address, Mail, Mailboxes, inbox},
    },
    reactor::{Parts, Worker},
    start::{
        listen::{ListenerSockets, OpenListeners},
        plan::{Plan, SpawnError, Steering},
    },
    status::report::Tell,
    stream::bounds::rules::StreamRules,
};
use crate::{
    io::{Driver, Waker},
    turn::{Counts, RelayPorts, Server, Shard, WorkerIndex},
};

/// What workers have from outside of the process.
pub(super) struct World<S> {
    /// Opens listening sockets.
    pub(super) listening: Box<dyn OpenListeners>,
    /// Says what time it is.
    pub(super) clock: Clock,
    /// Draws what a worker's own generator begins with.
    pub(super) seed: S,
}

/// What one worker is given to begin with.
pub(super) struct WorkerInit {
    pub(super) index: WorkerIndex,
    pub(super) tell: Tell,
    listeners: Vec<ListenerSockets>,
    reserved_sockets: u32,
    stream_rules: Arc<StreamRules>,
    most_streams: u32,
    steering: Steering,
    server: Server,
    clock: Clock,
    inbox: Receiver<Mail>,
    batches: BatchPool,
}

/// How the others reach a worker, but for its waker.
pub(super) struct WorkerHandle {
    inbox: Sender<Mail>,
    batch_return: BatchReturn,
}

/// A worker whose listening sockets are open in its driver. It waits to hear of the others.
pub(super) struct OpenedWorker<D> {
    init: WorkerInit,
    driver: D,
    listeners: Vec<Listener>,
}

/// All workers, and what they share.
pub(super) struct Prepared {
    pub(super) workers: Vec<WorkerInit>,
    pub(super) handles: Vec<WorkerHandle>,
    pub(super) quota: SharedQuota,
    pub(super) relays: Vec<RelayPorts>,
}

/// Makes everything but the drivers. The listening sockets are given by worker.
///
/// # Errors
/// There is no seed.
pub(super) fn prepare<S: FnMut() -> io::Result<[u8; 32]>>(
    plan: &Plan,
    tell: &Tell,
    sockets: Vec<Vec<ListenerSockets>>,
    world: &mut World<S>,
) -> Result<Prepared, SpawnError> {
    let quota = SharedQuota::new(Counts::new(plan.limits.per_user, plan.limits.total));
    let relays = plan.ports.open(&plan.relay_addresses);
    let (mut workers, mut handles) = (Vec::new(), Vec::new());
    for (worker, listeners) in sockets.into_iter().enumerate() {
        let index = WorkerIndex(worker as u8);
        let (messages, inbox) = inbox();
        let (batches, batch_return) = BatchPool::new();
        handles.push(WorkerHandle { inbox: messages, batch_return });
        let shard = Shard {
            worker: index,
            ports: plan.ports,
            relays: relays.clone(),
            quota: Box::new(quota.clone()),
        };
        let seed = (world.seed)().map_err(SpawnError::Start)?;
        workers.push(WorkerInit {
            index,
            tell: Arc::clone(tell),
            listeners,
            reserved_sockets: plan.reserved_sockets,
            stream_rules: Arc::clone(&plan.stream_rules),
            most_streams: plan.io.streams,
            steering: plan.steering,
            server: Server::new(Arc::clone(&plan.settings), shard, seed),
            clock: world.clock.clone(),
            inbox,
            batches,
        });
    }
    Ok(Prepared { workers, handles, quota, relays })
}

/// The addresses of all workers, whose wakers are given in their order.
pub(super) fn addresses(handles: Vec<WorkerHandle>, wakers: Vec<Waker>) -> Vec<Address> {
    let pairs = handles.into_iter().zip(wakers);
    let address = |(handle, waker): (WorkerHandle, Waker)| Address {
        inbox: handle.inbox,
        waker,
        batch_return: handle.batch_return,
    };
    pairs.map(address).collect()
}

impl WorkerInit {
    /// Gives the listening sockets to the driver.
    ///
    /// # Errors
    /// The driver does not take one.
    pub(super) fn open<D: Driver>(mut self, mut driver: D) -> io::Result<OpenedWorker<D>> {
        let sockets = std::mem::take(&mut self.listeners).into_iter();
        let listeners = sockets.map(|sockets| Listener::open(&mut driver, sockets));
        let listeners = listeners.collect::<io::Result<_>>()?;
        Ok(OpenedWorker { init: self, driver, listeners })
    }
}

impl<D: Driver> OpenedWorker<D> {
    /// What wakes the driver.
    pub(super) fn waker(&self) -> Waker {
        self.driver.waker()
    }

    /// Puts the worker together, now that it knows all addresses.
    pub(super) fn begin(self, addresses: Vec<Address>) -> Worker<D> {
        let OpenedWorker { init, driver, listeners } = self;
        Worker::new(Parts {
            index: init.index,
            driver,
            server: init.server,
            listeners,
            reserved_sockets: init.reserved_sockets,
            stream_rules: init.stream_rules,
            most_streams: init.most_streams,
            clock: init.clock,
            inbox: init.inbox,
            batches: OpenBatches::new(init.batches, addresses.len()),
            mailboxes: Mailboxes::new(init.index, addresses),
            owners: FlowOwners::new(init.steering),
            tell: init.tell,
        })
    }
}
