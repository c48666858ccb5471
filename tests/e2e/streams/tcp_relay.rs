//! RFC 6062: TCP from a client through the relay to its peers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use crate::client::Client;
use crate::http::{scrape, showing};
use crate::link::Link;
use crate::machine::Folder;
use crate::relay::{LOOPBACK4, PASSWORD, Relay, Setup, USER};
use crate::stun::{Answer, Builder, Class, attribute, method};

const SOON: Duration = Duration::from_secs(10);

fn relay(workers: &str) -> Relay {
    Setup::new().with(&["--tcp-relay", "on", "--workers", workers]).start()
}

fn allocate() -> Builder {
    Builder::request(method::ALLOCATE).attribute(attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0])
}

/// A client with a relayed address for TCP.
fn client(relay: &Relay) -> (Client, SocketAddr) {
    let mut client = Client::over_tcp(relay.v4());
    let relayed = client.succeed(allocate()).address(attribute::XOR_RELAYED_ADDRESS);
    (client, relayed)
}

fn to(peer: SocketAddr) -> Builder {
    Builder::request(method::CONNECT).peer(peer)
}

fn connect(client: &mut Client, peer: SocketAddr) -> Answer {
    client.authenticated(to(peer))
}

fn id(message: &Answer) -> Vec<u8> {
    message.get(attribute::CONNECTION_ID).expect("a connection's name").to_vec()
}

/// A data connection for a name; the rest is sent with the request.
fn bind(relay: &Relay, id: &[u8], rest: &[u8]) -> Link {
    let mut data = Client::over_tcp(relay.v4());
    data.challenge();
    let request = Builder::request(method::CONNECTION_BIND).attribute(attribute::CONNECTION_ID, id);
    let request = data.sign(request);
    data.link().write(&[&request[..], rest].concat());
    assert_eq!(data.message().class, Class::Success, "ConnectionBind");
    data.link.expect("it comes on TCP").into_inner().expect("not poisoned")
}

fn read(stream: &mut impl Read, bytes: usize) -> Vec<u8> {
    let mut buffer = vec![0; bytes];
    stream.read_exact(&mut buffer).expect("so many bytes");
    buffer
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((LOOPBACK4, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    (listener, address)
}

fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    let (stream, from) = listener.accept().expect("the relay connects");
    stream.set_read_timeout(Some(SOON)).expect("a timeout");
    (stream, from)
}

// RFC 6062 §4.3, §5.2: the connection leaves from the relayed address, and behind ConnectionBind
// all bytes are the peer's. Half of it may end before the other does.
#[test]
fn a_client_connects_to_a_peer_and_bytes_pass_both_ways() {
    for workers in ["1", "2"] {
        let relay = relay(workers);
        let (mut client, relayed) = client(&relay);
        for round in 0..6 {
            let (listener, peer) = listener();
            let answer = connect(&mut client, peer);
            assert_eq!(answer.class, Class::Success, "round {round} of {workers}");
            let (mut stream, from) = accept(&listener);
            assert_eq!(from, relayed);
            stream.write_all(b"early").expect("it is open");
            let mut data = bind(&relay, &id(&answer), b"first");
            assert_eq!(read(&mut stream, 5), b"first");
            data.write(b" second");
            assert_eq!(read(&mut stream, 7), b" second");
            stream.write_all(b" and late").expect("it is open");
            data.stream.shutdown(Shutdown::Write).expect("it is open");
            assert_eq!(stream.read(&mut [0; 1]).expect("the client's end"), 0);
            stream.write_all(b"!").expect("it is half open");
            drop(stream);
            assert_eq!(data.rest(SOON), b"early and late!");
        }
    }
}

// RFC 6062 §5.3: a peer with a permission may connect, one without is turned away.
#[test]
fn a_peer_connects_and_the_client_takes_it() {
    let relay = relay("1");
    let (mut client, relayed) = client(&relay);
    let mut stranger = Link::to(relayed);
    assert_eq!(stranger.rest(SOON), b"", "no permission yet");
    client.permit(SocketAddr::new(LOOPBACK4, 9));
    let mut peer = Link::to(relayed);
    let attempt = client.message();
    assert_eq!((attempt.method, attempt.class), (method::CONNECTION_ATTEMPT, Class::Indication));
    let local = peer.stream.local_addr().expect("it is bound");
    assert_eq!(attempt.address(attribute::XOR_PEER_ADDRESS), local);
    peer.write(b"before");
    let mut data = bind(&relay, &id(&attempt), b"");
    assert_eq!(data.raw(6, SOON), b"before");
    data.write(b"after");
    assert_eq!(read(&mut peer.stream, 5), b"after");
    drop(data);
    assert_eq!(peer.rest(SOON), b"");
}

#[test]
fn megabytes_pass_a_slow_reader_whole_and_in_order() {
    let relay = relay("1");
    let (mut client, _) = client(&relay);
    let (listener, peer) = listener();
    let answer = connect(&mut client, peer);
    let (mut stream, _) = accept(&listener);
    let mut data = bind(&relay, &id(&answer), b"");
    let bytes: Vec<u8> = (0..8_000_000_u32).map(|n| (n / 7) as u8).collect();
    let sent = bytes.clone();
    let writing = std::thread::spawn(move || {
        stream.write_all(&sent).expect("it is read");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut back = Vec::new();
        stream.read_to_end(&mut back).expect("the client's bytes");
        back
    });
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(data.rest(SOON), bytes);
    data.write(&bytes);
    data.stream.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(writing.join().expect("no panic"), bytes);
}

// RFC 6062 §5.2: 447 for a peer that cannot be reached.
#[test]
fn a_peer_that_does_not_listen_is_told_so() {
    let relay = relay("1");
    let (mut client, _) = client(&relay);
    let (listener, peer) = listener();
    drop(listener);
    assert_eq!(connect(&mut client, peer).code(), Some(447));
}

// RFC 6062 §5.5: with the allocation all its connections end.
#[test]
fn the_end_of_an_allocation_ends_its_connections() {
    let relay = relay("1");
    let (mut client, _) = client(&relay);
    let (listener, peer) = listener();
    let answer = connect(&mut client, peer);
    let (mut stream, _) = accept(&listener);
    let mut data = bind(&relay, &id(&answer), b"");
    client.refresh(0);
    assert_eq!(data.rest(SOON), b"");
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0);
}

