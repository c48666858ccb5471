//! What is never answered, what costs nothing, and what strangers get.

use proptest::prelude::{any, prop, proptest};

use crate::turn::api::{
    effect::Outcome, names::identity::PendingId, reason::Reason, verdict::Verdict,
};
use crate::turn::scenario::*;
use crate::wire::{AttributeType, Class, ErrorCode, Fingerprint, Message, Method};

#[test]
fn a_binding_answer_is_32_bytes() {
    let mut world = World::new();
    let request = world.write(Method::Binding, Class::Request, |_| {});
    let heard = world.says(Client::ANN, &request).expect_success();
    assert_eq!((request.len(), heard.bytes.len()), (20, 32));
    let mapped = heard.message().xor_address(AttributeType::XOR_MAPPED_ADDRESS).unwrap();
    assert_eq!(mapped, Some(Client::ANN.path().client()));
    let marked = world.write(Method::Binding, Class::Request, |w| _ = w.fingerprint());
    let heard = world.says(Client::ANN, &marked).expect_success();
    assert_eq!(heard.message().fingerprint(), Fingerprint::Valid);
}

#[test]
fn a_binding_with_an_unknown_attribute_is_420() {
    let mut world = World::new();
    let request = world.write(Method::Binding, Class::Request, |w| {
        _ = w.attribute(AttributeType(0x7777), b"");
    });
    world.says(Client::ANN, &request).expect_error(ErrorCode::UnknownAttribute);
}

#[test]
fn a_request_without_credentials_is_challenged() {
    let mut world = World::new();
    for method in [Method::Allocate, Method::Refresh, Method::CreatePermission, Method::ChannelBind]
    {
        let request = world.write(method, Class::Request, |_| {});
        let heard = world.says(Client::ANN, &request);
        heard.expect_error(ErrorCode::Unauthenticated);
        let message = heard.message();
        assert_eq!(message.realm(), Some(&b"realm"[..]));
        assert!(message.nonce().is_some() && !message.has_integrity());
        assert_eq!(message.first(AttributeType::SOFTWARE), None);
    }
    assert!(world.bound.is_empty() && world.servers[0].next_deadline().is_none());
}

#[test]
fn a_stale_nonce_is_438_with_a_new_one() {
    let mut world = World::new();
    let request = world.request(Client::ANN, Method::Allocate, |w| _ = w.requested_transport(17));
    world.at(20_000);
    let heard = world.says(Client::ANN, &request);
    heard.expect_error(ErrorCode::StaleNonce);
    assert!(heard.message().nonce().is_some() && heard.message().realm().is_some());
    let moved = world.request(Client::ANN, Method::Allocate, |w| _ = w.requested_transport(17));
    world.says(Client::BOB, &moved).expect_error(ErrorCode::StaleNonce);
}

#[test]
fn a_wrong_password_is_401() {
    let mut world = World::new();
    let nobody = Client { user: "eve", ..Client::ANN };
    world.allocate(nobody).expect_error(ErrorCode::Unauthenticated);
    let mut request = world.request(Client::ANN, Method::Allocate, |w| {
        _ = w.requested_transport(17);
    });
    *request.last_mut().unwrap() ^= 1;
    world.says(Client::ANN, &request).expect_error(ErrorCode::Unauthenticated);
}

#[test]
fn nothing_but_a_request_is_ever_answered() {
    let mut world = World::new();
    for method in [Method::Binding, Method::Allocate, Method::Data, Method::Unknown(0x07F)] {
        for class in [Class::Success, Class::Error] {
            let datagram = world.write(method, class, |_| {});
            world.says(Client::ANN, &datagram).expect_drop(Reason::Response);
        }
        let datagram = world.write(method, Class::Indication, |_| {});
        world.says(Client::ANN, &datagram).expect_drop(Reason::Indication);
    }
    for method in [Method::Send, Method::Data, Method::Connect, Method::Unknown(0x07F)] {
        let datagram = world.write(method, Class::Request, |_| {});
        world.says(Client::ANN, &datagram).expect_drop(Reason::UnknownMethod);
    }
    world.says(Client::ANN, b"").expect_drop(Reason::NotStun);
    world.says(Client::ANN, b"\x16\x03\x01").expect_drop(Reason::NotStun);
}

#[test]
fn a_damaged_or_old_message_is_not_answered() {
    let mut world = World::new();
    let mut damaged = world.write(Method::Binding, Class::Request, |w| _ = w.fingerprint());
    *damaged.last_mut().unwrap() ^= 1;
    world.says(Client::ANN, &damaged).expect_drop(Reason::WrongFingerprint);
    let mut old = world.write(Method::Binding, Class::Request, |_| {});
    old[4] = 0;
    world.says(Client::ANN, &old).expect_drop(Reason::NoCookie);
    let whole = world.write(Method::Binding, Class::Request, |_| {});
    world.says(Client::ANN, &whole[..19]).expect_drop(Reason::NotStun);
    let long = [&whole[..], &[0]].concat();
    world.says(Client::ANN, &long).expect_drop(Reason::BadLength);
}

