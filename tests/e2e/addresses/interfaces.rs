//! Addresses that are late, not to be used, or about to go: what can be served is served, and what
//! is not there is waited for.

use std::net::{IpAddr, SocketAddr};

use crate::client::{Client, V6, allocate, socket};
use crate::http::ask;
use crate::namespace::{in_own_network, ip, set};
use crate::relay::{PASSWORD, Relay, Setup, USER};
use crate::stun::{Builder, attribute};

const HERE: &str = "5.5.5.1";
const LATER: &str = "5.5.5.9";
/// Where a server listens that was told nothing.
const STUN_PORT: u16 = 3478;

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

/// A relay on whatever the machine has.
fn of_defaults() -> Setup {
    Setup::new().listen(&[]).relay_ips(&[]).secure()
}

fn client(server: &str) -> Client {
    let server = SocketAddr::new(address(server), STUN_PORT);
    Client::on(socket(server.ip()), server, USER, PASSWORD)
}

/// Waits until a relay that was told nothing serves an address.
fn wait_for(relay: &Relay, server: &str) {
    relay.process.wait_until_it_serves(SocketAddr::new(address(server), STUN_PORT));
}

/// An interface that is up and has carrier, with the only route out of here.
fn interface() {
    ip("link add eth0 type veth peer name world");
    ip("link set world up");
    ip("link set eth0 up");
}

/// An address for it that is there at once.
fn give_v6(words: &str) {
    ip(&format!("-6 address add {words} dev eth0 nodad"));
}

#[test]
fn a_configured_address_that_is_late_is_waited_for() {
    in_own_network("a late address", || {
        let setup = Setup::new().listen(&[address(LATER)]).relay_ips(&[address(LATER)]);
        let relay = setup.secure().spawn();
        let wait = format!("listen: {LATER} is not an address of this machine");
        let log = relay.process.wait_until_it_logs(&wait, 1);
        assert!(log.contains("waiting for it") && !relay.process.has_ended(), "{log}");
        ip(&format!("address add {LATER}/32 dev lo"));
        relay.process.wait_until_it_serves(relay.v4());
        let mut client = Client::on(socket(address(LATER)), relay.v4(), USER, PASSWORD);
        assert_eq!(client.allocate().ip(), address(LATER));
    });
}

#[test]
fn what_is_there_is_served_and_a_late_listening_address_as_soon_as_it_comes() {
    in_own_network("one late address of two", || {
        ip(&format!("address add {HERE}/32 dev lo"));
        let listen = [address(HERE), address(LATER)];
        let relay = Setup::new().listen(&listen).relay_ips(&[address(HERE)]).secure().spawn();
        relay.process.wait_until_it_serves(relay.addresses[0]);
        relay.process.wait_until_it_logs(&format!("address={LATER}"), 1);
        ip(&format!("address add {LATER}/32 dev lo"));
        relay.process.wait_until_it_serves(relay.addresses[1]);
        let mut client = Client::on(socket(address(HERE)), relay.addresses[1], USER, PASSWORD);
        assert_eq!(client.allocate().ip(), address(HERE));
    });
}

// A bridge without a port has no carrier: its IPv6 addresses stay tentative for ever.
#[test]
fn an_address_that_cannot_be_bound_does_not_keep_the_rest_from_being_served() {
    in_own_network("a tentative address", || {
        ip("link add br0 type bridge");
        ip("link set br0 up");
        ip("-6 address add 2a00:7::5/64 dev br0");
        ip(&format!("address add {HERE}/32 dev lo"));
        let relay = of_defaults().spawn();
        wait_for(&relay, HERE);
        client(HERE).allocate();
    });
}

#[test]
fn relays_are_on_no_temporary_and_no_deprecated_address() {
    in_own_network("temporary addresses", || {
        interface();
        ip("-6 route add default dev eth0");
        // The kernel prefers temporary addresses as a source, and makes one up beside the managed.
        set("net/ipv6/conf/eth0/use_tempaddr", "2");
        give_v6("2a00:7::10/64 preferred_lft 0");
        give_v6("2a00:7::20/64 mngtmpaddr");
        assert!(ip("-6 address show temporary").contains("2a00:7:"), "the kernel made one up");
        let relay = of_defaults().spawn();
        wait_for(&relay, "2a00:7::20");
        let relayed = client("2a00:7::20").allocate_v6();
        assert_eq!(relayed.ip(), address("2a00:7::20"));
        // The deprecated one stays, and may be talked to.
        let log = relay.process.wait_until_it_logs("started", 1);
        let listen = "listen=[127.0.0.1:3478, [::1]:3478, [2a00:7::10]:3478, [2a00:7::20]:3478]";
        assert!(log.contains(listen), "{log}");
    });
}

