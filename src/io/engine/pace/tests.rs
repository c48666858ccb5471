//! A worker with a virtual clock: packets arrive, turns take time, and the rules must hold.

use std::{collections::VecDeque, ops::Range};

use proptest::prelude::*;

use super::*;

const US: u64 = 1000;
const MS: u64 = 1000 * US;
const LONGEST: Duration = Duration::from_micros(100);
/// What waking up, a packet and a send take of the virtual clock.
const WAKE: u64 = 6 * US;
const PACKET: u64 = 1500;
const SEND: u64 = 3 * US;
/// Packets that wait in the sockets at most; the others are lost.
const SOCKET: usize = 500;
/// Packets that one turn takes from the sockets.
const TURN_MAX: usize = 64;

/// Traffic of some flows, each of which sends bursts of so many packets.
#[derive(Debug, Clone, Copy)]
struct Shape {
    packets_a_second: u64,
    burst: u64,
    /// Nanoseconds from one packet of a burst to the next.
    gap: u64,
}

const VOICE: Shape = Shape { packets_a_second: 60_000, burst: 1, gap: 0 };
const VIDEO: Shape = Shape { packets_a_second: 180_000, burst: 10, gap: 2500 };

struct World {
    pace: Pace,
    clock: u64,
    /// Of the time, and since when.
    busy: u64,
    judged: u64,
    seed: u64,
    next_flow: u64,
    /// When packets arrive, and of which flow.
    coming: VecDeque<(u64, u64)>,
    joined: u64,
    log: Log,
}

/// What became of the packets.
#[derive(Debug, Default)]
struct Log {
    packets: u64,
    sends: u64,
    /// Packets that were held at all, and the longest of these times.
    held: u64,
    longest: u64,
    /// Times that holding began or ended.
    switches: u64,
}

impl World {
    fn new() -> World {
        World::bounded(LONGEST)
    }

    fn bounded(longest: Duration) -> World {
        World {
            pace: Pace::new(longest),
            clock: 0,
            busy: 0,
            judged: 0,
            seed: 1,
            next_flow: 0,
            coming: VecDeque::new(),
            joined: 0,
            log: Log::default(),
        }
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.seed >> 33
    }

    /// Carries traffic for so long, and says what became of it.
    fn carry(&mut self, shape: Shape, time: u64) -> Log {
        self.log = Log::default();
        let (end, every) =
            (self.clock + time, 1_000_000_000 * shape.burst / shape.packets_a_second);
        let mut next = self.clock;
        while self.clock < end {
            while next < self.clock + MS || self.coming.is_empty() {
                self.burst(next, shape);
                next += every / 2 + self.random() % every;
            }
            self.turn();
        }
        self.coming.clear();
        mem::take(&mut self.log)
    }

    fn burst(&mut self, begin: u64, shape: Shape) {
        self.next_flow += 1;
        let flow = self.next_flow;
        for packet in (0..shape.burst).map(|packet| (begin + packet * shape.gap, flow)) {
            if self.coming.len() < SOCKET {
                let place = self.coming.partition_point(|earlier| *earlier < packet);
                self.coming.insert(place, packet);
            }
        }
    }

    fn turn(&mut self) {
        let first = self.coming.front().expect("there is always more").0;
        if first > self.clock {
            self.clock = first;
            self.work(WAKE);
        }
        let mut taken = Vec::new();
        self.take(&mut taken);
        if let Some(hold) = self.pace.hold() {
            self.hold(hold, &mut taken);
        }
        self.work_off(&taken);
    }

    fn work(&mut self, time: u64) {
        self.clock += time;
        self.busy += time;
        let judged = self.clock - self.judged;
        if judged >= 10 * MS {
            self.pace.uses((self.busy * 100 / judged) as u32);
            (self.busy, self.judged) = (0, self.clock);
        }
    }

    fn take(&mut self, taken: &mut Vec<(u64, u64)>) {
        while taken.len() < TURN_MAX
            && let Some(packet) = self.coming.pop_front_if(|(at, _)| *at <= self.clock)
        {
            self.pace.arrived();
            taken.push(packet);
        }
    }

    fn hold(&mut self, hold: Hold, taken: &mut Vec<(u64, u64)>) {
        let since = self.clock;
        let complete = self.coming.get(hold.arrivals as usize - 1).map_or(u64::MAX, |last| last.0);
        self.clock = complete.min(since + hold.longest.as_nanos() as u64);
        self.log.longest = self.log.longest.max(self.clock - since);
        self.work(WAKE);
        self.take(taken);
        self.log.held += taken.len() as u64;
    }

