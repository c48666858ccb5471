//! The process under test: the workers as they are, on a machine that is not, and when each of them
//! takes its turn.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::Arc,
};

use uturn::{
    io::Wait,
    stream::StreamLimits,
    turn::Now,
    worker::{
        self, Clock, Limits, Plan, Stage, StreamRules, Tell, VirtualTime, Worker, Workers, assemble,
    },
};

use super::{
    driver::{SimDriver, SimListeners},
    forwarder::{Forwarder, Told},
    machine::{Deed, Kind, Shared, State},
    mail::{Mailboxes, Redemption},
    model::Operated,
    rng::Rng,
    scenario::Scenario,
};

/// An Allocate that waits for sockets.
#[derive(Debug, Default)]
pub(crate) struct Attempt {
    /// Those it has no answer for.
    pub(crate) awaited: BTreeSet<SocketAddr>,
    /// Whether one of them could not be had.
    pub(crate) failed: bool,
}

/// When a worker takes a turn.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Schedule {
    /// It is away until then.
    pub(crate) away_until_ms: u64,
    /// It hears of what others have posted only then.
    pub(crate) deaf_until_ms: u64,
    /// Something waits for it, and it looks then.
    looks_at_ms: Option<u64>,
    /// A timer of its own.
    timer_ms: Option<u64>,
}

pub(crate) struct Node {
    pub(crate) machine: Shared,
    pub(crate) time: Arc<VirtualTime>,
    pub(crate) control: Workers,
    /// Those that have not ended.
    pub(crate) workers: Vec<Option<Worker<SimDriver>>>,
    pub(crate) schedules: Vec<Schedule>,
    pub(crate) mail: Mailboxes,
    pub(crate) forwarders: Vec<Forwarder>,
    /// Whose client a five-tuple is, as each worker knows it of the others.
    pub(crate) owners: Vec<BTreeMap<SocketAddr, u8>>,
    /// Workers that have been given rules and have not measured permissions by them.
    pub(crate) reviews: Vec<bool>,
    pub(crate) attempts: BTreeMap<SocketAddr, Attempt>,
    /// Which client's Allocate waits for a socket.
    pub(crate) asked: BTreeMap<SocketAddr, SocketAddr>,
    /// Sockets of Allocates that try again.
    pub(crate) unsettled: BTreeSet<SocketAddr>,
    /// Everything a waiting Allocate has drawn so far, by its client: what somebody else uses is
    /// held back until the end, so that it is not tried twice.
    pub(crate) drawn: BTreeMap<SocketAddr, BTreeSet<SocketAddr>>,
    /// Addresses that somebody has a socket on, as of the step that is looked at.
    pub(crate) taken: BTreeSet<SocketAddr>,
    /// Reserved ports that leave their driver.
    pub(crate) leaving: BTreeMap<SocketAddr, Redemption>,
    /// What nonces are signed with.
    pub(crate) master: [u8; 32],
}

impl Node {
    pub(crate) fn new(scenario: &Scenario, rng: &mut Rng) -> Node {
        let master = rng.array();
        let machine = Shared::new(scenario.workers, scenario.foreign_ports.clone(), rng);
        let time = Arc::new(VirtualTime::default());
        let plan = Plan {
            listen: scenario.listens_from_the_start(),
            relay_addresses: scenario.relay_addresses(),
            ports: scenario.plan(),
            cores: (0..scenario.workers.into()).collect(),
            settings: Arc::new(scenario.settings(master, &Operated::default())),
            limits: scenario.limits(),
            steering: scenario.steering,
            driver: worker::DriverKind::Portable,
            io: uturn::io::Settings { streams: scenario.streams, ..Default::default() },
            reserved_sockets: 1000,
            stream_rules: Arc::new(scenario.stream_rules()),
        };
        let listening = SimListeners { machine: machine.clone() };
        let made = machine.clone();
        let stage = Stage {
            listening: Box::new(listening),
            clock: Clock::Virtual(time.clone()),
            seed: rng.array(),
            driver: |worker: uturn::turn::WorkerIndex| {
                SimDriver::new(worker.0.into(), made.clone())
            },
        };
        let told = machine.clone();
        let tell: Tell = Arc::new(move |worker, report| {
            told.record(worker.0.into(), Deed::Report(report));
        });
        let (control, mut workers) = assemble(&plan, &tell, stage).expect("a machine");
        for (worker, it) in workers.iter_mut().enumerate() {
            it.set_forwarder(Box::new(Told { worker, machine: machine.clone() }));
        }
        for side in &mut machine.lock().sides {
            side.deeds.clear();
            side.wires.set_capacity(scenario.streams as usize);
        }
        let count = usize::from(scenario.workers);
        Node {
            machine,
            time,
            control,
            workers: workers.into_iter().map(Some).collect(),
            schedules: vec![Schedule::default(); count],
            mail: Mailboxes::new(scenario.workers),
            forwarders: (0..count).map(|_| Forwarder::default()).collect(),
            owners: vec![BTreeMap::new(); count],
            reviews: vec![false; count],
            attempts: BTreeMap::new(),
            asked: BTreeMap::new(),
            unsettled: BTreeSet::new(),
            drawn: BTreeMap::new(),
            taken: BTreeSet::new(),
            leaving: BTreeMap::new(),
            master,
        }
    }

    /// Sets the clocks of everybody.
    pub(crate) fn set_time(&self, now: Now) {
        self.time.set(now);
        self.machine.lock().now_ms = now.mono_ms;
    }

