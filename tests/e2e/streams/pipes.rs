//! TCP relaying (RFC 6062) where it hurts: ends, slow sides, limits, and what is left afterwards.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Client, V4, V6, allocate};
use crate::http::{scrape, showing};
use crate::relay::{Relay, Setup};
use crate::stun::{Answer, Builder, Class, attribute, method};

const SOON: Duration = Duration::from_secs(10);
/// More than all buffers of the kernel between two ends hold.
const LOTS: usize = 24 << 20;

fn setup() -> Setup {
    Setup::new().with(&["--tcp-relay", "on"])
}

/// A client with a TCP relayed address, on a connection of its own.
fn owner(server: SocketAddr) -> (Client, SocketAddr) {
    let mut client = Client::over_tcp(server);
    let family = if server.is_ipv4() { V4 } else { V6 };
    let request = allocate_tcp().attribute(attribute::REQUESTED_ADDRESS_FAMILY, family);
    let relayed = client.succeed(request).address(attribute::XOR_RELAYED_ADDRESS);
    (client, relayed)
}

fn allocate_tcp() -> Builder {
    Builder::request(method::ALLOCATE).attribute(attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0])
}

fn connect(peer: SocketAddr) -> Builder {
    Builder::request(method::CONNECT).peer(peer)
}

fn bind(id: u32) -> Builder {
    Builder::request(method::CONNECTION_BIND).attribute(attribute::CONNECTION_ID, &id.to_be_bytes())
}

fn id(answer: &Answer) -> u32 {
    let value = answer.get(attribute::CONNECTION_ID).expect("CONNECTION-ID is there");
    u32::from_be_bytes(value.try_into().expect("four bytes"))
}

/// A connection of the client that has become one with a peer's.
fn bound(server: SocketAddr, id: u32) -> Client {
    let mut data = Client::over_tcp(server);
    data.succeed(bind(id));
    data
}

/// A peer that listens, and a client's connection to it: `(control, data, peer)`.
fn joined(server: SocketAddr) -> (Client, Client, TcpStream) {
    let listener = TcpListener::bind((server.ip(), 0)).expect("a free port");
    let (mut control, relayed) = owner(server);
    let answer = control.succeed(connect(listener.local_addr().expect("it is bound")));
    let (peer, from) = listener.accept().expect("the relay connects");
    assert_eq!(from, relayed, "it leaves from the relayed address");
    (control, bound(server, id(&answer)), peer)
}

/// Bytes that say where they belong.
fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn exact(stream: &mut TcpStream, bytes: usize) -> Vec<u8> {
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut read = vec![0; bytes];
    stream.read_exact(&mut read).expect("all of it comes");
    read
}

fn end(stream: &mut TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    let mut read = Vec::new();
    match stream.read_to_end(&mut read) {
        Ok(_) => read,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => read,
        Err(error) => panic!("it never ended: {error}"),
    }
}

/// Writes until nothing more is taken for a second; says how much was.
fn fill(stream: &TcpStream, bytes: &[u8]) -> usize {
    stream.set_nonblocking(true).expect("an option");
    let (mut written, mut since) = (0, Instant::now());
    while since.elapsed() < Duration::from_secs(1) && written < bytes.len() {
        match (&*stream).write(&bytes[written..]) {
            Ok(count) => (written, since) = (written + count, Instant::now()),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(10));
            }
            Err(error) => panic!("writing: {error}"),
        }
    }
    stream.set_nonblocking(false).expect("an option");
    written
}

fn descriptors(relay: &Relay) -> usize {
    let folder = format!("/proc/{}/fd", relay.process.pid);
    std::fs::read_dir(folder).expect("it lives").count()
}

/// How many there are once everything that a server opens when it is first needed is open.
fn descriptors_at_rest(relay: &Relay) -> usize {
    drop(joined(relay.v4()));
    thread::sleep(Duration::from_millis(500));
    descriptors(relay)
}

