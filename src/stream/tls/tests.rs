//! Streams inside TLS, told as a client of another library lives them.

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::{ProptestConfig, prop, proptest};
use rustls::{ClientConfig, Error, ProtocolVersion, version};

use super::{
    context::{Pair, TlsContext, TlsError, TlsFault},
    peer::{TlsClient, Wishes, context, pairs},
    session::Tls,
};
use crate::stream::{
    Arrival, Connection, FillOutcome, FrameKind, Handshake, HangUp, Intake, Next, ProxyRule,
    QueueMemory, StreamKind, StreamLimits, StreamPhase, StreamSetup, Then, WebNames,
    limits::{HANDSHAKE_MS, MOST_RECORD_BYTES, MOST_WRITE_BYTES, UNALLOCATED_MS},
};

const REQUEST: [u8; 20] =
    [0, 3, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];

/// A client and its stream.
struct Call {
    client: TlsClient,
    connection: Connection,
    /// Plaintext of frames and data, in a row.
    seen: Vec<u8>,
    web: Vec<u8>,
    has_finished: bool,
    steps: usize,
    outcome: Result<(), HangUp>,
    ended: Option<Then>,
}

fn call(context: &Arc<TlsContext>, config: Arc<ClientConfig>, name: &str) -> Call {
    browser_call(context, None, config, name)
}

fn browser_call(
    context: &Arc<TlsContext>,
    web: Option<&Arc<WebNames>>,
    config: Arc<ClientConfig>,
    name: &str,
) -> Call {
    let setup = StreamSetup {
        peer: "192.0.2.1:5000".parse().unwrap(),
        local: "198.51.100.1:5349".parse().unwrap(),
        proxy: ProxyRule::Refused,
        only_tls: false,
        tls: Some(context),
        web,
        limits: StreamLimits::default(),
    };
    Call {
        client: TlsClient::new(config, name),
        connection: Connection::new(0, setup),
        seen: Vec::new(),
        web: Vec::new(),
        has_finished: false,
        steps: 0,
        outcome: Ok(()),
        ended: None,
    }
}

/// A call of a client that trusts the server, after its handshake.
fn established(wishes: &Wishes<'_>) -> Call {
    let pairs = pairs(&[&["turn.example"]]);
    let config = Wishes { trusts: &pairs, ..*wishes }.config();
    let mut call = call(&context(&pairs), config, "turn.example");
    call.shakes_hands(usize::MAX).unwrap();
    call
}

impl Call {
    /// Delivers bytes to the stream, `most` at a time.
    fn delivers(&mut self, bytes: &[u8], most: usize) {
        for piece in bytes.chunks(most.max(1)) {
            let mut piece = piece.to_vec();
            let mut intake = Intake::default();
            self.outcome = self.connection.receive(0, &mut piece, &mut intake);
            while self.outcome.is_ok() && self.connection.wants_step() {
                self.steps += 1;
                self.outcome = self.connection.step(0, &mut intake);
            }
            self.note(&intake, &piece);
            if self.outcome.is_ok() && self.connection.is_held() {
                intake.clear();
                self.outcome = self.connection.go_on(0, Next::Data, &mut intake);
                self.note(&intake, &piece);
            }
        }
    }

    fn note(&mut self, intake: &Intake, here: &[u8]) {
        for arrival in intake.arrivals() {
            match arrival {
                Arrival::Frames { place, .. } | Arrival::Data(place) | Arrival::Bind(place) => {
                    self.seen.extend(intake.bytes(place, here));
                }
                Arrival::Web(place) => self.web.extend(intake.bytes(place, here)),
                Arrival::Finished => self.has_finished = true,
            }
        }
    }

    /// What the stream writes, until it has nothing more.
    fn writes(&mut self, at_ms: u64) -> (Vec<u8>, u32) {
        let (mut written, mut late) = (Vec::new(), 0);
        while self.connection.has_output() && self.ended.is_none() {
            let mut out = BytesMut::new();
            let filled = self
                .connection
                .fill(at_ms, MOST_WRITE_BYTES, &mut out, &mut QueueMemory::default())
                .unwrap();
            let FillOutcome { dropped_late, then, .. } = filled;
            assert!(out.len() <= MOST_WRITE_BYTES);
            self.connection.written(at_ms);
            written.extend_from_slice(&out);
            late += dropped_late;
            self.ended = Some(then).filter(|then| *then != Then::More);
        }
        (written, late)
    }