#[test]
fn an_address_that_comes_is_listened_on_and_one_that_goes_is_not_until_it_comes_again() {
    for io in ["auto", "portable"] {
        in_own_network("addresses that come and go", || {
            ip(&format!("address add {HERE}/32 dev lo"));
            let relay = of_defaults().with(&["--workers", "2", "--io", io]).spawn();
            wait_for(&relay, HERE);
            let mut call = client(HERE);
            call.allocate();
            ip(&format!("address add {LATER}/32 dev lo"));
            wait_for(&relay, LATER);
            // Some of them are steered to each worker.
            let mut late: Vec<Client> = (0..8).map(|_| client(LATER)).collect();
            for client in &mut late {
                assert_eq!(client.allocate().ip(), address(HERE));
            }
            ip(&format!("address delete {LATER}/32 dev lo"));
            relay.process.wait_until_it_logs("not listened on any more", 1);
            call.refresh(600);
            ip(&format!("address add {LATER}/32 dev lo"));
            wait_for(&relay, LATER);
            late.iter_mut().for_each(|client| drop(client.refresh(600)));
            let log = relay.process.stderr();
            assert!(log.contains(&format!("server={LATER}:{STUN_PORT} ")), "{log}");
        });
    }
}

#[test]
fn a_node_without_an_address_of_a_family_that_it_had_is_not_ready() {
    in_own_network("the last address of a family", || {
        ip(&format!("address add {HERE}/32 dev lo"));
        ip("-6 address add 2a00:7::5/128 dev lo nodad");
        let relay = of_defaults().with(&["--metrics", "127.0.0.1:9641"]).spawn();
        wait_for(&relay, "2a00:7::5");
        let ready = || ask(SocketAddr::from(([127, 0, 0, 1], 9641)), "GET", "/ready");
        assert_eq!(ready().status, 200);
        ip("-6 address delete 2a00:7::5/128 dev lo");
        relay.process.wait_until_it_logs("not ready", 1);
        let answer = ready();
        assert_eq!(answer.status, 503);
        assert_eq!(answer.body, "not ready: no IPv6 address to listen on\n");
        client(HERE).allocate();
        ip("-6 address add 2a00:7::5/128 dev lo nodad");
        relay.process.wait_until_it_logs("what was asked for is served", 1);
        assert_eq!(ready().status, 200);
    });
}

#[test]
fn relays_follow_the_machine_to_another_address_and_to_another_family() {
    for workers in ["1", "2"] {
        in_own_network("relays that follow", || {
            ip(&format!("address add {HERE}/32 dev lo"));
            let relay = of_defaults().with(&["--workers", workers]).spawn();
            wait_for(&relay, HERE);
            let mut before = client(HERE);
            assert_eq!(before.allocate().ip(), address(HERE));
            assert_eq!(before.fail(v6_allocation()), 437, "one allocation a five-tuple");
            assert_eq!(client(HERE).fail(v6_allocation()), 440);
            ip("-6 address add 2a00:7::5/128 dev lo nodad");
            relay.process.wait_until_it_logs("relays are opened here", 1);
            assert_eq!(client(HERE).allocate_v6().ip(), address("2a00:7::5"));
            ip(&format!("address add {LATER}/32 dev lo"));
            ip(&format!("address delete {HERE}/32 dev lo"));
            relay.process.wait_until_it_logs("relays are opened here", 2);
            wait_for(&relay, LATER);
            for _ in 0..8 {
                assert_eq!(client(LATER).allocate().ip(), address(LATER));
            }
        });
    }
}

// A bridge for containers has an address, too, which nobody outside can reach.
#[test]
fn relays_come_back_to_the_interface_of_the_default_route_when_it_does() {
    in_own_network("a route that was away", || {
        ip("link add br0 type bridge");
        ip("link set br0 up");
        ip("address add 10.7.0.1/24 dev br0");
        let interface = || {
            interface();
            ip(&format!("address add {HERE}/24 dev eth0"));
            ip("route add default via 5.5.5.254");
        };
        interface();
        let relay = of_defaults().spawn();
        wait_for(&relay, HERE);
        assert_eq!(client(HERE).allocate().ip(), address(HERE));
        ip("link delete eth0");
        relay.process.wait_until_it_logs("relays are opened here", 1);
        interface();
        // The kernel's word of an address may be older than its route.
        ip(&format!("address add {LATER}/32 dev lo"));
        relay.process.wait_until_it_logs("relays are opened here", 2);
        wait_for(&relay, HERE);
        assert_eq!(client(HERE).allocate().ip(), address(HERE));
    });
}

fn v6_allocation() -> Builder {
    allocate().attribute(attribute::REQUESTED_ADDRESS_FAMILY, V6)
}
