//! The end of a process while somebody reads his last words slowly: meanwhile nobody is let in, and
//! whoever was let in already is told of in the log before the worker is gone.

use uturn::{
    turn::{Cause, Nonces, Now, Report as News},
    wire::{Message, TransactionId},
    worker::{Report, Steering},
};

use super::{
    machine::{Arrival, Deed, Faults, Kind},
    node::Node,
    packet::{Ask, Packet, Request, Signature, Wish},
    rng::Rng,
    scenario::{BEGIN_S, Scenario, parse},
    wires::StreamNews,
};

/// The longest that a worker goes on for a client's last words.
const LAST_WORDS_MS: u64 = 2_000;

/// One worker, and what it has told the log and the client.
struct Ending {
    node: Node,
    scenario: Scenario,
    now_ms: u64,
    opened: usize,
    ended: Vec<Cause>,
    /// Of answers to datagrams; `None` for a success.
    codes: Vec<Option<u16>>,
    is_over: bool,
}

impl Ending {
    /// A client on TCP has asked something and reads nothing.
    fn new() -> Ending {
        let mut rng = Rng::new(1);
        let scenario = Scenario {
            workers: 1,
            steering: Steering::Hash,
            faults: Faults::default(),
            foreign_ports: Vec::new(),
            total_quota: 100,
            user_quota: 100,
            ..Scenario::of(&mut rng)
        };
        let node = Node::new(&scenario, &mut rng);
        let (opened, ended, codes, is_over) = (0, Vec::new(), Vec::new(), false);
        let mut ending = Ending { node, scenario, now_ms: 0, opened, ended, codes, is_over };
        let client = parse("198.51.100.7:40000");
        let listener = ending.scenario.listener(client);
        let asks = ending.request(Ask::Binding).stream_bytes();
        for news in [StreamNews::Syn(listener, 0), StreamNews::Bytes(asks)] {
            ending.node.machine.lock().sides[0].tell_stream(0, client, news);
        }
        ending.turn();
        ending
    }

    fn now(&self) -> Now {
        Now { mono_ms: self.now_ms, unix_s: BEGIN_S }
    }

    fn request(&self, ask: Ask) -> Packet {
        let nonces = Nonces::new(self.node.master, self.scenario.nonce_lifetime_s);
        let nonce = nonces.issue(self.now(), parse("198.51.100.7:4000")).to_vec();
        let user = self.scenario.users[0].clone();
        Packet::Request(Request {
            ask,
            transaction: TransactionId([7; 12]),
            signature: Some(Signature { user, is_right: true, nonce }),
            has_fingerprint: true,
        })
    }

    /// An Allocate in a datagram.
    fn allocate(&self) {
        let client = parse("198.51.100.7:4000");
        let arrival = Arrival::FromClient(vec![self.request(Ask::Allocate(Wish::default()))]);
        let to = (self.scenario.listener(client), Kind::Requests);
        assert!(self.node.machine.lock().arrive(0, to, client, arrival));
    }

    fn turn(&mut self) {
        self.node.set_time(self.now());
        self.is_over = self.node.turn(self.now_ms, 0);
        let deeds = std::mem::take(&mut self.node.machine.lock().sides[0].deeds);
        for deed in deeds {
            match deed {
                Deed::Report(Report::Turn(News::Opened(_))) => self.opened += 1,
                Deed::Report(Report::Turn(News::Closed(closed))) => self.ended.push(closed.cause),
                Deed::Sent(sent) => {
                    let answer = Message::parse(&sent.bytes).expect("an answer");
                    self.codes.push(answer.error_code().expect("well-formed"));
                }
                _ => {}
            }
        }
    }

    /// Turns until the worker is over, which it is in time.
    fn end(&mut self) {
        let stopped_ms = self.now_ms;
        while !self.is_over {
            self.now_ms += 100;
            self.turn();
        }
        let took_ms = self.now_ms - stopped_ms;
        assert!((LAST_WORDS_MS..LAST_WORDS_MS + 200).contains(&took_ms), "{took_ms} ms");
    }
}

#[test]
fn a_worker_that_ends_takes_no_new_client() {
    let mut ending = Ending::new();
    ending.node.control.stop();
    ending.turn();
    assert!(!ending.is_over, "a client has not read its last words");
    ending.allocate();
    ending.end();
    assert_eq!((ending.codes, ending.opened), (vec![Some(508)], 0));
}

#[test]
fn an_allocation_that_was_under_way_when_the_end_came_is_told_of() {
    let mut ending = Ending::new();
    ending.allocate();
    ending.turn();
    ending.node.control.stop();
    ending.end();
    assert_eq!((ending.codes, ending.opened), (vec![None], 1));
    assert_eq!(ending.ended, [Cause::Shutdown]);
}
