//! A flood beside newcomers, on a virtual clock: who is answered, and how much leaves.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use proptest::prelude::{any, prop, prop_assert, proptest};

use super::{kind::Purse, *};

/// What the default leaves for challenges, and one of them.
const RATE: u32 = 1_000_000;
const CHALLENGE_BYTES: usize = 72;

/// When a client asks again, RFC 8489 §6.2.1: RTO 500 ms, Rc 7.
const ASKS_MS: [u64; 7] = [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500];

fn at(mono_ms: u64) -> Now {
    Now { mono_ms, unix_s: 0 }
}

fn source(last: u8, port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, last), port))
}

/// One worker that answers strangers.
struct Lab {
    budget: ReplyBudget,
    rng: Rng,
    sent_bytes: u64,
}

impl Lab {
    fn new(bytes_per_s: u32) -> Lab {
        let mut rng = Rng::new([4; 32]);
        Lab { budget: ReplyBudget::new(bytes_per_s, rng.bits()), rng, sent_bytes: 0 }
    }

    fn ask(&mut self, ms: u64, client: SocketAddr, kind: ReplyKind, bytes: usize) -> bool {
        match self.budget.admit(at(ms), client, kind, &mut self.rng) {
            Some(admitted) => {
                self.budget.charge(at(ms), &admitted, bytes);
                self.sent_bytes += bytes as u64;
                true
            }
            None => {
                self.budget.refuse(at(ms), client, kind, 1);
                false
            }
        }
    }

    fn challenge(&mut self, ms: u64, client: SocketAddr) -> bool {
        self.ask(ms, client, ReplyKind::Challenge, CHALLENGE_BYTES)
    }

    fn answers(&mut self, ms: u64, client: &str, kind: ReplyKind) -> usize {
        let client = client.parse().unwrap();
        (0..100_000).filter(|_| self.ask(ms, client, kind, 100)).count()
    }
}

/// Newcomers who arrive one after the other, ask until they are answered or lose patience, and come
/// back with their nonce: nobody asks twice for nothing.
struct Newcomers {
    /// When the first came, and how far they are apart.
    begin_ms: u64,
    apart_ms: u64,
    waiting: Vec<(usize, SocketAddr)>,
    /// The number of the request that was answered.
    answered: Vec<usize>,
}

impl Newcomers {
    fn of(sources: impl IntoIterator<Item = SocketAddr>) -> Newcomers {
        let waiting = sources.into_iter().enumerate().collect();
        Newcomers { begin_ms: 20_000, apart_ms: 10, waiting, answered: Vec::new() }
    }

    fn ask(&mut self, lab: &mut Lab, ms: u64) {
        let (begin_ms, apart_ms, answered) = (self.begin_ms, self.apart_ms, &mut self.answered);
        self.waiting.retain(|(number, client)| {
            let since_ms = ms.checked_sub(begin_ms + apart_ms * *number as u64);
            let Some(nth) = ASKS_MS.iter().position(|ask_ms| Some(*ask_ms) == since_ms) else {
                return true;
            };
            let is_answered = lab.challenge(ms, *client);
            if is_answered {
                answered.push(nth);
            }
            !is_answered
        });
    }

    fn share(&self) -> f64 {
        self.answered.len() as f64 / (self.answered.len() + self.waiting.len()) as f64
    }

    fn at_once(&self) -> usize {
        self.answered.iter().filter(|nth| **nth == 0).count()
    }
}

/// Lets so many requests a second in, whose sources `flood` names by number, beside newcomers. The
/// flood comes first in every millisecond, which is the worst for the others.
fn beside(per_s: u64, flood: impl Fn(u64) -> SocketAddr, newcomers: &mut Newcomers) -> Lab {
    let (mut lab, mut number) = (Lab::new(RATE), 0);
    let end_ms = newcomers.begin_ms + newcomers.apart_ms * newcomers.waiting.len() as u64 + 32_000;
    for ms in 0..end_ms {
        while number < per_s * ms / 1000 {
            lab.challenge(ms, flood(number));
            number += 1;
        }
        newcomers.ask(&mut lab, ms);
    }
    let most_bytes = u64::from(RATE) * 3 / 4 * (end_ms + 2_000) / 1000 + CHALLENGE_BYTES as u64;
    assert!(lab.sent_bytes <= most_bytes, "{} of {most_bytes}", lab.sent_bytes);
    lab
}

