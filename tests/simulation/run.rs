//! The loop, and what holds after every step.

use std::{collections::BTreeMap, net::SocketAddr};

use uturn::{
    turn::{Open, Reason, RelayId},
    wire::ErrorCode,
};

use super::{
    chance::Chance,
    client::Client,
    mail::Mail,
    model::{Model, Sums},
    network::Network,
    node::Node,
    packet::Packet,
    scenario::Scenario,
};

/// Something that happens.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    ToServer {
        from: SocketAddr,
        packet: Packet,
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
    Complete {
        worker: u8,
        open: Open,
    },
    Released {
        worker: u8,
        relay: RelayId,
    },
    Mail {
        worker: u8,
        mail: Mail,
    },
    /// The operator does something.
    Operate,
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

/// What a story has seen: a story in which nothing happened proves nothing.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) steps: u64,
    pub(crate) datagrams: u64,
    pub(crate) later: u64,
    pub(crate) to_peers: u64,
    pub(crate) forwarded_to_peers: u64,
    pub(crate) forwarded_to_clients: u64,
    pub(crate) to_clients: u64,
    pub(crate) hairpins: u64,
    pub(crate) hand_overs: u64,
    pub(crate) taken_over: u64,
    pub(crate) redeemed_elsewhere: u64,
    pub(crate) drawn_elsewhere: u64,
    pub(crate) closed: u64,
    pub(crate) killed: u64,
    pub(crate) changed: u64,
    pub(crate) codes: BTreeMap<u16, u64>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Tally) {
        self.steps += other.steps;
        self.datagrams += other.datagrams;
        self.later += other.later;
        self.to_peers += other.to_peers;
        self.forwarded_to_peers += other.forwarded_to_peers;
        self.forwarded_to_clients += other.forwarded_to_clients;
        self.to_clients += other.to_clients;
        self.hairpins += other.hairpins;
        self.hand_overs += other.hand_overs;
        self.taken_over += other.taken_over;
        self.redeemed_elsewhere += other.redeemed_elsewhere;
        self.drawn_elsewhere += other.drawn_elsewhere;
        self.closed += other.closed;
        self.killed += other.killed;
        self.changed += other.changed;
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
    }

    /// Every path was taken by some story.
    pub(crate) fn assert_rich(&self) {
        let seen = [
            self.later,
            self.to_peers,
            self.forwarded_to_peers,
            self.forwarded_to_clients,
            self.to_clients,
            self.hairpins,
            self.hand_overs,
            self.taken_over,
            self.redeemed_elsewhere,
            self.drawn_elsewhere,
            self.closed,
            self.killed,
            self.changed,
        ];
        assert!(seen.iter().all(|count| *count > 0), "{self:?}");
        for code in [300, 400, 401, 403, 437, 438, 440, 441, 443, 486, 508] {
            assert!(self.codes.contains_key(&code), "no {code} in any story");
        }
    }
}

/// One story: the process, the world around it, and the truth.
pub(crate) struct Story {
    pub(crate) now_ms: u64,
    pub(crate) chance: Chance,
    pub(crate) network: Network<Event>,
    pub(crate) node: Node,
    pub(crate) model: Model,
    pub(crate) clients: Vec<Client>,
    /// Relayed addresses clients have told each other.
    pub(crate) known: Vec<SocketAddr>,
    /// Reservation tokens clients have told each other.
    pub(crate) tokens: Vec<[u8; 8]>,
    pub(crate) fault_percent: u64,
    pub(crate) is_shut_down: bool,
    pub(crate) tally: Tally,
}

/// Plays the story of a seed to its end.
pub(crate) fn play(seed: u64) -> Tally {
    let mut chance = Chance::new(seed);
    let scenario = Scenario::of(&mut chance);
    let mut story = Story::new(scenario, chance);
    let active_ms = story.model.scenario.active_ms;
    story.run_until(active_ms);
    if story.model.scenario.is_shut_down {
        story.shut_down();
    }
    let end_ms = active_ms + story.model.scenario.afterlife_ms();
    story.run_until(end_ms);
    story.check_end();
    story.tally
}

impl Story {
    fn new(scenario: Scenario, mut chance: Chance) -> Story {
        let node = Node::new(&scenario, &mut chance);
        let mut network = Network::new(scenario.weather.clone());
        let clients: Vec<_> =
            (0..scenario.clients).map(|at| Client::new(at, &scenario, &mut chance)).collect();
        for client in 0..clients.len() {
            network.schedule(chance.below(10_000), Event::Act(client));
            if chance.percent(70) {
                network.schedule(10_000, Event::Keep(client));
            }
        }
        if chance.percent(50) {
            network.schedule(chance.below(60_000), Event::Operate);
        }
        let fault_percent = *chance.pick(&[0, 0, 5]);
        Story {
            now_ms: 0,
            chance,
            network,
            node,
            model: Model::new(scenario),
            clients,
            known: Vec::new(),
            tokens: Vec::new(),
            fault_percent,
            is_shut_down: false,
            tally: Tally::default(),
        }
    }

