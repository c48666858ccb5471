//! A web server that shares the port (`web-backend`): whose a connection is, and that its bytes
//! pass through as they are.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::Client;
use crate::http::{scrape, showing};
use crate::link::Link;
use crate::machine::Folder;
use crate::relay::{LOOPBACK4, Setup};
use crate::stun::{Builder, method};

const SOON: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: www.example.org\r\n\r\n";

/// Takes connections one after another: sends on what it got up to an empty line, answers with
/// so many bytes and closes.
fn serve<S: Read + Write>(mut next: impl FnMut() -> S, seen: impl Fn(Vec<u8>), answer: &[u8]) {
    loop {
        let mut reader = BufReader::new(next());
        let mut got = Vec::new();
        // A PROXY header begins like an end.
        while got.len() <= 16 || !got.ends_with(b"\r\n\r\n") {
            if reader.read_until(b'\n', &mut got).unwrap_or(0) == 0 {
                break;
            }
        }
        seen(got);
        let _ = reader.get_mut().write_all(answer);
    }
}

fn backend(answer: Vec<u8>) -> (SocketAddr, Receiver<Vec<u8>>) {
    let listener = TcpListener::bind((LOOPBACK4, 0)).expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let (told, seen) = channel();
    thread::spawn(move || {
        let next = || listener.accept().expect("a connection").0;
        serve(next, |got| drop(told.send(got)), &answer);
    });
    (at, seen)
}

fn asked(server: SocketAddr) -> Vec<u8> {
    let mut link = Link::to(server);
    link.write(REQUEST);
    link.rest(SOON)
}

#[test]
fn plain_http_goes_to_the_backend_and_turn_stays() {
    let (at, seen) = backend(vec![b'x'; 5 << 20]);
    let relay = Setup::new().with(&["--web-backend", &at.to_string()]).start();
    assert_eq!(asked(relay.v4()).len(), 5 << 20);
    assert_eq!(seen.recv_timeout(SOON).expect("a request"), REQUEST);
    Client::over_tcp(relay.v4()).allocate();
    let mut link = Link::to(relay.v4());
    link.write(&Builder::request(method::BINDING).bytes());
    assert!(link.receive(SOON).is_some(), "an answer to a Binding request");
}

