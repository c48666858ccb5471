//! Peers on TCP (RFC 6062): clients that connect to them and are connected to, on connections that
//! any worker may have accepted, some of them behind a balancer; all of it is cut anywhere, read
//! slowly, ended in good order, or reset at any step.
//!
//! ```text
//! control ── worker ──▶ Connect ──▶ peer        what a client or a peer hears is the beginning
//!             ▲   ▲                  │          of what the other has said, and all of it where
//!    data ── worker (another one) ◀──┘          nobody was cut off
//! ```

mod end;
mod hearing;
mod judge;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
};

use uturn::{
    turn::{Nonces, Now, Report as News},
    wire::{
        Class, MessageWriter, Method, TRANSPORT_TCP, TransactionId, WRITTEN_PROXY_BYTES,
        write_proxy,
    },
    worker::{Report, Steering},
};

use end::{End, Role};
use judge::Tally;

use super::{
    machine::{Deed, Faults},
    node::Node,
    packet::Signature,
    rng::Rng,
    scenario::{BEGIN_S, Scenario, ip, parse},
    wires::StreamNews,
};

const WORKERS: usize = 3;
const CONTROL: &str = "198.51.100.7:40000";
/// Whoever comes from there is a balancer.
const BALANCERS: &str = "192.0.2.0/24";
/// A window that is never full.
const AMPLE_BYTES: usize = usize::MAX / 2;
/// Steps in which something new may begin.
const STEPS: usize = 250;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    Allocate,
    Permit,
    Connect(SocketAddr),
    Bind(SocketAddr),
}

/// A connection to or from a peer that the client knows of.
#[derive(Debug)]
struct Known {
    id: u32,
    peer: SocketAddr,
    data: Option<SocketAddr>,
}

/// Everybody but the model: what holds is said by what each has said and heard.
struct Far {
    node: Node,
    scenario: Scenario,
    rng: Rng,
    now_ms: u64,
    ends: BTreeMap<SocketAddr, End>,
    asked: BTreeMap<[u8; 12], Asked>,
    known: Vec<Known>,
    ports_used: u16,
    /// Where peers can connect to, once there is an allocation.
    relayed: Option<SocketAddr>,
    live: i32,
    /// When the connection with the allocation ended.
    control_over_ms: Option<u64>,
    tally: Tally,
}

/// What is to go wrong, and when.
#[derive(Debug, Clone, Copy)]
enum Wrong {
    Anything,
    /// Of those in a role, the last is reset at a step, and nothing else happens.
    Reset(fn(Role) -> bool, usize),
}

