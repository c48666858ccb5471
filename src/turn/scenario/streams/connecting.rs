//! Connections to peers and from them (RFC 6062 §5.2, §5.3).

use super::{ANN, BOB, DATA, tcp_world};
use crate::turn::allocation::connections::CONNECTIONS;
use crate::turn::api::{
    counters::QuotaHit,
    names::connection::{ConnectionId, NotConnected},
    reason::Reason,
    settings::Settings,
    verdict::Verdict,
};
use crate::turn::policy::PeerPolicy;
use crate::turn::scenario::{stage::world::own, *};
use crate::wire::{Class, ErrorCode, Fingerprint, Message, Method};

fn allocated() -> World {
    let mut world = tcp_world(1);
    world.allocate_tcp(ANN).expect_success();
    world
}

fn relayed(world: &World, nth: usize) -> std::net::SocketAddr {
    *world.opened[nth].relayed.iter().next().unwrap()
}

// RFC 6062 §5.2: "Otherwise, the server MUST initiate an outgoing TCP connection. The local
// endpoint is the relayed transport address associated with the allocation. The remote endpoint is
// the one indicated by the XOR-PEER-ADDRESS attribute."
#[test]
fn a_connect_goes_from_the_relayed_address_to_the_peer() {
    let mut world = allocated();
    assert_eq!(world.connect(ANN, PEER).verdict, Verdict::Pending);
    let (_, connect) = world.streams.connects[0];
    assert_eq!(connect.peer, PEER.parse().unwrap());
    assert_eq!((connect.local, connect.relay), (world.bound[&(0, connect.relay)], connect.relay));
    assert!(world.streams.told.is_empty(), "no answer before there is a connection");
}

// RFC 6062 §5.2: "The server MUST include the CONNECTION-ID attribute in the Connect success
// response. The attribute's value MUST uniquely identify the peer data connection."
#[test]
fn a_connection_that_is_made_is_named() {
    let mut world = allocated();
    let request = world.request(ANN, Method::Connect, |writer| {
        writer.xor_peer_address(PEER.parse().unwrap());
    });
    world.says(ANN, &request);
    let (_, connect) = world.streams.connects[0];
    let now = world.now();
    world.servers[0].connected(now, connect.id, Ok(()));
    world.carry_out(0, &mut Vec::new());
    let (path, answer) = world.streams.told.pop().unwrap();
    let (answer, request) = (Message::parse(&answer).unwrap(), Message::parse(&request).unwrap());
    assert_eq!(path, ANN.path());
    assert_eq!((answer.method(), answer.class()), (Method::Connect, Class::Success));
    assert_eq!(answer.transaction(), request.transaction());
    assert_eq!(answer.connection_id(), Ok(Some(connect.id.0)));
    assert!(answer.is_signed_with(&ANN.key()) && answer.fingerprint() == Fingerprint::Absent);
    assert_eq!(world.counters().successes(Method::Connect), 1);
}

// RFC 6062 §5.2: "If the connection attempt fails or times out, the server MUST return a 447
// (Connection Timeout or Failure) error. The timeout value MUST be at least 30 seconds."
#[test]
fn a_connection_that_fails_or_takes_too_long_is_447() {
    let mut world = allocated();
    world.connect(ANN, PEER);
    assert_eq!(world.connected(Err(NotConnected)), None);
    assert_eq!(world.counters().errors(Method::Connect, ErrorCode::ConnectionFailed), 1);
    world.connect(ANN, PEER);
    let (_, connect) = world.streams.connects[0];
    world.at_ms(29_999);
    assert!(world.streams.told.is_empty() && world.streams.closed.is_empty());
    world.at(31);
    assert_eq!(world.told_code(), ErrorCode::ConnectionFailed.number());
    assert_eq!(world.streams.closed, [(0, connect.id)]);
    let now = world.now();
    world.servers[0].connected(now, connect.id, Ok(()));
    world.carry_out(0, &mut Vec::new());
    assert!(world.streams.told.is_empty(), "what is closed is not heard of again");
    assert_eq!(world.connect(ANN, PEER).verdict, Verdict::Pending);
}

// RFC 6062 §5.2: "If the request is received on a TCP connection for which no allocation exists,
// the server MUST return a 437 (Allocation Mismatch) error."
#[test]
fn a_connect_without_an_allocation_is_437() {
    tcp_world(1).connect(ANN, PEER).expect_error(ErrorCode::AllocationMismatch);
}

