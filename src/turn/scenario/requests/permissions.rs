//! Permissions, Send and Data indications (RFC 8656 §9 to §11).

use crate::turn::scenario::{stage::world::own, *};
use crate::turn::{
    api::{reason::Reason, verdict::Verdict},
    policy::PeerPolicy,
};
use crate::wire::{AttributeType, Class, ErrorCode, Method, Prefix};

#[test]
fn a_packet_without_a_permission_goes_nowhere() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    assert_eq!(world.peer_says(relayed, PEER, 5), Err(Reason::NoPermission));
    world.send(Client::ANN, PEER, b"no").expect_drop(Reason::NoPermission);
    assert_eq!(world.counters().drops(Reason::NoPermission), 2);
}

// RFC 8656 §9: "only the IP address is relevant [...] the port [...] is ignored".
#[test]
fn a_permission_is_for_an_address_whatever_the_port() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &["9.9.9.9:0"]).expect_success();
    let to = world.peer_says(relayed, PEER, 5).unwrap();
    assert_eq!(to.path, Client::ANN.path());
    let Prefix::DataIndication { peer, transaction } = to.prefix else { panic!("{to:?}") };
    assert_eq!(peer, PEER.parse().unwrap());
    let Prefix::DataIndication { transaction: next, .. } =
        world.peer_says(relayed, "9.9.9.9:1", 5).unwrap().prefix
    else {
        panic!("no indication")
    };
    assert_ne!(transaction, next);
    assert_eq!(world.peer_says(relayed, "9.9.9.8:7000", 5), Err(Reason::NoPermission));
    world.send(Client::ANN, "9.9.9.9:53", b"dns").expect_to_peer("9.9.9.9:53", b"dns");
}

#[test]
fn a_permission_ends_after_300_seconds() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &[PEER]).expect_success();
    world.at_ms(299_999).peer_says(relayed, PEER, 5).unwrap();
    assert_eq!(world.at_ms(300_000).peer_says(relayed, PEER, 5), Err(Reason::NoPermission));
    world.send(Client::ANN, PEER, b"late").expect_drop(Reason::NoPermission);
}

// RFC 8656 §10.2: all the permissions of a request are installed, or none.
#[test]
fn permissions_are_all_or_nothing() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    let private = "10.0.0.9:1";
    world.permit(Client::ANN, &[PEER, private]).expect_error(ErrorCode::Forbidden);
    assert_eq!(world.peer_says(relayed, PEER, 5), Err(Reason::NoPermission));
    world.permit(Client::ANN, &[PEER, PEER_V6]).expect_error(ErrorCode::PeerAddressFamilyMismatch);
    assert_eq!(world.peer_says(relayed, PEER, 5), Err(Reason::NoPermission));
    world.permit(Client::ANN, &[PEER, "9.9.9.8:1"]).expect_success();
    world.peer_says(relayed, PEER, 5).unwrap();
    world.peer_says(relayed, "9.9.9.8:2", 5).unwrap();
}

#[test]
fn a_request_without_a_readable_peer_is_400() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &[]).expect_error(ErrorCode::BadRequest);
    let short = world.ask(Client::ANN, Method::CreatePermission, |writer| {
        writer.xor_peer_address(PEER.parse().unwrap());
        writer.attribute(AttributeType::XOR_PEER_ADDRESS, &[0, 1, 2, 3]);
    });
    short.expect_error(ErrorCode::BadRequest);
}

#[test]
fn an_allocation_has_a_bounded_number_of_permissions() {
    let mut world = World::with(1, 9, |settings| settings.permissions_per_allocation = 2);
    world.allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &["9.9.9.1:1", "9.9.9.1:2", "9.9.9.2:1"]).expect_success();
    world.permit(Client::ANN, &["9.9.9.3:1"]).expect_error(ErrorCode::InsufficientCapacity);
    world.bind(Client::ANN, 0x4000, "9.9.9.3:1").expect_error(ErrorCode::InsufficientCapacity);
    world.permit(Client::ANN, &["9.9.9.2:1"]).expect_success();
    world.at(300).permit(Client::ANN, &["9.9.9.3:1", "9.9.9.4:1"]).expect_success();
}

#[test]
fn the_default_policy_denies_what_is_not_the_internet() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    for peer in [
        "127.0.0.1:1",
        "10.1.2.3:1",
        "169.254.169.254:80",
        "0.0.0.0:1",
        "224.0.0.1:1",
        "[::ffff:127.0.0.1]:1",
    ] {
        world.permit(Client::ANN, &[peer]).expect_error(ErrorCode::Forbidden);
        world.bind(Client::ANN, 0x4000, peer).expect_error(ErrorCode::Forbidden);
        world.send(Client::ANN, peer, b"no").expect_drop(Reason::NoPermission);
    }
}

#[test]
fn a_mapped_peer_is_the_peer_it_maps() {
    let mut world = World::new();
    let relayed = world.allocate(Client::ANN).expect_success().relayed();
    world.permit(Client::ANN, &["[::ffff:9.9.9.9]:1"]).expect_success();
    world.peer_says(relayed, PEER, 1).unwrap();
    world.send(Client::ANN, "[::ffff:9.9.9.9]:7000", b"x").expect_to_peer(PEER, b"x");
}

#[test]
fn one_allow_entry_opens_a_private_peer() {
    let allow = ["10.0.0.0/8".parse().unwrap()];
    let mut world = World::with(1, 9, |settings| {
        settings.policy = PeerPolicy::new(&allow, &[], &own());
    });
    world.allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &["10.1.2.3:1"]).expect_success();
    world.send(Client::ANN, "10.1.2.3:9", b"in").expect_to_peer("10.1.2.3:9", b"in");
}

#[test]
fn dont_fragment_goes_with_the_payload() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &[PEER]).expect_success();
    let datagram = world.write(Method::Send, Class::Indication, |writer| {
        writer.attribute(AttributeType::DONT_FRAGMENT, b"");
        writer.attribute(AttributeType::DATA, b"whole").xor_peer_address(PEER.parse().unwrap());
    });
    let heard = world.says(Client::ANN, &datagram);
    assert!(matches!(heard.verdict, Verdict::ToPeer { dont_fragment: true, .. }));
    heard.expect_to_peer(PEER, b"whole");
}

// RFC 8489 §6.3.2: an indication with an unknown comprehension-required attribute is discarded.
#[test]
fn a_send_indication_that_makes_no_sense_is_silence() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.permit(Client::ANN, &[PEER]).expect_success();
    let peer = PEER.parse().unwrap();
    type Build<'b> = &'b dyn Fn(&mut crate::wire::MessageWriter<'_>);
    let faults: [Build<'_>; 4] = [
        &|w| _ = w.xor_peer_address(peer),
        &|w| _ = w.attribute(AttributeType::DATA, b"x"),
        &|w| {
            _ = w
                .xor_peer_address(peer)
                .attribute(AttributeType::DATA, b"x")
                .attribute(AttributeType(0x7000), b"");
        },
        &|w| {
            _ = w
                .attribute(AttributeType::XOR_PEER_ADDRESS, b"")
                .attribute(AttributeType::DATA, b"x");
        },
    ];
    for build in faults {
        let datagram = world.write(Method::Send, Class::Indication, build);
        world.says(Client::ANN, &datagram).expect_drop(Reason::BadSend);
    }
    world.send(Client::ANN, "9.9.9.9:0", b"x").expect_drop(Reason::PeerPortZero);
    world.send(Client::ANN, PEER, b"").expect_to_peer(PEER, b"");
    world.send(Client::BOB, PEER, b"x").expect_drop(Reason::NoAllocation);
}
