//! Limits: what one allocation may relay each way, and that nobody else pays for it.

use crate::turn::scenario::*;
use crate::turn::{
    allocation::meter::RateLimits,
    api::{reason::Reason, train::Train, verdict::Verdict},
};

const FIVE_A_SECOND: RateLimits = RateLimits { bytes_per_s: 0, packets_per_s: 5 };

fn world(limits: RateLimits) -> World {
    World::with(2, 10, |settings| settings.limits = limits)
}

/// An allocation with a channel to the peer outside; the relayed address.
fn open(world: &mut World, who: Client) -> std::net::SocketAddr {
    let relayed = world.allocate(who).expect_success().relayed();
    world.bind(who, 0x4001, PEER).expect_success();
    relayed
}

/// Datagrams that pass out of so many.
fn sent(world: &mut World, who: Client, channel: u16, count: usize) -> usize {
    let passed = |heard: Heard| match heard.verdict {
        Verdict::Drop(reason) => {
            assert_eq!(reason, Reason::OverLimit);
            false
        }
        _ => true,
    };
    (0..count).filter(|_| passed(world.channel_data(who, channel, b"hello"))).count()
}

#[test]
fn so_much_for_each_allocation_and_each_way() {
    let mut world = world(FIVE_A_SECOND);
    let relayed = open(&mut world, Client::ANN);
    open(&mut world, Client::BOB);
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 8), 5);
    world.send(Client::ANN, PEER, b"hello").expect_drop(Reason::OverLimit);
    assert_eq!(sent(&mut world, Client::BOB, 0x4001, 8), 5);
    let heard = (0..8).filter(|_| world.peer_says(relayed, PEER, 100).is_ok()).count();
    assert_eq!(heard, 5);
    assert_eq!(world.counters().drops(Reason::OverLimit), 3 + 1 + 3 + 3);
    world.at_ms(200);
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 8), 1);
}

#[test]
fn whoever_may_not_reach_a_peer_uses_nothing_up() {
    let mut world = world(FIVE_A_SECOND);
    open(&mut world, Client::ANN);
    for _ in 0..8 {
        world.channel_data(Client::ANN, 0x4002, b"x").expect_drop(Reason::NoChannel);
        world.send(Client::ANN, "9.9.9.10:1", b"x").expect_drop(Reason::NoPermission);
    }
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 8), 5);
}

#[test]
fn of_a_train_from_a_peer_the_first_part_passes() {
    let mut world = world(RateLimits { bytes_per_s: 100_000, packets_per_s: 0 });
    let relayed = open(&mut world, Client::ANN);
    let train = Train { segments: 44, segment_bytes: 1_200, bytes: 43 * 1_200 + 7 };
    assert_eq!(world.peer_sends(relayed, PEER, train).unwrap().train, train);
    let cut = world.peer_sends(relayed, PEER, train).unwrap().train;
    assert_eq!(cut, Train::equal((100_000 - train.bytes) / 1_200, 1_200));
    assert_eq!(world.peer_sends(relayed, PEER, train), Err(Reason::OverLimit));
    assert_eq!(world.counters().to_clients.packets, 44 + cut.segments as u64);
    assert_eq!(world.counters().drops(Reason::OverLimit), 2 * 44 - cut.segments as u64);
}

/// Ann and Bob with channels to each other.
fn call(bob: Client) -> World {
    let mut world = world(FIVE_A_SECOND);
    let relayed = [Client::ANN, bob].map(|who| open(&mut world, who).to_string());
    world.bind(Client::ANN, 0x4000, &relayed[1]).expect_success();
    world.bind(bob, 0x4000, &relayed[0]).expect_success();
    world
}

// Between two clients of one worker: the receiver's limit holds, and a payload that does not reach
// him is not taken from the sender's.
#[test]
fn both_ends_of_a_hairpin_are_limited() {
    let mut world = call(Client::BOB);
    let relayed = world.opened[1].relayed.iter().next().copied().unwrap();
    assert_eq!((0..3).filter(|_| world.peer_says(relayed, PEER, 9).is_ok()).count(), 3);
    assert_eq!(sent(&mut world, Client::ANN, 0x4000, 8), 2);
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 8), 3);
    world.at(1);
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 3), 3);
    assert_eq!(sent(&mut world, Client::ANN, 0x4000, 8), 2);
}

#[test]
fn a_hand_over_is_limited_where_it_leaves_and_where_it_arrives() {
    let mut world = call(Client::BOB.on(1));
    let verdicts: Vec<_> =
        (0..8).map(|_| world.channel_data(Client::ANN, 0x4000, b"x").verdict).collect();
    let (leave, stay) = verdicts.split_at(5);
    assert!(stay.iter().all(|verdict| *verdict == Verdict::Drop(Reason::OverLimit)));
    let relayed = world.opened[1].relayed.iter().next().copied().unwrap();
    assert_eq!((0..3).filter(|_| world.peer_says(relayed, PEER, 9).is_ok()).count(), 3);
    let arrived = leave.iter().filter(|verdict| world.hand_over(verdict).1.is_ok()).count();
    assert_eq!(arrived, 2);
}

// A run of frames is judged as its frames would be, whichever limit it meets where.
#[test]
fn a_run_is_cut_where_its_frames_would_be() {
    for (bob, channel) in
        [(Client::BOB, 0x4000), (Client::BOB, 0x4001), (Client::BOB.on(1), 0x4000)]
    {
        for before in 0..7 {
            let (mut single, mut run) = (call(bob), call(bob));
            for world in [&mut single, &mut run] {
                sent(world, Client::ANN, 0x4001, before);
            }
            let passed = sent(&mut single, Client::ANN, channel, 4);
            let ran = match run.channel_run(Client::ANN, channel, 4).verdict {
                Verdict::ToPeer { frames, .. }
                | Verdict::ToClient { frames, .. }
                | Verdict::HandOver { frames, .. } => frames,
                Verdict::Drop(_) => 0,
                verdict @ (Verdict::Reply(_) | Verdict::Pending | Verdict::Move(_)) => {
                    panic!("{verdict:?}")
                }
            };
            assert_eq!(ran, passed, "{before} before");
            assert_eq!(single.counters(), run.counters(), "{before} before");
        }
    }
}

#[test]
fn other_limits_hold_with_the_next_packet() {
    let mut world = world(RateLimits::default());
    open(&mut world, Client::ANN);
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 500), 500);
    world.reconfigure(|settings| settings.limits = FIVE_A_SECOND).at(1);
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 8), 5);
    world.reconfigure(|settings| settings.limits = RateLimits::default());
    assert_eq!(sent(&mut world, Client::ANN, 0x4001, 8), 8);
}
