//! Twice what the relay carries, then half of it: `loadgen overload` against the real binary. What
//! comes through stays near its most, requests are answered, and nothing is left of it afterwards.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::machine::{Folder, skip};
use crate::relay::{PASSWORD, Setup, USER};

/// Trains towards a peer that takes packets one by one: they cost the relay far more than the
/// generator, so that one core overloads another. The bounds are wider than those of the program:
/// the relay shares this machine's cores with the generator, and a machine that stops both for a
/// moment turns what is due into one burst.
const LOAD: &str = "overload video -n 60 --trains --no-gro -t 5 --then-for 3 --max-loss 2 \
                    --min-kept 0.3 -q";

/// Loss in percent that shows the load was too much.
const OVERLOADED: f64 = 10.0;

/// What must come through of what the relay carries, and how often it may be tried: a relay that
/// collapses does so each time, a machine that stops for a moment does not.
const KEPT_MIN: f64 = 0.7;
const TRIALS: usize = 3;

/// Overloads a relay and returns the share of its capacity that came through; `None` where the
/// generator offered less than the relay carries, so that nothing was measured.
fn kept(generator: &Path, driver: &str) -> Option<f64> {
    let relay = Setup::new().with(&["--io", driver, "--user-quota", "0"]).start();
    let folder = Folder::new();
    let result = folder.path("overload.json");
    let mut command = Command::new(generator);
    command.args(LOAD.split_whitespace()).args(["--json", &result]);
    command.args(["--server", &relay.v4().to_string()]);
    command.args(["--user", &format!("{USER}:{PASSWORD}")]);
    command.args(["--pid", &relay.process.pid.to_string()]);
    let output = command.output().expect("it starts");
    let said = String::from_utf8_lossy(&output.stdout);
    let complaints = String::from_utf8_lossy(&output.stderr);
    eprintln!("{driver}: {said}{complaints}");
    let text = fs::read_to_string(result).expect("a result");
    let result: Value = serde_json::from_str(&text).expect("JSON");
    let number = |value: &Value| value.as_f64().expect("a number");
    if number(&result["over"]["loss_percent"]) <= OVERLOADED {
        skip("an overload", "a generator that offers more than the relay carries");
        return None;
    }
    assert!(output.status.success(), "{driver}: {}", output.status);
    Some(number(&result["over"]["delivered_pps"]) / number(&result["capacity"]["pps"]))
}

#[test]
fn an_overload_is_carried_as_far_as_it_goes_and_forgotten() {
    let generator = Path::new(env!("CARGO_BIN_EXE_uturn")).with_file_name("loadgen");
    if !generator.exists() {
        return skip("an overload", "loadgen beside the relay: build the whole workspace");
    }
    for driver in ["uring", "portable"] {
        let mut trials = (0..TRIALS).map(|_| kept(&generator, driver));
        assert!(
            trials.any(|kept| kept.is_none_or(|kept| kept >= KEPT_MIN)),
            "{driver} collapses under overload"
        );
    }
}
