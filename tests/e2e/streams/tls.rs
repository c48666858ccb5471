//! Clients on TLS: what they are shown, on which ports, and certificates that are replaced while
//! the server runs.

use std::net::SocketAddr;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use crate::client::{CHANNEL, Client, Peer};
use crate::http::{scrape, showing};
use crate::link::Link;
use crate::machine::{Folder, Ports};
use crate::relay::{LOOPBACK4, PASSWORD, Process, REALM, Relay, Setup, USER, command};
use crate::stun::{Builder, attribute, method};

const TAKEN: &str = "certificate taken";
const STAYS: &str = "the certificates stay as they were";
const FAILED: &str = r#"uturn_certificate_reloads_total{result="failed"}"#;

/// A certificate on the disk, and what a client trusts by it.
struct Pair {
    trusted: Vec<u8>,
    certificate: String,
    key: String,
}

/// Writes a certificate for a host, which holds until the beginning of a year, and its key.
fn pair(folder: &Folder, file: &str, host: &str, until: i32) -> Pair {
    let key = KeyPair::generate().expect("a key can be made");
    let mut params = CertificateParams::new(vec![host.to_owned()]).expect("it is a name");
    (params.not_before, params.not_after) = (date_time_ymd(2000, 1, 1), date_time_ymd(until, 1, 1));
    let certificate = params.self_signed(&key).expect("the key can sign");
    Pair {
        trusted: certificate.der().to_vec(),
        certificate: folder.write(&format!("{file}.pem"), &certificate.pem()),
        key: folder.write(&format!("{file}.key"), &key.serialize_pem()),
    }
}

impl Pair {
    fn arguments(&self) -> [&str; 4] {
        ["--tls-certificate", &self.certificate, "--tls-key", &self.key]
    }

    /// Whether a server proves with it to be this host.
    fn is_shown(&self, server: SocketAddr, host: &str) -> bool {
        Link::over_tls(server, host, &self.trusted).is_ok()
    }
}

fn client(server: SocketAddr, host: &str, pair: &Pair) -> Client {
    let link = Link::over_tls(server, host, &pair.trusted).expect("the server proves who it is");
    Client::over(link, server)
}

/// A relay with a port for TLS alone.
struct TlsRelay {
    relay: Relay,
    tls: SocketAddr,
    _claim: Ports,
}

impl TlsRelay {
    fn start(arguments: &[&str]) -> Self {
        let claim = Ports::claim();
        let tls = SocketAddr::new(LOOPBACK4, claim.spare());
        let setup = Setup::new().with(&["--listen-tls", &tls.to_string()]).with(arguments);
        Self { relay: setup.start(), tls, _claim: claim }
    }
}

#[test]
fn a_client_on_tls_allocates_and_talks_on_every_listening_port_and_on_that_for_tls() {
    let folder = Folder::new();
    let pair = pair(&folder, "a", "turn.example.org", 4000);
    let TlsRelay { relay, tls, _claim } = TlsRelay::start(&pair.arguments());
    for server in relay.addresses.iter().copied().chain([tls]) {
        let mut client = client(server, "turn.example.org", &pair);
        let relayed = client.allocate();
        let peer = Peer::at(relayed.ip());
        client.permit(peer.address());
        client.bind(CHANNEL, peer.address());
        for bytes in [0, 1, 1200, 9000] {
            let payload = vec![bytes as u8; bytes];
            client.send_channel(CHANNEL, &payload);
            assert_eq!(peer.receive(), (relayed, payload.clone()));
            peer.send(relayed, &payload);
            assert_eq!(client.channel_data(), (CHANNEL, payload), "on {server}");
        }
    }
    let status = Link::to(tls);
    let mut plain = Client::over(status, tls);
    plain.link().write(&[0; 20]);
    assert_eq!(plain.link().rest(std::time::Duration::from_secs(5)), [0; 0], "nothing but TLS");
}

#[test]
fn a_client_is_shown_the_certificate_of_the_name_it_asks_for() {
    let folder = Folder::new();
    let first = pair(&folder, "a", "turn.example.org", 4000);
    let second = pair(&folder, "b", "*.example.net", 4000);
    let all = [first.arguments(), second.arguments()].concat();
    let TlsRelay { relay: _relay, tls, _claim } = TlsRelay::start(&all);
    assert!(first.is_shown(tls, "turn.example.org"));
    assert!(second.is_shown(tls, "any.example.net"));
    assert!(!second.is_shown(tls, "turn.example.org"));
}

#[test]
fn a_certificate_that_is_replaced_is_shown_to_new_clients_and_living_ones_go_on() {
    let folder = Folder::new();
    let old = pair(&folder, "a", "turn.example.org", 4000);
    let TlsRelay { relay, tls, _claim } = TlsRelay::start(&old.arguments());
    let mut living = client(tls, "turn.example.org", &old);
    let relayed = living.allocate();
    let new = pair(&folder, "a", "turn.example.org", 4001);
    relay.process.wait_until_it_logs(TAKEN, 1);
    assert!(new.is_shown(tls, "turn.example.org") && !old.is_shown(tls, "turn.example.org"));
    let peer = Peer::at(relayed.ip());
    living.permit(peer.address());
    peer.send(relayed, b"still here");
    assert_eq!(living.data_indication(), (peer.address(), b"still here".to_vec()));
}

