//! The binary from outside: what it counts is what happened, and what is wrong is one line.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails the test")]

mod counts;
mod outputs;
mod refusals;
mod relay;
mod signals;
mod verdicts;

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use serde_json::Value;

use relay::{Relay, Script};

const BINARY: &str = env!("CARGO_BIN_EXE_loadgen");

fn loadgen(line: &str) -> Output {
    command(line).output().unwrap()
}

fn command(line: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(line.split_whitespace());
    command
}

/// Runs against a relay and reads the JSON.
fn measure(relay: &Relay, line: &str) -> (Output, Value) {
    let file = scratch("run.json");
    // Tests run side by side: none has a core to itself.
    let wait = if line.starts_with("run churn") { "" } else { "--wait sleep" };
    let server = format!("--server {} --user user:pass {wait} -q", relay.address);
    let output = loadgen(&format!("{line} {server} --json {}", file.display()));
    let text = std::fs::read_to_string(&file)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    (output, serde_json::from_str(&text).unwrap())
}

/// A file of this test's own.
fn scratch(name: &str) -> PathBuf {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("test").replace("::", "-");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(test);
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}

/// The one line an unsuccessful start says.
fn complaint(line: &str) -> String {
    let output = loadgen(line);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.starts_with("loadgen: "), "{text}");
    text
}

fn refused_by(script: Script, line: &str) -> String {
    let relay = Relay::start(script);
    complaint(&format!("run voice --server {} -q {line}", relay.address))
}
