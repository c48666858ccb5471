//! Brings the workers up: every socket first, then one pinned thread each.
//!
//! Whatever can go wrong goes wrong here, before the first packet is served: an address in use, a
//! ring the kernel refuses. A ring belongs to the thread that made it, so each thread makes its own
//! and tells whether it could; only then do the workers learn of each other and begin.

use std::{
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use crate::worker::{
    clock::Clock,
    effects::quota::{Limits, SharedQuota},
    mail::mailbox::{Address, Mail, Mailboxes},
    start::{
        init::{Prepared, WorkerInit, World, addresses, prepare},
        listen::{GrantedSockets, Listening, OpenListeners},
        plan::{DriverKind, Listen, Plan, SpawnError},
    },
    status::{
        questions::Question,
        report::{Report, Tell},
        snapshot::Snapshot,
    },
    stream::bounds::rules::StreamRules,
};
use crate::{
    io::{self as net, Driver, PortableDriver, UringDriver, Waker},
    turn::{Alternates, ListenerId, PortPlan, RelayAddress, RelayPorts, Settings, WorkerIndex},
};

/// The running workers, as whoever controls them knows them.
#[derive(Debug)]
pub struct Workers {
    /// For the control thread alone: no worker ever waits for it.
    pub(super) mailboxes: Mutex<Mailboxes>,
    pub(super) threads: Vec<JoinHandle<()>>,
    pub(super) listening: Box<dyn OpenListeners>,
    pub(super) granted: GrantedSockets,
    pub(super) quota: SharedQuota,
    pub(super) ports: PortPlan,
    /// The ports of every address on which relays are open or may live. For who controls the
    /// workers alone: no worker ever waits for it.
    pub(super) relays: Mutex<Vec<RelayPorts>>,
}

/// What one thread is given to begin with.
struct ThreadInit {
    worker: WorkerInit,
    core: usize,
    io: net::Settings,
    ready: Sender<(WorkerIndex, io::Result<Waker>)>,
    begin: Receiver<Vec<Address>>,
}

/// Starts the workers.
///
/// # Errors
/// Names the address or the step that failed; whatever had been started is gone again.
pub fn spawn(plan: &Plan, tell: &Tell) -> Result<Workers, SpawnError> {
    let listening = Listening::new(plan)?;
    let (sockets, granted) = listening.open_all(&plan.listen)?;
    let mut world = World { listening: Box::new(listening), clock: Clock::Machine, seed };
    let Prepared { workers, handles, quota, relays } = prepare(plan, tell, sockets, &mut world)?;
    let (ready, readiness) = bounded(plan.cores.len());
    let (mut threads, mut begins) = (Vec::new(), Vec::new());
    for (worker, core) in workers.into_iter().zip(&plan.cores) {
        let (begin, begun) = bounded(1);
        begins.push(begin);
        let (core, io, ready) = (*core, plan.io, ready.clone());
        let init = ThreadInit { worker, core, io, ready, begin: begun };
        threads.push(start(plan.driver, init).map_err(SpawnError::Start)?);
    }
    drop(ready);
    let addresses = addresses(handles, wakers(&readiness, threads.len())?);
    exchange_addresses(&addresses, &begins);
    let mailboxes = Mutex::new(Mailboxes::of_control(addresses));
    let (listening, relays) = (world.listening, Mutex::new(relays));
    Ok(Workers { mailboxes, threads, listening, granted, quota, ports: plan.ports, relays })
}

impl Workers {
    /// Tells every worker to end. Each then makes its last report. As every command, it waits for
    /// room in an inbox that is full: see [`Workers::retry`].
    pub fn stop(&self) {
        self.command(|| Mail::Stop);
    }

    /// Tries the commands that found a full inbox once more; says whether some still wait. Nothing
    /// here ever waits for a worker, because whoever commands has others to serve: one that hangs
    /// keeps its inbox full for as long as it hangs.
    pub fn retry(&self) -> bool {
        let mut mailboxes = self.mailboxes();
        mailboxes.retry();
        mailboxes.has_waiting()
    }

    /// Waits until every thread is gone.
    pub fn join(self) {
        for thread in self.threads {
            // A panic has been printed by its thread, and its last report is missing.
            drop(thread.join());
        }
    }

    /// Asks every worker for its counters; those that answer within the channel's life do.
    pub fn snapshots(&self) -> Receiver<Snapshot> {
        let mailboxes = self.mailboxes();
        let (answer, answers) = bounded(mailboxes.workers().count());
        for worker in mailboxes.workers() {
            // A worker that cannot be asked is missing in the answer.
            drop(mailboxes.try_post(worker, Mail::Snapshot(answer.clone())));
        }
        answers
    }

    /// Asks a worker about its sessions; false when it takes no mail.
    pub fn ask(&self, worker: WorkerIndex, question: Question) -> bool {
        self.mailboxes().try_post(worker, Mail::Question(question)).is_ok()
    }

    /// Gives every worker other rules; each answers with its index once they hold for it.
    pub fn reconfigure(&self, settings: &Arc<Settings>, limits: Limits) -> Receiver<WorkerIndex> {
        self.quota.limit(limits);
        let (answer, answers) = bounded(self.mailboxes().workers().count());
        self.command(|| Mail::Settings(Arc::clone(settings), answer.clone()));
        answers
    }

    /// Gives every worker other rules for connections that come from now on; those that live keep
    /// what they have.
    pub fn set_stream_rules(&self, rules: &Arc<StreamRules>) {
        self.command(|| Mail::StreamRules(Arc::clone(rules)));
    }

    /// Has every worker take no new clients and send them there, or take them again.
    pub fn drain(&self, alternates: Option<Alternates>) {
        self.command(|| Mail::Drain(alternates));
    }

    /// Has every worker listen on one more address, or on one that it listened on before.
    ///
    /// # Errors
    /// The address cannot be opened; nobody listens on it then.
    pub fn listen(&self, listener: ListenerId, listen: Listen) -> Result<(), SpawnError> {
        let sockets = self.listening.open(listen)?;
        let mut mailboxes = self.mailboxes();
        for (worker, sockets) in mailboxes.workers().zip(sockets) {
            mailboxes.post(worker, Mail::Listen { listener, sockets });
        }
        Ok(())
    }

    /// Has every worker open relays on these addresses from now on, and on no others. An address on
    /// which relays still live has the ports it had, if it comes again.
    pub fn relay_on(&self, addresses: &[RelayAddress]) {
        let mut known = self.relays.lock().unwrap_or_else(PoisonError::into_inner);
        // What no worker has any more is forgotten, or there would be more every day.
        known.retain(|relay| Arc::strong_count(&relay.table) > 1);
        let mut ports = |address: &RelayAddress| {
            let had = known.iter().find(|relay| relay.address.local == address.local);
            let table = had.map(|relay| Arc::clone(&relay.table));
            let table = table.unwrap_or_else(|| self.ports.table());
            let relay = RelayPorts { address: *address, table };
            known.retain(|it| it.address.local != address.local);
            known.push(relay.clone());
            relay
        };
        let relays: Arc<[RelayPorts]> = addresses.iter().map(&mut ports).collect();
        self.command(|| Mail::Relays(Arc::clone(&relays)));
    }

    /// Has no worker listen on an address any more. Allocations live on.
    pub fn stop_listening(&self, listener: ListenerId) {
        self.command(|| Mail::StopListening(listener));
    }

    /// How many allocations an account has, and how many there are in total, reserved ports
    /// included.
    pub fn quota_held(&self, account: &str) -> (u32, u32) {
        self.quota.held(account)
    }

    /// The relay addresses, and who has which port of them.
    pub fn relay_ports(&self) -> Vec<RelayPorts> {
        self.relays.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What the kernel gave the listening sockets.
    pub fn granted(&self) -> GrantedSockets {
        self.granted
    }

    /// Posts what must arrive to every worker.
    fn command(&self, message: impl Fn() -> Mail) {
        let mut mailboxes = self.mailboxes();
        mailboxes.workers().for_each(|worker| mailboxes.post(worker, message()));
    }

    fn mailboxes(&self) -> MutexGuard<'_, Mailboxes> {
        self.mailboxes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel's generator.
fn seed() -> io::Result<[u8; 32]> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}

fn start(driver: DriverKind, init: ThreadInit) -> io::Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(format!("uturn-{}", init.worker.index.0));
    match driver {
        DriverKind::Uring => thread.spawn(|| worker_main(init, UringDriver::new)),
        DriverKind::Portable => thread.spawn(|| worker_main(init, PortableDriver::new)),
    }
}

/// Waits until every thread has its driver.
fn wakers(
    readiness: &Receiver<(WorkerIndex, io::Result<Waker>)>,
    workers: usize,
) -> Result<Vec<Waker>, SpawnError> {
    let mut wakers: Vec<Option<Waker>> = vec![None; workers];
    for _ in 0..workers {
        let gone = || io::Error::other("a worker's thread ended before it was ready");
        let (worker, waker) = readiness.recv().map_err(|_| SpawnError::Driver(gone()))?;
        wakers[usize::from(worker.0)] = Some(waker.map_err(SpawnError::Driver)?);
    }
    Ok(wakers.into_iter().flatten().collect())
}

/// Tells each thread the addresses of all.
fn exchange_addresses(addresses: &[Address], begins: &[Sender<Vec<Address>>]) {
    for begin in begins {
        // A thread that is gone by now makes itself known by its last report.
        drop(begin.send(addresses.to_vec()));
    }
}

/// The whole life of a worker's thread.
fn worker_main<D: Driver>(init: ThreadInit, make: impl FnOnce(&net::Settings) -> io::Result<D>) {
    let ThreadInit { worker, core, io, ready, begin } = init;
    core_affinity::set_for_current(core_affinity::CoreId { id: core });
    let (index, tell) = (worker.index, Arc::clone(&worker.tell));
    let begun = make(&io).and_then(|driver| worker.open(driver));
    let opened = match begun {
        Ok(opened) => opened,
        Err(error) => return drop(ready.send((index, Err(error)))),
    };
    drop(ready.send((index, Ok(opened.waker()))));
    // The other side is dropped when another worker could not start.
    let Ok(addresses) = begin.recv() else { return };
    let last = match opened.begin(addresses).run() {
        Ok(snapshot) => Report::Stopped(Box::new(snapshot)),
        Err(error) => Report::Failed(error),
    };
    tell(index, last);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr, UdpSocket};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::turn::{Authenticator, Credentials, Nonces, PeerPolicy, SessionId};
    use crate::worker::{AnswerTo, Steering};

    const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// One worker that nobody talks to, and where its reports come out.
    fn worker() -> (Workers, Receiver<Report>) {
        let free = UdpSocket::bind((LOOPBACK, 0)).and_then(|socket| socket.local_addr());
        let authenticator =
            Authenticator::new(Credentials::new("realm"), Nonces::new([1; 32], 3600));
        let settings = Settings::new(authenticator, PeerPolicy::new(&[], &[], &[]));
        let plan = Plan {
            listen: vec![Listen::datagrams(free.expect("loopback"))],
            relay_addresses: vec![RelayAddress { local: LOOPBACK, advertised: LOOPBACK }],
            ports: PortPlan::new(20_000, 20_099, 1),
            cores: vec![0],
            settings: Arc::new(settings),
            limits: Limits { per_user: None, total: None },
            steering: Steering::Hash,
            driver: DriverKind::Portable,
            io: net::Settings::default(),
            reserved_sockets: 1,
            stream_rules: Arc::default(),
        };
        let (told, reports) = bounded(8);
        let tell: Tell = Arc::new(move |_, report| drop(told.send(report)));
        (spawn(&plan, &tell).expect("the worker starts"), reports)
    }

    /// Has a worker hang until what is returned is dropped.
    fn hang(workers: &Workers) -> Sender<()> {
        let (begun, begins) = bounded::<()>(1);
        let (gate, held) = bounded::<()>(1);
        let answer = AnswerTo::new(move |_| {
            drop(begun);
            held.recv().unwrap_err();
        });
        let nobody = SessionId { worker: WorkerIndex(0), serial: 0 };
        assert!(workers.ask(WorkerIndex(0), Question::Kill(nobody, answer)));
        begins.recv().unwrap_err();
        gate
    }

    #[test]
    fn commands_to_a_worker_that_hangs_with_a_full_inbox_return_at_once_and_arrive_later() {
        let (workers, reports) = worker();
        let gate = hang(&workers);
        let nobody = SessionId { worker: WorkerIndex(0), serial: 0 };
        let ask = || Question::Kill(nobody, AnswerTo::new(|_| {}));
        while workers.ask(WorkerIndex(0), ask()) {}
        let begun = Instant::now();
        workers.drain(None);
        workers.stop_listening(ListenerId(0));
        workers.stop();
        assert!(workers.retry(), "the commands wait");
        assert!(begun.elapsed() < Duration::from_millis(500), "{:?}", begun.elapsed());
        drop(gate);
        while workers.retry() {
            thread::sleep(Duration::from_millis(1));
        }
        let last = reports.recv_timeout(Duration::from_secs(10)).expect("a last report");
        assert!(matches!(last, Report::Stopped(_)), "{last:?}");
        workers.join();
    }
}