impl Far {
    fn new(seed: u64, wrong: Wrong) -> Far {
        let mut rng = Rng::new(seed);
        let faults = match wrong {
            Wrong::Anything if rng.percent(40) => Faults { refused: 5, ..Faults::default() },
            Wrong::Anything | Wrong::Reset(..) => Faults::default(),
        };
        let scenario = Scenario {
            workers: WORKERS as u8,
            steering: Steering::Hash,
            ports: (50_000, 50_299),
            foreign_ports: Vec::new(),
            user_quota: 1_000,
            total_quota: 1_000,
            permission_quota: 64,
            streams: if matches!(wrong, Wrong::Anything) { *rng.pick(&[6, 1_000]) } else { 1_000 },
            queued_bytes: 512 * 1_024,
            default_lifetime_s: 600,
            max_lifetime_s: 3_600,
            nonce_lifetime_s: 3_600,
            tcp_relay: true,
            proxies: vec![BALANCERS.parse().expect("a network")],
            ..Scenario::of(&mut rng)
        };
        let node = Node::new(&scenario, &mut rng);
        node.machine.lock().faults = faults;
        let mut far = Far {
            node,
            scenario,
            rng,
            now_ms: 1,
            ends: BTreeMap::new(),
            asked: BTreeMap::new(),
            known: Vec::new(),
            ports_used: 0,
            relayed: None,
            live: 0,
            control_over_ms: None,
            tally: Tally::default(),
        };
        let control = far.arrives(parse(CONTROL), Role::Control);
        far.ask(control, Method::Allocate, Asked::Allocate, |writer| {
            writer.requested_transport(TRANSPORT_TCP);
        });
        far.ask(control, Method::CreatePermission, Asked::Permit, |writer| {
            writer.xor_peer_address(parse("8.8.8.8:1"));
        });
        far
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_s: BEGIN_S }
    }

    /// A client connects, by itself or through a balancer. Gives who it is to the machine.
    fn arrives(&mut self, client: SocketAddr, role: Role) -> SocketAddr {
        let listener = self.scenario.listener(client);
        let is_behind = self.rng.percent(40);
        let who = if is_behind { SocketAddr::new(ip("192.0.2.9"), client.port()) } else { client };
        let worker = self.rng.below(WORKERS as u64) as usize;
        let mut end = End::new(&mut self.rng, role, worker, client);
        let room = if end.reads == AMPLE_BYTES { AMPLE_BYTES } else { 0 };
        end.outbox.push_back(StreamNews::Syn(listener, room));
        if is_behind {
            self.tally.behind_balancers += 1;
            let mut header = [0; WRITTEN_PROXY_BYTES];
            end.push(&mut self.rng, write_proxy(&mut header, client, listener));
        }
        self.ends.insert(who, end);
        who
    }

    /// Somebody asks, with good credentials.
    fn ask(
        &mut self,
        who: SocketAddr,
        method: Method,
        asked: Asked,
        fill: impl FnOnce(&mut MessageWriter<'_>),
    ) {
        let Some(end) = self.ends.get_mut(&who) else { return };
        let nonces = Nonces::new(self.node.master, self.scenario.nonce_lifetime_s);
        let now = Now { mono_ms: self.now_ms, unix_s: BEGIN_S };
        // Good on each connection of its address.
        let nonce = nonces.issue(now, SocketAddr::new(end.client.ip(), 0)).to_vec();
        let user = self.scenario.users[0].clone();
        let transaction = self.rng.array();
        let mut out = vec![0; 1_024];
        let id = TransactionId(transaction);
        let mut writer = MessageWriter::new(&mut out, method, Class::Request, id);
        fill(&mut writer);
        Signature { user, is_right: true, nonce }.write(&mut writer);
        let bytes = writer.finish().expect("room");
        self.asked.insert(transaction, asked);
        end.push(&mut self.rng, &out[..bytes]);
    }

    /// Somebody begins something new.
    fn act(&mut self) {
        let Some(relayed) = self.relayed else { return };
        match self.rng.below(12) {
            0 => self.connect(),
            1 => self.connected_by_peer(relayed),
            2 => self.bind(),
            3..9 => self.say(),
            9 => self.finish(),
            10 if self.rng.percent(20) => self.reset(|_| true),
            _ => {}
        }
    }

    /// One connection is made, taken up, and talked on; at a step somebody is cut off.
    fn act_as_planned(&mut self, step: usize, of: fn(Role) -> bool, at: usize) {
        if step == at {
            self.reset(of);
        }
        match step {
            20 => self.connect(),
            25 => self.relayed.into_iter().for_each(|relayed| self.connected_by_peer(relayed)),
            40 | 45 => self.bind(),
            46.. if step.is_multiple_of(3) => self.say(),
            110 | 120 => self.finish(),
            _ => {}
        }
    }

    fn new_peer(&mut self) -> SocketAddr {
        self.ports_used += 1;
        SocketAddr::new(ip("8.8.8.8"), 1_000 + self.ports_used)
    }

    fn connect(&mut self) {
        let peer = self.new_peer();
        let controls = self.ends.iter().find(|(_, end)| end.role == Role::Control && end.may_say());
        let Some(who) = controls.map(|(who, _)| *who) else { return };
        self.tally.connects += 1;
        self.ask(who, Method::Connect, Asked::Connect(peer), |writer| {
            writer.xor_peer_address(peer);
        });
    }

    fn connected_by_peer(&mut self, relayed: SocketAddr) {
        let Some(worker) = self.worker_that_relays(relayed) else { return };
        let peer = self.new_peer();
        let mut end = End::new(&mut self.rng, Role::Peer, worker, peer);
        end.outbox.push_back(StreamNews::Syn(relayed, end.reads));
        self.ends.insert(peer, end);
        self.tally.from_peers += 1;
    }

    fn worker_that_relays(&self, relayed: SocketAddr) -> Option<usize> {
        let machine = self.node.machine.lock();
        machine.sides.iter().position(|side| side.wires.relays().any(|it| it == relayed))
    }

    /// A client takes a connection up that it knows of, at any worker.
    fn bind(&mut self) {
        let Some(at) = self.known.iter().position(|known| known.data.is_none()) else { return };
        self.ports_used += 1;
        let id = self.known[at].id;
        let who = self
            .arrives(SocketAddr::new(ip("198.51.100.8"), 41_000 + self.ports_used), Role::Data(id));
        self.known[at].data = Some(who);
        self.ask(who, Method::ConnectionBind, Asked::Bind(who), |writer| {
            writer.connection_id(id);
        });
    }

    /// One whose bytes pass says some, which it may do before it is answered.
    fn say(&mut self) {
        let may_say = |end: &End| end.may_say() && end.role != Role::Control;
        let Some(who) = self.any(may_say) else { return };
        let most = *self.rng.pick(&[10, 1_000, 30_000]);
        let count = self.rng.within(1..most) as usize;
        let bytes = self.rng.bytes(count);
        let end = self.ends.get_mut(&who).expect("it was there");
        end.said.extend_from_slice(&bytes);
        end.push(&mut self.rng, &bytes);
    }

    fn finish(&mut self) {
        let may_end = |end: &End| end.may_say() && end.role != Role::Control;
        let Some(who) = self.any(may_end) else { return };
        let end = self.ends.get_mut(&who).expect("it was there");
        end.has_finished = true;
        end.outbox.push_back(StreamNews::Fin);
    }

    fn any(&mut self, wanted: impl Fn(&End) -> bool) -> Option<SocketAddr> {
        let found: Vec<_> =
            self.ends.iter().filter(|(_, end)| wanted(end)).map(|(who, _)| *who).collect();
        if found.is_empty() { None } else { Some(*self.rng.pick(&found)) }
    }

    /// The last of those in a role is cut off.
    fn reset(&mut self, is_it: impl Fn(Role) -> bool) {
        let mut ends = self.ends.iter_mut().rev();
        let found = ends.find(|(_, end)| is_it(end.role) && !end.is_over && !end.is_asked_for());
        let Some((who, end)) = found else { return };
        let (who, has_come) = (*who, !matches!(end.outbox.front(), Some(StreamNews::Syn(..))));
        end.is_over = true;
        end.outbox.clear();
        self.tally.resets += 1;
        if has_come {
            self.bring(who, StreamNews::Reset);
        }
    }

    /// Brings somebody's news to the worker that has its connection.
    fn bring(&mut self, who: SocketAddr, news: StreamNews) {
        let end = &self.ends[&who];
        if end.role == Role::Control && matches!(news, StreamNews::Fin | StreamNews::Reset) {
            self.control_over_ms.get_or_insert(self.now_ms);
        }
        let mut machine = self.node.machine.lock();
        let side = machine.sides.iter().position(|side| side.wires.has(who));
        let adrift = machine.adrift.values_mut().find(|it| it.stream.client == who);
        match (side, adrift, news) {
            (None, Some(adrift), StreamNews::Room(room)) => adrift.stream.room += room,
            (None, Some(adrift), news) => adrift.stream.held.push_back(news),
            (side, _, StreamNews::Room(room)) => {
                machine.sides[side.unwrap_or(end.worker)].widen(self.now_ms, who, room);
            }
            (side, _, news) => {
                machine.sides[side.unwrap_or(end.worker)].tell_stream(self.now_ms, who, news);
            }
        }
    }

    /// Some of what people have to bring arrives, and slow ones read on.
    fn arrive(&mut self) {
        let people: Vec<_> = self.ends.keys().copied().collect();
        for who in people {
            while let Some(end) = self.ends.get_mut(&who)
                && self.rng.percent(60)
                && let Some(news) = end.outbox.pop_front()
            {
                self.bring(who, news);
            }
            let end = &self.ends[&who];
            if end.reads < AMPLE_BYTES && !end.is_over {
                self.bring(who, StreamNews::Room(end.reads));
            }
        }
    }

    fn turn(&mut self, worker: usize) {
        self.node.set_time(self.now());
        self.node.turn(self.now_ms, worker);
        let counted = self.node.workers[worker].as_ref().expect("it goes on").snapshot().streams;
        let mut machine = self.node.machine.lock();
        for deed in machine.sides[worker].deeds.drain(..) {
            match deed {
                Deed::Report(Report::Turn(News::Opened(_))) => self.live += 1,
                Deed::Report(Report::Turn(News::Closed(_))) => self.live -= 1,
                _ => {}
            }
        }
        let open = machine.sides[worker].wires.open() as u64;
        assert_eq!(counted.open + counted.pipes.far_sides, open, "a worker knows what it has");
        let asked = std::mem::take(&mut machine.sides[worker].wires.asked);
        drop(machine);
        asked.into_iter().for_each(|peer| self.is_asked(worker, peer));
    }

    /// A worker connects to a peer, who answers, refuses, or says nothing.
    fn is_asked(&mut self, worker: usize, peer: SocketAddr) {
        let mut end = End::new(&mut self.rng, Role::Peer, worker, peer);
        match self.rng.below(10) {
            0 => end.outbox.push_back(StreamNews::Refused(libc::ECONNREFUSED)),
            1 => {}
            _ => end.outbox.push_back(StreamNews::Connected(end.reads)),
        }
        self.tally.refused += u32::from(end.outbox.front().is_none_or(is_refusal));
        end.is_over = end.outbox.front().is_none_or(is_refusal);
        self.ends.insert(peer, end);
    }

    fn step(&mut self) {
        self.now_ms += self.rng.below(20);
        self.arrive();
        for worker in 0..WORKERS {
            if self.rng.percent(70) {
                self.turn(worker);
            }
            self.deliver();
        }
        self.check();
    }

    /// Everybody says what is left and ends, everything arrives; then the client goes.
    fn end(mut self) -> Tally {
        let rest = |far: &mut Far| (0..200).for_each(|_| far.step());
        for end in self.ends.values_mut() {
            end.reads = end.reads.max(100_000);
        }
        rest(&mut self);
        for end in self.ends.values_mut().filter(|end| end.role != Role::Control && end.may_say()) {
            end.has_finished = true;
            end.outbox.push_back(StreamNews::Fin);
        }
        rest(&mut self);
        self.check_whole_pairs();
        for end in self.ends.values_mut().filter(|end| end.may_say()) {
            end.outbox.push_back(StreamNews::Fin);
        }
        // All of it arrives before time leaps.
        rest(&mut self);
        // A Connect that nobody answers is given up after 30 s, a FIN that nobody answers sooner.
        for _ in 0..50 {
            self.now_ms += 1_000;
            self.step();
        }
        self.check_nothing_is_left();
        self.tally
    }
}

