//! Browsers beside a web backend that takes them and says little: how long a connection is kept
//! that nobody says anything on.

use std::{net::SocketAddr, sync::Arc};

use uturn::{
    stream::{
        WebNames,
        limits::{MOST_WRITE_BYTES, WEB_HALF_CLOSED_MS, WEB_IDLE_MS},
    },
    turn::Now,
    worker::{Steering, StreamRules, WebBackend, WebGreeting, WebPlace},
};

use super::{
    machine::Faults,
    node::Node,
    rng::Rng,
    scenario::{BEGIN_S, Scenario, parse},
    wires::{Down, MOST_READ_BYTES, StreamNews},
};

const BROWSER: &str = "198.51.100.7:40000";
const BACKEND: &str = "10.1.1.1:80";
/// A window that is never full.
const AMPLE_BYTES: usize = usize::MAX / 2;
/// Deadlines come this much later at most, and time goes on in steps as long.
const GRAIN_MS: u64 = 100;

/// One browser that has asked something, and the backend that has it.
struct Web {
    node: Node,
    now_ms: u64,
    /// What the browser has been sent.
    heard: Vec<u8>,
}

impl Web {
    fn new() -> Web {
        Web::beside_window(AMPLE_BYTES)
    }

    /// The same, where the backend's window has room for so many bytes.
    fn beside_window(room_bytes: usize) -> Web {
        let mut rng = Rng::new(1);
        let scenario = Scenario {
            workers: 1,
            steering: Steering::Hash,
            faults: Faults::default(),
            streams: 1_000,
            ..Scenario::of(&mut rng)
        };
        let node = Node::new(&scenario, &mut rng);
        let place = WebPlace::Tcp(parse(BACKEND));
        let backend = WebBackend { place, greeting: WebGreeting::None };
        node.control.set_stream_rules(&Arc::new(StreamRules {
            web: Some(Arc::new(WebNames::default())),
            web_backend: Some(Arc::new(backend)),
            ..StreamRules::default()
        }));
        let mut web = Web { node, now_ms: 0, heard: Vec::new() };
        web.turn();
        let listener = scenario.listener(parse(BROWSER));
        web.tell(BROWSER, StreamNews::Syn(listener, AMPLE_BYTES));
        web.tell(BROWSER, StreamNews::Bytes(b"GET / HTTP/1.1\r\n\r\n".to_vec()));
        web.turn();
        web.tell(BACKEND, StreamNews::Connected(room_bytes));
        web.turn();
        assert!(web.is_kept(), "the backend has it");
        web
    }

    fn tell(&self, who: &str, news: StreamNews) {
        let who: SocketAddr = parse(who);
        self.node.machine.lock().sides[0].tell_stream(self.now_ms, who, news);
    }

    fn turn(&mut self) {
        self.node.set_time(Now { mono_ms: self.now_ms, unix_s: BEGIN_S });
        self.node.turn(self.now_ms, 0);
        for (who, down) in self.node.machine.lock().sides[0].wires.down.drain(..) {
            match down {
                Down::Bytes(bytes) if who == parse(BROWSER) => self.heard.extend(bytes),
                Down::Bytes(_) | Down::Fin | Down::Over => {}
            }
        }
    }

    /// Time goes on.
    fn pass(&mut self, time_ms: u64) {
        for _ in 0..time_ms / GRAIN_MS {
            self.now_ms += GRAIN_MS;
            self.turn();
        }
    }

    /// Whether both connections are there.
    fn is_kept(&self) -> bool {
        self.node.machine.lock().sides[0].wires.open() == 2
    }

    /// Asserts that the two are kept for so long from now on, and no longer.
    #[track_caller]
    fn is_kept_for(&mut self, time_ms: u64) {
        self.pass(time_ms - GRAIN_MS);
        assert!(self.is_kept(), "{} ms", self.now_ms);
        self.pass(2 * GRAIN_MS);
        assert_eq!(self.node.machine.lock().sides[0].wires.open(), 0, "{} ms", self.now_ms);
    }
}

#[test]
fn a_connection_that_nobody_says_anything_on_is_kept_for_minutes() {
    let mut web = Web::new();
    web.is_kept_for(WEB_IDLE_MS);
}

#[test]
fn a_browser_that_says_no_more_waits_half_a_minute_for_a_backend_that_is_silent() {
    let mut web = Web::new();
    web.pass(10_000);
    web.tell(BROWSER, StreamNews::Fin);
    web.turn();
    web.is_kept_for(WEB_HALF_CLOSED_MS);
}

#[test]
fn a_backend_that_says_no_more_waits_half_a_minute_for_a_browser_that_is_silent() {
    let mut web = Web::new();
    web.pass(10_000);
    web.tell(BACKEND, StreamNews::Fin);
    web.turn();
    web.is_kept_for(WEB_HALF_CLOSED_MS);
}

#[test]
fn an_answer_that_goes_on_reaches_a_browser_that_says_no_more() {
    let mut web = Web::new();
    web.tell(BROWSER, StreamNews::Fin);
    for _ in 0..10 {
        web.pass(20_000);
        web.tell(BACKEND, StreamNews::Bytes(vec![7; 1_000]));
        web.turn();
    }
    web.pass(GRAIN_MS);
    assert_eq!(web.heard.len(), 10_000);
    web.is_kept_for(WEB_HALF_CLOSED_MS);
}

#[test]
fn a_request_that_goes_on_reaches_a_backend_that_reads_slowly() {
    let mut web = Web::beside_window(0);
    for _ in 0..15 {
        web.tell(BROWSER, StreamNews::Bytes(vec![7; MOST_READ_BYTES]));
        web.turn();
    }
    web.tell(BROWSER, StreamNews::Fin);
    for _ in 0..4 {
        web.pass(20_000);
        web.tell(BACKEND, StreamNews::Room(MOST_WRITE_BYTES));
        (0..3).for_each(|_| web.turn());
    }
    web.is_kept_for(WEB_HALF_CLOSED_MS);
}
