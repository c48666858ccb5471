//! The secure default: which peers are refused without a word in the configuration, how single ones
//! are opened, and that no disguise of an address changes the answer.

use std::net::{IpAddr, SocketAddr};

use crate::client::{Client, Peer, channel_bind, create_permission};
use crate::relay::{LOOPBACK6, Relay, Setup};
use crate::stun::{Builder, method};

/// A relay with the built-in policy; what is allowed beside it is in `arguments`. Its IPv4 relay
/// address is not that of the peers: its own one may be permitted, for calls between its clients.
fn secure(arguments: &[&str]) -> Relay {
    let relay_ips = [peer("127.0.0.99").ip(), LOOPBACK6];
    Setup::new().relay_ips(&relay_ips).secure().with(arguments).start()
}

fn peer(ip: &str) -> SocketAddr {
    let ip: IpAddr = ip.parse().expect("an address");
    SocketAddr::new(ip, 40_000)
}

fn refuses(client: &mut Client, ip: &str) {
    assert_eq!(client.fail(create_permission(peer(ip))), 403, "CreatePermission {ip}");
    assert_eq!(client.fail(channel_bind(0x4000, peer(ip))), 403, "ChannelBind {ip}");
}

/// Each stands for its network: RFC 1918, CGNAT, link-local with the clouds' metadata service,
/// loopback, "this" network, multicast, broadcast and the other special-purpose registries; and
/// what Alibaba, Azure and Oracle have in none or in another of them.
const DENIED_IPV4: [&str; 30] = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "10.255.255.255",
    "100.64.0.1",
    "100.127.255.255",
    "127.0.0.1",
    "127.255.255.254",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.2.2",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "192.175.48.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
];

const DENIED_IPV6: [&str; 14] = [
    "::",
    "100::1",
    "2001:2::1",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fd20:ce::254",
    "fe80::1",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
    "64:ff9b:1::1",
];

/// 10.0.0.1 and the metadata service, dressed as IPv6: mapped, compatible, NAT64 in both prefixes,
/// 6to4, Teredo (the client's address is inverted), ISATAP.
const DISGUISED: [&str; 9] = [
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "::10.0.0.1",
    "64:ff9b::10.0.0.1",
    "64:ff9b:1::10.0.0.1",
    "2002:a00:1::1",
    "2001:0:102:304::f5ff:fffe",
    "2600::5efe:10.0.0.1",
    "2600::200:5efe:10.0.0.1",
];

#[test]
fn special_ipv4_networks_are_refused() {
    let relay = secure(&[]);
    let mut client = Client::new(relay.v4());
    client.allocate();
    DENIED_IPV4.iter().for_each(|ip| refuses(&mut client, ip));
}

#[test]
fn special_ipv6_networks_are_refused() {
    let relay = secure(&[]);
    let mut client = Client::new(relay.v6());
    client.allocate_v6();
    DENIED_IPV6.iter().for_each(|ip| refuses(&mut client, ip));
}

#[test]
fn denied_ipv4_addresses_in_ipv6_clothes_are_refused() {
    let relay = secure(&[]);
    let mut client = Client::new(relay.v6());
    client.allocate_v6();
    for ip in DISGUISED {
        let code = client.fail(create_permission(peer(ip)));
        // The mapped form may also be refused for being of the other family.
        assert!(code == 403 || (code == 443 && ip.starts_with("::ffff:")), "{ip}: {code}");
    }
}

#[test]
fn public_addresses_are_permitted() {
    let relay = secure(&[]);
    let mut four = Client::new(relay.v4());
    four.allocate();
    for ip in ["1.1.1.1", "9.255.255.255", "11.0.0.0", "172.15.0.1", "172.32.0.1", "223.255.255.1"]
    {
        four.permit(peer(ip));
    }
    let mut six = Client::new(relay.v6());
    six.allocate_v6();
    for ip in ["2606:4700:4700::1111", "2a00:1450::1", "64:ff9b::101:101"] {
        six.permit(peer(ip));
    }
}

