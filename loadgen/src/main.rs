//! `loadgen` offers load to a TURN relay, any TURN relay, and reports what came through.
//!
//! ```text
//! command/   the subcommands: run, sweep, overload, compare, plan
//! report/    results as text, pages and pictures
//! result/    what a measurement came to, whether it held, and whether to trust it
//! measure/   one measurement: its course, its floor, who looks on; churn, handshakes, probe
//! rig/       sockets, allocations, senders and sinks: set up once, measured as often as wanted
//! count/     what became of the packets
//! offer/     what is offered, when each packet is due, and what it carries
//! stream/    TCP and TLS connections: bytes out of frames, frames out of bytes
//! socket/    batches through the kernel, the one home of `unsafe`
//! clock, procfs, stop, fault
//! ```
//!
//! Each imports only from those below it.
//!
//! It stands on `uturn::wire` and has sockets of its own: what it measures it does not share. It
//! verifies certificates as `uturn check` does.
//! Exit status: 0 when the limits held, 1 when one did not or the server ended, 2 when there is no
//! result, 130 when somebody asked to stop; what was measured until then is reported all the same.

mod clock;
mod command;
mod count;
mod fault;
mod measure;
mod offer;
mod procfs;
mod report;
mod result;
mod rig;
mod socket;
mod stop;
mod stream;

use std::process::ExitCode;

use clap::{Parser, error::ErrorKind};
use mimalloc::MiMalloc;

use crate::{
    command::{
        args::{Cli, Command},
        compare, manual, overload, plan, run, sweep,
    },
    fault::Fault,
    report::output,
};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    let held = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Sweep(args) => sweep::run(&args),
        Command::Overload(args) => overload::run(&args),
        Command::Compare(args) => compare::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Man => manual::print().map(|()| true),
    };
    match held {
        Ok(_) if stop::is_asked() => ExitCode::from(stop::STATUS),
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(fault) => {
            complain(&fault.to_string());
            ExitCode::from(if matches!(fault, Fault::Stopped) { stop::STATUS } else { 2 })
        }
    }
}

fn complain(line: &str) {
    output::say_aside(&format!("loadgen: {line}\n"));
}

/// Says what is wrong with the command line in one line; help and version are printed as they are.
fn refuse(error: &clap::Error) -> ExitCode {
    if error.exit_code() == 0 || error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    {
        // Nobody listens: nobody to tell.
        let _ = error.print();
        return ExitCode::from(error.exit_code() as u8);
    }
    let text = error.render().to_string();
    let said = text.split("\n\nUsage:").next().unwrap_or_default();
    let said = said.split("\n\nFor more").next().unwrap_or_default().trim_start_matches("error: ");
    let words: Vec<&str> = said.split_whitespace().collect();
    let line = words.join(" ").replace(" tip: ", "; ");
    complain(&format!("{line} (--help names every option)"));
    ExitCode::from(2)
}
