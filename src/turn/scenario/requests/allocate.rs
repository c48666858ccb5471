//! Allocate: what is asked for, what is granted, and the code of every fault (RFC 8656 §7).

use crate::turn::api::{
    names::session::SessionId, per_family::Families, reason::Reason, report::Cause,
    settings::OnReallocate, verdict::Verdict,
};
use crate::turn::scenario::*;
use crate::wire::{AttributeType, ErrorCode, Family, Method};

#[test]
fn a_client_gets_a_relayed_address_and_is_told_where_it_is_seen() {
    let mut world = World::new();
    let heard = world.allocate(Client::ANN).expect_success();
    let message = heard.message();
    assert!(message.is_signed_with(&Client::ANN.key()));
    assert_eq!(message.lifetime_s(), Ok(Some(600)));
    let mapped = message.xor_address(AttributeType::XOR_MAPPED_ADDRESS).unwrap();
    assert_eq!(mapped, Some(Client::ANN.path().client()));
    assert_eq!(message.first(AttributeType::SOFTWARE), Some(&b"uturn"[..]));
    assert_eq!(heard.relayed().ip(), stage::world::relay_ip());
    assert_eq!(world.opened.len(), 1);
    assert_eq!(Vec::from_iter(world.opened[0].relayed.iter()), [&heard.relayed()]);
}

#[test]
fn no_two_sessions_have_one_name() {
    let mut world = World::with(2, 1000, |_| {});
    for who in [Client::ANN, Client::BOB, Client::ANN.on(1).at("198.51.100.3:5000")] {
        world.allocate(who).expect_success();
    }
    world.refresh(Client::ANN, 0).expect_success();
    world.allocate(Client::ANN).expect_success();
    let names = |session: SessionId| session.to_string();
    let opened: Vec<_> = world.opened.iter().map(|opened| names(opened.session)).collect();
    assert_eq!(opened, ["0-1", "0-2", "1-1", "0-3"]);
    assert_eq!(names(world.closed[0].session), "0-1");
}

// RFC 8656 §7.2: "If the request contains [...] a retransmission".
#[test]
fn a_retransmission_gets_the_same_answer_to_the_byte() {
    let mut world = World::new();
    let request = world.request(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).even_port(true).lifetime_s(1200);
    });
    let first = world.says(Client::ANN, &request).expect_success();
    world.at(5);
    let second = world.says(Client::ANN, &request);
    assert_eq!(first.bytes, second.bytes);
    assert_eq!(world.bound.len(), 2);
}

#[test]
fn no_success_is_answered_before_the_socket_is_there() {
    let mut world = World::new();
    world.is_slow = true;
    let request = world.request(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17);
    });
    assert_eq!(world.says(Client::ANN, &request).verdict, Verdict::Pending);
    world.says(Client::ANN, &request).expect_drop(Reason::AlreadyPending);
    world.allocate(Client::ANN).expect_error(ErrorCode::AllocationMismatch);
    world.refresh(Client::ANN, 600).expect_error(ErrorCode::AllocationMismatch);
    let answers = world.catch_up();
    assert_eq!(answers.len(), 1);
    assert_eq!(answers[0].code(), 200);
}

