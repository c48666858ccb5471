//! What is wrong is one line, and the line names the way out.

use std::{net::UdpSocket, process::Command};

use super::{
    BINARY, complaint, loadgen, refused_by,
    relay::{Relay, Script},
};

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
        ("run voice --server [::1]:0", "is no port"),
        ("run voice --server turns:localhost", "instead of a URL"),
        ("run voice --direct --rate 1G", "at most 100M"),
        ("run voice --direct --rate -5", "unexpected argument '-5' found; to pass"),
        ("run voice --direct --window 0", "from 1 to 65536"),
        ("run voice --direct --window 99999999999", "from 1 to 65536"),
        ("run voice --direct --threads 0", "from 1 to 1024"),
        ("run voice --direct --burst 4294967295", "from 1 to 10000"),
        ("run voice --direct --size 70k", "from 32 to 65000"),
        ("run voice --direct --timeout 0", "above 0"),
        ("run voice --direct --refresh-every 0", "above 0"),
        ("run voice --direct --duration 99h", "at most 72h"),
        ("run voice --direct --user a:", "the password is empty"),
        ("run voice --direct --secret=", "the secret is empty"),
        ("overload voice --server 127.0.0.1 --min-kept nan", "--min-kept"),
        ("compare --server-cmd a=x --server a=localhost,1", "two servers are called a"),
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
