//! One request that reaches two workers, as it does where the network card moves a flow while the
//! client asks again: of two allocations for one five-tuple one stays, and everybody knows whose.

use std::net::SocketAddr;

use uturn::{
    turn::{Cause, Nonces, Now, Report as News, SessionId, WorkerIndex},
    wire::TransactionId,
    worker::{AnswerTo, Question, Report, Steering},
};

use super::{
    machine::{Arrival, Deed, Kind},
    node::Node,
    packet::{Ask, Packet, Request, Signature, Wish},
    rng::Rng,
    scenario::{BEGIN_S, Scenario, parse},
};

const WORKERS: usize = 3;

/// Three workers and one client, whose packets reach whichever is said.
struct Torn {
    node: Node,
    scenario: Scenario,
    client: SocketAddr,
    now_ms: u64,
    transactions: u8,
    /// Allocations that each worker has.
    live: [u32; WORKERS],
    ended: Vec<Cause>,
    answers: usize,
}

impl Torn {
    fn new() -> Torn {
        let mut rng = Rng::new(1);
        let scenario = Scenario {
            workers: WORKERS as u8,
            steering: Steering::Cpu,
            ports: (50_000, 50_299),
            foreign_ports: Vec::new(),
            user_quota: 1_000,
            total_quota: 1_000,
            ..Scenario::of(&mut rng)
        };
        let node = Node::new(&scenario, &mut rng);
        let client = parse("198.51.100.7:4000");
        let (live, ended) = ([0; WORKERS], Vec::new());
        Torn { node, scenario, client, now_ms: 1, transactions: 0, live, ended, answers: 0 }
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_s: BEGIN_S }
    }

    fn request(&mut self, ask: Ask) -> Packet {
        let nonces = Nonces::new(self.node.master, self.scenario.nonce_lifetime_s);
        let nonce = nonces.issue(self.now(), self.client).to_vec();
        let user = self.scenario.users[0].clone();
        self.transactions += 1;
        Packet::Request(Request {
            ask,
            transaction: TransactionId([self.transactions; 12]),
            signature: Some(Signature { user, is_right: true, nonce }),
            has_fingerprint: true,
        })
    }

    fn reach(&self, worker: usize, packet: &Packet) {
        let to = (self.scenario.listener(self.client), Kind::Requests);
        let arrival = Arrival::FromClient(vec![packet.clone()]);
        assert!(self.node.machine.lock().arrive(worker, to, self.client, arrival));
    }

    /// An Allocate is at two workers, whose sockets are there and who have not looked yet.
    fn allocate_at(&mut self, workers: [usize; 2]) {
        let allocate = self.request(Ask::Allocate(Wish::default()));
        for worker in workers {
            self.reach(worker, &allocate);
            self.turn(worker);
        }
        self.now_ms += 100;
    }

    fn turn(&mut self, worker: usize) {
        self.node.set_time(self.now());
        self.node.turn(self.now_ms, worker);
        let deeds = std::mem::take(&mut self.node.machine.lock().sides[worker].deeds);
        for deed in deeds {
            match deed {
                Deed::Report(Report::Turn(News::Opened(_))) => self.live[worker] += 1,
                Deed::Report(Report::Turn(News::Closed(closed))) => {
                    self.live[worker] -= 1;
                    self.ended.push(closed.cause);
                }
                Deed::Sent(sent) if sent.to == self.client => self.answers += 1,
                _ => {}
            }
        }
    }

    /// Everybody does whatever is left to do.
    fn settle(&mut self) {
        for _ in 0..10 {
            self.now_ms += 100;
            (0..WORKERS).for_each(|worker| self.turn(worker));
        }
    }

    /// Leaves no room for what others tell a worker before its next turn.
    fn fill_inbox(&self, worker: usize) {
        let worker = WorkerIndex(worker as u8);
        let session = SessionId { worker, serial: 0 };
        let question = || Question::Session(session, AnswerTo::new(|_| {}));
        while self.node.control.ask(worker, question()) {}
    }

    /// The client ends its allocation, at any worker, and nothing is left of it.
    fn end_at(&mut self, worker: usize) {
        let refresh = self.request(Ask::Refresh { lifetime_s: Some(0), family: None });
        self.reach(worker, &refresh);
        self.settle();
        assert_eq!((self.live, self.ended.pop()), ([0; WORKERS], Some(Cause::Deleted)));
        assert!(self.node.is_silent());
    }
}

#[test]
fn of_two_allocations_for_one_five_tuple_that_of_the_lower_worker_stays() {
    for (first, second) in [(0, 1), (1, 0)] {
        for last in 0..WORKERS {
            let mut torn = Torn::new();
            torn.allocate_at([first, second]);
            torn.fill_inbox(second);
            torn.turn(first);
            torn.turn(second);
            assert_eq!((torn.live, torn.answers), ([1, 1, 0], 2), "neither knows of the other");
            torn.settle();
            assert_eq!((torn.live, &torn.ended[..]), ([1, 0, 0], &[Cause::Duplicate][..]));
            torn.end_at(last);
        }
    }
}

#[test]
fn a_worker_that_hears_of_an_allocation_in_time_gives_in_unheard() {
    for (first, second) in [(0, 1), (1, 0)] {
        for last in 0..WORKERS {
            let mut torn = Torn::new();
            torn.allocate_at([first, second]);
            torn.turn(first);
            torn.turn(second);
            torn.settle();
            let has_it = |worker| u32::from(worker == first);
            assert_eq!(torn.live, [0, 1, 2].map(has_it));
            assert_eq!((torn.answers, &torn.ended[..]), (1, &[Cause::Duplicate][..]));
            torn.end_at(last);
        }
    }
}