    /// The worker that takes a turn next, and when. What is there for a worker waits until it
    /// looks, which is some milliseconds later, so that turns have batches.
    pub(crate) fn next_turn(&mut self, now_ms: u64, rng: &mut Rng) -> Option<(u64, usize)> {
        let mut machine = self.machine.lock();
        let mut turns = Vec::new();
        for worker in (0..self.workers.len()).filter(|it| self.workers[*it].is_some()) {
            let (side, schedule) = (&mut machine.sides[worker], &mut self.schedules[worker]);
            let woken_ms = side.is_woken().then_some(now_ms.max(schedule.deaf_until_ms));
            let waits_from_ms = woken_ms.into_iter().chain(side.next_ms()).min();
            match (waits_from_ms, schedule.looks_at_ms) {
                (Some(from_ms), None) => {
                    schedule.looks_at_ms = Some(from_ms.max(now_ms) + rng.below(4) / 2);
                }
                (Some(from_ms), Some(at_ms)) if from_ms < at_ms.saturating_sub(2) => {
                    schedule.looks_at_ms = Some(from_ms.max(now_ms));
                }
                (Some(_) | None, _) => {}
            }
            let at_ms = schedule.looks_at_ms.into_iter().chain(schedule.timer_ms).min();
            turns.extend(at_ms.map(|at_ms| (at_ms.max(schedule.away_until_ms), worker)));
        }
        turns.into_iter().min()
    }

    /// A worker takes a turn. Gives what it did, and whether that was its last turn.
    pub(crate) fn turn(&mut self, now_ms: u64, index: usize) -> bool {
        let worker = self.workers[index].as_mut().expect("one that has not ended");
        worker.turn().expect("no ring fails");
        let timer_ms = match worker.next_wait() {
            Wait::None => Some(now_ms),
            Wait::For(time) => Some(now_ms + time.as_millis() as u64),
            Wait::Forever => None,
        };
        let is_over = worker.is_stopping();
        self.schedules[index] = Schedule { looks_at_ms: None, timer_ms, ..self.schedules[index] };
        is_over
    }

    /// Local addresses of relays that receive, those of Allocates under way left out.
    pub(crate) fn bound(&self) -> BTreeSet<SocketAddr> {
        self.in_state(&[State::Open, State::Broken])
    }

    /// The same for those that only hold a port.
    pub(crate) fn held(&self) -> BTreeSet<SocketAddr> {
        self.in_state(&[State::Paused])
    }

    fn in_state(&self, states: &[State]) -> BTreeSet<SocketAddr> {
        let machine = self.machine.lock();
        let wanted = machine.relays().filter(|it| states.contains(&it.state));
        let wanted = wanted.filter(|it| !self.unsettled.contains(&it.local));
        wanted.map(|it| it.local).collect()
    }

    /// No driver has a relay socket.
    pub(crate) fn is_silent(&self) -> bool {
        self.machine.lock().relays().next().is_none()
    }

    /// No port is had by two, and none is lost: what workers count is what they hold.
    pub(crate) fn check_ports(&self) {
        let machine = self.machine.lock();
        let sockets = machine.relays().filter(|it| it.state != State::Leaving);
        let held: BTreeSet<_> = sockets.map(|it| it.local).collect();
        let held: BTreeSet<_> =
            held.into_iter().chain(self.drawn.values().flatten().copied()).collect();
        let counted = self.workers.iter().flatten().flat_map(|it| it.server().port_use());
        assert_eq!(counted.map(|ports| ports.in_use).sum::<usize>(), held.len(), "{held:?}");
    }

    /// Every worker can see who relays on which port.
    pub(crate) fn check_holders(&self, holders: &BTreeMap<SocketAddr, u8>) {
        for relays in &self.control.relay_ports() {
            for port in 0..=u16::MAX {
                let local = SocketAddr::new(relays.address.local, port);
                let holder = relays.table.holder(port).map(|holder| holder.worker.0);
                assert_eq!(holder, holders.get(&local).copied(), "{local}");
            }
        }
    }

    /// True for an address that a waiting Allocate has drawn.
    pub(crate) fn is_drawn(&self, local: SocketAddr) -> bool {
        self.drawn.values().any(|drawn| drawn.contains(&local))
    }

    /// A worker is gone, and its sockets with it.
    pub(crate) fn end(&mut self, index: usize) -> worker::Snapshot {
        let worker = self.workers[index].take().expect("one that has not ended");
        let snapshot = worker.end().expect("no ring fails");
        let mut machine = self.machine.lock();
        assert_eq!(snapshot.listener_overflow, machine.sides[index].overflow);
        let relays = machine.sides[index].sockets.iter().flatten();
        let mut relays = relays.filter(|it| it.kind == Kind::Relay);
        assert!(relays.all(|it| it.state != State::Open || self.unsettled.contains(&it.local)));
        machine.sides[index].sockets.clear();
        machine.sides[index].wires.end();
        drop(machine);
        self.mail.stop(index as u8);
        snapshot
    }
}

impl Scenario {
    fn stream_rules(&self) -> StreamRules {
        let queued_bytes = self.queued_bytes;
        let limits = StreamLimits { queued_bytes, ..Default::default() };
        StreamRules { limits, proxies: self.proxies.clone(), ..Default::default() }
    }

    pub(crate) fn limits(&self) -> Limits {
        Limits { per_user: Some(self.user_quota), total: Some(self.total_quota) }
    }
}
