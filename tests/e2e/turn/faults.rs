//! Method × fault → code, for well-formed and authenticated requests: silence is never an answer to
//! one, and neither is another code.

use std::net::SocketAddr;

use crate::client::{Client, V4, V6, allocate, channel_bind, create_permission};
use crate::relay::{PASSWORD, Relay, Setup, USER};
use crate::stun::{Answer, Builder, attribute, method};

fn peer() -> SocketAddr {
    "127.0.0.1:40000".parse().expect("an address")
}

fn peer_v6() -> SocketAddr {
    "[::1]:40000".parse().expect("an address")
}

fn request(method: u16) -> Builder {
    Builder::request(method)
}

/// One row: what is asked, and the code that is due.
type Row = (&'static str, Builder, u16);

fn check(client: &mut Client, rows: Vec<Row>) {
    for (fault, request, code) in rows {
        assert_eq!(client.authenticated(request).code(), Some(code), "{fault}");
    }
}

/// RFC 8656 §7.2, on a five-tuple without an allocation.
#[test]
fn allocate_faults() {
    let relay = Relay::start();
    let transport =
        |value: &[u8]| request(method::ALLOCATE).attribute(attribute::REQUESTED_TRANSPORT, value);
    let token = |it: Builder| it.attribute(attribute::RESERVATION_TOKEN, &[7; 8]);
    let even = |it: Builder| it.attribute(attribute::EVEN_PORT, &[0x80]);
    let family = |it: Builder, value| it.attribute(attribute::REQUESTED_ADDRESS_FAMILY, value);
    let additional = |it: Builder, value| it.attribute(attribute::ADDITIONAL_ADDRESS_FAMILY, value);
    let rows = vec![
        ("no transport", request(method::ALLOCATE), 400),
        ("a transport of one byte", transport(&[17]), 400),
        ("TCP to the peers", transport(&[6, 0, 0, 0]), 442),
        ("a transport nobody knows", transport(&[99, 0, 0, 0]), 442),
        ("an unknown attribute", allocate().attribute(0x7F01, &[1]), 420),
        ("a lifetime of two bytes", allocate().attribute(attribute::LIFETIME, &[1, 2]), 400),
        ("an unknown family", family(allocate(), &[9, 0, 0, 0]), 440),
        ("a token nobody gave", token(allocate()), 508),
        ("a token of four bytes", allocate().attribute(attribute::RESERVATION_TOKEN, &[7; 4]), 400),
        ("token and even port", even(token(allocate())), 400),
        ("token and family", family(token(allocate()), V4), 400),
        ("token and additional family", additional(token(allocate()), V6), 400),
        ("both kinds of family", additional(family(allocate(), V4), V6), 400),
        ("IPv4 as the additional family", additional(allocate(), V4), 400),
        ("even pair and additional family", additional(even(allocate()), V6), 400),
        ("an even port of no bytes", allocate().attribute(attribute::EVEN_PORT, &[]), 400),
    ];
    let mut client = Client::new(relay.v4());
    check(&mut client, rows);
    client.allocate();
}

// RFC 8656 §7.2: "the 5-tuple is currently in use by an existing allocation": 437; §5: all other
// requests without an allocation get 437 too.
#[test]
fn requests_without_an_allocation_get_437() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let rows = || {
        vec![
            ("Refresh", request(method::REFRESH), 437),
            ("Refresh to 0", request(method::REFRESH).lifetime(0), 437),
            ("CreatePermission", create_permission(peer()), 437),
            ("ChannelBind", channel_bind(0x4000, peer()), 437),
        ]
    };
    check(&mut client, rows());
    client.allocate();
    client.refresh(0);
    check(&mut client, rows());
}

#[test]
fn a_second_allocate_gets_437() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    check(&mut client, vec![("Allocate again", allocate(), 437)]);
}

#[test]
fn refresh_faults() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let refresh = || request(method::REFRESH);
    let family = |value| refresh().attribute(attribute::REQUESTED_ADDRESS_FAMILY, value);
    check(
        &mut client,
        vec![
            ("an unknown attribute", refresh().attribute(0x7F01, &[1]), 420),
            ("a lifetime of two bytes", refresh().attribute(attribute::LIFETIME, &[1, 2]), 400),
            ("a family it does not have", family(V6), 443),
        ],
    );
}

