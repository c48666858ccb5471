//! Every command says what its measurement comes to, and its exit status does.

use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::{
    BINARY, command, complaint, loadgen, measure,
    relay::{Relay, Script},
    scratch,
};

/// The load is far below what any server carries: what is tried is the course and the sums.
#[test]
fn an_overload_is_two_loads_and_a_probe_beside_them() {
    let relay = Relay::start(Script::default());
    let plot = scratch("overload.svg");
    let line = "overload voice -n 10 --rate 1000 --times 2 -t 1 --then-for 1 --probes 20";
    let (output, result) = measure(&relay, &format!("{line} --plot {}", plot.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for (phase, pps) in [("over", 2_000.0), ("then", 500.0)] {
        let phase = &result[phase];
        let rate = |name: &str| phase[name].as_f64().unwrap();
        assert_eq!(rate("offered_pps"), pps, "{phase:#}");
        // What is too late is left out: a machine that stops for a moment sends less.
        let sent = rate("sent_pps");
        assert!(sent > 0.5 * pps && sent <= pps + 5.0, "{phase:#}");
        assert_eq!(rate("delivered_pps"), sent, "{phase:#}");
        let answers = phase["answers"].as_array().unwrap();
        let names: Vec<_> = answers.iter().map(|one| one[0].as_str().unwrap()).collect();
        assert_eq!(names, ["Binding", "Allocate", "Refresh", "Refresh with lifetime 0"]);
        assert!(answers.iter().all(|one| one[1]["samples"] == 20), "{phase:#}");
    }
    assert_eq!(result["recovery_s"], 0.0);
    assert_eq!(result["series"].as_array().unwrap().len(), 20);
    assert_eq!(relay.done().closed, 10 + 40);
    let svg = std::fs::read_to_string(plot).unwrap();
    assert!(["offered", "delivered", "lost"].iter().all(|name| svg.contains(name)), "{svg}");
}

#[test]
fn a_server_that_does_not_recover_or_answer_is_told_of() {
    let relay = Relay::start(Script { faults: true, ..Script::default() });
    let line = "overload voice -n 4 --rate 1000 -t 0.5 --then-for 1.5";
    let (output, _) = measure(&relay, line);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("not held: packets were lost"), "{text}");
    assert!(!text.contains("throughput fell"), "1.6 times what it carries came through: {text}");
    let (_, result) = measure(&relay, "overload voice -n 4 --rate 400 --times 1 -t 1 --then-for 1");
    let broken = result["broken"][0].as_str().unwrap();
    assert!(broken.starts_with("throughput fell to 0."), "{broken}");
    let relay = Relay::start(Script { max_allocations: Some(4), ..Script::default() });
    let (output, _) = measure(&relay, line);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("requests came to nothing in overload (Allocate: 508 Insufficient Capacity)"),
        "{text}"
    );
}

#[test]
fn a_search_finds_what_comes_through() {
    let relay = Relay::start(Script { faults: true, ..Script::default() });
    let server = format!("--server {} --user user:pass -q", relay.address);
    let line = format!("overload voice -n 4 --from 1000 {server}");
    let said = complaint(&line);
    assert!(said.contains("no load of 1000 packets/s or less came through"), "{said}");
}

#[test]
fn a_broken_limit_is_the_exit_status() {
    let relay = Relay::start(Script { faults: true, ..Script::default() });
    let (output, result) = measure(&relay, "run voice -n 4 -t 0.5 --warmup 0 --max-loss 1");
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(result["verdict"]["broken"].as_array().unwrap().len(), 1);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("not held: client → peer: loss"), "{text}");
    let (output, _) = measure(&relay, "run voice -n 4 -t 0.5 --warmup 0");
    assert_eq!(output.status.code(), Some(1), "a fifth is more than nobody minds");
    let (output, _) = measure(&relay, "run voice -n 4 -t 0.5 --warmup 0 --max-loss 50");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("\nheld"), "{text}");
}

#[test]
fn a_server_that_dies_is_the_exit_status() {
    let mut server = Command::new("sleep").arg("60").spawn().unwrap();
    let relay = Relay::start(Script::default());
    let line = format!(
        "run voice -n 4 -t 2 --warmup 0 --wait sleep --max-loss 100 --pid {} --server {} \
         --user user:pass -q",
        server.id(),
        relay.address
    );
    let child =
        Command::new(BINARY).args(line.split_whitespace()).stdout(Stdio::piped()).spawn().unwrap();
    relay.wait_for_packets(10);
    server.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    server.wait().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("not held: the server's process ended meanwhile"), "{text}");
}