    fn run_until(&mut self, end_ms: u64) {
        while let Some(at_ms) = self.next_ms().filter(|at_ms| *at_ms < end_ms) {
            self.now_ms = self.now_ms.max(at_ms);
            self.advance();
            if self.network.next_ms().is_some_and(|at_ms| at_ms <= self.now_ms)
                && let Some(event) = self.network.next()
            {
                self.happen(event);
            }
            self.tally.steps += 1;
            self.check();
        }
        self.now_ms = end_ms;
    }

    /// The next packet, or the next timer of a worker.
    fn next_ms(&self) -> Option<u64> {
        let timers = self.node.workers.iter().filter_map(|worker| worker.server.next_deadline());
        timers.chain(self.network.next_ms()).min()
    }

    fn advance(&mut self) {
        let now = self.now();
        for worker in 0..self.model.scenario.workers {
            let server = &mut self.node.workers[usize::from(worker)].server;
            if server.next_deadline().is_some_and(|deadline_ms| deadline_ms <= now.mono_ms) {
                server.advance(now);
                let next = server.next_deadline();
                assert!(
                    next.is_none_or(|next_ms| next_ms > now.mono_ms),
                    "a timer that never ends"
                );
                self.carry_out(worker);
            }
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::ToServer { from, packet } => self.reach_server(from, &packet),
            Event::ToClient { to, bytes } => self.reach_client(to, &bytes),
            Event::ToPeer { relayed, peer } => self.reach_peer(relayed, peer),
            Event::ToRelay { peer, relayed, segments } => {
                self.reach_relay(peer, relayed, &segments);
            }
            Event::Complete { worker, open } => self.complete(worker, &open),
            Event::Released { worker, relay } => self.released(worker, relay),
            Event::Mail { worker, mail } => self.on_mail(worker, mail),
            Event::Operate => self.operate(),
            Event::Act(client) => self.act(client),
            Event::Keep(client) => self.keep(client),
            Event::Probe { client, packet } => self.probe(client, packet),
            Event::Retry { client, transaction } => self.retry(client, transaction),
        }
    }

    fn shut_down(&mut self) {
        self.is_shut_down = true;
        let now = self.now();
        for worker in 0..self.model.scenario.workers {
            self.node.workers[usize::from(worker)].server.shut_down(now);
            self.carry_out(worker);
        }
        assert!(self.model.allocations.is_empty() && self.model.reservations.is_empty());
    }

    fn check(&self) {
        assert!(self.model.to_close.is_empty(), "{:?} was not reported", self.model.to_close);
        self.model.check_quota(&self.node.counts.lock().expect("nobody panics with it"));
        self.model.check_sockets(self.now_ms, &self.node.bound(), &self.node.held());
        self.node.check_ports();
        assert_eq!(self.sums(), self.expected_sums());
    }

    fn expected_sums(&self) -> Sums {
        let sums = &self.model.sums;
        Sums { live: self.model.allocations.len() as u64, ..*sums }
    }

    /// The counters of all workers, added up.
    fn sums(&self) -> Sums {
        let mut sums = Sums::default();
        for worker in &self.node.workers {
            let counters = worker.server.counters();
            for (sum, load) in [
                (&mut sums.to_peers, counters.to_peers),
                (&mut sums.to_clients, counters.to_clients),
                (&mut sums.hairpin, counters.hairpin),
                (&mut sums.handed_over, counters.handed_over),
                (&mut sums.taken_over, counters.taken_over),
            ] {
                sum.0 += load.packets;
                sum.1 += load.bytes;
            }
            sums.opened += counters.opened;
            sums.closed += counters.closed;
            sums.live += counters.live;
            sums.reserved += counters.reserved;
            sums.redeemed += counters.redeemed;
            sums.dropped += Reason::ALL.iter().map(|reason| counters.drops(*reason)).sum::<u64>();
            for method in uturn::turn::METHODS {
                sums.successes += counters.successes(method);
                let errors = ErrorCode::ALL.map(|code| counters.errors(method, code));
                sums.errors += errors.iter().sum::<u64>();
            }
        }
        sums
    }

    /// Long after the last client has gone, nothing is left.
    fn check_end(&self) {
        self.check();
        self.model.check_empty();
        self.node.check_holders(&self.model.holders);
        assert!(self.node.is_silent());
        assert_eq!(self.sums().live, 0);
        assert_eq!(self.node.counts.lock().expect("nobody panics with it").total(), 0);
        for worker in &self.node.workers {
            assert_eq!(worker.server.next_deadline(), None);
            assert!(worker.forwarder.is_empty());
        }
    }
}
