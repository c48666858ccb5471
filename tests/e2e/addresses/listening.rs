//! A node with several addresses: an answer leaves from the address that was asked. Every client of
//! these tests holds the relay to that, because it takes answers from nowhere else.

use std::net::IpAddr;

use crate::client::{Call, Client, Peer, socket};
use crate::machine;
use crate::relay::{LOOPBACK4, LOOPBACK6, PASSWORD, Process, REALM, Relay, Setup, USER, command};
use crate::stun::{Builder, attribute, method};

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn serves(mut client: Client) {
    let answer = client.request(&Builder::request(method::BINDING).bytes());
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), client.address());
    Call::of(client).talk();
}

#[test]
fn every_address_that_is_named_answers_for_itself() {
    let addresses = [LOOPBACK4, ip("127.0.0.2"), LOOPBACK6];
    for workers in ["1", "2"] {
        let relay = Setup::new().listen(&addresses).with(&["--workers", workers]).start();
        for server in &relay.addresses {
            serves(Client::new(*server));
        }
    }
}

// One client port may talk to several addresses of the server; they are several five-tuples.
#[test]
fn two_addresses_are_two_five_tuples() {
    let relay = Setup::new().listen(&[LOOPBACK4, ip("127.0.0.2")]).start();
    let shared = socket(LOOPBACK4);
    let relayed: Vec<_> = relay
        .addresses
        .iter()
        .map(|server| {
            let socket = shared.try_clone().expect("a second handle");
            Client::on(socket, *server, USER, PASSWORD).allocate()
        })
        .collect();
    assert_ne!(relayed[0], relayed[1]);
}

/// A relay that listens on 0.0.0.0 and [::] cannot be given a relay address by the listening one.
fn wildcard() -> Relay {
    let any = [ip("0.0.0.0"), ip("::")];
    Setup::new().listen(&any).start()
}

#[test]
fn every_address_means_every_address() {
    let relay = wildcard();
    let port = relay.addresses[0].port();
    for address in ["127.0.0.1", "::1"] {
        serves(Client::new((ip(address), port).into()));
    }
    let outside = outside_address();
    let Some(outside) = outside else {
        return machine::skip("every address means every address", "an address outside loopback");
    };
    let server = (outside, port).into();
    serves(Client::on(socket(outside), server, USER, PASSWORD));
}

/// The address from which packets to the world would leave; nothing is sent to find it.
fn outside_address() -> Option<IpAddr> {
    let probe = socket(ip("0.0.0.0"));
    probe.connect("203.0.113.1:9").ok()?;
    let address = probe.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn a_relay_ip_of_its_own_sends_from_there() {
    let other = ip("127.0.0.2");
    let relay = Setup::new().listen(&[LOOPBACK4]).relay_ips(&[other]).start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    assert_eq!(relayed.ip(), other);
    client.permit(peer.address());
    client.send_indication(peer.address(), b"out");
    assert_eq!(peer.receive().0, relayed);
}

#[test]
fn several_relay_ips_of_one_family_are_all_used() {
    let ips = [LOOPBACK4, ip("127.0.0.2")];
    let relay = Setup::new().listen(&[LOOPBACK4]).relay_ips(&ips).start();
    let mut clients: Vec<_> = (0..32).map(|_| Client::new(relay.v4())).collect();
    let relayed: Vec<_> = clients.iter_mut().map(|client| client.allocate().ip()).collect();
    for ip in ips {
        assert!(relayed.contains(&ip), "{ip} was never given out");
    }
}

/// An address of documentation (RFC 5737), which no machine has.
#[test]
fn sighup_while_a_start_waits_for_its_address_reads_everything_again_and_ends_nothing() {
    let folder = machine::Folder::new();
    let file = |listen: &str, port: u16| {
        format!(
            "listen = ['{listen}:{port}']\nrelay-ip = ['127.0.0.1']\nrealm = '{REALM}'\nuser = 'a:b'\ncontrol = 'off'\n"
        )
    };
    let ports = machine::Ports::claim();
    let path = folder.write("uturn.toml", &file("192.0.2.77", ports.listening()));
    let mut command = command();
    command.args(["--config", &path, "--workers", "1"]);
    let process = Process::spawn(command);
    process.wait_until_it_logs("waiting for it", 1);
    process.signal(libc::SIGHUP);
    process.wait_until_it_logs("waiting for it", 2);
    folder.write("uturn.toml", &file("127.0.0.1", ports.listening()));
    process.signal(libc::SIGHUP);
    process.wait_until_it_serves((LOOPBACK4, ports.listening()).into());
}
