//! Clients on TCP (RFC 8656 §2.1): what they get, how their bytes are cut, how connections end.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit};
use socket2::{Domain, Socket, Type};

use crate::client::{CHANNEL, Call, Client, Peer, allocate, channel_bind, channel_data};
use crate::http::{scrape, showing};
use crate::link::Link;
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, Class, attribute, method};

const SOON: Duration = Duration::from_secs(5);

/// The header, and XOR-MAPPED-ADDRESS of an IPv4 client.
const BINDING_ANSWER_BYTES: usize = 20 + 12;

#[test]
fn a_client_on_tcp_allocates_and_talks_both_ways() {
    let relay = Relay::start();
    for server in relay.addresses.clone() {
        let mut client = Client::over_tcp(server);
        let relayed = client.allocate();
        let peer = Peer::at(relayed.ip());
        client.permit(peer.address());
        peer.send(relayed, b"indicated");
        assert_eq!(client.data_indication(), (peer.address(), b"indicated".to_vec()));
        client.send_indication(peer.address(), b"sent");
        assert_eq!(peer.receive(), (relayed, b"sent".to_vec()));
        client.bind(CHANNEL, peer.address());
        for bytes in [0, 1, 2, 3, 4, 1200, 9000] {
            let payload = vec![bytes as u8; bytes];
            client.send_channel(CHANNEL, &payload);
            assert_eq!(peer.receive(), (relayed, payload.clone()));
            peer.send(relayed, &payload);
            assert_eq!(client.channel_data(), (CHANNEL, payload));
        }
    }
}

#[test]
fn the_mapped_address_is_the_connections() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    let answer = client.request(&Builder::request(method::BINDING).bytes());
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), client.address());
}

// A stream means the same however it is cut.
#[test]
fn bytes_one_by_one_and_all_at_once_mean_the_same() {
    let relay = Relay::start();
    let peer = Peer::new();
    let frames: Vec<u8> = (0..40_u8)
        .flat_map(|n| {
            let mut frame = channel_data(CHANNEL, &vec![n; usize::from(n % 7) * 5]);
            frame.resize(frame.len().next_multiple_of(4), 0);
            frame
        })
        .collect();
    for cut in [1, 3, 50, usize::MAX] {
        let mut client = Client::over_tcp(relay.v4());
        client.challenge();
        let write = |client: &mut Client, bytes: &[u8]| {
            bytes.chunks(cut.min(bytes.len())).for_each(|part| client.link().write(part));
        };
        let wanted = client.sign(allocate());
        write(&mut client, &wanted);
        assert_eq!(client.message().class, Class::Success, "the allocation, cut every {cut}");
        let bound = client.sign(channel_bind(CHANNEL, peer.address()));
        write(&mut client, &[&bound[..], &frames[..]].concat());
        assert_eq!(client.message().class, Class::Success, "the channel, cut every {cut}");
        for n in 0..40_u8 {
            assert_eq!(peer.receive().1, vec![n; usize::from(n % 7) * 5], "cut every {cut}");
        }
    }
}

#[test]
fn a_udp_and_a_tcp_client_may_have_one_address_and_port() {
    let relay = Relay::start();
    let mut on_tcp = Client::over_tcp(relay.v4());
    let socket = UdpSocket::bind(on_tcp.address()).expect("the port is free for UDP");
    let mut on_udp = Client::new(relay.v4());
    on_udp.socket = socket;
    assert_eq!(on_tcp.address(), on_udp.address());
    let (one, other) = (on_tcp.allocate(), on_udp.allocate());
    assert_ne!(one, other);
    let peer = Peer::new();
    on_tcp.permit(peer.address());
    on_udp.permit(peer.address());
    peer.send(one, b"tcp");
    peer.send(other, b"udp");
    assert_eq!(on_tcp.data_indication().1, b"tcp");
    assert_eq!(on_udp.data_indication().1, b"udp");
}

