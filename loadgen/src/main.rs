//! `loadgen` offers load to a TURN relay, any TURN relay, and reports what came through.
//!
//! ```text
//! run, sweep, overload, compare, plan   the subcommands
//! spec, shape, schedule          what is offered, and when each packet is due
//! turn/, rig                     allocations and everything they need, set up once
//! measure, lane, sender, sink    one measurement: threads that send and receive
//! floor                          the same shape without a relay: what the generator itself shows
//! observe                        the main thread meanwhile: progress, and what the server uses
//! churn/                         the shape whose load is the set-up itself, and the probe
//! packet, framing, ledger, tally, slices  what a packet carries, and what became of it
//! socket/, endpoint              batches through the kernel, the one home of `unsafe`; sockets as wanted
//! procfs                         what the server and the generator used
//! outcome, verdict, report/      the result, whether it held and whether to trust it, as text and page
//! ```
//!
//! It stands on `uturn::wire` alone and has sockets of its own: what it measures it does not share.
//! Exit status: 0 when the limits held, 1 when one did not, 2 when there is no result.

mod args;
mod churn;
mod clock;
mod compare;
mod endpoint;
mod fault;
mod floor;
mod framing;
mod lane;
mod latency;
mod ledger;
mod measure;
mod observe;
mod outcome;
mod overload;
mod packet;
mod plan;
mod procfs;
mod report;
mod rig;
mod run;
mod schedule;
mod sender;
mod shape;
mod sink;
mod slices;
mod socket;
mod spec;
mod stats;
mod sweep;
mod tally;
mod turn;
mod verdict;

use std::process::ExitCode;

use clap::Parser;

use crate::args::{Cli, Command};

fn main() -> ExitCode {
    let held = match Cli::parse().command {
        Command::Run(args) => run::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Overload(args) => overload::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Plan(args) => plan::run(&args),
    };
    match held {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            eprintln!("loadgen: {fault}");
            ExitCode::from(2)
        }
    }
}
