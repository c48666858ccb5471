//! The binary from outside: what it counts is what happened, and what is wrong is one line.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails the test")]

mod support;

use std::{
    net::UdpSocket,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use support::{Done, Relay, Script};

const BINARY: &str = env!("CARGO_BIN_EXE_loadgen");

fn loadgen(line: &str) -> Output {
    Command::new(BINARY).args(line.split_whitespace()).output().unwrap()
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

#[test]
fn injected_faults_are_found_exactly() {
    let relay = Relay::start(Script { faults: true, ..Script::default() });
    let line = "run custom --rate 800 --size 200 -n 4 -t 1 --warmup 0 --direction both";
    let (output, result) = measure(&relay, line);
    assert_eq!(output.status.code(), Some(1), "a fifth is lost");
    let done = relay.done();
    for way in 0..2 {
        let count = |field: &str| result["ways"][way][field].as_u64().unwrap();
        assert_eq!(count("sent"), 800, "{result:#}");
        assert_eq!(count("lost"), done.dropped[way] + done.broken[way], "{result:#}");
        assert_eq!(count("duplicates"), done.doubled[way], "{result:#}");
        assert_eq!(count("reordered"), done.swapped[way], "{result:#}");
        assert_eq!(count("corrupt"), done.broken[way], "{result:#}");
        assert_eq!(count("relayed"), 800 - count("lost"), "{result:#}");
        assert_eq!((count("misrouted"), count("refused"), count("ancient")), (0, 0, 0));
        assert_eq!((done.dropped[way], done.swapped[way]), (80, 80));
    }
    assert_eq!(done.closed, 4);
}

#[test]
fn a_faultless_relay_is_found_faultless() {
    for line in [
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both",
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both --indications",
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both --c2c",
        "run video -n 2 --burst 4 -t 0.5 --warmup 0.1 --direction up --trains",
        "run mixed -n 4 -t 0.5 --warmup 0.1 --direction down --no-gro",
        "run voice -n 8 -t 0.5 --warmup 0.1 --direction both --threads 2",
        "run binding -n 4 --rate 500 -t 0.5 --warmup 0.1",
    ] {
        let relay = Relay::start(Script::default());
        let (output, result) = measure(&relay, &format!("{line} --max-loss 0"));
        assert_eq!(output.status.code(), Some(0), "{line}: {result:#}");
        for way in result["ways"].as_array().unwrap() {
            assert!(way["relayed"].as_u64().unwrap() >= 100, "{line}: {way:#}");
            for field in ["lost", "reordered", "duplicates", "corrupt", "misrouted"] {
                assert_eq!(way[field], 0, "{line}: {way:#}");
            }
        }
    }
}

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
    assert!(text.contains("requests came to nothing in overload (Allocate: Code(508))"), "{text}");
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
    assert!(output.status.success() && text.contains("\nheld: loss of "), "{text}");
}

/// A user who has seen enough: what was measured is told, and nothing stays on the server.
#[test]
fn a_signal_ends_the_measurement_and_not_the_program() {
    let relay = Relay::start(Script::default());
    for (signal, line) in [
        ("INT", "run voice -n 4 -t 60 --warmup 0"),
        ("TERM", "overload voice -n 4 --rate 400 -t 60"),
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
        assert!(relay.done().closed >= closed + 4, "{line}");
        serde_json::from_str::<Value>(&std::fs::read_to_string(json).unwrap()).unwrap();
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
fn sessions_are_refreshed_while_the_load_runs() {
    let relay = Relay::start(Script::default());
    let line = "run voice -n 3 -t 1.2 --warmup 0 --refresh-every 0.4 --max-loss 0";
    let (output, _) = measure(&relay, line);
    assert_eq!(output.status.code(), Some(0));
    let refreshes = relay.done().refreshes;
    assert!((6..=9).contains(&refreshes), "{refreshes}");
}

#[test]
fn cycles_are_opened_and_closed() {
    let relay = Relay::start(Script::default());
    let (_, result) = measure(&relay, "run churn --rate 100 -t 0.5 --warmup 0");
    let way = &result["ways"][0];
    assert_eq!((way["sent"].as_u64(), way["relayed"].as_u64()), (Some(50), Some(50)), "{way:#}");
    // One more to see that all is well.
    assert_eq!((relay.done().closed, relay.done().refreshes), (51, 51));
}

#[test]
fn a_port_the_server_still_remembers_is_given_up() {
    let relay = Relay::start(Script { old_ports: 3, ..Script::default() });
    let (output, _) = measure(&relay, "run voice -n 4 -t 0.3 --warmup 0 --max-loss 0");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_wrong_password_is_one_line() {
    let line = refused_by(Script::default(), "-n 2 --user user:wrong");
    assert!(line.contains("wrong user, password"), "{line}");
    let line = refused_by(Script::default(), "-n 2");
    assert!(line.contains("--user NAME:PASSWORD"), "{line}");
}

#[test]
fn a_server_that_is_not_there_is_one_line() {
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let line = complaint(&format!("run voice --server {address} --timeout 0.7 -n 2 -q"));
    assert!(line.contains("no answer to Allocate"), "{line}");
    drop(silent);
    let line = complaint(&format!("run voice --server {address} -n 2 -q"));
    assert!(line.contains("nothing listens"), "{line}");
    let line = complaint("run voice -q");
    assert!(line.contains("--server"), "{line}");
}

#[test]
fn a_wrong_option_is_one_line() {
    for (line, expected) in [
        ("run voice --rate 10x --direct", "as 10000, 10k or 1.5M, or max"),
        ("run voice --duration soon --direct", "as 10s, 500ms or 2m"),
        ("run voice --server no.such.host.invalid", "no such host"),
        ("run voice --ratr 10 --direct", "a similar argument exists: '--rate'"),
        ("run vioce --direct", "a similar value exists: 'voice'"),
        ("plan", "--from <FILE>"),
    ] {
        let said = complaint(line);
        assert!(said.contains(expected), "{line}: {said}");
    }
}

#[test]
fn names_and_units_are_understood() {
    let relay = Relay::start(Script::default());
    let line = "run custom -n 2 --rate 0.4k -t 300ms --warmup 0s --timeout 2s --user user:pass -q";
    let output = loadgen(&format!("{line} --server localhost:{}", relay.address.port()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    // Not how many were sent: a busy machine sends fewer.
    assert!(text.contains("400 packets/s, 0.3 s") && text.contains("\nlocalhost:"), "{text}");
}

#[test]
fn too_few_ports_and_a_forbidden_peer_are_one_line() {
    let relay = Relay::start(Script { max_allocations: Some(5), ..Script::default() });
    let run = format!("run voice -n 20 --user user:pass --window 1 -q --server {}", relay.address);
    let line = complaint(&run);
    assert!(line.contains("no more relay ports after 5 allocations"), "{line}");
    assert_eq!(relay.done().closed, 5, "what it got it gives back");
    let forbidden = Script { forbid_peers: true, ..Script::default() };
    let line = refused_by(forbidden, "-n 2 --user user:pass");
    assert!(line.contains("403") && line.contains("allow-peers"), "{line}");
}

#[test]
fn too_few_open_files_are_one_line() {
    let script = format!("ulimit -n 64; exec {BINARY} run voice -n 100 --direct -t 0.1 -q");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("132 sockets are needed but only 64"), "{text}");
}

#[test]
fn without_a_relay_the_generator_is_measured() {
    let (json, page) = (scratch("direct.json"), scratch("direct.html"));
    let line = "run bulk --direct --rate 5000 --trains -n 4 -t 0.5 --warmup 0.1 --max-loss 0 -q";
    let output = loadgen(&format!("{line} --json {} --report {}", json.display(), page.display()));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.matches("<svg").count() == 3);
    assert!(
        !page.contains("http:")
            || page.matches("http").count() == page.matches("www.w3.org").count()
    );
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
    assert!(failed.clone().all(|step| step["tries"] == 3), "believed at once: {text}");
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

#[test]
fn two_servers_are_compared() {
    let relays = [Script::default(), Script::default()].map(Relay::start);
    let pid = std::process::id();
    let line = format!(
        "compare voice -n 4 --user user:pass -q --rounds 3 -t 0.1 --warmup 0 --server a={},{pid} \
         --server b={},{pid}",
        relays[0].address, relays[1].address
    );
    let output = loadgen(&line);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(
        text.contains("median of 3 rounds"),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(relays.map(|relay| relay.done().closed), [4, 4]);
}
