//! A ConnectionBind that comes to another worker than the one that has the allocation.

use super::{ANN, DATA, tcp_world};
use crate::turn::api::{
    names::{connection::ConnectionId, identity::WorkerIndex},
    reason::Reason,
    verdict::Verdict,
};
use crate::turn::auth::stream_strangers::STRANGER_ANSWERS;
use crate::turn::scenario::{stage::world::nonces, *};
use crate::wire::{AttributeType, Class, ErrorCode, Method};

/// A request to bind a connection, signed by a client or by nobody.
fn bind(world: &mut World, who: Client, id: ConnectionId, is_signed: bool) -> Vec<u8> {
    if is_signed {
        return world.request(who, Method::ConnectionBind, |w| _ = w.connection_id(id.0));
    }
    world.write(Method::ConnectionBind, Class::Request, |w| _ = w.connection_id(id.0))
}

#[test]
fn a_connection_goes_to_the_worker_that_has_the_allocation() {
    let mut world = tcp_world(3);
    let id = world.waiting_connection(ANN.on(2));
    assert_eq!(id.worker(), WorkerIndex(2));
    let request = bind(&mut world, DATA, id, true);
    let heard = world.says(DATA, &request);
    assert_eq!(heard.verdict, Verdict::Move(WorkerIndex(2)));
    world.disconnect(DATA);
    world.arrives(DATA.on(2), &request).expect_success();
    assert_eq!(world.streams.joined, [(2, id, DATA.path())]);
    assert_eq!(world.servers[0].stream_strangers.count(), 0);
}

#[test]
fn a_connection_that_is_not_there_is_400_where_it_would_be() {
    let mut world = tcp_world(2);
    world.bind_anywhere(DATA, ConnectionId(1 << 24 | 7)).expect_error(ErrorCode::BadRequest);
    let nobody = ConnectionId(9 << 24 | 7);
    world.bind_anywhere(DATA, nobody).expect_error(ErrorCode::BadRequest);
}

#[test]
fn a_connection_does_not_move_before_it_was_challenged() {
    let mut world = tcp_world(2);
    let id = world.waiting_connection(ANN.on(1));
    let request = bind(&mut world, DATA, id, false);
    world.says(DATA, &request).expect_error(ErrorCode::Unauthenticated);
    let nonce = nonces().issue(world.now(), DATA.path().nonce_address());
    let unsigned = world.write(Method::ConnectionBind, Class::Request, |writer| {
        writer.connection_id(id.0).attribute(AttributeType::NONCE, &nonce);
    });
    world.says(DATA, &unsigned).expect_error(ErrorCode::Unauthenticated);
    let stale = bind(&mut world, DATA, id, true);
    world.at(5_000).says(DATA, &stale).expect_error(ErrorCode::StaleNonce);
}

// A stranger makes two workers move his connection once, and no more.
#[test]
fn a_strangers_connection_moves_once() {
    let mut world = tcp_world(2);
    let eve = Client { user: "eve", ..DATA };
    let there = ConnectionId(1 << 24);
    world.bind_anywhere(eve, there).expect_error(ErrorCode::Unauthenticated);
    let (eve, back) = (eve.on(1), ConnectionId(7));
    for _ in 1..STRANGER_ANSWERS {
        let request = bind(&mut world, eve, back, true);
        world.says(eve, &request).expect_error(ErrorCode::Unauthenticated);
    }
    let request = bind(&mut world, eve, back, true);
    world.says(eve, &request).expect_drop(Reason::TooManyAnswers);
}

#[test]
fn a_connection_with_an_allocation_stays() {
    let mut world = tcp_world(2);
    let id = world.waiting_connection(ANN.on(1));
    world.allocate_tcp(DATA).expect_success();
    let request = bind(&mut world, DATA, id, true);
    world.says(DATA, &request).expect_error(ErrorCode::BadRequest);
}

#[test]
fn names_say_their_worker_and_cannot_be_guessed() {
    let mut world = tcp_world(2);
    world.allocate_tcp(ANN.on(1)).expect_success();
    let mut names = Vec::new();
    for n in 0..300 {
        let peer = format!("9.9.9.9:{}", 1000 + n);
        assert_eq!(world.connect(ANN.on(1), &peer).verdict, Verdict::Pending);
        let id = world.connected(Ok(())).unwrap();
        assert_eq!(id.worker(), WorkerIndex(1));
        world.connection_closed(id);
        names.push(id);
    }
    assert!(names.windows(2).filter(|pair| pair[1] > pair[0]).count() > 100);
    assert!(names.windows(2).filter(|pair| pair[1] < pair[0]).count() > 100);
    names.sort_unstable();
    names.dedup();
    assert!(names.len() > 295);
}