// RFC 8656 §7.2: the order of the checks, and the code of each.
#[test]
fn every_fault_has_its_code() {
    type Build = fn(&mut crate::wire::MessageWriter<'_>);
    let faults: [(Build, ErrorCode); 14] = [
        (|_| {}, ErrorCode::BadRequest),
        (|w| _ = w.attribute(AttributeType::REQUESTED_TRANSPORT, &[17]), ErrorCode::BadRequest),
        (|w| _ = w.requested_transport(6), ErrorCode::UnsupportedTransport),
        (
            |w| _ = w.requested_transport(17).reservation_token([0; 8]).even_port(false),
            ErrorCode::BadRequest,
        ),
        (
            |w| {
                _ = w
                    .requested_transport(17)
                    .reservation_token([0; 8])
                    .requested_family(Family::V4);
            },
            ErrorCode::BadRequest,
        ),
        (
            |w| {
                _ = w
                    .requested_transport(17)
                    .reservation_token([0; 8])
                    .additional_family(Family::V6);
            },
            ErrorCode::BadRequest,
        ),
        (
            |w| {
                _ = w
                    .requested_transport(17)
                    .requested_family(Family::V4)
                    .additional_family(Family::V6);
            },
            ErrorCode::BadRequest,
        ),
        (|w| _ = w.requested_transport(17).additional_family(Family::V4), ErrorCode::BadRequest),
        (
            |w| _ = w.requested_transport(17).additional_family(Family::V6).even_port(true),
            ErrorCode::BadRequest,
        ),
        (
            |w| {
                _ = w
                    .requested_transport(17)
                    .attribute(AttributeType::REQUESTED_ADDRESS_FAMILY, &[3, 0, 0, 0]);
            },
            ErrorCode::AddressFamilyNotSupported,
        ),
        (
            |w| _ = w.requested_transport(17).attribute(AttributeType::LIFETIME, &[0, 0]),
            ErrorCode::BadRequest,
        ),
        (
            |w| _ = w.requested_transport(17).reservation_token([0; 8]),
            ErrorCode::InsufficientCapacity,
        ),
        (
            |w| _ = w.requested_transport(17).reservation_token([77; 8]),
            ErrorCode::InsufficientCapacity,
        ),
        (
            |w| _ = w.requested_transport(17).attribute(AttributeType(0x7ABC), b""),
            ErrorCode::UnknownAttribute,
        ),
    ];
    for (place, (build, code)) in faults.into_iter().enumerate() {
        let mut world = World::new();
        let heard = world.ask(Client::ANN, Method::Allocate, build);
        assert_eq!(heard.code(), code.number(), "fault {place}");
        assert!(heard.message().is_signed_with(&Client::ANN.key()), "fault {place}");
        assert_eq!(world.counters().errors(Method::Allocate, code), 1);
        assert_eq!((world.bound.len(), world.held()), (0, 0));
    }
}

#[test]
fn unknown_attributes_are_listed_and_optional_ones_are_not() {
    let mut world = World::new();
    let heard = world.ask(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).attribute(AttributeType(0x7001), b"x");
        writer.attribute(AttributeType(0x8FFF), b"y").attribute(AttributeType(0x0030), b"");
        writer.attribute(AttributeType(0x7001), b"again");
    });
    heard.expect_error(ErrorCode::UnknownAttribute);
    let listed = heard.message().first(AttributeType::UNKNOWN_ATTRIBUTES).map(<[u8]>::to_vec);
    assert_eq!(listed, Some(vec![0x70, 0x01, 0x00, 0x30]));
}

// RFC 8656 §7.2: "the server checks if the 5-tuple is currently in use by an existing allocation.
// If yes, the server rejects the request with a 437 (Allocation Mismatch) error."
#[test]
fn a_second_allocate_is_refused_and_harms_nothing() {
    let mut world = World::new();
    world.allocate(Client::ANN).expect_success();
    world.allocate(Client::ANN).expect_error(ErrorCode::AllocationMismatch);
    world.refresh(Client::ANN, 600).expect_success();
}

#[test]
fn a_client_that_restarts_may_start_over_where_the_operator_lets_it() {
    let mut world = World::with(1, 1, |s| s.on_reallocate = OnReallocate::Replace);
    let old = world.allocate(Client::ANN).expect_success().relayed();
    let other = Client { user: "bob", ..Client::ANN };
    world.allocate(other).expect_error(ErrorCode::AllocationMismatch);
    let new = world.allocate(Client::ANN).expect_success().relayed();
    assert_ne!(old, new);
    assert_eq!(world.closed[0].cause, Cause::Replaced);
    assert_eq!((world.bound.len(), world.held()), (1, 1));
}

#[test]
fn a_client_with_a_fresh_expiry_is_the_same_client_when_it_starts_over() {
    let named = |user| Client { user, ..Client::ANN };
    for (first, second, may) in [
        ("1800000100:ann", "1800000200:ann", true),
        ("1800000100:ann", "ann", true),
        ("1800000100:ann", "1800000200:bob", false),
        ("1800000100", "1800000200", false),
    ] {
        let mut world = World::with(1, 1, |s| s.on_reallocate = OnReallocate::Replace);
        world.allocate(named(first)).expect_success();
        let heard = world.allocate(named(second));
        if may {
            heard.expect_success();
            assert_eq!(world.closed[0].cause, Cause::Replaced);
        } else {
            heard.expect_error(ErrorCode::AllocationMismatch);
        }
    }
}