/// RFC 8656 §10.2.
#[test]
fn create_permission_faults() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    let with_peer = |value: &[u8]| {
        request(method::CREATE_PERMISSION).attribute(attribute::XOR_PEER_ADDRESS, value)
    };
    check(
        &mut client,
        vec![
            ("no peer", request(method::CREATE_PERMISSION), 400),
            ("half a peer", with_peer(&[0, 1, 0, 0]), 400),
            ("a peer of no family", with_peer(&[0, 9, 0, 0, 1, 2, 3, 4]), 400),
            ("a peer of the other family", create_permission(peer_v6()), 443),
            ("one of two of the other family", create_permission(peer()).peer(peer_v6()), 443),
            ("a forbidden peer", create_permission("10.0.0.1:9".parse().expect("an address")), 403),
            ("an unknown attribute", create_permission(peer()).attribute(0x7F01, &[1]), 420),
        ],
    );
}

/// RFC 8656 §12.2.
#[test]
fn channel_bind_faults() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer());
    let other: SocketAddr = "127.0.0.1:40001".parse().expect("an address");
    let bind = || request(method::CHANNEL_BIND);
    let number = |value: &[u8]| bind().attribute(attribute::CHANNEL_NUMBER, value).peer(peer());
    check(
        &mut client,
        vec![
            ("no number", bind().peer(peer()), 400),
            ("no peer", bind().channel_number(0x4001), 400),
            ("a number of two bytes", number(&[0x40, 1]), 400),
            ("a number below the channels", channel_bind(0x3FFF, other), 400),
            ("number 0", channel_bind(0, other), 400),
            ("a number above the channels", channel_bind(0x5000, other), 400),
            ("a number above any channels", channel_bind(0x8000, other), 400),
            ("the last number", channel_bind(0xFFFF, other), 400),
            ("a number of another peer", channel_bind(0x4000, other), 400),
            ("a peer of another number", channel_bind(0x4001, peer()), 400),
            ("a peer of the other family", channel_bind(0x4001, peer_v6()), 443),
            (
                "a forbidden peer",
                channel_bind(0x4001, "10.0.0.1:9".parse().expect("an address")),
                403,
            ),
            ("an unknown attribute", channel_bind(0x4001, other).attribute(0x7F01, &[1]), 420),
        ],
    );
    client.bind(0x4000, peer());
}

// RFC 8489 §6.3.1: all that was not understood is listed, and nothing else.
#[test]
fn every_unknown_attribute_is_listed() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let request =
        allocate().attribute(0x7F01, &[]).attribute(0xC0FE, &[]).attribute(0x0033, b"abcde");
    let answer = client.authenticated(request);
    assert_eq!(answer.code(), Some(420));
    assert_eq!(answer.get(attribute::UNKNOWN_ATTRIBUTES), Some(&[0x7F, 0x01, 0x00, 0x33][..]));
}

// RFC 8656 §5: "the request […] MUST be authenticated using the same username" as the Allocate:
// otherwise 441.
#[test]
fn another_user_on_the_same_five_tuple_gets_441() {
    let relay = Setup::new().with(&["--user", "bob:builder"]).start();
    let mut alice = Client::new(relay.v4());
    alice.allocate();
    let socket = alice.socket.try_clone().expect("a second handle");
    let mut bob = Client::on(socket, relay.v4(), "bob", "builder");
    bob.nonce = alice.nonce.clone();
    check(
        &mut bob,
        vec![
            ("Refresh", request(method::REFRESH), 441),
            ("Refresh to 0", request(method::REFRESH).lifetime(0), 441),
            ("CreatePermission", create_permission(peer()), 441),
            ("ChannelBind", channel_bind(0x4000, peer()), 441),
        ],
    );
    alice.refresh(600);
}

#[test]
fn codes_carry_a_reason_and_the_method_asked() {
    let relay = Relay::start();
    let mut client = Client::login(relay.v4(), USER, PASSWORD);
    let answer: Answer = client.authenticated(request(method::REFRESH));
    assert_eq!(answer.method, method::REFRESH);
    let value = answer.get(attribute::ERROR_CODE).expect("ERROR-CODE is there");
    assert_eq!(value[..4], [0, 0, 4, 37]);
    assert!(std::str::from_utf8(&value[4..]).is_ok(), "the reason is UTF-8");
}

// RFC 8656 §7.2 names 440 for a family the server does not relay.
#[test]
fn a_family_that_is_not_relayed_gets_440() {
    let relay = Setup::new().relay_ips(&[crate::relay::LOOPBACK4]).start();
    let mut client = Client::new(relay.v4());
    let six = allocate().attribute(attribute::REQUESTED_ADDRESS_FAMILY, V6);
    check(&mut client, vec![("IPv6", six, 440)]);
    client.allocate();
}