    fn work_off(&mut self, taken: &[(u64, u64)]) {
        let mut flows: Vec<_> = taken.iter().map(|(_, flow)| flow).collect();
        flows.sort_unstable();
        flows.dedup();
        let (packets, sends) = (taken.len() as u64, flows.len() as u64);
        self.work(packets * PACKET + sends * SEND);
        self.joined += packets - sends;
        self.log.packets += packets;
        self.log.sends += sends;
        let was_on = self.is_on();
        self.pace.end_turn(self.joined);
        self.log.switches += u64::from(was_on != self.is_on());
    }

    fn is_on(&self) -> bool {
        matches!(self.pace.mode, Mode::On { .. } | Mode::Look { .. })
    }
}

fn shapes(burst: Range<u64>, gap: Range<u64>) -> impl Strategy<Value = Shape> {
    (1_000_u64..300_000, burst, gap).prop_map(|(packets_a_second, burst, gap)| Shape {
        packets_a_second,
        burst,
        gap,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn of_voice_less_than_one_packet_in_a_hundred_is_held(shape in shapes(1..2, 0..1)) {
        let mut world = World::new();
        let log = world.carry(shape, 1000 * MS);
        prop_assert!(log.held * 100 < log.packets, "{log:?}");
        prop_assert_eq!(log.switches, 0);
    }

    #[test]
    fn nothing_is_held_for_longer_than_it_may_be(
        shape in shapes(1..20, 0..20_000),
        longest_us in 0_u64..2000,
    ) {
        let mut world = World::bounded(Duration::from_micros(longest_us));
        let log = world.carry(shape, 300 * MS);
        prop_assert!(log.longest <= longest_us * US, "{log:?}");
        prop_assert!(longest_us > 0 || log.held == 0, "{log:?}");
    }

    #[test]
    fn bursts_that_arrive_as_singles_are_held_after_few_turns(
        packets_a_second in 200_000_u64..250_000,
        burst in 8_u64..20,
    ) {
        let mut world = World::new();
        let shape = Shape { packets_a_second, burst, ..VIDEO };
        let begun = world.carry(shape, 10_000 * 1000 * MS / packets_a_second);
        prop_assert!(world.is_on(), "after {begun:?}");
        let log = world.carry(shape, 300 * MS);
        prop_assert!(log.held * 10 > log.packets * 9, "{log:?}");
        prop_assert!(log.sends * 4 < log.packets, "{log:?}");
    }

    #[test]
    fn bursts_that_arrive_at_once_are_not_held(
        packets_a_second in 1_000_u64..300_000,
        burst in 2_u64..20,
    ) {
        let mut world = World::new();
        let log = world.carry(Shape { packets_a_second, burst, gap: 0 }, 500 * MS);
        prop_assert!(log.held * 50 < log.packets, "{log:?}");
    }

    /// Once, and a few times more for one load in two thousand: that from which packets are held.
    #[test]
    fn steady_traffic_is_decided_about_once(shape in shapes(1..20, 0..20_000)) {
        let mut world = World::new();
        world.carry(shape, 20_000 * 1000 * MS / shape.packets_a_second);
        let log = world.carry(shape, 100_000 * 1000 * MS / shape.packets_a_second);
        prop_assert!(log.switches <= 8, "{log:?}");
    }
}

#[test]
fn voice_after_video_is_held_for_a_few_turns_more() {
    let mut world = World::new();
    world.carry(VIDEO, 500 * MS);
    assert!(world.is_on());
    let log = world.carry(VOICE, 50 * MS);
    assert!(log.held < 1500, "{log:?}");
    assert!(!world.is_on());
}

#[test]
fn where_packets_queue_none_is_held() {
    let mut world = World::new();
    world.carry(VIDEO, 500 * MS);
    assert!(world.is_on());
    // More than there is time for: each packet of these flows takes three microseconds.
    let log = world.carry(Shape { packets_a_second: 500_000, ..VOICE }, 100 * MS);
    assert!(log.held * 50 < log.packets, "{log:?}");
}

#[test]
fn a_turn_that_brings_nothing_changes_nothing() {
    let mut pace = Pace::new(LONGEST);
    let mode = pace.mode;
    for _ in 0..10_000 {
        assert_eq!(pace.hold(), None);
        pace.end_turn(0);
    }
    assert_eq!(pace.mode, mode);
}