    /// Carries bytes to and fro until both are silent.
    fn shakes_hands(&mut self, most: usize) -> Result<(), Error> {
        loop {
            let flight = self.client.sends();
            self.delivers(&flight, most);
            let (answer, _) = self.writes(0);
            if answer.is_empty() {
                return Ok(());
            }
            self.client.takes(&answer)?;
        }
    }

    fn says(&mut self, plain: &[u8]) {
        let bytes = self.client.says(plain);
        self.delivers(&bytes, usize::MAX);
    }
}

/// Lengths of the records of a flight.
fn records(mut bytes: &[u8]) -> Vec<usize> {
    let mut lengths = Vec::new();
    while let [_, _, _, high, low, rest @ ..] = bytes {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        lengths.push(length);
        bytes = &rest[length..];
    }
    lengths
}

#[test]
fn frames_pass_both_ways_in_tls_1_2_and_1_3() {
    for (version, number) in
        [(&version::TLS12, ProtocolVersion::TLSv1_2), (&version::TLS13, ProtocolVersion::TLSv1_3)]
    {
        let mut call = established(&Wishes { version, ..Wishes::default() });
        assert!(!call.client.is_handshaking() && call.client.version() == Some(number));
        assert!(call.steps <= 3, "{} steps", call.steps);
        assert_eq!(call.connection.deadline_ms(), UNALLOCATED_MS);
        call.says(&REQUEST);
        assert_eq!(call.seen, REQUEST);
        assert_eq!(call.connection.phase(), StreamPhase::Turn);
        assert_eq!(call.connection.transport(), StreamKind::Tls);
        call.connection
            .queue(0, FrameKind::Answer, [&REQUEST, &[], &[]], &mut QueueMemory::default())
            .unwrap();
        let (written, _) = call.writes(0);
        assert_eq!(records(&written).len(), 1, "a lone frame is one record");
        call.client.takes(&written).unwrap();
        assert_eq!(call.client.received, REQUEST);
    }
}

#[test]
fn a_handshake_passes_byte_by_byte() {
    for version in [&version::TLS12, &version::TLS13] {
        let pairs = pairs(&[&["turn.example"]]);
        let config = Wishes { version, trusts: &pairs, ..Wishes::default() }.config();
        let mut call = call(&context(&pairs), config, "turn.example");
        call.shakes_hands(1).unwrap();
        assert!(!call.client.is_handshaking());
    }
}

#[test]
fn an_idle_connection_keeps_no_buffer() {
    for version in [&version::TLS12, &version::TLS13] {
        let mut call = established(&Wishes { version, ..Wishes::default() });
        assert_eq!(call.connection.buffer_bytes(), 0);
        let sealed = call.client.says(&REQUEST);
        call.delivers(&sealed, 7);
        call.connection
            .queue(0, FrameKind::Answer, [&REQUEST, &[], &[]], &mut QueueMemory::default())
            .unwrap();
        call.writes(0);
        assert_eq!((&call.seen[..], call.connection.buffer_bytes()), (&REQUEST[..], 0));
    }
    assert!(size_of::<Connection>() <= 512 && size_of::<Tls>() <= 1_600);
}

// X25519MLKEM768 makes a ClientHello longer than a segment.
#[test]
fn a_post_quantum_hello_comes_in_two_segments() {
    let pairs = pairs(&[&["turn.example"]]);
    let config = Wishes { trusts: &pairs, ..Wishes::default() }.config();
    let mut call = call(&context(&pairs), config, "turn.example");
    let hello = call.client.sends();
    assert!(hello.len() > 1_400, "{} bytes", hello.len());
    call.delivers(&hello[..1_400], usize::MAX);
    assert_eq!((call.steps, call.connection.phase()), (0, StreamPhase::Opening));
    call.delivers(&hello[1_400..], usize::MAX);
    assert_eq!(call.steps, 1);
    let (flight, _) = call.writes(0);
    call.client.takes(&flight).unwrap();
    call.shakes_hands(usize::MAX).unwrap();
    assert!(!call.client.is_handshaking());
}

