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
const LOAD: &str = "overload video -n 60 --trains --no-gro -t 5s --then-for 3s --max-loss 2 \
                    --min-kept 0.3 -q";

/// Loss in percent that shows the load was too much.
const OVERLOADED: f64 = 10.0;

/// What must come through of what the relay carries, and how often it may be tried: a relay that
/// collapses does so each time, a machine that stops for a moment does not.
const KEPT_MIN: f64 = 0.7;
const TRIALS: usize = 3;

/// What one trial says about the relay.
enum Trial {
    Held,
    /// In a line, and the program's whole report.
    NotHeld(String, String),
    /// The generator did not overload the relay, or could not take what came back.
    NotMeasured(String),
}

impl Trial {
    /// Judges a result. `report` is the program's own text.
    fn of(result: &Value, report: &str) -> Trial {
        let number = |pointer: &str| {
            let value = result.pointer(pointer).and_then(Value::as_f64);
            value.unwrap_or_else(|| panic!("no {pointer} in the result"))
        };
        let (carried, loss) = (number("/capacity/pps"), number("/over/loss_percent"));
        let drops = number("/generator/socket_drops");
        if loss <= OVERLOADED {
            return Trial::NotMeasured(format!("no overload: {loss:.1} % of loss"));
        }
        if drops > 0.0 {
            return Trial::NotMeasured(format!("the generator dropped {drops} of what came back"));
        }
        let kept = number("/over/delivered_pps") / carried;
        let mut faults: Vec<&str> = Vec::new();
        let broken = result["broken"].as_array().map_or(&[][..], Vec::as_slice);
        faults.extend(broken.iter().filter_map(Value::as_str));
        let collapse = format!("{kept:.2} times what it carries came through");
        if kept < KEPT_MIN {
            faults.push(&collapse);
        }
        match faults.is_empty() {
            true => Trial::Held,
            false => Trial::NotHeld(faults.join("; "), report.to_owned()),
        }
    }
}

fn overload(generator: &Path, driver: &str) -> Trial {
    // The log of thousands of probes tells nothing that the result does not.
    let options = ["--io", driver, "--user-quota", "0", "--log", "warn"];
    let relay = Setup::new().with(&options).start();
    let folder = Folder::new();
    let result = folder.path("overload.json");
    let mut command = Command::new(generator);
    command.args(LOAD.split_whitespace()).args(["--json", &result]);
    command.args(["--server", &relay.v4().to_string()]);
    command.args(["--user", &format!("{USER}:{PASSWORD}")]);
    command.args(["--pid", &relay.process.pid.to_string()]);
    let output = command.output().expect("it starts");
    let report = String::from_utf8_lossy(&output.stdout);
    match fs::read_to_string(result) {
        Ok(text) => Trial::of(&serde_json::from_str(&text).expect("JSON"), &report),
        // Exit status 2: no load came through well enough to begin with.
        Err(_) => {
            let why = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Trial::NotHeld(why, report.into_owned())
        }
    }
}

#[test]
fn an_overload_is_carried_as_far_as_it_goes_and_forgotten() {
    let generator = Path::new(env!("CARGO_BIN_EXE_uturn")).with_file_name("loadgen");
    if !generator.exists() {
        return skip("an overload", "loadgen beside the relay: build the whole workspace");
    }
    for driver in ["uring", "portable"] {
        let mut last = None;
        for trial in 1..=TRIALS {
            last = match overload(&generator, driver) {
                Trial::Held => None,
                Trial::NotMeasured(why) => {
                    skip("an overload", &format!("a generator that overloads the relay ({why})"));
                    None
                }
                Trial::NotHeld(why, report) => {
                    eprintln!("{driver}, trial {trial} of {TRIALS}: {why}");
                    Some((why, report))
                }
            };
            if last.is_none() {
                break;
            }
        }
        if let Some((why, report)) = last {
            panic!("{driver} does not hold under overload: {why}\n{report}");
        }
    }
}

/// A result of a relay that holds, with some of its figures changed.
fn result(changes: &[(&str, f64)]) -> Value {
    let text = r#"{"capacity":{"pps":100.0},"over":{"loss_percent":50.0,"delivered_pps":95.0},
        "generator":{"socket_drops":0},"broken":[]}"#;
    let mut result: Value = serde_json::from_str(text).expect("JSON");
    for (place, value) in changes {
        *result.pointer_mut(place).expect("it is there") = (*value).into();
    }
    result
}

#[test]
fn only_what_was_measured_is_judged() {
    let collapse = ("/over/delivered_pps", 45.0);
    assert!(matches!(Trial::of(&result(&[]), ""), Trial::Held));
    assert!(matches!(Trial::of(&result(&[collapse]), ""), Trial::NotHeld(..)));
    // The same figures of a load that was none, or of a generator that lost them itself.
    for cause in [("/over/loss_percent", 3.0), ("/generator/socket_drops", 7.0)] {
        let trial = Trial::of(&result(&[collapse, cause]), "");
        assert!(matches!(trial, Trial::NotMeasured(_)), "{cause:?}");
    }
    let mut grown = result(&[]);
    grown["broken"] = Value::from(vec!["the server's memory grew"]);
    let Trial::NotHeld(why, _) = Trial::of(&grown, "") else { panic!("it is broken") };
    assert_eq!(why, "the server's memory grew");
}