#[test]
fn a_connect_on_an_allocation_of_datagrams_is_403() {
    let mut world = tcp_world(1);
    world.allocate(ANN).expect_success();
    world.connect(ANN, PEER).expect_error(ErrorCode::Forbidden);
}

#[test]
fn a_connect_of_another_user_is_441() {
    let mut world = allocated();
    let bob = Client { user: "bob", ..ANN };
    world.connect(bob, PEER).expect_error(ErrorCode::WrongCredentials);
}

// RFC 6062 §5.2: "If the request does not contain an XOR-PEER-ADDRESS attribute, or if such
// attribute is invalid, the server MUST return a 400 (Bad Request) error."
#[test]
fn a_connect_without_a_peer_is_400() {
    let mut world = allocated();
    world.ask(ANN, Method::Connect, |_| {}).expect_error(ErrorCode::BadRequest);
    world.connect(ANN, "9.9.9.9:0").expect_error(ErrorCode::BadRequest);
    world.connect(ANN, PEER_V6).expect_error(ErrorCode::PeerAddressFamilyMismatch);
}

// RFC 6062 §5.2: "If the server is currently processing a Connect request for this allocation with
// the same XOR-PEER-ADDRESS, it MUST return a 446 (Connection Already Exists) error. If the server
// has already successfully processed a Connect request [...], and the resulting client and peer
// data connections are either pending or active, it MUST return a 446".
#[test]
fn a_second_connect_to_a_peer_is_446_as_long_as_there_is_the_first() {
    let mut world = allocated();
    let refused = |world: &mut World| {
        world.connect(ANN, PEER).expect_error(ErrorCode::ConnectionAlreadyExists);
    };
    world.connect(ANN, PEER);
    refused(&mut world);
    let id = world.connected(Ok(())).unwrap();
    refused(&mut world);
    world.bind_connection(DATA, id).expect_success();
    refused(&mut world);
    assert_eq!(world.connect(ANN, "9.9.9.9:7001").verdict, Verdict::Pending, "another port");
    world.connection_closed(id);
    assert_eq!(world.connect(ANN, PEER).verdict, Verdict::Pending);
}

// RFC 6062 §5.2: "If the new connection is forbidden by local policy, the server MUST reject the
// request with a 403 (Forbidden) error."
#[test]
fn a_connection_that_the_peer_policy_denies_is_403() {
    let mut world = allocated();
    for denied in ["10.9.9.9:80", "127.0.0.1:22", "169.254.169.254:80", "45.0.0.2:22"] {
        world.connect(ANN, denied).expect_error(ErrorCode::Forbidden);
    }
    for port in [22, 3478, 50_000, 50_063] {
        for ours in ["45.0.0.1", "10.0.0.1"] {
            world.connect(ANN, &format!("{ours}:{port}")).expect_error(ErrorCode::Forbidden);
        }
    }
    let oneself = relayed(&world, 0).to_string();
    world.connect(ANN, &oneself).expect_error(ErrorCode::Forbidden);
    assert!(world.streams.connects.is_empty());
}

#[test]
fn a_connection_to_a_peer_that_is_denied_by_now_is_closed() {
    let mut world = allocated();
    world.connect(ANN, "9.9.9.8:1");
    world.connected(Ok(()));
    let id = {
        world.connect(ANN, PEER);
        world.connected(Ok(())).unwrap()
    };
    let deny = |settings: &mut Settings| {
        settings.tcp_relay = true;
        settings.policy = PeerPolicy::new(&[], &["9.9.9.9/32".parse().unwrap()], &own());
    };
    world.reconfigure(deny).wait_ms(1000);
    assert_eq!(world.streams.closed, [(0, id)]);
    assert_eq!(world.counters().connections_live, 1);
}

#[test]
fn an_allocation_has_a_bounded_number_of_connections() {
    let mut world = allocated();
    world.permit(ANN, &[PEER]).expect_success();
    let relayed = relayed(&world, 0);
    for n in 0..CONNECTIONS / 2 {
        let peer = format!("9.9.9.9:{}", 1000 + n);
        assert_eq!(world.connect(ANN, &peer).verdict, Verdict::Pending);
        world.peer_connects(relayed, &format!("9.9.9.9:{}", 2000 + n)).unwrap();
    }
    world.connect(ANN, PEER).expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!(world.counters().quota_hits(QuotaHit::Connections), 1);
    assert_eq!(world.peer_connects(relayed, PEER), Err(Reason::TooManyConnections));
    world.connected(Err(NotConnected));
    world.peer_connects(relayed, PEER).unwrap();
}