#[test]
fn a_lost_connection_ends_the_allocation_and_frees_its_port_at_once() {
    let relay = Setup::new().relay_port_count(1).start();
    let mut client = Client::over_tcp(relay.v4());
    let relayed = client.allocate();
    for how in [Shutdown::Write, Shutdown::Both] {
        assert_eq!(Client::new(relay.v4()).fail(allocate()), 508, "there is one port");
        client.link().stream.shutdown(how).expect("it is open");
        let mut next = Client::over_tcp(relay.v4());
        let deadline = Instant::now() + SOON;
        while next.authenticated(allocate()).class != Class::Success {
            assert!(Instant::now() < deadline, "the port is still taken");
            std::thread::sleep(Duration::from_millis(20));
        }
        client = next;
    }
    assert_eq!(relayed.port(), relay.relay_range.0);
    relay.process.wait_until_it_logs("reason=\"disconnected\"", 2);
}

#[test]
fn an_answer_reaches_a_client_that_has_finished_sending() {
    let relay = Relay::start();
    let mut link = Link::to(relay.v4());
    link.write(&Builder::request(method::BINDING).bytes());
    link.stream.shutdown(Shutdown::Write).expect("it is open");
    let answer = link.rest(SOON);
    assert!(answer.starts_with(&[0x01, 0x01]), "a Binding success: {answer:?}");
}

/// What a connection that begins with these bytes is answered with, until its end.
fn last_words(relay: &Relay, bytes: &[u8]) -> Vec<u8> {
    let mut link = Link::to(relay.v4());
    link.write(bytes);
    link.rest(SOON)
}

#[test]
fn what_is_no_stun_is_hung_up() {
    let relay = Relay::start();
    let mut broken = Builder::request(method::BINDING).bytes();
    broken[4] ^= 1;
    for bytes in [b"\x7f\x00\x00\x00".to_vec(), b"SSH-2.0-client\r\n".to_vec(), broken] {
        assert_eq!(last_words(&relay, &bytes), b"", "{bytes:?}");
    }
    let mut late = Builder::request(method::BINDING).bytes();
    late.extend_from_slice(b"\xff\xff\xff\xff");
    last_words(&relay, &late);
    // ChannelData is nothing to begin with.
    assert_eq!(last_words(&relay, &channel_data(CHANNEL, b"data")), b"");
    let mut client = Client::over_tcp(relay.v4());
    client.allocate();
    client.link().write(&[0x80; 8]);
    assert_eq!(client.link().rest(SOON), b"");
    relay.process.wait_until_it_logs("reason=\"disconnected\"", 1);
}

