//! Strangers: a flood of requests that prove nothing, and newcomers of the same network, even of
//! the same address, beside it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::client::{Client, allocate, socket};
use crate::http::{scrape, showing};
use crate::machine::slowed;
use crate::relay::{PASSWORD, Relay, Setup, USER};
use crate::stun::{Answer, Builder, Class, attribute, method};

/// A client sends again after so long, then after twice as long, and so on (RFC 8489 §6.2.1). It
/// has more patience than the 500 ms of the RFC: on a busy machine an answer may take as long, and
/// only what is not answered is to be asked again.
const RTO: Duration = Duration::from_secs(3);

/// So much for challenges that a fifth of [`FLOOD_PER_S`] is answered.
const REPLY_BYTES: &str = "200000";
const FLOOD_PER_S: usize = 10_000;

const NEWCOMERS: usize = 100;

/// A client that wants in, and what it has to do next.
struct Joiner {
    client: Client,
    request: Vec<u8>,
    sent: usize,
    due: Instant,
    rto: Duration,
    is_in: bool,
}

impl Joiner {
    fn at(ip: IpAddr, relay: &Relay, begins: Instant) -> Joiner {
        let client = Client::on(socket(ip), relay.v4(), USER, PASSWORD);
        client.socket.set_nonblocking(true).expect("a socket");
        let request = allocate().bytes();
        Joiner { client, request, sent: 0, due: begins, rto: RTO, is_in: false }
    }

    /// Sends what is due, and takes what has come.
    fn go_on(&mut self, now: Instant) {
        let mut buffer = [0; 512];
        while let Ok(bytes) = self.client.socket.recv(&mut buffer) {
            if buffer[8..20] == self.request[8..20] {
                self.hear(&Answer::parse(&buffer[..bytes]), now);
            }
        }
        if !self.is_in && now >= self.due {
            self.client.send(&self.request);
            self.sent += 1;
            (self.due, self.rto) = (now + self.rto, self.rto * 2);
        }
    }

    fn hear(&mut self, answer: &Answer, now: Instant) {
        if answer.class == Class::Success {
            self.is_in = true;
            return;
        }
        assert_eq!(answer.code(), Some(401));
        self.client.nonce = answer.text(attribute::NONCE);
        self.request = self.client.sign(allocate());
        (self.due, self.rto) = (now, RTO);
    }
}

