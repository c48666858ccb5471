//! The `uturn` binary: parse, settle, serve.

use std::process::ExitCode;

use mimalloc::MiMalloc;
use uturn::control;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    control::command_line(control::serve)
}
