//! The `uturn` binary: parse, settle, spawn, wait.

use std::io;
use std::process::ExitCode;

use uturn::control::config::Config;
use uturn::control::{self, Reporter, Workers};

fn main() -> ExitCode {
    control::command_line(|config| control::run(&config, start))
}

/// Workers that do not run yet.
struct NoWorkers;

impl Workers for NoWorkers {
    fn driver(&self) -> &str {
        "no driver"
    }

    fn stop(&mut self) {}
}

fn start(_config: &Config, _reporter: Reporter) -> io::Result<NoWorkers> {
    Err(io::Error::other("there are no workers yet"))
}
