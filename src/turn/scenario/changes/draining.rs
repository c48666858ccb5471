//! A server that takes no new clients, and goes on with those it has.

use std::net::SocketAddr;

use crate::turn::scenario::stage::{
    client::{Client, Heard},
    world::{PEER, World},
};
use crate::turn::{
    api::{settings::OnReallocate, verdict::Verdict},
    policy::alternates::Alternates,
};
use crate::wire::{AttributeType, ErrorCode, Method};

const ANN: Client = Client::ANN;
const BOB: Client = Client::BOB;
const BOB_V6: Client = Client { address: "[2a0b::2]:5000", ..Client::BOB };

fn other() -> SocketAddr {
    "45.0.0.2:3478".parse().unwrap()
}

/// ALTERNATE-SERVER of an answer, as the bytes of RFC 8489 §14.15 say.
fn alternate(heard: &Heard) -> Option<Vec<u8>> {
    let message = heard.message();
    let mut attributes = message.attributes();
    let found = attributes.find(|attribute| attribute.kind == AttributeType::ALTERNATE_SERVER);
    found.map(|attribute| attribute.value.to_vec())
}

// RFC 8489 §10: "The server MUST include an ALTERNATE-SERVER attribute in the error response […] of
// the same address family as the source IP address of the request"; and, when it authenticates,
// the answer is signed.
#[test]
fn new_clients_are_sent_elsewhere_by_a_signed_answer() {
    let mut world = World::new();
    world.drain(Some(Alternates::new(&[other()]).unwrap()));
    let heard = world.allocate(BOB);
    heard.expect_error(ErrorCode::TryAlternate);
    assert_eq!(alternate(&heard), Some(vec![0, 1, 0x0D, 0x96, 45, 0, 0, 2]));
    assert!(heard.message().is_signed_with(&BOB.key()));
    let stranger = world.says(BOB, &world_request_without_credentials());
    stranger.expect_error(ErrorCode::Unauthenticated);
}

fn world_request_without_credentials() -> Vec<u8> {
    World::new().write(Method::Allocate, crate::wire::Class::Request, |writer| {
        writer.requested_transport(17);
    })
}

#[test]
fn a_client_that_can_be_sent_nowhere_gets_508() {
    let mut world = World::new();
    world.drain(Some(Alternates::new(&[other()]).unwrap()));
    let heard = world.allocate(BOB_V6);
    heard.expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!(alternate(&heard), None);
    world.drain(Some(Alternates::default()));
    world.allocate(BOB).expect_error(ErrorCode::InsufficientCapacity);
}

#[test]
fn an_ipv6_client_is_sent_to_the_ipv6_server() {
    let mut world = World::new();
    let servers = [other(), "[2a0a::2]:3479".parse().unwrap()];
    world.drain(Some(Alternates::new(&servers).unwrap()));
    let value = alternate(&world.allocate(BOB_V6)).unwrap();
    assert_eq!((value.len(), &value[..4]), (20, &[0, 2, 0x0D, 0x97][..]));
    assert_eq!(value[4..], [0x2A, 0x0A, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
}

#[test]
fn who_is_here_goes_on_and_may_refresh() {
    let mut world = World::new();
    let request = world.request(ANN, Method::Allocate, |writer| {
        writer.requested_transport(17);
    });
    let relayed = world.says(ANN, &request).expect_success().relayed();
    world.drain(Some(Alternates::default()));
    // RFC 8656 §7.2: a retransmission gets the same answer.
    assert_eq!(world.says(ANN, &request).expect_success().relayed(), relayed);
    world.bind(ANN, 0x4000, PEER).expect_success();
    world.at(500).refresh(ANN, 600).expect_success();
    world.at(1000).bind(ANN, 0x4000, PEER).expect_success();
    world.channel_data(ANN, 0x4000, b"on").expect_to_peer(PEER, b"on");
    assert!(world.peer_says(relayed, PEER, 2).is_ok());
    world.refresh(ANN, 0).expect_success();
    world.allocate(ANN).expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!((world.counters().live, world.held()), (0, 0));
}

// Its allocation has the even port, and the call needs the odd one too.
#[test]
fn a_reserved_port_can_still_be_had() {
    let mut world = World::new();
    let pair = world.ask(ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).even_port(true);
    });
    let token = pair.expect_success().token();
    world.drain(Some(Alternates::default()));
    let next = world.ask(ANN.at("198.51.100.1:5001"), Method::Allocate, |writer| {
        writer.requested_transport(17).reservation_token(token);
    });
    next.expect_success();
}

#[test]
fn clients_of_a_draining_server_reach_each_other() {
    let mut world = World::new();
    let relayed = [ANN, BOB].map(|who| world.allocate(who).expect_success().relayed());
    world.drain(Some(Alternates::default()));
    let address = relayed.map(|relayed| relayed.to_string());
    world.permit(ANN, &[&address[1]]).expect_success();
    world.permit(BOB, &[&address[0]]).expect_success();
    let heard = world.send(ANN, &address[1], b"hairpin");
    assert!(matches!(heard.verdict, Verdict::ToClient { .. }), "{:?}", heard.verdict);
}

#[test]
fn a_client_that_starts_over_loses_nothing_to_a_refusal() {
    let mut world = World::with(1, 1000, |settings| settings.on_reallocate = OnReallocate::Replace);
    world.allocate(ANN).expect_success();
    world.drain(Some(Alternates::default()));
    world.allocate(ANN).expect_error(ErrorCode::InsufficientCapacity);
    world.refresh(ANN, 600).expect_success();
}

#[test]
fn it_can_be_called_off() {
    let mut world = World::new();
    world.drain(Some(Alternates::default()));
    world.allocate(ANN).expect_error(ErrorCode::InsufficientCapacity);
    world.drain(None);
    assert!(matches!(world.allocate(ANN).expect_success().verdict, Verdict::Reply(_)));
}

#[test]
fn two_servers_of_a_family_are_one_too_many() {
    assert!(Alternates::new(&[other(), other()]).is_err());
}