#[test]
fn a_request_that_comes_byte_by_byte_is_the_same() {
    let (at, seen) = backend(b"ok".to_vec());
    let relay = Setup::new().with(&["--web-backend", &at.to_string()]).start();
    let mut link = Link::to(relay.v4());
    for byte in REQUEST {
        link.write(&[*byte]);
        thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(link.rest(SOON), b"ok");
    assert_eq!(seen.recv_timeout(SOON).expect("a request"), REQUEST);
}

#[test]
fn the_backend_sees_the_client_in_a_proxy_header() {
    let (at, seen) = backend(b"ok".to_vec());
    let arguments = ["--web-backend", &at.to_string(), "--web-proxy", "on"];
    let relay = Setup::new().with(&arguments).start();
    let mut link = Link::to(relay.v4());
    let client = link.stream.local_addr().expect("it is connected");
    link.write(REQUEST);
    assert_eq!(link.rest(SOON), b"ok");
    let got = seen.recv_timeout(SOON).expect("a request");
    assert!(got.ends_with(REQUEST));
    let header = &got[..got.len() - REQUEST.len()];
    assert!(header.starts_with(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x7f\0\0\x01"), "{header:02x?}");
    assert_eq!(header[24..26], client.port().to_be_bytes());
    assert_eq!(header[26..28], relay.v4().port().to_be_bytes());
}

#[test]
fn the_backend_may_be_a_unix_socket() {
    let folder = Folder::new();
    let path = folder.path("web");
    let listener = UnixListener::bind(&path).expect("a socket");
    thread::spawn(move || {
        let next = || listener.accept().expect("a connection").0;
        serve(next, drop, &[b'u'; 300_000]);
    });
    let relay = Setup::new().with(&["--web-backend", &format!("unix:{path}")]).start();
    for _ in 0..3 {
        assert_eq!(asked(relay.v4()).len(), 300_000);
    }
}

#[test]
fn a_backend_that_is_down_closes_the_client_and_says_so() {
    let gone = TcpListener::bind((LOOPBACK4, 0)).expect("a free port").local_addr().unwrap();
    let (relay, metrics) = showing(Setup::new().with(&["--web-backend", &gone.to_string()]));
    for _ in 0..3 {
        assert_eq!(asked(relay.v4()), b"");
    }
    relay.process.wait_until_it_logs("the web backend cannot be reached", 3);
    let numbers = scrape(metrics);
    assert_eq!(numbers[r#"uturn_pipe_ends_total{end="to_web",result="failed"}"#], 3.0);
    assert_eq!(numbers[r#"uturn_streams_closed_total{reason="web_backend"}"#], 3.0);
    assert_eq!(numbers[r#"uturn_pipes{worker="0"}"#], 0.0);
}

/// The TLS of a client that offers these protocols and names this host; the backend plays no TLS,
/// it only shows who got the ClientHello.
fn hello(server: SocketAddr, name: &str, offers: &[&[u8]]) -> Vec<u8> {
    use rustls::{ClientConfig, ClientConnection, RootCertStore, pki_types::ServerName};
    let roots = RootCertStore::empty();
    let mut config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offers.iter().map(|offer| offer.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).expect("a host name");
    let mut tls = ClientConnection::new(config.into(), name).expect("a client");
    let mut hello = Vec::new();
    tls.write_tls(&mut hello).expect("memory takes all");
    let mut stream = TcpStream::connect(server).expect("it listens");
    stream.write_all(&hello).expect("it is open");
    thread::sleep(Duration::from_millis(50));
    let _ = stream.shutdown(std::net::Shutdown::Write);
    hello
}

#[test]
fn tls_is_passed_on_unopened_by_alpn_and_by_name() {
    let (at, seen) = backend(Vec::new());
    let arguments = ["--web-backend", &at.to_string(), "--web-names", "www.example.org"];
    let relay = Setup::new().with(&arguments).start();
    for (name, offers) in [
        ("turn.example.org", &[&b"h2"[..], b"http/1.1"][..]),
        ("turn.example.org", &[b"acme-tls/1"]),
        ("www.example.org", &[]),
    ] {
        let sent = hello(relay.v4(), name, offers);
        let got = seen.recv_timeout(SOON).expect("the ClientHello");
        assert!(got == sent, "{name} with {offers:?} came as it was");
    }
    hello(relay.v4(), "turn.example.org", &[]);
    hello(relay.v4(), "www.example.org", &[b"stun.turn"]);
    let none = seen.recv_timeout(Duration::from_millis(300));
    assert!(none.is_err(), "those are none of the backend's");
}

// They are no strangers to TURN, of whom a source may have 32.
#[test]
fn a_source_may_have_more_browsers_than_strangers() {
    let listener = TcpListener::bind((LOOPBACK4, 0)).expect("a free port");
    let at = listener.local_addr().expect("it is bound");
    let (relay, metrics) = showing(Setup::new().with(&["--web-backend", &at.to_string()]));
    let mut browsers = Vec::new();
    for _ in 0..60 {
        let mut link = Link::to(relay.v4());
        link.write(b"GET / HTTP/1.1\r\n");
        browsers.push((listener.accept().expect("a connection").0, link));
    }
    for (backend, link) in &mut browsers {
        backend.write_all(b"hello").expect("it is open");
        assert_eq!(link.raw(5, SOON), b"hello");
    }
    assert_eq!(scrape(metrics)[r#"uturn_pipes{worker="0"}"#], 60.0);
}

#[test]
fn a_browser_that_goes_away_leaves_nothing_behind() {
    let (at, _seen) = backend(vec![b'x'; 64 << 20]);
    let (relay, metrics) = showing(Setup::new().with(&["--web-backend", &at.to_string()]));
    for _ in 0..5 {
        let mut link = Link::to(relay.v4());
        link.write(REQUEST);
        link.stream.read_exact(&mut [0; 1000]).expect("some of it");
    }
    let deadline = Instant::now() + SOON;
    while scrape(metrics)[r#"uturn_pipes{worker="0"}"#] > 0.0 {
        assert!(Instant::now() < deadline, "pipes are left");
        thread::sleep(Duration::from_millis(20));
    }
}