// RFC 6062 §5.3: "Otherwise, the server sends a ConnectionAttempt indication to the client over the
// control connection. The indication MUST include an XOR-PEER-ADDRESS attribute containing the
// peer's transport address, as well as a CONNECTION-ID attribute uniquely identifying the peer data
// connection."
#[test]
fn a_client_is_told_who_connects() {
    let mut world = allocated();
    world.permit(ANN, &["9.9.9.9:1"]).expect_success();
    let id = world.peer_connects(relayed(&world, 0), PEER).unwrap();
    let (path, told) = world.streams.told.pop().unwrap();
    let told = Message::parse(&told).unwrap();
    assert_eq!(path, ANN.path());
    assert_eq!((told.method(), told.class()), (Method::ConnectionAttempt, Class::Indication));
    assert_eq!(told.connection_id(), Ok(Some(id.0)));
    assert_eq!(told.peer(), Ok(Some(PEER.parse().unwrap())));
}

// RFC 6062 §5.3: "If no permission for this peer has been installed for this allocation, the server
// MUST close the connection with the peer immediately after it has been accepted."
#[test]
fn a_peer_without_a_permission_is_turned_away() {
    let mut world = allocated();
    let relayed = relayed(&world, 0);
    assert_eq!(world.peer_connects(relayed, PEER), Err(Reason::NoPermission));
    world.permit(ANN, &[PEER]).expect_success();
    world.peer_connects(relayed, PEER).unwrap();
    world.told_connection();
    world.at(300);
    assert_eq!(world.peer_connects(relayed, PEER), Err(Reason::NoPermission));
    assert_eq!(world.counters().drops(Reason::NoPermission), 2);
    assert!(world.streams.told.is_empty());
}

#[test]
fn a_relay_that_listens_no_longer_takes_nobody() {
    let mut world = allocated();
    let (worker, relay) = world.relay_at(relayed(&world, 0));
    world.permit(ANN, &[PEER]).expect_success();
    world.refresh(ANN, 0).expect_success();
    let now = world.now();
    let server = &mut world.servers[usize::from(worker)];
    let late = server.peer_connected(now, relay, PEER.parse().unwrap());
    assert_eq!(late, Err(Reason::NoRelay));
}

// RFC 6062 §5.2, §5.3: "If no ConnectionBind request associated with this peer data connection is
// received after 30 seconds, the peer data connection MUST be closed."
#[test]
fn a_connection_that_nobody_binds_is_closed_after_30_seconds() {
    let mut world = allocated();
    world.permit(ANN, &[PEER]).expect_success();
    let from = world.peer_connects(relayed(&world, 0), PEER).unwrap();
    world.connect(ANN, "9.9.9.9:7001");
    let to = world.connected(Ok(())).unwrap();
    world.at_ms(29_999);
    assert!(world.streams.closed.is_empty());
    world.at(31);
    world.streams.closed.sort_unstable();
    let mut both = [(0, from), (0, to)];
    both.sort_unstable();
    assert_eq!(world.streams.closed, both);
    assert_eq!(world.counters().connections_live, 0);
    for late in [from, to] {
        world.bind_connection(DATA, late).expect_error(ErrorCode::BadRequest);
    }
}

// The timers of allocations fire up to a second late; a connection is over on time.
#[test]
fn a_connection_is_not_bound_between_its_end_and_the_timer() {
    let mut world = allocated();
    world.permit(ANN, &[PEER]).expect_success();
    let relayed = relayed(&world, 0);
    let id = world.at_ms(500).peer_connects(relayed, PEER).unwrap();
    world.at_ms(30_500);
    assert!(world.streams.closed.is_empty());
    world.bind_connection(DATA, id).expect_error(ErrorCode::BadRequest);
    world.at(31);
    assert_eq!(world.streams.closed, [(0, id)]);
}

#[test]
fn a_waiting_connection_that_ends_is_forgotten() {
    let mut world = allocated();
    world.permit(ANN, &[PEER]).expect_success();
    let id = world.peer_connects(relayed(&world, 0), PEER).unwrap();
    world.connection_closed(id);
    assert_eq!(world.counters().connections_live, 0);
    world.at(40);
    assert!(world.streams.closed.is_empty(), "it is not closed twice");
    world.bind_connection(DATA, id).expect_error(ErrorCode::BadRequest);
}