#[test]
fn a_name_that_nobody_has_is_a_bad_request_and_the_connection_goes_on() {
    for workers in ["1", "2"] {
        let relay = relay(workers);
        let mut data = Client::over_tcp(relay.v4());
        for id in [[0, 1, 2, 3], [1, 1, 2, 3], [7, 1, 2, 3]] {
            let request =
                Builder::request(method::CONNECTION_BIND).attribute(attribute::CONNECTION_ID, &id);
            assert_eq!(data.authenticated(request).code(), Some(400), "{id:?} of {workers}");
        }
    }
}

#[test]
fn it_is_off_unless_it_is_asked_for() {
    let relay = Relay::start();
    let mut client = Client::over_tcp(relay.v4());
    assert_eq!(client.fail(allocate()), 442);
    let request =
        Builder::request(method::CONNECTION_BIND).attribute(attribute::CONNECTION_ID, &[0; 4]);
    assert_eq!(client.fail(request), 403);
    client.allocate();
}

#[test]
fn nobody_connects_to_what_the_server_serves_or_to_its_web_backend_whatever_is_allowed() {
    let (_web, backend) = listener();
    let words = ["--tcp-relay", "on", "--web-backend", &backend.to_string()];
    let (relay, metrics) = showing(Setup::new().with(&words));
    let (mut client, _) = client(&relay);
    for peer in [metrics, relay.v4(), backend] {
        assert_eq!(client.fail(to(peer)), 403, "{peer}");
    }
}

// The allocation and its connections live on; what is new is refused, and says so.
#[test]
fn a_request_for_a_connection_after_a_reload_that_allows_none_is_403() {
    let folder = Folder::new();
    let user = format!("user = ['{USER}:{PASSWORD}']\n");
    let file = folder.write("uturn.toml", &(user.clone() + "tcp-relay = true\n"));
    let relay = Setup::of_nobody().with(&["--config", &file]).start();
    let (mut control, _) = client(&relay);
    let (listener, peer) = listener();
    let id = id(&connect(&mut control, peer));
    accept(&listener);
    folder.write("uturn.toml", &user);
    relay.process.signal(libc::SIGHUP);
    relay.process.wait_until_it_logs("configuration read again", 1);
    let bind = Builder::request(method::CONNECTION_BIND).attribute(attribute::CONNECTION_ID, &id);
    assert_eq!(Client::over_tcp(relay.v4()).fail(bind), 403);
    assert_eq!(control.fail(to(peer)), 403);
    control.refresh(600);
}

// Far sides have half of the places.
#[test]
fn whoever_takes_all_connections_to_peers_leaves_room_for_clients() {
    let words = ["--tcp-relay", "on", "--workers", "1", "--streams", "64"];
    let (relay, metrics) = showing(Setup::new().with(&words));
    let listeners: Vec<_> = (0..16).map(|_| listener()).collect();
    let mut greedy = [(); 2].map(|()| client(&relay).0);
    for client in &mut greedy {
        for (_, peer) in &listeners {
            assert_eq!(connect(client, *peer).class, Class::Success);
        }
    }
    let (mut other, relayed) = client(&relay);
    let (_one_more, peer) = listener();
    assert_eq!(other.fail(to(peer)), 447);
    other.succeed(Builder::request(method::CREATE_PERMISSION).peer(peer));
    let mut refused = TcpStream::connect(relayed).expect("the kernel takes it");
    refused.set_read_timeout(Some(SOON)).expect("a timeout");
    assert!(matches!(refused.read(&mut [0; 1]), Ok(0) | Err(_)), "it is closed");
    let numbers = scrape(metrics);
    assert_eq!(numbers[r#"uturn_far_sides{worker="0"}"#], 32.0);
    assert_eq!(numbers["uturn_far_sides_refused_total"], 2.0);
}

// Its end is no reason to wait for its end.
#[test]
fn a_data_client_that_has_said_all_is_gone_with_its_allocation() {
    let (relay, metrics) = showing(Setup::new().with(&["--tcp-relay", "on", "--workers", "1"]));
    let (mut control, _) = client(&relay);
    let (listener, peer) = listener();
    let answer = connect(&mut control, peer);
    let (mut stream, _) = accept(&listener);
    let data = bind(&relay, &id(&answer), b"");
    data.stream.shutdown(Shutdown::Write).expect("it is open");
    assert_eq!(stream.read(&mut [0; 1]).expect("the client's end"), 0);
    drop(control);
    let since = std::time::Instant::now();
    while scrape(metrics)[r#"uturn_streams{worker="0"}"#] > 0.0 {
        assert!(since.elapsed() < Duration::from_secs(1), "it lingers");
    }
}