#[test]
fn certificates_of_no_use_leave_the_old_ones_in_place_and_are_counted() {
    let folder = Folder::new();
    let old = pair(&folder, "a", "turn.example.org", 4000);
    let port = Ports::claim();
    let tls = SocketAddr::new(LOOPBACK4, port.spare());
    let listen_tls = tls.to_string();
    let setup = Setup::new().with(&old.arguments()).with(&["--listen-tls", &listen_tls]);
    let (relay, metrics) = showing(setup);
    let expired = pair(&folder, "other", "turn.example.org", 2020);
    let mut failed = 0;
    for (file, text, reason) in [
        ("a.key", std::fs::read_to_string(&expired.key).expect("a key"), "is not that of"),
        ("a.pem", "nothing".to_owned(), "there is no PEM certificate in it"),
        ("a.pem", std::fs::read_to_string(&expired.certificate).expect("it is there"), "expired"),
    ] {
        folder.write(file, &text);
        failed += 1;
        let log = relay.process.wait_until_it_logs(STAYS, failed);
        assert!(log.lines().any(|line| line.contains(file) && line.contains(reason)), "{log}");
        assert!(old.is_shown(tls, "turn.example.org"), "{reason}");
        assert_eq!(scrape(metrics)[FAILED], failed as f64);
    }
    let new = pair(&folder, "a", "turn.example.org", 4001);
    relay.process.wait_until_it_logs(TAKEN, 1);
    assert!(new.is_shown(tls, "turn.example.org"));
}

#[test]
fn a_server_does_not_start_with_a_certificate_of_no_use_and_says_why() {
    let folder = Folder::new();
    let expired = pair(&folder, "old", "turn.example.org", 2020);
    let user = format!("{USER}:{PASSWORD}");
    let mut command = command();
    let port = Ports::claim();
    let listen = format!("127.0.0.1:{}", port.listening());
    command.args(["--listen", &listen, "--relay-ip", "127.0.0.1", "--realm", REALM]);
    command.args(["--user", &user]).args(expired.arguments());
    let mut process = Process::spawn(command);
    assert!(!process.wait().success());
    let said = process.stderr();
    assert!(said.contains("old.pem") && said.contains("expired on 2020-01-01"), "{said}");
    let remedy = "renew it, or take tls-certificate and tls-key out of the configuration";
    assert!(said.contains(remedy), "{said}");
}

// Nobody comes from a relay to where the server takes TLS, whatever is allowed.
#[test]
fn a_tcp_relay_leads_nowhere_in_the_server_itself() {
    let folder = Folder::new();
    let pair = pair(&folder, "a", "turn.example.org", 4000);
    let arguments = [&["--tcp-relay", "on"][..], &pair.arguments()].concat();
    let relay = TlsRelay::start(&arguments);
    let mut client = client(relay.tls, "turn.example.org", &pair);
    client.succeed(
        Builder::request(method::ALLOCATE).attribute(attribute::REQUESTED_TRANSPORT, &[6, 0, 0, 0]),
    );
    for own in [relay.tls, relay.relay.v4()] {
        assert_eq!(client.fail(Builder::request(method::CONNECT).peer(own)), 403, "{own}");
    }
}

#[test]
fn listeners_for_tcp_and_tls_come_and_go_with_a_reload() {
    let folder = Folder::new();
    let pair = pair(&folder, "a", "turn.example.org", 4000);
    let port = Ports::claim();
    let tls = SocketAddr::new(LOOPBACK4, port.spare());
    let user = format!("user = ['{USER}:{PASSWORD}']\n");
    let file = folder.write("uturn.toml", &user);
    let relay = Setup::of_nobody().with(&["--config", &file]).start();
    let Pair { certificate, key, .. } = &pair;
    let with_tls = format!(
        "{user}tcp = false\nlisten-tls = ['{tls}']\ntls-certificate = ['{certificate}']\n\
         tls-key = ['{key}']\n"
    );
    let mut reloads = 0;
    let mut change = |text: &str| {
        folder.write("uturn.toml", text);
        reloads += 1;
        relay.process.signal(libc::SIGHUP);
        relay.process.wait_until_it_logs("configuration read again", reloads);
    };
    drop(Link::to(relay.v4()));
    change(&with_tls);
    client(tls, "turn.example.org", &pair).allocate();
    relay.process.wait_until_it_logs("not listened on any more", 1);
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(5);
    while std::net::TcpStream::connect(relay.v4()).is_ok() {
        assert!(std::time::Instant::now() < deadline, "TCP is still taken");
    }
    change(&user);
    relay.process.wait_until_it_logs("not listened on any more", 2);
    Client::over_tcp(relay.v4()).allocate();
}

// A stream means the same however it is cut: the end of the handshake, a request and the FIN may
// come as one.
#[test]
fn a_request_between_the_handshake_and_the_end_is_answered() {
    use std::{io::Read, io::Write, net::Shutdown, net::TcpStream, time::Duration};
    let folder = Folder::new();
    let pair = pair(&folder, "one", "turn.example.org", 2100);
    let relay = TlsRelay::start(&pair.arguments());
    for round in 0..10 {
        let mut tls = Link::tls("turn.example.org", &pair.trusted);
        let mut stream = TcpStream::connect(relay.tls).expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
        tls.write_tls(&mut stream).expect("it is open");
        while tls.is_handshaking() {
            tls.read_tls(&mut stream).expect("the server's part");
            tls.process_new_packets().expect("it proves who it is");
        }
        let mut request = [0; 20];
        request[1] = 1;
        request[4..8].copy_from_slice(&[0x21, 0x12, 0xA4, 0x42]);
        tls.writer().write_all(&request).expect("memory takes all");
        let mut last = Vec::new();
        while tls.wants_write() {
            tls.write_tls(&mut last).expect("memory takes all");
        }
        stream.write_all(&last).expect("it is open");
        stream.shutdown(Shutdown::Write).expect("it is open");
        let mut answer = [0; 2];
        let mut link = rustls::Stream::new(&mut tls, &mut stream);
        let read = link.read_exact(&mut answer);
        assert!(read.is_ok() && answer == [1, 1], "round {round}: {read:?}");
    }
}
