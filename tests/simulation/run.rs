//! The loop, and what holds after every step.

use std::{collections::BTreeMap, net::SocketAddr};

use crossbeam_channel::Receiver;
use uturn::{
    turn::{self, Now, Reason, SessionId, WorkerIndex},
    wire::ErrorCode,
    worker::{self, Snapshot},
};

use super::{
    client::Client,
    hold::Deeds,
    line::Lines,
    machine::{Arrival, Kind, State},
    mail::Mail,
    model::{Model, Sums},
    network::Network,
    node::Node,
    packet::Packet,
    rng::Rng,
    scenario::{BEGIN_S, Scenario},
    tally::Tally,
    wires::{Down, StreamNews},
};

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    ToServer {
        from: SocketAddr,
        packets: Vec<Packet>,
    },
    ToClient {
        to: SocketAddr,
        bytes: Vec<u8>,
    },
    ToPeer {
        relayed: SocketAddr,
        peer: SocketAddr,
    },
    ToRelay {
        peer: SocketAddr,
        relayed: SocketAddr,
        segments: Vec<Vec<u8>>,
    },
    /// What a client's connection brings to the machine.
    Up(SocketAddr, StreamNews),
    /// What it brings to the client.
    Down(SocketAddr, Down),
    /// A client that reads slowly reads on.
    Read(SocketAddr),
    /// Something goes wrong on the machine.
    Trouble,
    /// The operator does something.
    Operate,
    /// The control thread posts again what found an inbox full.
    RetryCommands,
    /// A client does something of its own accord.
    Act(usize),
    /// A client refreshes its allocation.
    Keep(usize),
    /// A client says what it has put off.
    Probe {
        client: usize,
        packet: Packet,
    },
    /// A client has waited long enough for an answer.
    Retry {
        client: usize,
        transaction: [u8; 12],
    },
}

/// One story: the process, the world around it, and the truth.
pub(crate) struct Story {
    pub(crate) now_ms: u64,
    pub(crate) rng: Rng,
    pub(crate) network: Network<Event>,
    pub(crate) node: Node,
    pub(crate) model: Model,
    pub(crate) clients: Vec<Client>,
    /// Clients' ends of their connections, and the ports they have had.
    pub(crate) lines: Lines,
    pub(crate) ports_used: u16,
    /// Which worker the packets of a client come to, if not to the one its address says.
    pub(crate) steered: BTreeMap<SocketAddr, u8>,
    /// Relayed addresses clients have told each other.
    pub(crate) known: Vec<SocketAddr>,
    /// Reservation tokens clients have told each other.
    pub(crate) tokens: Vec<[u8; 8]>,
    /// What the worker whose turn it is has done that has found no reason yet.
    pub(crate) deeds: Deeds,
    /// Allocations that the operator has heard of.
    pub(crate) sessions: Vec<SessionId>,
    /// Which listening addresses the operator has opened.
    pub(crate) listens: Vec<bool>,
    /// What the operator wants.
    pub(crate) wanted: super::model::Operated,
    /// Where workers say that they go by new rules.
    pub(crate) reconfigured: Vec<Receiver<WorkerIndex>>,
    /// Sockets that broke or could not be had, of which the log has not been told.
    pub(crate) broken: Vec<SocketAddr>,
    /// Last words of workers.
    pub(crate) gone: Vec<Snapshot>,
    /// How far the wall clock is off.
    pub(crate) jump_s: i64,
    pub(crate) is_shut_down: bool,
    /// Whether two workers took Allocates of one client at the same time, as they do where the
    /// network card moves it between two of its packets. Nobody says what is right then.
    pub(crate) is_torn: bool,
    /// Whether everything that workers do is printed.
    pub(crate) is_traced: bool,
    pub(crate) tally: Tally,
}

/// Plays the story of a seed to its end.
pub(crate) fn play(seed: u64) -> Tally {
    let mut rng = Rng::new(seed);
    let scenario = Scenario::of(&mut rng);
    let mut story = Story::new(scenario, rng);
    let active_ms = story.model.scenario.active_ms;
    story.run_until(active_ms);
    if story.is_torn {
        return story.tally;
    }
    if story.model.scenario.is_shut_down {
        story.shut_down();
    }
    let end_ms = active_ms + story.model.scenario.afterlife_ms();
    story.run_until(end_ms);
    if !story.is_torn {
        story.check_end();
    }
    story.tally.hang_ups = std::mem::take(&mut story.model.streams.hang_ups);
    story.tally
}

