//! What strangers are answered, how briefly, and who is none.

use crate::turn::scenario::*;
use crate::turn::{
    api::{reason::Reason, verdict::Verdict},
    auth::reply_budget::kind::ReplyKind,
};
use crate::wire::{AttributeType, Class, ErrorCode, Method};

const ANN: Client = Client::ANN;

/// A world in which Ann's network has used up what it is answered with, of each kind.
fn used_up() -> World {
    let mut world = World::with(1, 9, |settings| settings.stranger_bytes_per_s = 1_000);
    let stranger = ANN.at("198.51.100.200:9");
    for method in [Method::Binding, Method::Allocate] {
        let request = world.write(method, Class::Request, |_| {});
        (0..3_000).for_each(|_| _ = world.says(stranger, &request));
    }
    world
}

/// Asks again and again; true if there never is an answer.
fn is_refused(world: &mut World, who: Client, request: &[u8]) -> bool {
    (0..50).all(|_| world.says(who, request).verdict == Verdict::Drop(Reason::ReplyBudget))
}

// 20 for the header, 8 for the code, 12 for a realm of five letters, 32 for the nonce.
#[test]
fn a_challenge_is_as_short_as_it_can_be() {
    let mut world = World::new();
    let request = world.write(Method::Allocate, Class::Request, |_| {});
    let heard = world.says(ANN, &request);
    heard.expect_error(ErrorCode::Unauthenticated);
    assert_eq!((request.len(), heard.bytes.len()), (20, 72));
    let reason = heard.message().first(AttributeType::ERROR_CODE).unwrap();
    assert_eq!(reason, [0, 0, 4, 1], "no reason phrase");
    let unknown = world.write(Method::Binding, Class::Request, |w| {
        _ = w.attribute(AttributeType(0x7777), b"");
    });
    assert_eq!(world.says(ANN, &unknown).bytes.len(), 36);
    let mut broken = world.write(Method::Allocate, Class::Request, |w| _ = w.lifetime_s(1));
    broken[23] = 200;
    assert_eq!(world.says(ANN, &broken).bytes.len(), 28);
}

// Who reads it is no stranger, and may want to know.
#[test]
fn a_signed_error_says_why() {
    let mut world = World::new();
    let heard = world.refresh(ANN, 600);
    heard.expect_error(ErrorCode::AllocationMismatch);
    let reason = heard.message().first(AttributeType::ERROR_CODE).unwrap();
    assert_eq!(&reason[4..], b"Allocation Mismatch");
}

#[test]
fn a_network_that_has_used_up_its_answers_gets_none() {
    let mut world = used_up();
    for method in [Method::Binding, Method::Allocate] {
        let request = world.write(method, Class::Request, |_| {});
        assert!(is_refused(&mut world, ANN.at("198.51.100.200:9"), &request), "{method:?}");
    }
    let elsewhere = world.write(Method::Binding, Class::Request, |_| {});
    world.says(ANN.at("198.51.101.1:9"), &elsewhere).expect_success();
    let counters = world.counters();
    assert!(ReplyKind::ALL.map(|kind| counters.refused_replies(kind) > 0) == [true, true, false]);
    assert!(world.refused.is_empty(), "the ten seconds are not over");
    world.at(10);
    assert_eq!(world.refused.len(), 1, "one report in ten seconds");
    assert_eq!(world.refused[0].network.to_string(), "198.51.100.0/24");
}

#[test]
fn a_source_that_is_new_is_answered_all_the_same() {
    let mut world = used_up();
    world.ask_unsigned(ANN).expect_error(ErrorCode::Unauthenticated);
}

#[test]
fn a_nonce_that_has_expired_gets_438_whatever_the_network_has_used_up() {
    let mut world = World::with(1, 9, |settings| settings.stranger_bytes_per_s = 1);
    world.allocate(ANN).expect_success();
    world.refresh(ANN, 3600).expect_success();
    let stranger = ANN.at("198.51.100.2:9");
    let refresh = world.request(ANN, Method::Refresh, |_| {});
    let allocate = world.request(stranger, Method::Allocate, |w| _ = w.requested_transport(17));
    world.at(3_605);
    for _ in 0..100 {
        world.ask_unsigned(ANN.at("198.51.100.3:9"));
    }
    for _ in 0..100 {
        world.says(ANN, &refresh).expect_error(ErrorCode::StaleNonce);
        world.says(stranger, &allocate).expect_error(ErrorCode::StaleNonce);
    }
}

// A nonce of somebody else proves nothing.
#[test]
fn a_nonce_of_another_address_is_a_strangers() {
    let mut world = used_up();
    let stolen = world.request(Client::BOB, Method::Allocate, |w| _ = w.requested_transport(17));
    assert!(is_refused(&mut world, ANN.at("198.51.100.200:9"), &stolen));
}

#[test]
fn a_wrong_password_with_a_good_nonce_is_always_told() {
    let mut world = used_up();
    let eve = Client { user: "eve", ..ANN.at("198.51.100.200:9") };
    for _ in 0..100 {
        world.allocate(eve).expect_error(ErrorCode::Unauthenticated);
    }
}

