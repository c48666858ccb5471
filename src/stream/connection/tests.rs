//! Streams in clear text, told as a client lives them.

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

use super::*;
use crate::stream::{
    intake::{Arrival, Intake, Span},
    limits::{
        BINDINGS_MS, DRAINING_MS, FIRST_MS, FRAME_MS, MOST_HELD_BYTES, MOST_RAW_BYTES,
        MOST_WRITE_BYTES, SMALL_WRITE_BYTES, UNALLOCATED_MS, WEB_HALF_CLOSED_MS, WEB_IDLE_MS,
        WRITE_MS,
    },
};

const ALLOCATE: u8 = 3;
const BIND: u8 = 0x0B;

/// What a worker learns, whatever places it stood in.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Frame(Vec<u8>),
    Bind,
    Web(Vec<u8>),
    Data(Vec<u8>),
}

struct Client {
    connection: Connection,
    next: Next,
    seen: Vec<Seen>,
}

fn setup() -> StreamSetup<'static> {
    StreamSetup {
        peer: "192.0.2.1:5000".parse().unwrap(),
        local: "198.51.100.1:3478".parse().unwrap(),
        proxy: ProxyRule::Refused,
        only_tls: false,
        tls: None,
        web: None,
        limits: StreamLimits::default(),
    }
}

fn client() -> Client {
    Client::with(setup())
}

fn browser() -> Client {
    Client::with(StreamSetup { web: Some(&Arc::new(WebNames::default())), ..setup() })
}

fn balancer() -> Client {
    Client::with(StreamSetup { proxy: ProxyRule::Required, ..setup() })
}

impl Client {
    fn with(setup: StreamSetup<'_>) -> Client {
        let connection = Connection::new(0, setup);
        Client { connection, next: Next::Data, seen: Vec::new() }
    }

    fn sends(&mut self, at_ms: u64, bytes: &[u8]) -> Result<(), HangUp> {
        let mut bytes = bytes.to_vec();
        let mut intake = Intake::default();
        let mut outcome = self.connection.receive(at_ms, &mut bytes, &mut intake);
        self.note(&intake, &bytes);
        while outcome.is_ok() && self.connection.is_held() {
            intake.clear();
            outcome = self.connection.go_on(at_ms, self.next, &mut intake);
            self.note(&intake, &bytes);
        }
        outcome
    }

    fn note(&mut self, intake: &Intake, here: &[u8]) {
        for arrival in intake.arrivals() {
            match arrival {
                Arrival::Frames { place, frame_bytes } => {
                    let frames = intake.bytes(place, here).chunks(*frame_bytes);
                    self.seen.extend(frames.map(|frame| Seen::Frame(frame.to_vec())));
                }
                Arrival::Bind(_) => self.seen.push(Seen::Bind),
                Arrival::Web(place) => {
                    self.seen.push(Seen::Web(intake.bytes(place, here).to_vec()));
                }
                Arrival::Data(place) => {
                    let bytes = intake.bytes(place, here);
                    if let Some(Seen::Data(data) | Seen::Web(data)) = self.seen.last_mut() {
                        data.extend_from_slice(bytes);
                    } else {
                        self.seen.push(Seen::Data(bytes.to_vec()));
                    }
                }
                Arrival::Finished => panic!("without TLS"),
            }
        }
    }

    fn reads(&mut self, at_ms: u64) -> (Vec<u8>, FillOutcome) {
        let mut out = BytesMut::new();
        let filled = self
            .connection
            .fill(at_ms, MOST_WRITE_BYTES, &mut out, &mut QueueMemory::default())
            .unwrap();
        self.connection.written(at_ms);
        (out.to_vec(), filled)
    }

    fn queues(&mut self, at_ms: u64, kind: FrameKind, frame: &[u8]) -> Queued {
        self.connection.queue(at_ms, kind, [frame, &[], &[]], &mut QueueMemory::default()).unwrap()
    }

    /// Asserts that nothing happens before `at_ms`, and what then.
    #[track_caller]
    fn ends(&self, at_ms: u64, reason: HangUp) {
        assert_eq!(self.connection.deadline_ms(), at_ms);
        assert_eq!(self.connection.expire(at_ms - 1), None);
        assert_eq!(self.connection.expire(at_ms), Some(reason));
    }
}

