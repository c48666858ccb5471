//! The machine's own addresses: what listens on them trusts the machine, and the relay is a program
//! on it. No client reaches them, by whatever name, unless `allow-peers` opens one.

use std::net::{IpAddr, SocketAddr};

use crate::client::{Client, Peer, channel_bind, create_permission, socket};
use crate::namespace::{in_own_network, ip};
use crate::relay::{PASSWORD, Relay, Setup, USER};

/// Addresses that no list of special networks has.
const RELAY: &str = "5.5.5.1";
const OTHER: &str = "5.5.5.2";
const LATER: &str = "5.5.5.9";
const PUBLIC: &str = "7.7.7.7";

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A relay on [`RELAY`] with the built-in policy, on a machine that has [`OTHER`], too.
fn start(arguments: &[&str]) -> Relay {
    ip(&format!("address add {RELAY}/32 dev lo"));
    ip(&format!("address add {OTHER}/32 dev lo"));
    let setup = Setup::new().listen(&[address(RELAY)]).relay_ips(&[address(RELAY)]);
    setup.secure().with(arguments).start()
}

fn client(relay: &Relay) -> Client {
    Client::on(socket(address(RELAY)), relay.v4(), USER, PASSWORD)
}

/// Something that listens on an address of the machine, as SNMP, statsd or gossip do.
fn service(ip: &str) -> Peer {
    Peer::at(address(ip))
}

#[test]
fn a_service_on_an_address_of_the_machine_is_not_reached() {
    in_own_network("own addresses", || {
        ip("route add local 6.6.6.0/24 dev lo");
        let relay = start(&[]);
        let mut client = client(&relay);
        let relayed = client.allocate();
        for at in [OTHER, "6.6.6.6"] {
            let service = service(at).address();
            assert_eq!(client.fail(create_permission(service)), 403, "{at}");
            assert_eq!(client.fail(channel_bind(0x4000, service)), 403, "{at}");
        }
        // The relay's own address may be permitted, for calls between its clients.
        let service = service(RELAY);
        client.permit(service.address());
        assert_eq!(client.fail(channel_bind(0x4000, service.address())), 403);
        client.send_indication(service.address(), b"out");
        service.expect_silence();
        service.send(relayed, b"in");
        client.expect_silence();
    });
}

#[test]
fn the_relays_public_address_behind_a_nat_leads_to_relayed_ports_alone() {
    in_own_network("the public name", || {
        let relay = start(&["--external-ip", &format!("{PUBLIC}/{RELAY}")]);
        let mut clients = [client(&relay), client(&relay)];
        let [ann, bob] = clients.each_mut();
        let (of_ann, of_bob) = (ann.allocate(), bob.allocate());
        assert_eq!(of_ann.ip(), address(PUBLIC));
        let listening = relay.v4().port();
        for ip in [PUBLIC, RELAY] {
            let closed = SocketAddr::new(address(ip), listening);
            assert_eq!(ann.fail(channel_bind(0x4000, closed)), 403, "{closed}");
        }
        ann.bind(0x4001, of_bob);
        bob.bind(0x4002, of_ann);
        ann.send_channel(0x4001, b"to bob");
        assert_eq!(bob.channel_data(), (0x4002, b"to bob".to_vec()));
    });
}

#[test]
fn allow_peers_opens_one_address_of_the_machine_and_no_other() {
    in_own_network("an opened address", || {
        let relay = start(&["--allow-peers", &format!("{OTHER}/32")]);
        let mut client = client(&relay);
        let relayed = client.allocate();
        let (open, closed) = (service(OTHER), service(RELAY));
        client.bind(0x4000, open.address());
        client.send_channel(0x4000, b"out");
        assert_eq!(open.receive(), (relayed, b"out".to_vec()));
        open.send(relayed, b"in");
        assert_eq!(client.channel_data(), (0x4000, b"in".to_vec()));
        assert_eq!(client.fail(channel_bind(0x4001, closed.address())), 403);
    });
}

#[test]
fn an_address_that_the_machine_gets_later_is_closed_to_those_who_had_it_as_a_peer() {
    in_own_network("a later address", || {
        let relay = start(&[]);
        let mut client = client(&relay);
        let relayed = client.allocate();
        let peer = SocketAddr::new(address(LATER), 4000);
        client.bind(0x4000, peer);
        ip(&format!("address add {LATER}/32 dev lo"));
        relay.process.wait_until_it_logs(&format!("new=\"{LATER}\""), 1);
        let service = service(LATER);
        client.send_channel(0x4000, b"out");
        client.send_indication(service.address(), b"out");
        service.expect_silence();
        service.send(relayed, b"in");
        client.expect_silence();
        assert_eq!(client.fail(create_permission(peer)), 403);
        ip(&format!("address delete {LATER}/32 dev lo"));
        relay.process.wait_until_it_logs(&format!("gone=\"{LATER}\""), 1);
        client.permit(peer);
    });
}

// The second look is at what others say: nobody answers here, which is a line each time.
#[test]
fn an_address_is_closed_before_a_name_server_is_asked_about_others() {
    in_own_network("a later address and a silent name server", || {
        let relay = start(&["--alternate-server", "turn.example.org"]);
        ip(&format!("address add {LATER}/32 dev lo"));
        let closed = format!("new=\"{LATER}\"");
        let log = relay.process.wait_until_it_logs(&closed, 1);
        let place = log.find(&closed).expect("it was just there");
        let asked_later = || relay.process.stderr()[place..].contains("alternate-server: ");
        let deadline = std::time::Instant::now() + crate::relay::patience();
        while !asked_later() {
            assert!(std::time::Instant::now() < deadline, "{}", relay.process.last_lines());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
}
