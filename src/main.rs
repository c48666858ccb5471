//! The `uturn` binary: parse, settle, serve.

use std::process::ExitCode;

use uturn::control;

fn main() -> ExitCode {
    control::command_line(control::serve)
}
