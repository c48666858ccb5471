//! Health checks are answered within a second, whatever strangers and clients hold.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::client::{Client, V6, allocate};
use crate::control::commands::Controlled;
use crate::http::{ask, showing};
use crate::relay::Setup;
use crate::stun::attribute;

const DRIVERS: [&str; 2] = ["uring", "portable"];
const CHECKS: [&str; 3] = ["/live", "/ready", "/metrics"];
/// Open files of a server whose clients use up what they can have.
const FEW_FILES: &str = "--nofile=300:300";
const FEWER_FILES: &str = "--nofile=220:220";

/// Raises this process's own limit, for a thousand connections beside the clients.
fn raise_file_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, hard.min(8192), hard).expect("up to the hard limit");
}

/// Every check, answered with 200 within a second.
#[track_caller]
fn assert_healthy(metrics: SocketAddr) {
    for path in CHECKS {
        let asked = Instant::now();
        assert_eq!(ask(metrics, "GET", path).status, 200, "{path}");
        assert!(asked.elapsed() < Duration::from_secs(1), "{path}: {:?}", asked.elapsed());
    }
}

/// A connection that asks with some words, or says nothing, and then neither reads nor closes.
fn stand_still(metrics: SocketAddr, words: &str) -> TcpStream {
    let mut stream = TcpStream::connect(metrics).expect("the kernel takes it");
    // Whoever is turned away meanwhile has said enough.
    stream.write_all(words.as_bytes()).unwrap_or_default();
    stream
}

/// A thousand silent connections, and as many of each other kind as there are places.
fn crowd(metrics: SocketAddr) -> Vec<TcpStream> {
    let silent = (0..1_000).map(|_| "");
    let halves = (0..64).map(|_| "GET /live HTTP/1.1\r\nHost: ");
    let slow = (0..64).map(|_| "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    silent.chain(halves).chain(slow).map(|words| stand_still(metrics, words)).collect()
}

#[test]
fn health_checks_are_answered_beside_a_thousand_silent_connections() {
    raise_file_limit();
    for io in DRIVERS {
        let (_relay, metrics) = showing(Setup::new().with(&["--io", io]));
        for _ in 0..3 {
            let crowd = crowd(metrics);
            assert_healthy(metrics);
            drop(crowd);
        }
    }
}

#[test]
fn health_checks_are_answered_while_clients_sockets_use_up_the_descriptors() {
    raise_file_limit();
    let setup = Setup::new().with(&["--io", "portable"]).through(&["prlimit", FEW_FILES]);
    let (relay, metrics) = showing(setup);
    let mut clients = Vec::new();
    loop {
        let mut client = Client::new(relay.v4());
        let code = client.authenticated(allocate()).code();
        clients.push(client);
        if let Some(code) = code {
            assert_eq!(code, 508);
            break;
        }
    }
    assert!((70..180).contains(&clients.len()), "{} clients and no more", clients.len());
    assert_healthy(metrics);
    let crowd = crowd(metrics);
    assert_healthy(metrics);
    drop(crowd);
    clients[0].refresh(0);
}

// A reserved port is a descriptor of the process with either driver.
#[test]
fn health_checks_are_answered_while_reserved_ports_use_up_the_descriptors() {
    raise_file_limit();
    for io in DRIVERS {
        let setup = Setup::new().with(&["--io", io]).through(&["prlimit", FEWER_FILES]);
        let (relay, metrics) = showing(setup);
        let mut clients = Vec::new();
        for v6 in [false, true] {
            for _ in 0..90 {
                let pair = allocate().attribute(attribute::EVEN_PORT, &[0x80]);
                let family = |it: crate::stun::Builder| {
                    if v6 { it.attribute(attribute::REQUESTED_ADDRESS_FAMILY, V6) } else { it }
                };
                let mut client = Client::new(relay.v4());
                let code = client.authenticated(family(pair)).code();
                assert!([None, Some(508)].contains(&code), "{io}: {code:?}");
                clients.push(client);
            }
        }
        let crowd = crowd(metrics);
        assert_healthy(metrics);
        drop((crowd, clients));
    }
}

#[test]
fn status_is_answered_beside_a_thousand_idle_control_connections() {
    raise_file_limit();
    for io in DRIVERS {
        let server = Controlled::start(Setup::new().with(&["--io", io]));
        let connect = |_| std::os::unix::net::UnixStream::connect(&server.socket);
        let idle: Vec<_> = (0..1_000).map(|n| connect(n).expect("it is taken")).collect();
        let asked = Instant::now();
        assert!(server.says(&["status"]).contains("serving"));
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        drop(idle);
    }
}