// RFC 8656 §7.2: "If the requested lifetime is greater than the maximum [...] the maximum".
#[test]
fn lifetimes_are_between_the_default_and_the_maximum() {
    for (asked, granted) in [
        (None, 600),
        (Some(0), 600),
        (Some(60), 600),
        (Some(900), 900),
        (Some(3600), 3600),
        (Some(3601), 3600),
        (Some(u32::MAX), 3600),
    ] {
        let mut world = World::new();
        let heard = world.ask(Client::ANN, Method::Allocate, |writer| {
            writer.requested_transport(17);
            asked.map(|seconds| writer.lifetime_s(seconds).finish());
        });
        assert_eq!(heard.message().lifetime_s(), Ok(Some(granted)), "{asked:?}");
    }
}

#[test]
fn a_dual_allocation_has_an_address_of_each_family() {
    let mut world = World::new();
    let heard = world.ask(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).additional_family(Family::V6);
    });
    let heard = heard.expect_success();
    let relays = heard.message().attributes();
    assert_eq!(relays.filter(|a| a.kind == AttributeType::XOR_RELAYED_ADDRESS).count(), 2);
    assert!(world.opened[0].relayed.families() == Some(Families::Both));
    world.permit(Client::ANN, &[PEER, PEER_V6]).expect_success();
    world.send(Client::ANN, PEER, b"four").expect_to_peer(PEER, b"four");
    world.send(Client::ANN, PEER_V6, b"six").expect_to_peer(PEER_V6, b"six");
}

// RFC 8656 §18.12: ADDRESS-ERROR-CODE says why one family of a dual allocation is missing.
#[test]
fn of_a_dual_allocation_one_family_is_enough() {
    let mut world = World::new();
    world.busy.extend(50_000..=50_063);
    let request = world.request(Client::ANN, Method::Allocate, |writer| {
        writer.requested_transport(17).additional_family(Family::V6);
    });
    world.says(Client::ANN, &request).expect_error(ErrorCode::InsufficientCapacity);
    assert_eq!((world.bound.len(), world.held()), (0, 0));
    world.busy.clear();
    for port in 50_000_u32..=50_063 {
        world
            .bound
            .insert((9, crate::turn::RelayId(port)), format!("10.0.0.1:{port}").parse().unwrap());
    }
    let heard = world.says(Client::ANN, &request).expect_success();
    let missing = heard.message().first(AttributeType::ADDRESS_ERROR_CODE).map(|v| v[..4].to_vec());
    assert_eq!(missing, Some(vec![1, 0, 5, 8]));
    assert!(heard.relayed().is_ipv6());
}

#[test]
fn a_port_in_use_elsewhere_is_replaced_by_another() {
    let mut world = World::new();
    world.busy.extend((50_000..=50_063).filter(|port| port % 2 == 0));
    for n in 0..16 {
        let client = format!("198.51.100.1:{}", 6000 + n);
        let client = Client { address: client.leak(), ..Client::ANN };
        let heard = world.allocate(client);
        assert_eq!(heard.code(), 200, "client {n}");
        assert_eq!(heard.relayed().port() % 2, 1);
    }
}

#[test]
fn every_port_of_the_range_can_be_had_and_is_free_again_only_when_the_kernel_says_so() {
    let mut world = World::new();
    let client = |n: u16| Client { address: format!("198.51.100.1:{n}").leak(), ..Client::ANN };
    for n in 1..=64 {
        world.allocate(client(n)).expect_success();
    }
    world.allocate(client(65)).expect_error(ErrorCode::InsufficientCapacity);
    let before = world.refresh(client(7), 0).expect_success();
    assert_eq!(before.message().lifetime_s(), Ok(Some(0)));
    world.allocate(client(65)).expect_error(ErrorCode::InsufficientCapacity);
    world.let_go();
    world.allocate(client(65)).expect_success();
    assert_eq!((world.bound.len(), world.held()), (64, 64));
}

// RFC 8656 §7.2: "486 (Allocation Quota Reached)".
#[test]
fn a_users_quota_is_486() {
    let mut world = World::with(1, 1, |_| {});
    world.allocate(Client::ANN).expect_success();
    let second = Client::ANN.at("198.51.100.1:5001");
    world.allocate(second).expect_error(ErrorCode::AllocationQuotaReached);
    world.refresh(Client::ANN, 0).expect_success();
    world.allocate(second).expect_success();
}