#[test]
fn attributes_that_do_not_add_up_are_400_for_a_request() {
    let mut world = World::new();
    let mut request = world.write(Method::Allocate, Class::Request, |w| _ = w.lifetime_s(1));
    request[23] = 200;
    world.says(Client::ANN, &request).expect_error(ErrorCode::BadRequest);
    let mut send = world.write(Method::Send, Class::Indication, |w| _ = w.lifetime_s(1));
    send[23] = 200;
    world.says(Client::ANN, &send).expect_drop(Reason::BadAttributes);
}

// RFC 8489 §6.3: what is damaged may be anything, so nothing of it is believed.
#[test]
fn a_damaged_request_is_not_answered_whatever_was_damaged() {
    let mut world = World::new();
    let request = world.write(Method::Allocate, Class::Request, |writer| {
        writer.lifetime_s(1).fingerprint();
    });
    for at in 20..request.len() - 8 {
        let mut damaged = request.clone();
        damaged[at] ^= 0x80;
        world.says(Client::ANN, &damaged).expect_drop(Reason::WrongFingerprint);
    }
    let mut broken = world.write(Method::Allocate, Class::Request, |writer| {
        writer.attribute(AttributeType::SOFTWARE, &[0; 8]);
    });
    broken[22..24].copy_from_slice(&[0, 200]);
    world.says(Client::ANN, &broken).expect_error(ErrorCode::BadRequest);
}

#[test]
fn own_sockets_and_port_zero_are_not_answered() {
    let mut world = World::new();
    let request = world.write(Method::Binding, Class::Request, |_| {});
    let nowhere = Client::ANN.at("198.51.100.1:0");
    world.says(nowhere, &request).expect_drop(Reason::SourcePortZero);
    let ourselves = Client::ANN.at("45.0.0.1:3478");
    world.says(ourselves, &request).expect_drop(Reason::OwnSource);
    let relayed = world.allocate(Client::ANN).expect_success().relayed().to_string();
    let relay = Client::BOB.at(relayed.leak());
    world.says(relay, &request).expect_drop(Reason::OwnSource);
}

#[test]
fn an_answer_that_does_not_fit_is_dropped_and_counted() {
    let mut world = World::new();
    let request = world.write(Method::Binding, Class::Request, |_| {});
    let now = world.now();
    let verdict = world.servers[0].from_client(now, Client::ANN.path(), &request, 1, &mut [0; 31]);
    assert_eq!(verdict, Verdict::Drop(Reason::NoRoom));
}

#[test]
fn an_answer_of_the_world_that_no_allocate_waits_for_is_dropped_and_counted() {
    let mut world = World::new();
    let (now, nobody) = (world.now(), PendingId(7));
    let outcome = Outcome::NotRedeemed;
    let verdict = world.servers[0].complete(now, nobody, outcome, &mut [0; 512]);
    assert_eq!(verdict, Verdict::Drop(Reason::NotPending));
    assert_eq!(world.servers[0].counters().drops(Reason::NotPending), 1);
}

proptest! {
    #[test]
    fn nothing_a_stranger_sends_leaves_a_trace(
        datagram in prop::collection::vec(any::<u8>(), 0..200),
        kind in 0_u8..4, low in any::<u8>(),
    ) {
        let mut world = World::new();
        world.says(Client::ANN, &datagram);
        let mut stun = world.write(Method::Allocate, Class::Request, |_| {});
        stun[..2].copy_from_slice(&[kind, low]);
        stun.extend(&datagram[..datagram.len() & !3]);
        let body = (stun.len() - 20) as u16;
        stun[2..4].copy_from_slice(&body.to_be_bytes());
        let heard = world.says(Client::ANN, &stun);
        if let Verdict::Reply(_) = heard.verdict {
            assert_eq!(Message::parse(&stun).map_or(Class::Request, |m| m.class()), Class::Request);
        }
        assert!(world.bound.is_empty() && world.opened.is_empty());
        assert_eq!(world.servers[0].next_deadline(), None);
    }

    #[test]
    fn a_users_damaged_requests_do_no_harm(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
    ) {
        let mut world = World::new();
        let mut request = world.request(Client::ANN, Method::Allocate, |w| {
            _ = w.requested_transport(17).even_port(true).lifetime_s(800);
        });
        for (at, value) in &changes {
            *at.get_mut(&mut request) = *value;
        }
        world.says(Client::ANN, &request);
        let expected = world.opened.len() as u32;
        assert!(world.held() >= expected && world.bound.len() as u32 == world.held());
    }
}
