//! A whole relay in one thread and no time at all: several workers, many clients and peers, a
//! network that loses, doubles and reorders, NATs that rebind, clients that crash, on a virtual
//! clock, against a model that keeps the rules of RFC 8656 on its own.
//!
//! ```text
//! scenario.rs   what a seed decides: sizes, limits, weather, users, addresses
//! network.rs    packets on their way, in the order of their arrival
//! packet.rs     what a client means to say, and the bytes it says it in
//! client.rs     clients that allocate, refresh, permit, bind, send, move, crash
//! node.rs       the process under test: workers, their sockets, their effects
//! mail.rs       what workers tell each other
//! verdicts.rs   what the process says, held against what it must say
//! model/        what must come of it
//! operator.rs   somebody who changes the rules, drains, ends sessions
//! run.rs        the loop, and what holds after every step
//! ```
//!
//! A failure prints its seed; `UTURN_SEED=… cargo test --test simulation` plays it again, and
//! `UTURN_SEEDS=1000` plays more of them.

mod chance;
mod client;
mod mail;
mod model;
mod network;
mod node;
mod operator;
mod packet;
mod run;
mod scenario;
mod verdicts;

use std::{env, panic};

/// Seeds played when nobody asks for others.
const SEEDS: u64 = 20;

#[test]
fn nothing_goes_wrong_whatever_the_weather() {
    let number = |name| env::var(name).ok().and_then(|text| text.parse().ok());
    let seeds = match number("UTURN_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("UTURN_SEEDS").unwrap_or(SEEDS),
    };
    let mut tally = run::Tally::default();
    for seed in seeds {
        match panic::catch_unwind(|| run::play(seed)) {
            Ok(one) => tally.add(&one),
            Err(cause) => {
                eprintln!("UTURN_SEED={seed} plays this again");
                panic::resume_unwind(cause);
            }
        }
    }
    eprintln!("{tally:#?}");
    if number("UTURN_SEED").is_none() {
        tally.assert_rich();
    }
}
