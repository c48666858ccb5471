//! Clients behind a load balancer that speaks the PROXY protocol.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::client::{Client, allocate};
use crate::link::Link;
use crate::relay::{Relay, Setup};
use crate::stun::{Builder, attribute, method};

const SOON: Duration = Duration::from_secs(10);

/// Whom the balancer speaks for.
const CLAIMED: &str = "203.0.113.7:4321";

fn relay() -> Relay {
    Setup::new().with(&["--proxy-from", "127.0.0.0/8"]).start()
}

/// A header of version 2 for a client of IPv4.
fn version_2(client: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(client) = client else { panic!("{client} is not IPv4") };
    let signature = b"\r\n\r\n\0\r\nQUIT\n";
    let (ip, server) = (client.ip().octets(), Ipv4Addr::new(198, 51, 100, 1).octets());
    let ports = [client.port().to_be_bytes(), 3478_u16.to_be_bytes()].concat();
    [&signature[..], &[0x21, 0x11, 0, 12], &ip, &server, &ports].concat()
}

/// A client whose connection begins with these bytes.
fn behind(relay: &Relay, header: &[u8]) -> Client {
    let mut link = Link::to(relay.v4());
    header.iter().for_each(|byte| link.write(&[*byte]));
    Client::over(link, relay.v4())
}

#[test]
fn the_header_says_who_the_client_is() {
    let relay = relay();
    let claimed: SocketAddr = CLAIMED.parse().expect("an address");
    let words = b"PROXY TCP4 203.0.113.7 198.51.100.1 4321 3478\r\n";
    for header in [version_2(claimed), words.to_vec()] {
        let mut client = behind(&relay, &header);
        let answer = client.request(&Builder::request(method::BINDING).bytes());
        assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), claimed);
        client.allocate();
        client.refresh(0);
    }
    let log = relay.process.wait_until_it_logs("allocation opened", 2);
    assert!(log.contains("client=203.0.113.7:4321"), "{log}");
}

#[test]
fn a_health_check_keeps_its_own_address() {
    let relay = relay();
    let mut client = behind(&relay, b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0");
    let answer = client.request(&Builder::request(method::BINDING).bytes());
    assert_eq!(answer.address(attribute::XOR_MAPPED_ADDRESS), client.address());
}

#[test]
fn without_a_header_a_balancers_connection_ends_and_with_one_a_strangers_does() {
    let (balanced, open) = (relay(), Relay::start());
    let claimed = version_2(CLAIMED.parse().expect("an address"));
    for (relay, bytes) in [(&balanced, Builder::request(method::BINDING).bytes()), (&open, claimed)]
    {
        let mut link = Link::to(relay.v4());
        link.write(&bytes);
        assert_eq!(link.rest(SOON), b"");
    }
}

#[test]
fn of_two_that_say_they_are_one_client_the_older_goes() {
    let relay = relay();
    let header = version_2(CLAIMED.parse().expect("an address"));
    let mut older = behind(&relay, &header);
    older.allocate();
    let mut newer = behind(&relay, &header);
    newer.challenge();
    assert_eq!(older.link().rest(SOON), b"");
    newer.succeed(allocate());
}