fn stun(method: u8, bytes: u8) -> Vec<u8> {
    let mut message = vec![0; 20 + usize::from(bytes)];
    (message[1], message[3]) = (method, bytes);
    message[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    message
}

fn channel_data(bytes: u16) -> Vec<u8> {
    let payload = vec![7; usize::from(bytes).next_multiple_of(4)];
    [&[0x40, 1], &bytes.to_be_bytes()[..], &payload].concat()
}

// RFC 8489 §6.2.2, RFC 8656 §12.5.
#[test]
fn frames_are_handed_on_whole_however_they_are_cut() {
    let stream = [stun(ALLOCATE, 8), channel_data(5), channel_data(6), stun(4, 0)].concat();
    let expected =
        [stun(ALLOCATE, 8), channel_data(5), channel_data(6), stun(4, 0)].map(Seen::Frame);
    for bytes in 1..=stream.len() {
        let mut client = client();
        for piece in stream.chunks(bytes) {
            client.sends(0, piece).unwrap();
        }
        assert_eq!(client.seen, expected, "{bytes} at a time");
        assert_eq!(client.connection.buffer_bytes(), 0);
    }
}

#[test]
fn a_whole_frame_stays_where_it_stands() {
    let mut client = client();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    let mut intake = Intake::default();
    let mut train = channel_data(40).repeat(3);
    client.connection.receive(0, &mut train, &mut intake).unwrap();
    let place = Span::Here(0..132);
    assert_eq!(intake.arrivals(), [Arrival::Frames { place, frame_bytes: 44 }]);
}

#[test]
fn garbage_is_closed_at_its_first_byte() {
    assert_eq!(client().sends(0, &[0x80]), Err(HangUp::UnknownProtocol));
    assert_eq!(client().sends(0, b"\x16\x03\x01"), Err(HangUp::NoTls));
    assert_eq!(client().sends(0, b"PROXY "), Err(HangUp::UnexpectedProxyHeader));
    assert_eq!(client().sends(0, &stun(ALLOCATE, 3)), Err(HangUp::BadFrame));
    let mut late = client();
    late.sends(0, &stun(ALLOCATE, 0)).unwrap();
    assert_eq!(late.sends(0, &[0x80]), Err(HangUp::BadFrame));
    let mut strict = Client::with(StreamSetup { only_tls: true, ..setup() });
    assert_eq!(strict.sends(0, &[0]), Err(HangUp::OnlyTls));
}

#[test]
fn a_client_without_an_allocation_may_not_send_long_frames() {
    let mut client = client();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    client.connection.allocated();
    client.sends(0, &channel_data(0xFFFF)).unwrap();
    client.connection.deallocated(0);
    client.sends(0, &channel_data(2_044)).unwrap();
    assert_eq!(client.sends(0, &channel_data(2_045)[..4]), Err(HangUp::FrameTooLong));
}

#[test]
fn http_is_answered_and_closed() {
    for request in ["GET / HTTP/1.1\r\n\r\n", "POST /", "HEAD /", "OPTIONS *"] {
        let mut client = client();
        client.sends(0, request.as_bytes()).unwrap();
        let (answer, filled) = client.reads(0);
        assert!(answer.starts_with(b"HTTP/1.1 400 "));
        assert_eq!(filled.then, Then::HangUp(HangUp::Http));
        assert_eq!(client.seen, []);
    }
}

#[test]
fn a_browser_is_the_web_backends() {
    for request in ["GET / HTTP/1.1\r\n\r\n", "\x05\x01"] {
        let mut client = browser();
        for byte in request.bytes() {
            client.sends(7, &[byte]).unwrap();
        }
        assert_eq!(client.seen, [Seen::Web(request.into())]);
        assert_eq!(client.connection.phase(), StreamPhase::Web);
        client.ends(7 + WEB_IDLE_MS, HangUp::Idle);
        assert_eq!(client.connection.finished(9), None);
        client.ends(9 + WEB_HALF_CLOSED_MS, HangUp::Idle);
    }
    let mut turn = browser();
    turn.sends(0, &stun(ALLOCATE, 0)).unwrap();
    assert_eq!(turn.connection.phase(), StreamPhase::Turn);
}

#[test]
fn the_client_is_who_the_balancer_says() {
    let mut client = balancer();
    let header = b"PROXY TCP6 ::ffff:203.0.113.9 2001:db8::1 4000 443\r\n";
    client.sends(0, header).unwrap();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    assert_eq!(client.connection.client(), "203.0.113.9:4000".parse().unwrap());
    assert_eq!(client.connection.server(), "[2001:db8::1]:443".parse().unwrap());
    assert_eq!(client.seen, [Seen::Frame(stun(ALLOCATE, 0))]);
    let mut check = balancer();
    check.sends(0, b"PROXY UNKNOWN\r\n").unwrap();
    assert_eq!(check.connection.client(), setup().peer);
    assert_eq!(check.sends(0, header), Err(HangUp::UnexpectedProxyHeader));
    assert_eq!(balancer().sends(0, &[0]), Err(HangUp::NoProxyHeader));
    assert_eq!(balancer().sends(0, b"PO"), Err(HangUp::NoProxyHeader));
    assert_eq!(balancer().sends(0, b"PROXY TCP5"), Ok(()));
    assert_eq!(balancer().sends(0, b"PROXY TCP5\r\n"), Err(HangUp::BadProxyHeader));
}

// RFC 6062 §4.4: after the success response, what follows on the connection is the peer's data.
#[test]
fn what_follows_a_connection_bind_waits_for_its_outcome() {
    let stream = [stun(BIND, 8), channel_data(2)].concat();
    let mut bound = client();
    bound.sends(0, &stream).unwrap();
    bound.sends(0, b"more").unwrap();
    let data = [channel_data(2), b"more".to_vec()].concat();
    assert_eq!(bound.seen, [Seen::Bind, Seen::Data(data)]);
    assert_eq!(bound.connection.phase(), StreamPhase::Data);
    assert_eq!(bound.connection.deadline_ms(), u64::MAX);

    let mut refused = Client { next: Next::Frames, ..client() };
    refused.sends(0, &stream).unwrap();
    assert_eq!(refused.seen, [Seen::Bind, Seen::Frame(channel_data(2))]);
    refused.ends(UNALLOCATED_MS, HangUp::NoAllocation);
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut connection = client().connection;
    let mut intake = Intake::default();
    connection.receive(0, &mut stun(BIND, 0), &mut intake).unwrap();
    connection.receive(0, &mut [0x80; MOST_HELD_BYTES], &mut intake).unwrap();
    let one_more = connection.receive(0, &mut [0x80], &mut intake);
    assert_eq!(one_more, Err(HangUp::TooMuchHeld));
    assert!(connection.is_held() && intake.arrivals().len() == 1);
}

#[test]
fn raw_bytes_go_behind_the_answer_and_are_never_dropped() {
    let mut client = client();
    client.sends(0, &stun(BIND, 0)).unwrap();
    client.queues(0, FrameKind::Answer, b"bound...");
    let mut memory = QueueMemory::default();
    let queued = client.connection.queue_data(&[1; MOST_RAW_BYTES - 8], &mut memory);
    assert_eq!(queued, Queued::default());
    assert!(client.connection.queue_data(&[2], &mut memory).is_full);
    let mut written = Vec::new();
    while client.connection.has_output() {
        let (bytes, filled) = client.reads(1_000_000);
        assert!(bytes.len() <= MOST_WRITE_BYTES && filled.dropped_late == 0);
        written.extend_from_slice(&bytes);
    }
    assert_eq!(written, [&b"bound..."[..], &[1; MOST_RAW_BYTES - 8], &[2]].concat());
    client.connection.finish(0);
    assert_eq!(client.reads(0).1.then, Then::Finish);
    assert!(!client.connection.has_output());
}

#[test]
fn every_stage_has_its_deadline() {
    client().ends(FIRST_MS, HangUp::FirstTimeout);
    balancer().ends(PROXY_MS, HangUp::ProxyTimeout);
    let mut behind = balancer();
    behind.sends(1_000, b"PROXY UNKNOWN\r\n").unwrap();
    behind.ends(1_000 + FIRST_MS, HangUp::FirstTimeout);
    let mut hello = browser();
    hello.sends(1_000, &[0x16]).unwrap();
    hello.ends(6_000, HangUp::HelloTimeout);
    let mut turn = client();
    turn.sends(100, &stun(ALLOCATE, 0)).unwrap();
    turn.ends(100 + UNALLOCATED_MS, HangUp::NoAllocation);
    turn.sends(200, &stun(1, 0)).unwrap();
    turn.ends(100 + BINDINGS_MS, HangUp::NoAllocation);
    turn.connection.allocated();
    assert_eq!(turn.connection.deadline_ms(), u64::MAX);
    turn.connection.deallocated(70_000);
    turn.ends(130_000, HangUp::NoAllocation);
    turn.connection.drain(80_000, HangUp::ServerEnds);
    turn.ends(80_000 + DRAINING_MS, HangUp::ServerEnds);
}

#[test]
fn half_a_frame_has_a_deadline_of_its_own() {
    let mut client = client();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    client.connection.allocated();
    client.sends(1_000, &[0x40]).unwrap();
    client.sends(5_000, &[0, 0, 4, 1]).unwrap();
    client.ends(1_000 + FRAME_MS, HangUp::FrameTimeout);
    client.sends(9_000, &[1, 1, 1, 0x40]).unwrap();
    client.ends(9_000 + FRAME_MS, HangUp::FrameTimeout);
    client.sends(9_500, &[0, 0, 0]).unwrap();
    assert_eq!(client.connection.deadline_ms(), u64::MAX);
}

#[test]
fn a_write_that_does_not_end_closes_the_stream() {
    let mut client = client();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    client.connection.allocated();
    client.queues(5, FrameKind::Answer, &stun(ALLOCATE, 0));
    client
        .connection
        .fill(10, MOST_WRITE_BYTES, &mut BytesMut::new(), &mut QueueMemory::default())
        .unwrap();
    client.ends(10 + WRITE_MS, HangUp::WriteTimeout);
    client.connection.written(20);
    assert_eq!(client.connection.deadline_ms(), u64::MAX);
}

#[test]
fn the_last_words_are_the_answers_that_wait() {
    let mut client = client();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    client.queues(0, FrameKind::Media, b"late");
    client.queues(0, FrameKind::Answer, b"last");
    client.connection.drain(0, HangUp::AllocationEnded);
    assert_eq!(client.queues(0, FrameKind::Answer, b"none"), Queued::default());
    client.sends(0, &[0x80]).unwrap();
    let (bytes, filled) = client.reads(0);
    assert_eq!((&bytes[..], filled.then), (&b"last"[..], Then::HangUp(HangUp::AllocationEnded)));
}

#[test]
fn a_connection_may_move_to_another_worker() {
    fn is_send<T: Send>(_: &T) {}
    is_send(&client().connection);
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        (prop_oneof![Just(1), Just(ALLOCATE), Just(BIND)], 0_u8..10)
            .prop_map(|(method, words)| stun(method, words * 4)),
        (0_u16..70).prop_map(channel_data),
        Just(channel_data(2_100)),
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"PROXY TCP4 192.0.2.7 192.0.2.8 9 10\r\n".to_vec()),
        Just(b"PROXY UNKNOWN\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ]
}

proptest! {
    #[test]
    fn a_stream_means_the_same_however_it_is_cut(
        pieces in prop::collection::vec(pieces(), 1..7),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        kind in 0..3_u8,
        is_bound: bool,
    ) {
        let stream = pieces.concat();
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(stream.len() + 1)).collect();
        cuts.extend([0, stream.len()]);
        cuts.sort_unstable();
        let by_byte: Vec<_> = (0..=stream.len()).collect();
        let outcomes = [&[0, stream.len()], &cuts[..], &by_byte].map(|cuts| {
            let mut client = [client, browser, balancer][usize::from(kind)]();
            client.next = if is_bound { Next::Data } else { Next::Frames };
            let mut pieces = cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]]);
            let outcome = pieces.try_for_each(|piece| client.sends(0, piece));
            let Connection { stage, client: address, .. } = client.connection;
            (outcome, client.seen, stage, address)
        });
        assert_eq!(outcomes[0], outcomes[1]);
        assert_eq!(outcomes[0], outcomes[2]);
    }
}

#[test]
fn a_small_write_takes_what_fits_into_it_and_the_rest_comes_later() {
    let mut client = client();
    client.sends(0, &stun(ALLOCATE, 0)).unwrap();
    for _ in 0..5 {
        let frame = [&[7; 1_200][..], &[], &[]];
        client.connection.queue(1, FrameKind::Media, frame, &mut QueueMemory::default()).unwrap();
    }
    let mut writes = Vec::new();
    while client.connection.has_output() {
        let mut out = BytesMut::new();
        client
            .connection
            .fill(2, SMALL_WRITE_BYTES, &mut out, &mut QueueMemory::default())
            .unwrap();
        client.connection.written(2);
        writes.push(out.len());
    }
    assert_eq!(writes, [3_600, 2_400]);
}
