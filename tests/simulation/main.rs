//! A whole relay in one thread and no time at all: several workers, many clients and peers, a
//! network that loses, doubles and reorders, NATs that rebind, clients that crash, on a virtual
//! clock, against a model that keeps the rules of RFC 8656 on its own.
//!
//! ```text
//! scenario.rs   what a seed decides: sizes, limits, weather, users, addresses
//! network.rs    packets on their way, in the order of their arrival
//! packet.rs     what a client means to say, and the bytes it says it in
//! client.rs     clients that allocate, refresh, permit, bind, send, move, crash
//! connecting.rs clients that connect, and read slowly, and fall silent
//! machine.rs    sockets without a kernel, and a log of what each worker does
//! wires.rs      connections without a kernel
//! line.rs       clients' ends of them
//! driver.rs     the workers' driver on that machine
//! node.rs       the process under test: real workers, and when each takes its turn
//! mail.rs       what is in the workers' mailboxes, as far as one can know from outside
//! hold/         what a worker did in a turn, held against what it had to do
//! forwarder.rs  what somebody who serves channels without asking would have done
//! model/        what must come of it
//! operator.rs   somebody who changes the rules, drains, ends sessions
//! trouble.rs    what goes wrong beside the network
//! tally.rs      what stories have seen, added up
//! holding.rs    packets that are held for company, on a clock of nanoseconds
//! ending.rs     the end of the process beside a slow reader
//! far/          peers on TCP (RFC 6062), balancers, and connections that change their worker
//! torn.rs       requests that reach two workers
//! web.rs        browsers beside a silent backend
//! handshakes.rs a client on TLS behind those that are gone
//! run.rs        the loop, and what holds after every step
//! ```
//!
//! A failure prints its seed; `UTURN_SEED=… cargo test --test simulation` plays it again, and
//! prints all that workers do if `UTURN_TRACE` is set; `UTURN_SEEDS=1000` plays more of them and
//! `UTURN_SEEDS=1000..2000` others.

mod client;
mod connecting;
mod driver;
mod ending;
mod far;
mod forwarder;
mod handshakes;
mod hold;
mod holding;
mod line;
mod machine;
mod mail;
mod model;
mod network;
mod node;
mod operator;
mod packet;
mod rng;
mod run;
mod scenario;
mod tally;
mod torn;
mod trouble;
mod web;
mod wires;

use std::{env, panic};

/// Seeds played when nobody asks for others.
const SEEDS: u64 = 200;

#[test]
fn nothing_goes_wrong_whatever_the_weather() {
    let mut tally = match (number("UTURN_SEED"), seeds()) {
        (Some(seed), _) => return eprintln!("{:#?}", play(seed..=seed)),
        (None, Some(seeds)) => play(seeds),
        (None, None) => play(0..SEEDS),
    };
    eprintln!("{tally:#?}");
    tally.assert_rich();
}

fn play(seeds: impl IntoIterator<Item = u64>) -> tally::Tally {
    let mut tally = tally::Tally::default();
    for seed in seeds {
        match panic::catch_unwind(|| run::play(seed)) {
            Ok(one) => tally.add(one),
            Err(cause) => {
                eprintln!("UTURN_SEED={seed} plays this again");
                panic::resume_unwind(cause);
            }
        }
    }
    tally
}

/// The seeds that are asked for: so many, or from one to before another.
fn seeds() -> Option<std::ops::Range<u64>> {
    let text = env::var("UTURN_SEEDS").ok()?;
    let (from, to) = text.split_once("..").unwrap_or(("0", &text));
    Some(from.parse().ok()?..to.parse().ok()?)
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}