// The client asks for itself: what a browser on the relay's own machine would do.
#[test]
fn loopback_is_refused_in_both_directions() {
    let relay = secure(&[]);
    let it = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    assert_eq!(client.fail(create_permission(it.address())), 403);
    it.send(relayed, b"in");
    client.expect_silence();
    client.send_indication(it.address(), b"out");
    it.expect_silence();
}

// Two clients of one relay must be able to permit each other, whatever network it is in; but its
// address leads to relayed ports alone, never to what else listens there.
#[test]
fn the_own_relay_address_leads_to_relayed_ports_alone() {
    let relay = Setup::new().secure().start();
    for (server, it) in [(relay.v4(), Peer::new()), (relay.v6(), Peer::v6())] {
        let mut client = Client::new(server);
        let relayed = if server.is_ipv4() { client.allocate() } else { client.allocate_v6() };
        client.permit(relayed);
        client.send_indication(it.address(), b"out");
        it.expect_silence();
        it.send(relayed, b"in");
        client.expect_silence();
        assert_eq!(client.fail(channel_bind(0x4000, it.address())), 403);
        client.send_indication(relayed, b"to itself");
        assert_eq!(client.data_indication(), (relayed, b"to itself".to_vec()));
    }
}

// The relay's own listening addresses lead into it again.
#[test]
fn own_listening_addresses_are_refused() {
    let relay = Setup::new().secure().start();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    assert_eq!(client.fail(channel_bind(0x4000, relay.v4())), 403);
    client.permit(relayed);
    let binding = Builder::request(method::BINDING).bytes();
    client.send_indication(relay.v4(), &binding);
    client.expect_silence();
}

#[test]
fn one_entry_opens_one_network() {
    let relay = secure(&["--allow-peers", "127.0.0.2/32"]);
    let (open, closed) = (Peer::at(peer("127.0.0.2").ip()), Peer::at(peer("127.0.0.3").ip()));
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(open.address());
    open.send(relayed, b"in");
    assert_eq!(client.data_indication(), (open.address(), b"in".to_vec()));
    assert_eq!(client.fail(create_permission(closed.address())), 403);
    assert_eq!(client.fail(create_permission(peer("10.0.0.1"))), 403);
}

// deny wins over allow, allow wins over the built-in list.
#[test]
fn deny_wins_over_allow() {
    let relay = secure(&[
        "--allow-peers",
        "127.0.0.0/8",
        "--deny-peers",
        "127.0.0.3/32",
        "--deny-peers",
        "1.1.1.0/24",
    ]);
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.permit(peer("127.0.0.2"));
    refuses(&mut client, "127.0.0.3");
    refuses(&mut client, "1.1.1.1");
    client.permit(peer("1.1.2.1"));
}

#[test]
fn a_denied_network_is_denied_in_disguise_too() {
    let relay = secure(&["--deny-peers", "1.1.1.0/24"]);
    let mut client = Client::new(relay.v6());
    client.allocate_v6();
    for ip in ["64:ff9b::101:101", "2002:101:101::1"] {
        assert_eq!(client.fail(create_permission(peer(ip))), 403, "{ip}");
    }
}

#[test]
fn opening_ipv4_opens_no_ipv6() {
    let relay = secure(&["--allow-peers", "0.0.0.0/0"]);
    let mut client = Client::new(relay.v6());
    client.allocate_v6();
    refuses(&mut client, "fe80::1");
    refuses(&mut client, "fd00::1");
}

// The refusal of one peer costs the client only that peer.
#[test]
fn a_refusal_ends_nothing() {
    let relay = secure(&["--allow-peers", "127.0.0.1/32"]);
    let it = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.permit(it.address());
    refuses(&mut client, "10.0.0.1");
    it.send(relayed, b"in");
    assert_eq!(client.data_indication(), (it.address(), b"in".to_vec()));
}