impl Story {
    fn new(scenario: Scenario, mut rng: Rng) -> Story {
        let node = Node::new(&scenario, &mut rng);
        let mut network = Network::new(scenario.weather.clone());
        let clients: Vec<_> =
            (0..scenario.clients).map(|at| Client::new(at, &scenario, &mut rng)).collect();
        for client in 0..clients.len() {
            network.schedule(rng.below(10_000), Event::Act(client));
            if rng.percent(70) {
                network.schedule(10_000, Event::Keep(client));
            }
        }
        if rng.percent(50) {
            network.schedule(rng.below(60_000), Event::Operate);
        }
        if scenario.has_trouble {
            network.schedule(rng.below(60_000), Event::Trouble);
        }
        node.machine.lock().faults = scenario.faults;
        Story {
            now_ms: 0,
            rng,
            network,
            node,
            model: Model::new(scenario),
            clients,
            lines: Lines::new(),
            ports_used: 0,
            steered: BTreeMap::new(),
            known: Vec::new(),
            tokens: Vec::new(),
            deeds: Deeds::new(),
            sessions: Vec::new(),
            listens: vec![false; 6],
            wanted: Default::default(),
            reconfigured: Vec::new(),
            broken: Vec::new(),
            gone: Vec::new(),
            jump_s: 0,
            is_shut_down: false,
            is_torn: false,
            is_traced: std::env::var_os("UTURN_TRACE").is_some(),
            tally: Tally::default(),
        }
    }

    /// The next packet, or the next turn of a worker; packets first, so that a turn finds them.
    fn run_until(&mut self, end_ms: u64) {
        loop {
            let turn = self.node.next_turn(self.now_ms, &mut self.rng);
            let event_ms = self.network.next_ms();
            let turn_ms = turn.map(|(at_ms, _)| at_ms);
            let Some(at_ms) = turn_ms.into_iter().chain(event_ms).min() else { break };
            if at_ms >= end_ms || self.is_torn {
                break;
            }
            self.now_ms = self.now_ms.max(at_ms);
            self.set_time();
            if event_ms.is_some_and(|event_ms| event_ms <= self.now_ms)
                && let Some(event) = self.network.next()
            {
                self.happen(event);
            } else if let Some((_, worker)) = turn {
                self.take_turn(worker as u8);
            }
            self.tally.steps += 1;
        }
        self.now_ms = end_ms;
    }