/// Waits until as many descriptors are left as there were.
fn expect_descriptors(relay: &Relay, before: usize) {
    let deadline = Instant::now() + SOON;
    while descriptors(relay) > before {
        assert!(Instant::now() < deadline, "{} of {before} left", descriptors(relay));
        thread::sleep(Duration::from_millis(20));
    }
}

fn resident_kib(relay: &Relay) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", relay.process.pid));
    let status = status.expect("it lives");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("a number")
}

#[test]
fn megabytes_go_both_ways_at_once_and_nothing_is_left_of_it() {
    let relay = setup().start();
    let before = descriptors_at_rest(&relay);
    for server in relay.addresses.clone() {
        let (control, mut data, mut peer) = joined(server);
        let (up, down) = (noise(1, 8 << 20), noise(2, 8 << 20));
        let near = data.link().stream.try_clone().expect("a descriptor");
        let far = peer.try_clone().expect("a descriptor");
        let write = |mut stream: TcpStream, bytes: Vec<u8>| {
            thread::spawn(move || {
                stream.write_all(&bytes).expect("it is taken");
                stream.shutdown(Shutdown::Write).expect("it is open");
            })
        };
        let writers = [write(near, up.clone()), write(far, down.clone())];
        let reader = thread::spawn(move || end(&mut peer));
        assert!(data.link().rest(SOON * 3) == down, "what the peer sent, as it was");
        assert!(reader.join().expect("no panic") == up, "what the client sent, as it was");
        writers.into_iter().for_each(|writer| writer.join().expect("no panic"));
        drop(control);
    }
    expect_descriptors(&relay, before);
}

#[test]
fn a_peer_with_a_permission_connects_and_what_it_sent_before_waits() {
    let relay = setup().start();
    let (mut client, relayed) = owner(relay.v4());
    let listener = TcpListener::bind((relayed.ip(), 0)).expect("a free port");
    client.permit(listener.local_addr().expect("it is bound"));
    let mut peer = TcpStream::connect(relayed).expect("the relay listens");
    peer.write_all(b"early").expect("it is open");
    peer.shutdown(Shutdown::Write).expect("it is open");
    let attempt = client.message();
    assert_eq!((attempt.method, attempt.class), (method::CONNECTION_ATTEMPT, Class::Indication));
    let from = peer.local_addr().expect("it is connected");
    assert_eq!(attempt.address(attribute::XOR_PEER_ADDRESS), from);
    let mut data = bound(relay.v4(), id(&attempt));
    assert_eq!(data.link().rest(SOON), b"early");
    data.link().write(b"answer");
    assert_eq!(exact(&mut peer, 6), b"answer");
}

#[test]
fn a_peer_without_a_permission_is_closed_at_once() {
    let relay = setup().start();
    let (mut client, relayed) = owner(relay.v4());
    let mut peer = TcpStream::connect(relayed).expect("the relay listens");
    assert_eq!(end(&mut peer), b"");
    client.expect_silence();
}

#[test]
fn what_cannot_be_has_its_code() {
    let relay = setup().with(&["--user", "bob:builder-1234"]).start();
    let server = relay.v4();
    let (mut client, _) = owner(server);
    let listener = TcpListener::bind((server.ip(), 0)).expect("a free port");
    let peer = listener.local_addr().expect("it is bound");
    assert_eq!(client.fail(connect("10.1.2.3:80".parse().unwrap())), 403, "it is denied");
    assert_eq!(client.fail(Builder::request(method::CONNECT)), 400, "it names no peer");
    let answer = client.succeed(connect(peer));
    assert_eq!(client.fail(connect(peer)), 446, "there is a connection");
    let name = id(&answer);
    let mut bob = Client::login(server, "bob", "builder-1234");
    bob.link = Client::over_tcp(server).link;
    assert_eq!(bob.fail(bind(name)), 400, "it is another's");
    let mut data = Client::over_tcp(server);
    assert_eq!(data.fail(bind(name ^ 1)), 400, "nobody has it");
    data.succeed(bind(name));
    let mut again = Client::over_tcp(server);
    assert_eq!(again.fail(bind(name)), 400, "it is bound");
    again.allocate();
    assert_eq!(again.fail(connect(peer)), 403, "it relays datagrams");
    drop(listener);
    let (mut other, _) = owner(server);
    assert_eq!(other.fail(connect(peer)), 447, "nobody listens");
}

