//! Trains: a run of frames with one header is judged once, and must count as if each had been.

use crate::turn::api::{reason::Reason, verdict::Verdict};
use crate::turn::scenario::*;

const FRAMES: usize = 7;

/// Two clients of two workers, or of one, each with a channel to the other's relay; the first also
/// has one to a peer outside.
fn call(bob: Client) -> World {
    let mut world = World::with(2, 10, |_| ());
    let relayed = [Client::ANN, bob].map(|who| world.allocate(who).expect_success().relayed());
    world.bind(Client::ANN, 0x4000, &relayed[1].to_string()).expect_success();
    world.bind(bob, 0x4000, &relayed[0].to_string()).expect_success();
    world.bind(Client::ANN, 0x4001, PEER).expect_success();
    world
}

/// What was counted and logged when everything has ended.
fn books(mut world: World) -> impl PartialEq + std::fmt::Debug {
    let counters: Vec<_> = world.servers.iter().map(|server| server.counters().clone()).collect();
    world.at(4000);
    let traffic: Vec<_> = world.closed.iter().map(|closed| closed.traffic).collect();
    (counters, traffic)
}

/// Says the same frame several times, one by one and as a run, and compares the books.
fn compare(bob: Client, channel: u16, is_expected: impl Fn(&Verdict) -> bool) {
    let (mut single, mut run) = (call(bob), call(bob));
    for _ in 0..FRAMES {
        let heard = single.channel_data(Client::ANN, channel, b"hello");
        assert!(is_expected(&heard.verdict), "{:?}", heard.verdict);
    }
    let heard = run.channel_run(Client::ANN, channel, FRAMES);
    assert!(is_expected(&heard.verdict), "{:?}", heard.verdict);
    assert_eq!(books(single), books(run));
}

#[test]
fn a_run_counts_as_its_frames() {
    let elsewhere = Client::BOB.on(1);
    compare(Client::BOB, 0x4001, |v| matches!(v, Verdict::ToPeer { .. }));
    compare(Client::BOB, 0x4000, |v| matches!(v, Verdict::ToClient { .. }));
    compare(elsewhere, 0x4000, |v| matches!(v, Verdict::HandOver { .. }));
    compare(Client::BOB, 0x4002, |v| *v == Verdict::Drop(Reason::NoChannel));
}