#[test]
fn a_sweep_is_what_a_plan_is_made_from() {
    let relay = Relay::start(Script::default());
    let (sweep, page) = (scratch("sweep.json"), scratch("sweep.html"));
    let line = format!(
        "sweep voice -n 4 --server {} --user user:pass --pid {} --from 200 --to 400 --factor 2 \
         --runs 2 -t 0.3 --warmup 0 --max-loss 5 --max-p99 1000 --wait sleep -q --json {} \
         --report {}",
        relay.address,
        std::process::id(),
        sweep.display(),
        page.display()
    );
    let output = loadgen(&line);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("carries at least"), "{text}");
    let picture = scratch("sweep.svg");
    let other = format!("--plot {} --beside other={}", picture.display(), sweep.display());
    let output = loadgen(&format!("{line} {other}"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.contains(">this server<") && picture.contains(">other<"), "{picture}");
    let plan =
        format!("plan --from {} --streams 5000 --kbps 64 --pps 50 --cores 8", sweep.display());
    assert!(complaint(&plan).contains("--at-least"), "a lower bound is no answer");
    let output = loadgen(&format!("{plan} --at-least"));
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(text.contains("5,000 streams need") && text.contains("runs out first"), "{text}");
    assert!(text.contains("!! planned with a lower bound"), "{text}");
    let plan = format!("plan --from {}", page.display());
    assert!(complaint(&plan).contains("not a sweep's JSON"));
}

/// The relay drops everything beyond a thousand packets a second.
#[test]
fn a_sweep_finds_the_limit_again_and_again() {
    let relay = Relay::start(Script { most_pps: Some(1_000), ..Script::default() });
    let sweep = scratch("limit.json");
    let line = format!(
        "sweep custom -n 4 --size 100 --server {} --user user:pass --from 300 --runs 3 -t 0.5 \
         --warmup 0 --max-loss 5 --max-p99 10000 --wait sleep -q --json {}",
        relay.address,
        sweep.display()
    );
    let output = loadgen(&line);
    let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let result: Value = serde_json::from_str(&std::fs::read_to_string(&sweep).unwrap()).unwrap();
    let server = &result["servers"][0];
    assert_eq!(server["runs"].as_array().unwrap().len(), 3, "{text}");
    let failed = server["steps"].as_array().unwrap().iter().filter(|step| step["held"] == false);
    assert!(failed.clone().count() >= 3, "{text}");
    assert!(
        failed.clone().all(|step| step["tries"].as_u64() >= Some(3)),
        "believed at once: {text}"
    );
}

/// A server nobody here has written.
#[test]
fn coturn_is_measured_over_both_families() {
    if Command::new("turnserver").arg("--version").output().is_err() {
        eprintln!("skipped: turnserver (Debian package coturn) is not installed");
        return;
    }
    for ip in ["127.0.0.1", "::1"] {
        let command = format!(
            "coturn=turnserver -n --listening-ip={{ip}} --relay-ip={{ip}} -p {{port}} \
             --lt-cred-mech -u user:pass -r realm --allow-loopback-peers --no-tls --no-dtls \
             --no-cli --log-file=/dev/null --simple-log --pidfile={0} --db={1}",
            scratch("pid").display(),
            scratch("db").display()
        );
        let again = command.replacen("coturn", "again", 1);
        let output = Command::new(BINARY)
            .args(["compare", "voice", "-n", "20", "--user", "user:pass", "--rounds", "3", "-q"])
            .args(["--listen-ip", ip, "--server-cmd", &command, "--server-cmd", &again])
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert_eq!(output.status.code(), Some(0), "{ip}: {text}");
        assert!(text.contains("again") && text.contains("median of 3 rounds"), "{ip}: {text}");
    }
}

/// Both relays, by the names a and b, as if this process were each of them.
fn compared(relays: &[Relay; 2]) -> Output {
    let pid = std::process::id();
    loadgen(&format!(
        "compare voice -n 4 --user user:pass -q --rounds 3 -t 0.1 --warmup 0 --server a={},{pid} \
         --server b={},{pid}",
        relays[0].address, relays[1].address
    ))
}

#[test]
fn two_servers_are_compared() {
    let relays = [Script::default(), Script::default()].map(Relay::start);
    let output = compared(&relays);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("median of 3 rounds"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(relays.map(|relay| relay.done().closed), [4, 4]);
}

/// Nobody has said which process it is: what tells is that nobody takes the allocations back.
#[test]
fn a_server_that_is_gone_at_the_end_is_the_exit_status() {
    let relay = Relay::start(Script::default());
    let line = format!(
        "run voice -n 4 -t 1.5 --warmup 0 --wait sleep --max-loss 100 --timeout 2 --server {} \
         --user user:pass -q",
        relay.address
    );
    let child = command(&line).stdout(Stdio::piped()).spawn().unwrap();
    relay.wait_for_packets(10);
    drop(relay);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("not held: the server does not answer any more"), "{text}");
}

#[test]
fn a_comparison_with_a_server_that_delivers_nothing_is_not_held() {
    let relays = [Script::default(), Script { most_pps: Some(0), ..Script::default() }];
    let relays = relays.map(Relay::start);
    let output = compared(&relays);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("not held: b: nothing was delivered"), "{text}");
    assert!(!text.contains("not held: a"), "{text}");
}