#[test]
fn without_the_key_there_is_none_of_it() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    assert_eq!(client.fail(allocate_tcp()), 442);
    for request in [connect(relay.v4()), bind(7)] {
        assert_eq!(client.fail(request), 403);
    }
}

#[test]
fn each_side_may_end_first_and_the_other_goes_on() {
    let relay = setup().start();
    for peer_first in [true, false] {
        let (control, mut data, mut peer) = joined(relay.v4());
        if peer_first {
            peer.write_all(b"last").expect("it is open");
            peer.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(data.link().rest(SOON), b"last");
            data.link().write(b"more");
            assert_eq!(exact(&mut peer, 4), b"more");
            data.link().stream.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(end(&mut peer), b"");
        } else {
            data.link().write(b"last");
            data.link().stream.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(end(&mut peer), b"last");
            peer.write_all(b"more").expect("it is open");
            drop(peer);
            assert_eq!(data.link().rest(SOON), b"more");
        }
        drop(control);
    }
}

#[test]
fn a_side_that_does_not_read_stops_the_other_and_loses_nothing() {
    let relay = setup().start();
    for client_is_slow in [true, false] {
        let (control, mut data, mut peer) = joined(relay.v4());
        let before = resident_kib(&relay);
        let sent = noise(3, LOTS);
        let near = data.link().stream.try_clone().expect("a descriptor");
        let (writer, mut reader) =
            if client_is_slow { (peer.try_clone().unwrap(), near) } else { (near, peer) };
        let taken = fill(&writer, &sent);
        assert!(taken < LOTS, "all of {taken} was taken");
        let more = resident_kib(&relay).saturating_sub(before);
        // Of 4 MiB to receive into and the large writes each page is touched for the first time.
        assert!(more < 12 << 10, "it holds {more} KiB more");
        let read = exact(&mut reader, taken);
        assert!(read == sent[..taken], "what was taken arrives");
        peer = writer;
        drop((control, peer, data));
    }
}

// The client's kernel answers the peer's bytes with a reset, which ends that side at once; what it
// had sent before its FIN is not lost by that.
#[test]
fn what_a_client_sent_before_it_left_still_arrives() {
    let relay = setup().start();
    let (_control, mut data, mut peer) = joined(relay.v4());
    let sent = noise(4, 60_000);
    data.link().write(&sent);
    drop(data);
    thread::sleep(Duration::from_millis(50));
    peer.write_all(b"nobody hears this").expect("it is open");
    assert!(end(&mut peer) == sent, "all of it arrived");
}

