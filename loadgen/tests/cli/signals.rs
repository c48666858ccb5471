//! A wish to stop ends the measurement, not the program, and leaves nothing on the server.

use std::{
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::Value;

use super::{
    BINARY, complaint,
    relay::{Done, Relay, Script},
    scratch,
};

/// A user who has seen enough: what was measured is told, and nothing stays on the server.
#[test]
fn a_signal_ends_the_measurement_and_not_the_program() {
    let relay = Relay::start(Script::default());
    for (signal, line) in [
        ("INT", "run voice -n 4 -t 60 --warmup 0"),
        ("TERM", "overload voice -n 4 --rate 400 -t 60"),
        ("HUP", "run voice -n 4 -t 60 --warmup 0"),
        ("INT", "sweep voice -n 4 --from 100 --max-p99 10000 -t 60"),
    ] {
        let Done { closed, seen, .. } = relay.done();
        let json = scratch("stopped.json");
        let server = format!("{line} --server {} --user user:pass --wait sleep -q", relay.address);
        let mut command = Command::new(BINARY);
        command.args(server.split_whitespace()).args(["--json".as_ref(), json.as_os_str()]);
        let child = command.stdout(Stdio::piped()).spawn().unwrap();
        relay.wait_for_packets(seen + 100);
        Command::new("kill").args(["-s", signal, &child.id().to_string()]).status().unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(130), "{line}: {text}");
        assert!(text.contains("!! stopped "), "{line}: {text}");
        assert!(!text.contains("\nheld:"), "it was not over: {text}");
        assert!(relay.done().closed >= closed + 4, "{line}");
        let result: Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
        // What was not due any more is not missing.
        let over_s = result["over"]["seconds"].as_f64();
        assert!(over_s.is_none_or(|seconds| seconds > 0.0 && seconds < 60.0), "{result:#}");
    }
}

#[test]
fn a_set_up_that_is_stopped_gives_back_what_it_had() {
    let relay =
        Relay::start(Script { max_allocations: Some(2), silent_beyond: true, ..Script::default() });
    let line = format!(
        "run voice -n 4 --window 1 --timeout 60 --server {} --user user:pass -q",
        relay.address
    );
    let child =
        Command::new(BINARY).args(line.split_whitespace()).stderr(Stdio::piped()).spawn().unwrap();
    while relay.done().unanswered == 0 {
        std::thread::sleep(Duration::from_millis(20));
    }
    Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
    assert_eq!(relay.done().closed, 2);
}

/// `nohup loadgen …` goes on when its terminal is closed.
#[test]
fn a_hangup_that_is_ignored_ends_nothing() {
    let relay = Relay::start(Script::default());
    let line = format!(
        "trap '' HUP; exec {BINARY} run voice -n 4 -t 1 --warmup 0 --wait sleep -q --server {} \
         --user user:pass",
        relay.address
    );
    let child = Command::new("sh").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
    relay.wait_for_packets(10);
    Command::new("kill").args(["-s", "HUP", &child.id().to_string()]).status().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// The server has granted an allocation, and its answer has not come yet.
#[test]
fn a_set_up_that_fails_gives_back_what_it_has_not_heard_of() {
    let script = Script { max_allocations: Some(2), mute: Some(1), ..Script::default() };
    let relay = Relay::start(script);
    let line = format!("run voice -n 3 --server {} --user user:pass -q", relay.address);
    let said = complaint(&line);
    assert!(said.contains("508"), "{said}");
    assert_eq!(relay.done().closed, 2);
}
