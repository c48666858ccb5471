//! Where results go, and what they say of where they come from.

use std::{io::Read, process::Stdio};

use serde_json::Value;

use super::{
    command, complaint, loadgen, measure,
    relay::{Relay, Script},
    scratch,
};

#[test]
fn a_file_that_cannot_be_written_costs_no_time() {
    for option in ["--json", "--report"] {
        let line = format!("run voice --direct -t 600 -q {option} /no/such/folder/x");
        let said = complaint(&line);
        assert!(said.contains("/no/such/folder/x: No such file"), "{said}");
    }
    let said = complaint("sweep voice --direct -q --plot /no/such/folder/x");
    assert!(said.contains("/no/such/folder/x: No such file"), "{said}");
}

#[test]
fn a_result_says_where_it_comes_from() {
    let relay = Relay::start(Script::default());
    let page = scratch("page.html");
    let line =
        format!("run voice -n 2 -t 0.3 --warmup 0 --direction both --report {}", page.display());
    let (output, result) = measure(&relay, &line);
    let text = String::from_utf8(output.stdout).unwrap();
    let page = std::fs::read_to_string(page).unwrap();
    let address = relay.address.to_string();
    let about = &result["about"];
    assert_eq!(about["servers"][0]["address"], address.as_str(), "{about:#}");
    assert_eq!(about["servers"][0]["software"], "scripted relay", "{about:#}");
    assert_eq!(about["loadgen"], env!("CARGO_PKG_VERSION"), "{about:#}");
    let command = about["command"].as_str().unwrap();
    assert!(command.starts_with("loadgen run voice -n 2"), "{command}");
    assert!(command.contains("--user user:***") && !command.contains("pass"), "{command}");
    assert_eq!(result["offered"]["direction"], "client → peer, peer → client");
    let date = about["date"].as_str().unwrap();
    for shown in [&address, date, "scripted relay", "100 packets/s each", "client → peer"] {
        assert!(text.contains(shown) && page.contains(shown), "{shown}: {text}");
    }
    assert!(page.contains("user:***") && !page.contains("user:pass"));
}

#[test]
fn two_results_have_two_files() {
    let said = complaint("run voice --direct -q --json same --report same");
    assert!(said.contains("--json and --report both write to same"), "{said}");
    let said = complaint("run voice --direct -q --json - --report -");
    assert!(said.contains("both write to -"), "{said}");
}

#[test]
fn standard_output_is_a_file_like_others() {
    let output = loadgen("run voice --direct -n 2 -t 0.2 --warmup 0 -q --max-loss 100 --json -");
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(result["offered"]["shape"], "voice");
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("\nheld"), "{text}");
}

/// As `loadgen … | head -1` does.
#[test]
fn a_reader_that_has_seen_enough_is_no_trouble() {
    let json = scratch("closed.json");
    for line in [
        format!(
            "run voice --direct -n 2 -t 0.2 --warmup 0 --max-loss 100 -q --json {}",
            json.display()
        ),
        "man".to_owned(),
    ] {
        let mut child =
            command(&line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((child.wait().unwrap().code(), &said[..]), (Some(0), ""), "{line}");
    }
    serde_json::from_str::<Value>(&std::fs::read_to_string(json).unwrap()).unwrap();
}

/// Where nobody else on the machine can read them.
#[test]
fn credentials_come_from_the_environment_too() {
    let relay = Relay::start(Script::default());
    let line = format!(
        "run voice -n 2 -t 0.2 --warmup 0 --wait sleep --max-loss 100 -q --server {} --json -",
        relay.address
    );
    let output = command(&line).env("UTURN_USER", "user:pass").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert_eq!(relay.done().closed, 2);
    assert!(!text.contains("pass"), "{text}");
    let wrong = command(&line).env("UTURN_SECRET", "no").output().unwrap();
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(wrong.status.code() == Some(2) && said.contains("wrong user, password"), "{said}");
    let beside = command(&line)
        .args(["--user", "user:pass"])
        .env("UTURN_SECRET", "for another server")
        .output()
        .unwrap();
    assert_eq!(beside.status.code(), Some(0), "the command line goes before it");
}