#[test]
fn a_request_of_http_is_told_so() {
    let relay = Relay::start();
    let answer = last_words(&relay, b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
    assert!(answer.starts_with(b"HTTP/1.1 400 "), "{answer:?}");
}

// It is over when both sides have said all: nothing is waited for. One of several is proof: on a
// busy machine some take long for other reasons.
#[test]
fn a_connection_whose_client_finished_before_its_answer_is_gone_with_that() {
    let (relay, metrics) = showing(Setup::new());
    let is_soon_gone = |_| {
        let mut link = Link::to(relay.v4());
        link.write(b"GET / HTTP/1.1\r\n\r\n");
        link.stream.shutdown(Shutdown::Write).expect("it is open");
        assert!(link.rest(SOON).starts_with(b"HTTP/1.1 400 "));
        let since = Instant::now();
        while scrape(metrics)[r#"uturn_streams{worker="0"}"#] > 0.0 {
            assert!(since.elapsed() < SOON, "it never goes");
        }
        since.elapsed() < Duration::from_millis(1_500)
    };
    assert!((0..5).any(is_soon_gone), "it lingers");
}

#[test]
fn a_client_that_asks_much_at_once_and_reads_is_answered_everything() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    client.allocate();
    let mut request = [0; 20];
    request[1] = 1;
    request[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
    client.link().write(&request.repeat(200));
    for _ in 0..200 {
        assert!(client.link().receive(SOON).is_some(), "a Binding response");
    }
}

// TCP_NOTSENT_LOWAT keeps what waits in the kernel small; what waits here is dropped by its age.
#[test]
fn a_slow_reader_gets_fresh_media_and_delays_nobody() {
    let relay = Relay::start();
    let mut slow = Call::of(Client::over_tcp(relay.v4()));
    let mut quick = Call::on(&relay);
    let begun = Instant::now();
    let (mut sent, mut waits) = (0_u32, Vec::new());
    while begun.elapsed() < Duration::from_secs(2) {
        for _ in 0..8 {
            let mut payload = vec![0; 1200];
            payload[..4].copy_from_slice(&sent.to_be_bytes());
            slow.peer.send(slow.relayed, &payload);
            sent += 1;
        }
        let asked = Instant::now();
        quick.talk();
        waits.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(2));
    }
    // Of a machine that is busy with other tests some rounds are late.
    waits.sort_unstable();
    let median = waits[waits.len() / 2];
    assert!(median < Duration::from_millis(100), "{median:?}");
    slow.peer.send(slow.relayed, b"last");
    let (mut numbers, mut last) = (Vec::new(), false);
    while let Some(frame) = slow.client.link().receive(Duration::from_millis(500)) {
        match &frame[4..] {
            b"last" => last = true,
            payload => numbers.push(u32::from_be_bytes(payload[..4].try_into().unwrap())),
        }
    }
    assert!(last, "what is fresh arrives");
    assert!(numbers.is_sorted(), "in order");
    assert!(numbers.len() < sent as usize, "{} of {sent}: nothing was dropped", numbers.len());
}

#[test]
fn connections_that_say_nothing_go_and_none_is_left() {
    let relay = Relay::start();
    let silent: Vec<TcpStream> =
        (0..30).map(|_| TcpStream::connect(relay.v4()).expect("it is taken")).collect();
    let begun = Instant::now();
    for stream in silent {
        let mut link = Link::of(stream);
        assert_eq!(link.rest(Duration::from_secs(10)), b"");
    }
    assert!(begun.elapsed() >= Duration::from_secs(4), "they had time: {:?}", begun.elapsed());
    Client::over_tcp(relay.v4()).allocate();
}

/// Connects from an address of the loopback network.
fn connect_from(ip: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from((ip, 0)).into()).expect("all of 127.0.0.0/8 is local");
    socket.connect(&to.into()).expect("it is taken");
    socket.into()
}

// Slow loris: each of 128 sources opens as many connections as one may have, and says nothing.
#[test]
fn thousands_that_say_nothing_are_closed_in_time_and_none_is_left() {
    let (relay, metrics) = showing(Setup::new());
    let files = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit").0;
    let count = files.saturating_sub(300).min(4096) as u16;
    let from = |n: u16| Ipv4Addr::new(127, 1, (n / 32 / 250) as u8, (n / 32 % 250 + 1) as u8);
    let silent: Vec<TcpStream> = (0..count).map(|n| connect_from(from(n), relay.v4())).collect();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let samples = scrape(metrics);
        let timeouts = samples[r#"uturn_streams_closed_total{reason="first_timeout"}"#];
        if timeouts as u64 >= count.into() {
            assert_eq!(samples[r#"uturn_streams{worker="0"}"#], 0.0);
            break;
        }
        assert!(Instant::now() < deadline, "{timeouts} of {count}");
        std::thread::sleep(Duration::from_millis(100));
    }
    drop(silent);
    Client::over_tcp(relay.v4()).allocate();
}

#[test]
fn a_source_has_so_many_connections_without_credentials() {
    let relay = Relay::start();
    let mut silent: Vec<Link> = (0..40).map(|_| Link::to(relay.v4())).collect();
    let refused = silent.split_off(32);
    for mut link in refused {
        assert_eq!(link.rest(SOON), b"", "one too many");
    }
    for link in &mut silent {
        link.write(&Builder::request(method::BINDING).bytes());
        assert!(link.receive(SOON).is_some(), "it was there before");
    }
}

// Behind a carrier's NAT, or a neighbour's: whoever says nothing does not keep others out.
#[test]
fn of_a_source_full_of_silent_connections_the_oldest_makes_room_once_it_had_its_time() {
    let relay = Relay::start();
    let mut silent: Vec<Link> = (0..32).map(|_| Link::to(relay.v4())).collect();
    std::thread::sleep(Duration::from_millis(1100));
    Client::over_tcp(relay.v4()).allocate();
    assert_eq!(silent[0].rest(SOON), b"", "the oldest");
    silent[1].write(&Builder::request(method::BINDING).bytes());
    assert!(silent[1].receive(SOON).is_some(), "no more than one");
}

#[test]
fn the_end_of_an_allocation_leaves_its_connection_open() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    client.allocate();
    client.refresh(0);
    client.allocate();
}

#[test]
fn a_server_that_stops_closes_its_connections() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    client.allocate();
    let begun = Instant::now();
    drop(relay);
    assert_eq!(client.link().rest(SOON), b"");
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
}

