//! What operators see of allocations, and how they end one.

use super::stage::{
    client::Client,
    world::{PEER, World},
};
use crate::turn::api::{
    names::{identity::WorkerIndex, session::SessionId},
    reason::Reason,
    report::Cause,
};
use crate::wire::ErrorCode;

const ANN: Client = Client::ANN;
const BOB: Client = Client::BOB;

fn first() -> SessionId {
    SessionId { worker: WorkerIndex(0), serial: 1 }
}

/// The serials of all sessions, of one user or of all, and in how many pages they came.
fn listed(world: &World, user: Option<&str>) -> (Vec<u64>, usize) {
    let (mut serials, mut pages, mut from) = (Vec::new(), 0, Some(0));
    while let Some(at) = from {
        let page = world.servers[0].sessions(world.now(), at, user);
        serials.extend(page.items.iter().map(|session| session.id.serial));
        pages += 1;
        from = page.next;
    }
    (serials, pages)
}

#[test]
fn a_list_comes_in_pages_and_each_session_once() {
    let mut world = World::with(1, 10_000, |_| {});
    for n in 0..60 {
        let who = if n % 2 == 0 { ANN } else { BOB };
        let address = Box::leak(format!("198.51.100.7:{}", 5000 + n).into_boxed_str());
        world.allocate(who.at(address)).expect_success();
    }
    world.refresh(ANN.at("198.51.100.7:5000"), 0).expect_success();
    let (serials, pages) = listed(&world, None);
    assert_eq!((serials, pages), ((2..=60).collect(), 4));
    let (serials, _) = listed(&world, Some("ann"));
    assert_eq!(serials, (3..=60).step_by(2).collect::<Vec<_>>());
    assert!(listed(&world, Some("nobody")).0.is_empty());
    let loads = world.servers[0].loads(0);
    assert_eq!((loads.items.len(), loads.next), (15, Some(16)));
}

#[test]
fn a_session_is_shown_with_everybody_it_talks_to() {
    let mut world = World::new();
    let relayed = world.allocate(ANN).expect_success().relayed();
    world.permit(ANN, &["9.9.9.8:1"]).expect_success();
    world.at(10).bind(ANN, 0x4000, PEER).expect_success();
    world.at(20).channel_data(ANN, 0x4000, b"four").expect_to_peer(PEER, b"four");
    let detail = world.servers[0].session(world.now(), first()).unwrap();
    let session = &detail.session;
    assert_eq!((&*session.user, session.path), ("ann", ANN.path()));
    assert_eq!(Vec::from_iter(session.relayed.iter()), [&relayed]);
    assert_eq!((session.age_ms, session.left_ms), (20_000, 580_000));
    assert_eq!((session.permissions, session.channels), (2, 1));
    assert_eq!((session.traffic.to_peers.packets, session.traffic.to_peers.bytes), (1, 4));
    let permitted: Vec<_> =
        detail.permitted.iter().map(|it| (it.peer.to_string(), it.left_ms)).collect();
    assert_eq!(permitted, [("9.9.9.8".to_owned(), 280_000), ("9.9.9.9".to_owned(), 290_000)]);
    let bound: Vec<_> = detail.bound.iter().map(|it| (it.number, it.peer, it.left_ms)).collect();
    assert_eq!(bound, [(0x4000, PEER.parse().unwrap(), 590_000)]);
    world.at(400);
    let later = world.servers[0].session(world.now(), first()).unwrap();
    assert!(later.permitted.is_empty());
}

#[test]
fn a_killed_session_is_gone_at_once() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    world.bind(ANN, 0x4000, PEER).expect_success();
    world.allocate(BOB).expect_success();
    assert!(world.kill(first()));
    assert_eq!(world.closed[0].cause, Cause::Killed);
    assert!(world.bound.len() == 1 && world.held() == 1);
    world.channel_data(ANN, 0x4000, b"no").expect_drop(Reason::NoAllocation);
    world.refresh(ANN, 600).expect_error(ErrorCode::AllocationMismatch);
    assert!(!world.kill(first()), "once");
    assert!(world.servers[0].session(world.now(), first()).is_none());
    world.refresh(BOB, 600).expect_success();
    world.allocate(ANN).expect_success();
}

#[test]
fn names_of_others_end_nothing() {
    let mut world = World::new();
    world.allocate(ANN).expect_success();
    let others = [(0, 0), (0, 2), (1, 1), (0, u64::MAX)];
    for (worker, serial) in others {
        assert!(!world.kill(SessionId { worker: WorkerIndex(worker), serial }), "{serial}");
    }
    assert!(world.closed.is_empty());
}