fn is_refusal(news: &StreamNews) -> bool {
    matches!(news, StreamNews::Refused(_))
}

/// Listeners for peers are real, so that two stories at once would have the same ports.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn play(seed: u64, wrong: Wrong) -> Tally {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let mut far = Far::new(seed, wrong);
    for step in 0..STEPS {
        match wrong {
            Wrong::Anything => far.act(),
            Wrong::Reset(of, at) => far.act_as_planned(step, of, at),
        }
        far.step();
    }
    far.end()
}

#[test]
fn what_is_said_through_peers_connections_arrives_whatever_goes_wrong() {
    let mut sum = Tally::default();
    for seed in seeds(60) {
        eprintln!("UTURN_SEEDS={seed}..{} plays this again", seed + 1);
        sum.add(&play(seed, Wrong::Anything));
    }
    // Whoever plays one seed wants to see what becomes of it.
    if std::env::var_os("UTURN_SEEDS").is_none() {
        sum.assert_rich();
    }
    eprintln!("{sum:#?}");
}

#[test]
fn nothing_is_left_of_anybody_who_is_cut_off_at_any_step() {
    let roles: [fn(Role) -> bool; 3] = [
        |role| role == Role::Control,
        |role| matches!(role, Role::Data(_)),
        |role| role == Role::Peer,
    ];
    for (seed, role) in roles.into_iter().enumerate() {
        for at in 0..130 {
            eprintln!("role {seed}, step {at}");
            play(seed as u64, Wrong::Reset(role, at));
        }
    }
}

fn seeds(count: u64) -> std::ops::Range<u64> {
    crate::seeds().unwrap_or(0..count)
}