// RFC 7443 §3; RFC 7301 §3.2.
#[test]
fn the_protocols_of_stun_are_answered_and_others_are_not() {
    let alpn = |alpn: &[&str]| {
        let call = established(&Wishes { alpn, ..Wishes::default() });
        call.client.alpn().map(|name| String::from_utf8(name.to_vec()).unwrap())
    };
    let turn = Some("stun.turn".to_owned());
    assert_eq!(alpn(&["http/1.1", "stun.turn", "stun.nat-discovery"]), turn);
    assert_eq!(alpn(&["stun.nat-discovery"]).as_deref(), Some("stun.nat-discovery"));
    assert_eq!(alpn(&[]), None);
    assert_eq!(alpn(&["other"]), None);
}

#[test]
fn http_alone_is_refused_without_a_web_backend() {
    let pairs = pairs(&[&["turn.example"]]);
    let config = Wishes { trusts: &pairs, alpn: &["h2"], ..Wishes::default() }.config();
    let mut call = call(&context(&pairs), config, "turn.example");
    let error = call.shakes_hands(usize::MAX).unwrap_err();
    let alert = rustls::AlertDescription::NoApplicationProtocol;
    assert_eq!(error, Error::AlertReceived(alert));
    assert_eq!(call.ended, Some(Then::HangUp(HangUp::NoSharedProtocol)));
}

#[test]
fn a_browser_is_the_web_backends_by_protocol_or_name() {
    let pairs = pairs(&[&["turn.example", "www.example"]]);
    let web = Arc::new(WebNames::new(["www.example".to_owned()]));
    let phase = |alpn: &[&str], name: &str| {
        let config = Wishes { trusts: &pairs, alpn, ..Wishes::default() }.config();
        let mut call = browser_call(&context(&pairs), Some(&web), config, name);
        let hello = call.client.sends();
        call.delivers(&hello, 100);
        let is_replayed = call.web.is_empty() || call.web == hello[..call.web.len()];
        assert!(is_replayed && [&call.web[..], &call.seen].concat().len() % hello.len() == 0);
        call.connection.phase()
    };
    assert_eq!(phase(&["h2", "http/1.1"], "turn.example"), StreamPhase::Web);
    assert_eq!(phase(&["acme-tls/1"], "turn.example"), StreamPhase::Web);
    assert_eq!(phase(&[], "WWW.example"), StreamPhase::Web);
    assert_eq!(phase(&["other"], "www.example"), StreamPhase::Web);
    assert_eq!(phase(&["http/1.1", "stun.turn"], "www.example"), StreamPhase::Opening);
    assert_eq!(phase(&[], "turn.example"), StreamPhase::Opening);
}

#[test]
fn a_certificate_is_chosen_by_the_name_asked_for() {
    let pairs = pairs(&[&["first.example"], &["*.second.example"], &["third.example"]]);
    let context = context(&pairs);
    let shown = |name: &str| {
        let config = Wishes { trusts: &pairs, ..Wishes::default() }.config();
        let mut call = call(&context, config, name);
        let _ = call.shakes_hands(usize::MAX);
        let shown = call.client.certificate().map(<[u8]>::to_vec);
        pairs.iter().position(|pair| Some(&pair.chain[0]) == shown.as_ref())
    };
    assert_eq!(shown("first.example"), Some(0));
    assert_eq!(shown("a.second.example"), Some(1));
    assert_eq!(shown("Third.example"), Some(2));
    let config = Wishes { trusts: &pairs, ..Wishes::default() }.config();
    let mut stranger = call(&context, config, "other.example");
    assert!(matches!(stranger.shakes_hands(usize::MAX), Err(Error::InvalidCertificate(_))));
}

#[test]
fn a_client_that_does_not_trust_the_server_is_told_from_a_fault() {
    let context = context(&pairs(&[&["turn.example"]]));
    let mut call = call(&context, Wishes::default().config(), "turn.example");
    call.shakes_hands(usize::MAX).unwrap_err();
    let alert = call.client.sends();
    call.delivers(&alert, usize::MAX);
    call.writes(0);
    assert_eq!(call.ended, Some(Then::HangUp(HangUp::HandshakeRefused)));
}