    pub(crate) fn set_time(&mut self) {
        self.model.unix_s = (BEGIN_S + self.now_ms / 1000).saturating_add_signed(self.jump_s);
        self.node.set_time(Now { mono_ms: self.now_ms, unix_s: self.model.unix_s });
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToServer { from, packets } => self.reach_machine(from, packets),
            Event::ToClient { to, bytes } => self.reach_client(to, &bytes),
            Event::ToPeer { relayed, peer } => self.reach_peer(relayed, peer),
            Event::ToRelay { peer, relayed, segments } => {
                self.reach_address(peer, relayed, segments);
            }
            Event::Up(client, news) => self.bring_up(client, news),
            Event::Down(client, down) => self.reach_down(client, down),
            Event::Read(client) => self.read_on(client),
            Event::Operate => self.operate(),
            Event::RetryCommands => self.retry_commands(),
            Event::Trouble => self.trouble(),
            Event::Act(client) => self.act(client),
            Event::Keep(client) => self.keep(client),
            Event::Probe { client, packet } => self.probe(client, packet),
            Event::Retry { client, transaction } => self.retry(client, transaction),
        }
    }

    /// The kernel's choice among the sockets that share an address.
    fn reach_machine(&mut self, from: SocketAddr, packets: Vec<Packet>) {
        let opening = self.model.openings.get(&from).map(|opening| opening.worker);
        let steered = opening.or_else(|| self.steered.get(&from).copied());
        let worker = steered.unwrap_or_else(|| self.model.scenario.steer(from));
        let is_request = matches!(packets[0], Packet::Request(_));
        let kind = if is_request { Kind::Requests } else { Kind::Payload };
        let to = (self.model.scenario.listener(from), kind);
        let arrival = Arrival::FromClient(packets);
        self.node.machine.lock().arrive(worker.into(), to, from, arrival);
    }

    /// A train from a peer reaches the relay's address, whoever listens there.
    fn reach_address(&mut self, peer: SocketAddr, relayed: SocketAddr, segments: Vec<Vec<u8>>) {
        let local = self.model.local(relayed);
        let mut machine = self.node.machine.lock();
        let arrival = Arrival::FromPeer(segments);
        if let Some(worker) = machine.relay_at(local) {
            machine.arrive(worker, (local, Kind::Relay), peer, arrival);
            return;
        }
        let is_broken = machine.relays().any(|it| it.local == local && it.state == State::Broken);
        drop(machine);
        let has_client = self.model.client_of(relayed, self.now_ms).is_some();
        assert!(is_broken || !has_client || self.is_shut_down, "{relayed} has no socket");
    }

    fn shut_down(&mut self) {
        self.is_shut_down = true;
        self.network.schedule(self.now_ms + 1, Event::RetryCommands);
        self.node.control.stop();
        self.node.mail.command(&Mail::Stop);
    }

    pub(crate) fn check(&self) {
        let to_close = &self.model.to_close;
        assert!(to_close.is_empty(), "{to_close:?} was not reported");
        assert!(self.deeds.is_empty(), "{:?} for no reason", self.deeds);
        assert!(self.broken.is_empty(), "{:?} was not reported", self.broken);
        if self.is_shut_down {
            return;
        }
        self.model.check_quota(&self.node.control);
        self.model.check_sockets(self.now_ms, &self.node.bound(), &self.node.held());
        self.node.check_ports();
        assert_eq!(self.sums(), self.expected_sums());
    }

    /// Workers know what was lost at their listening sockets.
    fn check_overflows(&mut self, overflows: Vec<u64>) {
        self.tally.overflows = overflows.iter().sum();
        for (worker, overflow) in self.node.workers.iter().zip(overflows) {
            let snapshot = worker.as_ref().map(|it| it.snapshot().listener_overflow);
            assert!(snapshot.is_none_or(|it| it == overflow), "{snapshot:?} {overflow}");
        }
    }

    fn expected_sums(&self) -> Sums {
        let sums = &self.model.sums;
        let hand_over_dropped = self.node.mail.dropped;
        Sums { live: self.model.allocations.len() as u64, hand_over_dropped, ..*sums }
    }

    /// The counters of all workers, added up.
    fn sums(&self) -> Sums {
        let there = (0..self.node.workers.len()).filter(|it| self.node.workers[*it].is_some());
        let gone = self.gone.iter().map(|it| sums(&it.turn, &it.worker));
        let mut all = Sums::default();
        there.map(|worker| self.sums_of(worker)).chain(gone).for_each(|sums| all.add(&sums));
        all
    }

    pub(crate) fn sums_of(&self, worker: usize) -> Sums {
        let worker = self.node.workers[worker].as_ref().expect("one that has not ended");
        sums(worker.server().counters(), &worker.counters())
    }

    /// Long after the last client has gone, nothing is left.
    fn check_end(&mut self) {
        self.tally.found_full = self.node.mail.found_full;
        self.check();
        if self.is_shut_down {
            assert!(self.node.workers.iter().all(Option::is_none), "one does not stop");
            // What was on its way to a worker that ended went with the process.
            self.model.moving.clear();
            assert_eq!(self.sums(), self.expected_sums());
        }
        for answers in &self.reconfigured {
            let workers = answers.try_iter().count();
            assert_eq!(workers, usize::from(self.model.scenario.workers), "all have new rules");
        }
        self.check_streams();
        let open = &self.model.streams.open;
        assert!(open.is_empty(), "{open:?}");
        for side in &self.node.machine.lock().sides {
            assert!(side.wires.is_empty(), "{:?}", side.wires);
            self.tally.streams_waited += side.wires.waited;
        }
        self.model.check_empty();
        self.node.check_holders(&self.model.holders);
        assert!(self.node.is_silent());
        assert_eq!(self.sums().live, 0);
        assert!(self.node.forwarders.iter().all(super::forwarder::Forwarder::is_empty));
        let overflows = self.node.machine.lock().sides.iter().map(|it| it.overflow).collect();
        self.check_overflows(overflows);
        for worker in self.node.workers.iter().flatten() {
            assert_eq!(worker.server().next_deadline(), None);
            assert_eq!(self.node.control.quota_held(""), (0, 0));
        }
    }
}

/// The counters of a worker, as far as the model has them too.
pub(crate) fn sums(counters: &turn::Counters, beside: &worker::Counters) -> Sums {
    let load = |load: turn::Load| (load.packets, load.bytes);
    let drops = Reason::ALL.iter().map(|reason| counters.drops(*reason));
    let errors = |method| ErrorCode::ALL.map(|code| counters.errors(method, code));
    Sums {
        to_peers: load(counters.to_peers),
        to_clients: load(counters.to_clients),
        hairpin: load(counters.hairpin),
        handed_over: load(counters.handed_over),
        taken_over: load(counters.taken_over),
        opened: counters.opened,
        closed: counters.closed,
        live: counters.live,
        reserved: counters.reserved,
        redeemed: counters.redeemed,
        dropped: drops.sum(),
        successes: turn::METHODS.iter().map(|method| counters.successes(*method)).sum(),
        errors: turn::METHODS.iter().flat_map(|method| errors(*method)).sum(),
        already_pending: counters.drops(Reason::AlreadyPending),
        misrouted: beside.misrouted,
        hand_over_dropped: beside.hand_over_dropped,
        no_buffer: beside.no_buffer,
        relays_broken: beside.relays_broken,
    }
}