// A stream that is cut off must not look as if it had been whole.
#[test]
fn a_peer_of_a_client_that_breaks_is_reset() {
    let relay = setup().start();
    let (_control, mut data, mut peer) = joined(relay.v4());
    peer.write_all(&[7; 1000]).expect("it is open");
    data.link().write(b"half");
    assert_eq!(exact(&mut peer, 4), b"half");
    thread::sleep(Duration::from_millis(100));
    drop(data);
    peer.set_read_timeout(Some(SOON)).expect("a timeout");
    let error = peer.read(&mut [0; 1]).expect_err("it is no clean end");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn the_end_of_the_control_connection_closes_all_the_others() {
    let relay = setup().start();
    let before = descriptors_at_rest(&relay);
    let (control, mut data, mut peer) = joined(relay.v4());
    let (mut waits, relayed) = owner(relay.v4());
    waits.permit(relay.v4());
    let mut waiting = TcpStream::connect(relayed).expect("the relay listens");
    waits.message();
    drop((control, waits));
    assert_eq!(data.link().rest(SOON), b"");
    assert_eq!((end(&mut peer), end(&mut waiting)), (vec![], vec![]));
    assert!(TcpStream::connect(relayed).is_err(), "nobody listens");
    drop((data, peer, waiting));
    expect_descriptors(&relay, before);
}

#[test]
fn a_port_is_free_again_when_its_allocation_has_ended() {
    let relay = setup().relay_port_count(1).start();
    let mut client = Client::over_tcp(relay.v4());
    for _ in 0..20 {
        client.succeed(allocate_tcp());
        client.refresh(0);
    }
}

#[test]
fn either_side_that_breaks_ends_the_other() {
    let relay = setup().start();
    let before = descriptors_at_rest(&relay);
    for peer_breaks in [true, false, true, false] {
        let (control, mut data, mut peer) = joined(relay.v4());
        // What is not read makes the close a reset.
        let unread = [7; 1000];
        if peer_breaks {
            data.link().write(&unread);
            thread::sleep(Duration::from_millis(100));
            drop(peer);
            data.link().rest(SOON);
        } else {
            peer.write_all(&unread).expect("it is open");
            thread::sleep(Duration::from_millis(100));
            drop(data);
            end(&mut peer);
        }
        drop(control);
    }
    expect_descriptors(&relay, before);
}

// Which worker a connection comes to, the kernel says.
#[test]
fn a_data_connection_may_come_to_another_worker() {
    let (relay, metrics) = showing(setup().with(&["--workers", "2"]));
    let before = descriptors_at_rest(&relay);
    let moved = || scrape(metrics)[r#"uturn_streams_moved_total{result="moved"}"#];
    for round in 0..40_u64 {
        let listener = TcpListener::bind((relay.v4().ip(), 0)).expect("a free port");
        let (mut control, _) = owner(relay.v4());
        let answer = control.succeed(connect(listener.local_addr().expect("it is bound")));
        let (mut peer, _) = listener.accept().expect("the relay connects");
        let mut data = Client::over_tcp(relay.v4());
        data.challenge();
        let request = data.sign(bind(id(&answer)));
        let (up, down) = (noise(round, 100_000), noise(!round, 100_000));
        // What follows the request at once is the peer's already.
        data.link().write(&[&request[..], &up].concat());
        assert_eq!(data.message().class, Class::Success);
        assert!(exact(&mut peer, up.len()) == up, "round {round}");
        peer.write_all(&down).expect("it is open");
        drop(peer);
        assert!(data.link().rest(SOON) == down, "round {round}");
        if round > 8 && moved() > 2.0 {
            break;
        }
    }
    assert!(moved() > 0.0, "none moved");
    assert_eq!(scrape(metrics)[r#"uturn_streams_moved_total{result="failed"}"#], 0.0);
    expect_descriptors(&relay, before + 2);
}

#[test]
fn the_limit_of_an_allocation_holds_for_its_connections() {
    let relay = setup().with(&["--max-bps", "4000000"]).start();
    let (_control, mut data, peer) = joined(relay.v4());
    let begun = Instant::now();
    let sent = noise(5, 20 << 20);
    let to_send = sent.clone();
    let writer = thread::spawn(move || {
        (&peer).write_all(&to_send).expect("it is taken");
    });
    assert!(data.link().rest(SOON) == sent, "all of it");
    writer.join().expect("no panic");
    assert!(begun.elapsed() > Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn metrics_count_what_there_is() {
    let (relay, metrics) = showing(setup());
    let (_control, _data, _peer) = joined(relay.v4());
    let (mut client, _) = owner(relay.v4());
    client.fail(connect("127.0.0.1:1".parse().unwrap()));
    let numbers = scrape(metrics);
    assert_eq!(numbers[r#"uturn_pipes{worker="0"}"#], 1.0);
    for (result, count) in [("made", 1.0), ("failed", 1.0)] {
        let name = format!(r#"uturn_pipe_ends_total{{end="to_peer",result="{result}"}}"#);
        assert_eq!(numbers[&name], count, "{name}");
    }
}

#[test]
fn a_client_may_have_either_kind_of_allocation_on_one_connection() {
    let relay = setup().start();
    let mut client = Client::over_tcp(relay.v4());
    client.succeed(allocate());
    client.refresh(0);
    client.succeed(allocate_tcp());
}