#[test]
fn a_fault_is_answered_with_an_alert() {
    let pairs = pairs(&[&["turn.example"]]);
    let config = Wishes { trusts: &pairs, ..Wishes::default() }.config();
    let mut early = call(&context(&pairs), config, "turn.example");
    let mut hello = early.client.sends();
    // Another cipher suite than any there is.
    hello[44..].iter_mut().take(60).for_each(|byte| *byte ^= 0x55);
    early.delivers(&hello, usize::MAX);
    early.writes(0);
    let is_refused = matches!(early.ended, Some(Then::HangUp(HangUp::HandshakeFailed)))
        || early.outcome == Err(HangUp::BadHello);
    assert!(is_refused, "{:?} {:?}", early.outcome, early.ended);

    let mut late = established(&Wishes::default());
    let mut record = late.client.says(&REQUEST);
    *record.last_mut().unwrap() ^= 1;
    late.delivers(&record, usize::MAX);
    let (alert, _) = late.writes(0);
    let error = late.client.takes(&alert).unwrap_err();
    assert_eq!(error, Error::AlertReceived(rustls::AlertDescription::BadRecordMac));
    assert_eq!(late.ended, Some(Then::HangUp(HangUp::BadRecord)));
}

#[test]
fn garbage_instead_of_a_record_is_closed() {
    for garbage in [&[0; 40][..], b"GET / HTTP/1.1\r\n\r\n", &[0x17, 3, 3, 0xFF, 0xFF]] {
        let mut call = established(&Wishes::default());
        call.delivers(garbage, usize::MAX);
        let (_, _) = call.writes(0);
        let ended = call.ended == Some(Then::HangUp(HangUp::BadRecord));
        assert!(ended || call.outcome == Err(HangUp::BadRecord), "{garbage:?}");
    }
}

#[test]
fn a_handshake_that_stops_is_closed_in_time() {
    let pairs = pairs(&[&["turn.example"]]);
    let config = Wishes { trusts: &pairs, ..Wishes::default() }.config();
    let mut call = call(&context(&pairs), config, "turn.example");
    let hello = call.client.sends();
    call.delivers(&hello, usize::MAX);
    assert_eq!(call.connection.deadline_ms(), HANDSHAKE_MS);
    assert_eq!(call.connection.expire(HANDSHAKE_MS), Some(HangUp::HandshakeTimeout));
}

#[test]
fn http_inside_tls_is_answered_and_closed() {
    let mut call = established(&Wishes::default());
    call.says(b"GET / HTTP/1.1\r\n");
    let (answer, _) = call.writes(0);
    call.client.takes(&answer).unwrap();
    assert!(call.client.received.starts_with(b"HTTP/1.1 400 ") && call.client.has_ended);
    assert_eq!(call.ended, Some(Then::HangUp(HangUp::Http)));
}

// RFC 8446 §6.1: each side sends close_notify before it closes.
#[test]
fn a_close_is_said_and_answered() {
    let mut left = established(&Wishes::default());
    left.says(&REQUEST);
    let close = left.client.closes();
    left.delivers(&close, usize::MAX);
    let (answer, _) = left.writes(0);
    left.client.takes(&answer).unwrap();
    assert!(left.client.has_ended);
    assert_eq!(left.ended, Some(Then::HangUp(HangUp::Left)));

    let mut sent_away = established(&Wishes::default());
    sent_away.connection.drain(0, HangUp::ServerEnds);
    let (words, _) = sent_away.writes(0);
    sent_away.client.takes(&words).unwrap();
    assert!(sent_away.client.has_ended);
}

// RFC 6062 §5.4; half of it may be closed.
#[test]
fn a_data_connection_passes_raw_bytes_both_ways() {
    let mut call = established(&Wishes::default());
    let bind = [&[0, 0x0B], &REQUEST[2..]].concat();
    let stream = [&bind[..], b"early"].concat();
    call.says(&stream);
    call.says(b"\xFFlater");
    assert_eq!(call.seen, [&stream[..], b"\xFFlater"].concat());
    call.connection.queue_data(&[5; 10_000], &mut QueueMemory::default());
    call.connection.finish(0);
    let (written, _) = call.writes(0);
    call.client.takes(&written).unwrap();
    assert!(call.client.received == [5; 10_000] && call.client.has_ended);
    assert_eq!(call.ended.take(), Some(Then::Finish));
    call.says(b"still");
    let close = call.client.closes();
    call.delivers(&close, usize::MAX);
    assert!(call.seen.ends_with(b"still") && call.has_finished);
    assert_eq!(call.connection.phase(), StreamPhase::Data);
}