#[test]
fn whoever_has_an_allocation_is_always_answered() {
    let mut world = World::with(1, 9, |settings| settings.stranger_bytes_per_s = 1);
    world.allocate(ANN).expect_success();
    let binding = world.write(Method::Binding, Class::Request, |_| {});
    for _ in 0..100 {
        world.says(ANN, &binding).expect_success();
        world.ask_unsigned(ANN).expect_error(ErrorCode::Unauthenticated);
    }
    world.refresh(ANN, 0).expect_success();
    assert!((0..100).any(|_| world.says(ANN, &binding).verdict != Verdict::Reply(32)));
}

#[test]
fn a_new_rate_holds_from_the_next_request_on() {
    let mut world = used_up();
    let request = world.write(Method::Binding, Class::Request, |_| {});
    let stranger = ANN.at("198.51.100.200:9");
    assert!(is_refused(&mut world, stranger, &request));
    world.reconfigure(|settings| settings.stranger_bytes_per_s = 0);
    world.says(stranger, &request).expect_success();
}

// What a refused request costs must not depend on what is in it.
#[test]
fn a_request_that_is_refused_is_not_checked() {
    let mut world = used_up();
    let stranger = ANN.at("198.51.100.200:9");
    let mut request = world.write(Method::Binding, Class::Request, |w| _ = w.fingerprint());
    *request.last_mut().unwrap() ^= 1;
    assert!(is_refused(&mut world, stranger, &request));
    world.says(ANN.at("198.51.101.1:9"), &request).expect_drop(Reason::WrongFingerprint);
}

#[test]
fn the_rest_of_a_train_is_refused_up_to_the_first_request_that_proves_something() {
    let mut world = used_up();
    let stranger = ANN.at("198.51.100.200:9");
    let proof = world.request(stranger, Method::Refresh, |_| {});
    let mut unsigned = world.write(Method::Refresh, Class::Request, |_| {});
    unsigned.resize(proof.len(), 0);
    let body_bytes = (proof.len() - 20) as u16;
    unsigned[2..4].copy_from_slice(&body_bytes.to_be_bytes());
    let train = [&unsigned, &unsigned, &unsigned, &proof, &unsigned].map(|it| &it[..]).concat();
    let before = world.counters().drops(Reason::ReplyBudget);
    assert!(is_refused(&mut world, stranger, &unsigned));
    assert_eq!(world.refuses_alike(stranger, &train, proof.len()), 3);
    let dropped = world.counters().drops(Reason::ReplyBudget) - before;
    assert_eq!(dropped, 53, "50 one by one, and 3 at once");
    world.says(stranger, &proof).expect_error(ErrorCode::AllocationMismatch);
    let elsewhere = ANN.at("198.51.101.1:9");
    assert_eq!(world.refuses_alike(elsewhere, &train, proof.len()), 0, "nobody was refused there");
}

// Every refusal that a user could ask about is told, a bounded number each second.
#[test]
fn users_who_are_refused_are_told_of_a_few_a_second() {
    let mut world = World::with(1, 1, |_| {});
    let eve = Client { user: "eve", ..ANN.at("198.51.100.9:9") };
    world.ask_unsigned(ANN).expect_error(ErrorCode::Unauthenticated);
    assert!(world.told.is_empty(), "the first request of every client is no news");
    world.allocate(eve).expect_error(ErrorCode::Unauthenticated);
    world.allocate(ANN).expect_success();
    world.permit(ANN, &["10.9.9.9:1"]).expect_error(ErrorCode::Forbidden);
    world.allocate(Client::BOB).expect_error(ErrorCode::AllocationQuotaReached);
    let told = world.told.iter().map(|it| (&*it.user, it.method, it.code, it.reason));
    let expected = [
        ("eve", Method::Allocate, ErrorCode::Unauthenticated, "wrong_credentials"),
        ("ann", Method::CreatePermission, ErrorCode::Forbidden, ErrorCode::Forbidden.reason()),
        (
            "bob",
            Method::Allocate,
            ErrorCode::AllocationQuotaReached,
            ErrorCode::AllocationQuotaReached.reason(),
        ),
    ];
    assert_eq!(Vec::from_iter(told), expected);
    assert_eq!(world.told[0].path, eve.path());
    (0..20).for_each(|_| _ = world.allocate(eve));
    assert_eq!(world.told.len(), 10);
    world.at(1).allocate(eve).expect_error(ErrorCode::Unauthenticated);
    assert_eq!((world.told.len(), world.told[10].left_out), (11, 13));
}

#[test]
fn whoever_wants_to_hear_of_every_refusal_does() {
    let mut world = World::with(1, 1, |settings| settings.tells_every_refusal = true);
    let eve = Client { user: "eve", ..ANN.at("198.51.100.9:9") };
    (0..40).for_each(|_| _ = world.allocate(eve));
    let told = world.told.iter().filter(|it| it.reason == "wrong_credentials" && it.left_out == 0);
    assert_eq!((told.count(), world.told.len()), (40, 40));
}