// Connections that wait with the kernel when the server stops are closed, not left to a timeout.
#[test]
fn whoever_waits_to_be_taken_when_the_server_stops_hears_of_it() {
    let relay = Relay::start();
    relay.process.signal(libc::SIGSTOP);
    let waiting: Vec<Link> = (0..100)
        .map(|number| {
            let mut link = Link::of(connect_from([127, 1, 2, number].into(), relay.v4()));
            if number % 2 == 0 {
                link.write(&Builder::request(method::BINDING).bytes());
            }
            link
        })
        .collect();
    relay.process.signal(libc::SIGTERM);
    relay.process.signal(libc::SIGCONT);
    for mut link in waiting {
        link.rest(SOON);
    }
}

// Whatever comes behind its last answer, those it got are written, and the connection ends.
#[test]
fn a_stranger_is_answered_64_times_and_then_let_go() {
    let relay = Relay::start();
    for cut in [1, 7, 200] {
        let mut stream = TcpStream::connect(relay.v4()).expect("it is taken");
        stream.set_read_timeout(Some(SOON)).expect("a timeout");
        let requests = vec![Builder::request(method::BINDING).bytes(); 200];
        for some in requests.chunks(cut) {
            // It may be closed before the last is written.
            if stream.write_all(&some.concat()).is_err() {
                break;
            }
        }
        let mut answers = Vec::new();
        // In a FIN, or in a reset where the rest of the requests came too late to be read.
        let end = stream.read_to_end(&mut answers);
        let timed_out = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        assert!(!end.as_ref().is_err_and(timed_out), "{cut} at a time: it is still open");
        let answers: Vec<_> = answers.chunks(BINDING_ANSWER_BYTES).collect();
        assert_eq!(answers.len(), 64, "{cut} at a time");
        assert!(answers.iter().all(|answer| answer.starts_with(&[1, 1])), "{cut} at a time");
    }
    relay.process.wait_until_it_logs("answers_used_up", 1);
}

#[test]
fn a_client_that_is_cut_off_in_a_frame_is_no_fault() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    client.allocate();
    client.link().stream.write_all(&[0x40, 0, 0xff, 0xff, 1, 2]).expect("it is open");
    drop(client);
    relay.process.wait_until_it_logs("reason=\"disconnected\"", 1);
    let server: SocketAddr = relay.v4();
    Client::over_tcp(server).allocate();
}

#[test]
fn a_connection_that_is_closed_for_a_fault_is_a_line_in_the_log() {
    let relay = Relay::start();
    let mut stream = TcpStream::connect(relay.v4()).expect("it is taken");
    let from = stream.local_addr().expect("it is connected");
    stream.write_all(&[0xff; 64]).expect("it is open");
    let log = relay.process.wait_until_it_logs("connection refused or closed", 1);
    let line = log.lines().find(|line| line.contains("connection refused or closed")).unwrap();
    for words in [&format!("client={from}"), "tcp", "unknown_protocol", "worker="] {
        assert!(line.contains(words), "{line}");
    }
}