#[test]
fn what_is_late_is_never_sealed_and_records_are_small() {
    let mut call = established(&Wishes::default());
    let frame = |at: u8| [&[0x40, at, 0x03, 0xE4], &[at; 996][..]].concat();
    let mut queue = |at: u8| {
        let frame = [&frame(at)[..], &[], &[]];
        call.connection
            .queue(10 * u64::from(at), FrameKind::Media, frame, &mut QueueMemory::default())
            .unwrap()
            .dropped_late
    };
    let late: u32 = (0..40).map(&mut queue).sum();
    assert_eq!(late, 14, "those that were queued more than 250 ms before the last one");
    let (written, late) = call.writes(400);
    assert_eq!(late, 1);
    let lengths = records(&written);
    assert!(lengths.iter().all(|length| *length <= MOST_RECORD_BYTES + 17), "{lengths:?}");
    assert_eq!(lengths.len(), 7, "four frames a record");
    call.client.takes(&written).unwrap();
    let expected: Vec<u8> = (15..40).flat_map(frame).collect();
    assert_eq!(call.client.received, expected);
}

#[test]
fn a_session_is_resumed_with_a_ticket() {
    let pairs = pairs(&[&["turn.example"]]);
    for version in [&version::TLS12, &version::TLS13] {
        let config = Wishes { version, trusts: &pairs, ..Wishes::default() }.config();
        let context = context(&pairs);
        let is_resumed = [(); 2].map(|()| {
            let mut call = call(&context, config.clone(), "turn.example");
            call.shakes_hands(usize::MAX).unwrap();
            let is_tls13 = version.version == ProtocolVersion::TLSv1_3;
            let is_resumed = call.client.is_resumed();
            assert_eq!(call.connection.handshake(), Some(Handshake { is_tls13, is_resumed }));
            is_resumed
        });
        assert_eq!(is_resumed, [false, true]);
    }
}

#[test]
fn a_pair_that_cannot_be_used_is_named() {
    let good = pairs(&[&["a"], &["b"]]);
    let fault = |pairs: Vec<Pair>| TlsContext::new(pairs).map(|_| ()).unwrap_err();
    let second = |pair: Pair| vec![good[0].clone(), pair];
    let swapped = Pair { key: good[0].key.clone(), ..good[1].clone() };
    let expected = TlsError { pair: 1, fault: TlsFault::KeyMismatch };
    assert_eq!(fault(second(swapped)), expected);
    for (pair, expected) in [
        (Pair { chain: Vec::new(), ..good[1].clone() }, TlsFault::NoCertificate),
        (Pair { chain: vec![vec![1, 2, 3]], ..good[1].clone() }, TlsFault::BadCertificate),
        (Pair { key: vec![1, 2, 3], ..good[1].clone() }, TlsFault::BadKey),
    ] {
        assert_eq!(fault(second(pair)), TlsError { pair: 1, fault: expected });
    }
    assert_eq!(fault(Vec::new()), TlsError { pair: 0, fault: TlsFault::NoPair });
    assert!(!format!("{:?}", good[0]).contains("key"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn sealed_frames_mean_the_same_however_they_are_cut(
        payloads in prop::collection::vec(0_u16..2_000, 1..8),
        most in prop::collection::vec(1..3_000_usize, 1..6),
    ) {
        let mut call = established(&Wishes::default());
        let frame = |bytes: &u16| {
            let payload = vec![3; usize::from(*bytes).next_multiple_of(4)];
            [&[0x40, 0], &bytes.to_be_bytes()[..], &payload].concat()
        };
        let frames: Vec<u8> = payloads.iter().flat_map(frame).collect();
        let plain = [&REQUEST[..], &frames].concat();
        let sealed = call.client.says(&plain);
        let (mut rest, mut most) = (&sealed[..], most.iter().cycle());
        while !rest.is_empty() {
            let cut = rest.len().min(*most.next().unwrap());
            call.delivers(&rest[..cut], usize::MAX);
            rest = &rest[cut..];
        }
        assert_eq!(call.seen, plain);
        assert!(call.connection.waiting_bytes() == 0 && call.outcome == Ok(()));
    }
}