fn shuffled(number: u64) -> u64 {
    number.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

#[test]
fn a_flooder_with_one_source_costs_nobody_an_answer() {
    for other in [7, 9] {
        let mut newcomers = Newcomers::of((0..500).map(|n| source(other, 10_000 + n)));
        beside(50_000, |_| source(7, 5_000), &mut newcomers);
        assert_eq!(newcomers.at_once(), 500, "from 192.0.2.{other}");
    }
}

#[test]
fn a_hundred_flooders_cost_nobody_an_answer() {
    let mut newcomers = Newcomers::of((0..500).map(|n| source(200, 10_000 + n)));
    beside(50_000, |n| source((n % 100) as u8, (n % 7) as u16), &mut newcomers);
    assert_eq!(newcomers.at_once(), 500);
}

// One IP in common, as behind a carrier's NAT or a load balancer.
#[test]
fn a_flooder_with_all_other_ports_of_the_address_costs_nobody_an_answer() {
    let mut newcomers = Newcomers::of((0..500).map(|n| source(7, n * 97)));
    let flood = |n| match shuffled(n) as u16 {
        newcomer if newcomer.is_multiple_of(97) => source(7, newcomer + 1),
        port => source(7, port),
    };
    beside(50_000, flood, &mut newcomers);
    assert_eq!(newcomers.at_once(), 500);
}

#[test]
fn a_flooder_whose_ports_never_repeat_costs_no_neighbour_an_answer() {
    let mut newcomers = Newcomers::of((0..500).map(|n| source((n % 200) as u8 + 50, n)));
    beside(50_000, |n| source(7, n as u16), &mut newcomers);
    assert_eq!(newcomers.at_once(), 500);
}

// What no server can tell apart: the guarantee is the odds, rate / flood, at each of seven tries.
#[test]
fn beside_sources_forged_all_over_the_network_everybody_has_the_same_odds() {
    for (per_s, least) in [(20_000, 0.97), (50_000, 0.74), (100_000, 0.47)] {
        let mut newcomers = Newcomers::of((0..1_000).map(|n| source((n % 251) as u8, n)));
        let forged = |n| source(shuffled(n) as u8, (shuffled(n) >> 20) as u16);
        beside(per_s, forged, &mut newcomers);
        assert!(newcomers.share() >= least, "{} beside {per_s} a second", newcomers.share());
    }
}

#[test]
fn five_thousand_who_come_at_once_from_one_address_are_all_answered() {
    let mut lab = Lab::new(RATE);
    for n in 0..5_000 {
        let ms = u64::from(n) / 5;
        assert!(lab.challenge(ms, source(7, 1_024 + n)), "number {n}");
    }
    let at_one_moment = (0..5_000).all(|n| lab.challenge(90_000, source(7, 7_000 + n)));
    assert!(at_one_moment);
}

// … and beside a flood from the same address they have to ask twice, some of them.
#[test]
fn five_thousand_beside_a_flood_from_their_address_are_all_answered_soon() {
    let mut newcomers = Newcomers::of((0..5_000).map(|n| source(7, 20_000 + n)));
    newcomers.apart_ms = 0;
    beside(10_000, |n| source(7, (n % 1_000) as u16), &mut newcomers);
    assert_eq!(newcomers.share(), 1.0);
    assert!(newcomers.answered.iter().all(|nth| *nth <= 2), "within 1.5 seconds");
}

// What is drawn ahead for the requests of one moment is what each would have drawn by itself.
#[test]
fn requests_of_one_source_at_one_moment_have_the_odds_of_each_by_itself() {
    for (debt_ms, odds) in [(600, 0.8), (750, 0.5), (900, 0.2), (990, 0.02)] {
        let (mut lab, one) = (Lab::new(RATE), source(7, 1));
        let bytes = debt_ms * RATE as usize * 3 / 4 / 1000;
        assert!(lab.ask(5_000, one, ReplyKind::Challenge, bytes));
        let mut admit = |_: &u32| {
            lab.budget.admit(at(5_000), one, ReplyKind::Challenge, &mut lab.rng).is_some()
        };
        let share = (0..100_000).filter(&mut admit).count() as f64 / 100_000.0;
        assert!((share - odds).abs() < 0.005, "{share} with a debt of {debt_ms} ms");
    }
}

#[test]
fn a_burst_then_the_rate() {
    let mut lab = Lab::new(4_000);
    let first = lab.answers(5_000, "192.0.2.1:1", ReplyKind::Challenge);
    assert!((15..=31).contains(&first), "{first}: between half a second's worth and a second's");
    let second = lab.answers(6_000, "192.0.2.1:1", ReplyKind::Challenge);
    assert!((25..=35).contains(&second), "{second}: a second's worth");
    let later = lab.answers(99_000, "192.0.2.1:1", ReplyKind::Challenge);
    assert!((15..=31).contains(&later), "{later}: as at first");
}

#[test]
fn bindings_and_challenges_do_not_pay_for_each_other() {
    let mut lab = Lab::new(4_000);
    assert!(lab.answers(0, "192.0.2.1:1", ReplyKind::Binding) > 0);
    assert_eq!(lab.answers(0, "192.0.2.1:1", ReplyKind::Binding), 0);
    assert!(lab.answers(0, "192.0.2.1:1", ReplyKind::Challenge) > 0);
    assert_eq!(lab.answers(0, "192.0.2.1:1", ReplyKind::Error), 0, "errors are of the others");
}

#[test]
fn networks_and_families_do_not_pay_for_each_other() {
    let mut lab = Lab::new(400);
    let clients = ["192.0.2.1:1", "192.0.3.1:1", "[2001:db8::1]:1", "[2001:db8:0:100::1]:1"];
    for client in clients {
        assert!(lab.answers(0, client, ReplyKind::Challenge) > 0, "{client}");
    }
    for client in ["192.0.2.1:1", "[2001:db8::1]:1"] {
        assert_eq!(lab.answers(0, client, ReplyKind::Challenge), 0, "{client} has had its share");
    }
}

// The last of an IPv6 customer's addresses are as easily had as ports.
#[test]
fn a_flood_from_a_64_costs_no_neighbour_in_the_56_an_answer() {
    let mut lab = Lab::new(RATE);
    for n in 0..300_000_u64 {
        let ip = Ipv6Addr::from_bits(0x2001_0db8_0000_0001 << 64 | u128::from(n));
        lab.challenge(n / 50, SocketAddr::new(ip.into(), 9));
    }
    assert!(lab.challenge(6_000, "[2001:db8:0:2::1]:9".parse().unwrap()));
}

#[test]
fn zero_is_no_limit() {
    let mut lab = Lab::new(0);
    assert_eq!(lab.answers(0, "192.0.2.1:1", ReplyKind::Binding), 100_000);
}

#[test]
fn a_lower_rate_holds_at_once() {
    let mut lab = Lab::new(RATE);
    lab.budget.set_rate(400);
    assert!(lab.answers(0, "192.0.2.1:1", ReplyKind::Challenge) < 5);
}

/// What is told by the time `ms`: network, kind, answers and others.
fn told(budget: &mut ReplyBudget, ms: u64) -> Option<(String, ReplyKind, u64, u64)> {
    let told = budget.tell(ms)?;
    Some((told.network.to_string(), told.kind, told.answers, told.others))
}

#[test]
fn what_is_left_out_is_told_ten_seconds_after_the_first_whoever_comes_next() {
    let mut budget = Lab::new(RATE).budget;
    let mut refuse = |ms: u64, client: &str, kind, answers| {
        budget.refuse(at(ms), client.parse().unwrap(), kind, answers);
        budget.next_deadline_ms()
    };
    let (binding, challenge) = (ReplyKind::Binding, ReplyKind::Challenge);
    assert_eq!(refuse(5_000, "192.0.2.9:1", binding, 3), Some(15_000));
    assert_eq!(refuse(5_001, "192.0.2.200:1", binding, 4), Some(15_000));
    assert_eq!(refuse(14_999, "192.0.3.9:1", binding, 1), Some(15_000));
    assert_eq!(refuse(14_999, "192.0.2.9:1", challenge, 1), Some(15_000));
    assert_eq!(told(&mut budget, 14_999), None);
    let expected = ("192.0.2.0/24".into(), binding, 7, 2);
    assert_eq!(told(&mut budget, 15_000), Some(expected));
    assert_eq!((told(&mut budget, 99_999), budget.next_deadline_ms()), (None, None));
    let client = "[2001:db8:0:1ff::1]:1".parse().unwrap();
    budget.refuse(at(3_600_000), client, challenge, 1);
    let expected = ("2001:db8:0:100::/56".into(), challenge, 1, 0);
    assert_eq!(told(&mut budget, 3_610_000), Some(expected));
}

#[test]
fn who_asks_for_more_than_all_others_is_named_whoever_came_first() {
    let mut budget = Lab::new(RATE).budget;
    for n in 0..1_000_u16 {
        let other = SocketAddr::from((Ipv4Addr::from(0x0A00_0000 + (u32::from(n) << 8)), 9));
        budget.refuse(at(0), other, ReplyKind::Binding, 1);
        budget.refuse(at(0), source(7, n), ReplyKind::Challenge, 2);
    }
    let (network, kind, answers, others) = told(&mut budget, 10_000).unwrap();
    assert_eq!((&*network, kind), ("192.0.2.0/24", ReplyKind::Challenge));
    assert!(answers >= 1_990 && answers + others == 3_000, "{answers} and {others}");
}

proptest! {
    #[test]
    fn no_network_is_ever_sent_more_than_the_bound(
        bytes_per_s in 100_u32..1_000_000, begin_ms in any::<u32>(),
        steps in prop::collection::vec((0_u64..200, 0_usize..60, any::<u16>(), 20_usize..400), 1..200),
    ) {
        let mut lab = Lab::new(bytes_per_s);
        let (mut elapsed_ms, mut largest) = (0, 0);
        for (gap_ms, requests, port, bytes) in steps {
            (elapsed_ms, largest) = (elapsed_ms + gap_ms, bytes.max(largest));
            for n in 0..requests {
                let client = source(port as u8, port.wrapping_add(n as u16));
                lab.ask(u64::from(begin_ms) + elapsed_ms, client, ReplyKind::Challenge, bytes);
            }
            let rate = Purse::Challenges.bytes_per_s(bytes_per_s.into());
            prop_assert!(lab.sent_bytes <= rate * (elapsed_ms + 2_000) / 1000 + largest as u64 + 1);
        }
    }
}