/// Lets everybody go on until all are in, and says how long that took; gives up after a minute.
fn until_all_are_in(joiners: &mut [Joiner]) -> Duration {
    let begun = Instant::now();
    while joiners.iter().any(|joiner| !joiner.is_in) {
        let waiting = joiners.iter().filter(|joiner| !joiner.is_in).count();
        assert!(begun.elapsed() < Duration::from_secs(60), "{waiting} are not in");
        for joiner in joiners.iter_mut() {
            joiner.go_on(Instant::now());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    begun.elapsed()
}

/// Sends so many requests a second from some sockets, in turn, while `work` is done.
fn beside_a_flood<T>(
    relay: &Relay,
    sources: &[UdpSocket],
    request: &[u8],
    work: impl FnOnce() -> T,
) -> T {
    let (over, sent) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (begun, mut turn) = (Instant::now(), sources.iter().cycle());
            while !over.load(Ordering::Relaxed) {
                let due = begun.elapsed().as_micros() as u64 * FLOOD_PER_S as u64 / 1_000_000;
                while sent.load(Ordering::Relaxed) < due {
                    let source = turn.next().expect("it has no end");
                    source.send_to(request, relay.v4()).expect("loopback takes it");
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        std::thread::sleep(Duration::from_secs(2));
        let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        over.store(true, Ordering::Relaxed);
        done.unwrap_or_else(|fault| std::panic::resume_unwind(fault))
    })
}

fn sources(ip: [u8; 4], count: usize) -> Vec<UdpSocket> {
    (0..count).map(|_| socket(IpAddr::from(ip))).collect()
}

fn limited() -> (Relay, SocketAddr) {
    showing(Setup::new().with(&["--stranger-reply-bytes", REPLY_BYTES]))
}

fn refused(shown: SocketAddr, kind: &str) -> f64 {
    scrape(shown)[&format!("uturn_stranger_replies_refused_total{{kind=\"{kind}\"}}")]
}

/// Floods from some sources and lets newcomers in from an address; how many were let in by their
/// first request.
fn let_in_at_once(sources: &[UdpSocket], newcomers: [u8; 4]) -> usize {
    let (relay, shown) = limited();
    let joiners = beside_a_flood(&relay, sources, &allocate().bytes(), || {
        let begun = Instant::now();
        let begins = |n| begun + Duration::from_millis(10 * n as u64);
        let mut joiners = Vec::from_iter(
            (0..NEWCOMERS).map(|n| Joiner::at(IpAddr::from(newcomers), &relay, begins(n))),
        );
        let took = until_all_are_in(&mut joiners);
        eprintln!("{NEWCOMERS} newcomers, one each 10 ms, were in after {took:?}");
        joiners
    });
    let refused = refused(shown, "challenge");
    assert!(refused > FLOOD_PER_S as f64, "the flood was none: {refused} were not answered");
    joiners.iter().filter(|joiner| joiner.sent == 2).count()
}

#[test]
fn a_flooder_costs_newcomers_of_his_own_address_nothing() {
    let at_once = let_in_at_once(&sources([127, 0, 0, 1], 1), [127, 0, 0, 1]);
    assert!(at_once >= NEWCOMERS * 9 / 10, "{at_once} of {NEWCOMERS}");
}

// As behind a carrier's NAT: one address, and nobody can tell who has which port.
#[test]
fn a_flooder_with_a_thousand_ports_costs_newcomers_of_his_address_nothing() {
    let at_once = let_in_at_once(&sources([127, 0, 0, 1], 1_000), [127, 0, 0, 1]);
    assert!(at_once >= NEWCOMERS * 9 / 10, "{at_once} of {NEWCOMERS}");
}

#[test]
fn a_flooder_costs_newcomers_of_his_network_nothing() {
    let at_once = let_in_at_once(&sources([127, 0, 0, 1], 1_000), [127, 0, 0, 99]);
    assert!(at_once >= NEWCOMERS * 9 / 10, "{at_once} of {NEWCOMERS}");
}

// Who has an allocation has proved a return path; a nonce that is no good gets its 438 every time.
#[test]
fn beside_a_flood_a_refresh_with_a_bad_nonce_gets_438_and_is_renewed() {
    let (relay, _) = limited();
    let mut client = Client::new(relay.v4());
    client.allocate();
    beside_a_flood(&relay, &sources([127, 0, 0, 1], 1), &allocate().bytes(), || {
        for _ in 0..50 {
            client.nonce = "obMatJos2AAAAAAAAAAAAAAAAAAA".to_owned();
            let answer = client.authenticated(Builder::request(method::REFRESH).lifetime(600));
            assert_eq!(answer.code(), Some(438));
            client.nonce = answer.text(attribute::NONCE);
            client.refresh(600);
            let binding = client.request(&Builder::request(method::BINDING).bytes());
            assert_eq!(binding.class, Class::Success);
        }
    });
}

#[test]
fn bindings_cost_no_challenges_and_both_floods_are_told() {
    let (relay, shown) = limited();
    let flooder = sources([127, 0, 0, 1], 1);
    let binding = Builder::request(method::BINDING).bytes();
    beside_a_flood(&relay, &flooder, &binding, || {
        assert_eq!(refused(shown, "challenge"), 0.0);
        for _ in 0..50 {
            Client::new(relay.v4()).challenge();
        }
    });
    assert!(refused(shown, "binding") > FLOOD_PER_S as f64);
    assert_eq!(refused(shown, "challenge"), 0.0);
    let log = relay.process.wait_until_it_logs("stranger-reply-bytes", 1);
    assert!(log.contains("127.0.0.0/24") && log.contains("binding"), "{log}");
}

#[test]
fn without_a_limit_everybody_is_answered() {
    let (relay, shown) = showing(Setup::new().with(&["--stranger-reply-bytes", "0"]));
    beside_a_flood(&relay, &sources([127, 0, 0, 1], 1), &allocate().bytes(), || ());
    assert_eq!(refused(shown, "challenge"), 0.0);
}

// A carrier's NAT when a match begins: one address, 5,000 ports, one second, the limit as it is by
// default.
#[test]
fn five_thousand_who_come_within_a_second_from_one_address_are_all_let_in() {
    let relayed = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 77));
    let (relay, shown) = showing(
        Setup::new().with(&["--user-quota", "0"]).relay_ips(&[relayed]).relay_ports(40_000, 49_999),
    );
    let begun = Instant::now() + Duration::from_millis(200);
    let home = IpAddr::from([127, 0, 0, 1]);
    let begins = |n| begun + Duration::from_micros(200 * n as u64);
    let mut joiners = Vec::from_iter((0..5_000).map(|n| Joiner::at(home, &relay, begins(n))));
    let took = until_all_are_in(&mut joiners);
    let most = joiners.iter().map(|joiner| joiner.sent).max();
    let again = joiners.iter().filter(|joiner| joiner.sent > 2).count();
    eprintln!("all in after {took:?}; {again} asked again, at most {most:?} requests");
    assert!(took < slowed(Duration::from_secs(20)), "{took:?}");
    assert_eq!(refused(shown, "challenge"), 0.0);
}