// Two clients of one server: the connection goes to what the other relay is bound to, and comes
// from what the first one is known by.
#[test]
fn two_tcp_relays_of_one_process_reach_each_other() {
    for worker in [0, 1] {
        let mut world = tcp_world(2);
        let bob = BOB.on(worker);
        let ann_at = world.allocate_tcp(ANN).expect_success().relayed();
        let bob_at = world.allocate_tcp(bob).expect_success().relayed();
        assert_eq!(world.connect(ANN, &bob_at.to_string()).verdict, Verdict::Pending);
        let (_, connect) = world.streams.connects[0];
        assert_eq!(connect.peer, world.bound[&world.relay_at(bob_at)]);
        let from = connect.local.to_string();
        assert_eq!(world.peer_connects(bob_at, &from), Err(Reason::NoPermission));
        world.permit(bob, &[&ann_at.to_string()]).expect_success();
        world.peer_connects(bob_at, &from).unwrap();
        let (_, told) = world.streams.told.pop().unwrap();
        assert_eq!(Message::parse(&told).unwrap().peer(), Ok(Some(ann_at)));
        // A permission for a relay address is none for what else runs on that machine.
        world.permit(bob, &["10.0.0.1:1"]).expect_success();
        assert_eq!(world.peer_connects(bob_at, "10.0.0.1:22"), Err(Reason::OwnPeer));
        assert_eq!(world.peer_connects(bob_at, "45.0.0.1:22"), Err(Reason::OwnPeer));
    }
}

#[test]
fn whom_an_allocation_connects_to_stands_in_its_record() {
    let mut world = allocated();
    world.permit(ANN, &["9.9.9.9:1"]).expect_success();
    world.peer_connects(relayed(&world, 0), PEER).unwrap();
    world.connect(ANN, "9.9.9.8:1");
    world.disconnect(ANN);
    let peers = ["9.9.9.9", "9.9.9.8"].map(|peer| peer.parse::<std::net::IpAddr>().unwrap());
    assert_eq!(world.closed[0].peers.named(), peers);
}

#[test]
fn a_tcp_relay_does_not_talk_to_its_own_server() {
    let mut world = allocated();
    let own = relayed(&world, 0).to_string();
    let request = world.write(Method::Binding, Class::Request, |_| {});
    world.says(BOB.at(own.leak()), &request).expect_drop(Reason::OwnSource);
}

// A reload that turns TCP relays off.
#[test]
fn where_there_are_no_new_connections_any_more_a_request_for_one_is_403_and_only_on_a_stream() {
    let mut world = allocated();
    world.reconfigure(|settings| settings.tcp_relay = false);
    world.connect(ANN, PEER).expect_error(ErrorCode::Forbidden);
    world.connect(BOB, PEER).expect_error(ErrorCode::Forbidden);
    world.bind_connection(DATA, ConnectionId(7)).expect_error(ErrorCode::Forbidden);
    let on_udp = Client::ANN.at("198.51.100.9:5000");
    world.connect(on_udp, PEER).expect_drop(Reason::UnknownMethod);
    world.bind_connection(on_udp, ConnectionId(7)).expect_drop(Reason::UnknownMethod);
    world.reconfigure(|settings| settings.tcp_relay = true);
    assert_eq!(world.connect(ANN, PEER).verdict, Verdict::Pending);
}

// The operator may allow networks in which the server itself listens.
#[test]
fn nobody_connects_to_what_the_server_itself_serves() {
    let mut world = allocated();
    world.reconfigure(|settings| {
        settings.tcp_relay = true;
        let allowed = ["127.0.0.0/8", "45.0.0.1/32"].map(|net| net.parse().unwrap());
        settings.policy = PeerPolicy::new(&allowed, &[], &own());
        settings.own_services = vec![("127.0.0.0/8".parse().unwrap(), 9641)];
    });
    for own in ["127.0.0.1:9641", "127.9.9.9:9641", "45.0.0.1:3478"] {
        world.connect(ANN, own).expect_error(ErrorCode::Forbidden);
    }
    assert_eq!(world.connect(ANN, "127.0.0.1:9642").verdict, Verdict::Pending);
}
