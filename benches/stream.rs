//! What a stream costs: framing, sealing and opening of records, a handshake, an idle connection.
//!
//! `cargo bench --bench stream`. Both ends of TLS are in memory; only the server's is timed.

use std::{
    fs,
    hint::black_box,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::BytesMut;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rustls::{ClientConfig, ClientConnection, RootCertStore, crypto::aws_lc_rs};
use uturn::stream::{
    Connection, FrameKind, Intake, Pair, ProxyRule, QueueMemory, StreamLimits, StreamSetup,
    TlsContext, limits::MOST_WRITE_BYTES,
};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const NAME: &str = "turn.example";
const REQUEST: [u8; 20] =
    [0, 3, 0, 0, 0x21, 0x12, 0xA4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
/// ChannelData payloads: voice and video.
const PAYLOADS: [u16; 2] = [160, 1_200];
const IDLE: usize = 4_000;

/// Both configurations of one trust.
struct Ends {
    server: Arc<TlsContext>,
    client: Arc<ClientConfig>,
}

impl Ends {
    fn new() -> Ends {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).expect("a certificate");
        let mut roots = RootCertStore::empty();
        roots.add(made.cert.der().clone()).expect("a root");
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().expect("versions");
        let client = builder.with_root_certificates(roots).with_no_client_auth();
        let key = made.signing_key.serialize_der();
        let chain = vec![made.cert.der().to_vec()];
        let server = TlsContext::new(vec![Pair { names: Vec::new(), chain, key }]);
        Ends { server: Arc::new(server.expect("a pair")), client: Arc::new(client) }
    }

    fn connection(&self) -> Connection {
        let setup = StreamSetup {
            peer: ([192, 0, 2, 1], 5_000).into(),
            local: ([198, 51, 100, 1], 5_349).into(),
            proxy: ProxyRule::Refused,
            only_tls: false,
            tls: Some(&self.server),
            web: None,
            limits: StreamLimits::default(),
        };
        Connection::new(0, setup)
    }

    /// A client and its stream after the handshake; how long the server's part of it took.
    fn established(&self) -> (ClientConnection, Connection, Duration) {
        let name = NAME.try_into().expect("a name");
        let mut client = ClientConnection::new(self.client.clone(), name).expect("a client");
        let mut connection = self.connection();
        let mut spent = Duration::ZERO;
        loop {
            let mut flight = sealed(&mut client);
            let begin = Instant::now();
            let mut out = BytesMut::new();
            take(&mut connection, &mut flight, &mut Intake::default());
            connection
                .fill(0, MOST_WRITE_BYTES, &mut out, &mut QueueMemory::default())
                .expect("TLS");
            connection.written(0);
            spent += begin.elapsed();
            if out.is_empty() {
                return (client, connection, spent);
            }
            client.read_tls(&mut &out[..]).expect("memory");
            client.process_new_packets().expect("TLS");
        }
    }
}

fn sealed(client: &mut ClientConnection) -> Vec<u8> {
    let mut bytes = Vec::new();
    while client.wants_write() {
        client.write_tls(&mut bytes).expect("memory");
    }
    bytes
}

fn says(client: &mut ClientConnection, plain: &[u8]) -> Vec<u8> {
    client.writer().write_all(plain).expect("memory");
    sealed(client)
}

fn take(connection: &mut Connection, bytes: &mut [u8], intake: &mut Intake) {
    connection.receive(0, bytes, intake).expect("a stream");
    if connection.wants_step() {
        connection.step(0, intake).expect("a handshake");
    }
}

fn frame(payload_bytes: u16) -> Vec<u8> {
    let payload = vec![7; usize::from(payload_bytes)];
    [&[0x40, 0], &payload_bytes.to_be_bytes()[..], &payload].concat()
}

/// Takes the same bytes, or freshly sealed ones, 64 at a time, and times only the server.
fn taken(
    iterations: u64,
    mut make: impl FnMut() -> Vec<u8>,
    connection: &mut Connection,
) -> Duration {
    let (mut spent, mut left, mut intake) = (Duration::ZERO, iterations, Intake::default());
    while left > 0 {
        let mut batch: Vec<_> = (0..left.min(64)).map(|_| make()).collect();
        left -= batch.len() as u64;
        let begin = Instant::now();
        for bytes in &mut batch {
            intake.clear();
            take(connection, bytes, &mut intake);
            black_box(intake.arrivals());
        }
        spent += begin.elapsed();
    }
    spent
}

fn receive(c: &mut Criterion) {
    let ends = Ends::new();
    let mut group = c.benchmark_group("receive");
    for payload_bytes in PAYLOADS {
        let frame = frame(payload_bytes);
        let mut clear = ends.connection();
        take(&mut clear, &mut REQUEST.to_vec(), &mut Intake::default());
        group.bench_function(format!("tcp/{payload_bytes}"), |b| {
            b.iter_custom(|iterations| taken(iterations, || frame.clone(), &mut clear));
        });
        let (mut client, mut connection, _) = ends.established();
        take(&mut connection, &mut says(&mut client, &REQUEST), &mut Intake::default());
        group.bench_function(format!("tls/{payload_bytes}"), |b| {
            let make = || says(&mut client, &frame);
            let mut make = Some(make);
            b.iter_custom(|iterations| {
                taken(iterations, make.as_mut().expect("a maker"), &mut connection)
            });
        });
    }
}

fn send(c: &mut Criterion) {
    let ends = Ends::new();
    let mut group = c.benchmark_group("send");
    for payload_bytes in PAYLOADS {
        let frame = frame(payload_bytes);
        let mut clear = ends.connection();
        take(&mut clear, &mut REQUEST.to_vec(), &mut Intake::default());
        let (mut client, mut sealed, _) = ends.established();
        take(&mut sealed, &mut says(&mut client, &REQUEST), &mut Intake::default());
        for (name, connection) in [("tcp", &mut clear), ("tls", &mut sealed)] {
            for frames in [1, 12] {
                group.throughput(Throughput::Elements(frames));
                group.bench_function(format!("{name}/{payload_bytes}x{frames}"), |b| {
                    let mut out = BytesMut::with_capacity(20_000);
                    let mut memory = QueueMemory::default();
                    b.iter(|| {
                        for _ in 0..frames {
                            let parts: [&[u8]; 3] = [&frame, &[], &[]];
                            connection
                                .queue(0, FrameKind::Media, parts, &mut memory)
                                .expect("room");
                        }
                        out.clear();
                        connection.fill(0, MOST_WRITE_BYTES, &mut out, &mut memory).expect("TLS");
                        connection.written(0);
                    });
                });
            }
        }
    }
}

fn handshake(c: &mut Criterion) {
    let ends = Ends::new();
    c.bench_function("handshake/1.3 full, ECDSA, X25519MLKEM768", |b| {
        b.iter_custom(|iterations| {
            let fresh =
                || Ends { server: ends.server.clone(), client: without_tickets(&ends.client) };
            (0..iterations).map(|_| fresh().established().2).sum()
        });
    });
}

fn without_tickets(config: &ClientConfig) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.resumption = rustls::client::Resumption::disabled();
    Arc::new(config)
}

/// Prints what idle connections hold, by the pages of the process.
fn idle(_: &mut Criterion) {
    let ends = Ends::new();
    let establish =
        |count: usize| -> Vec<Connection> { (0..count).map(|_| ends.established().1).collect() };
    let warm = establish(200);
    let before = resident_bytes();
    let held = establish(IDLE);
    let each = resident_bytes().saturating_sub(before) / IDLE;
    println!("idle TLS connection: {each} bytes, {} of them inline", size_of::<Connection>());
    drop((warm, held));
}

fn resident_bytes() -> usize {
    let pages = fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages = pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok());
    pages.expect("a number") * 4_096
}

criterion_group!(benches, receive, send, handshake, idle);
criterion_main!(benches);
