//! Usage records: what stands in them, that they survive rotation, and that a disk that takes none
//! costs records and nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::log::{fill, named_pipe};
use crate::client::{CHANNEL, Client, Peer};
use crate::http::scrape;
use crate::machine::{Folder, skip};
use crate::relay::{LOOPBACK4, REALM, Relay, Setup, USER};

const DRIVERS: [&str; 2] = ["auto", "portable"];
/// How long a record may take to reach the file on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A relay that records into a folder of its own, and shows its numbers.
struct Recorded {
    relay: Relay,
    metrics: SocketAddr,
    folder: Folder,
}

impl Recorded {
    fn start(arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let (relay, metrics) = recording_to(&folder.path("usage.jsonl"), arguments);
        Self { relay, metrics, folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path("usage.jsonl").into()
    }
}

fn recording_to(path: &str, arguments: &[&str]) -> (Relay, SocketAddr) {
    recording_on(Setup::new().with(arguments), path)
}

fn recording_on(setup: Setup, path: &str) -> (Relay, SocketAddr) {
    let port = TcpListener::bind((LOOPBACK4, 0)).expect("a free port");
    let metrics = port.local_addr().expect("it is bound");
    drop(port);
    let setup = setup.with(&["--usage-records", path]);
    (setup.with(&["--metrics", &metrics.to_string()]).start(), metrics)
}

/// Waits until a file has so many lines, and reads them.
fn records(path: &PathBuf, count: usize) -> Vec<Value> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = fs::read_to_string(path).unwrap_or_default();
        let lines: Vec<_> = text.split_inclusive('\n').filter(|it| it.ends_with('\n')).collect();
        if lines.len() >= count {
            let read = |line: &&str| serde_json::from_str(line).expect("each line is JSON");
            return lines.iter().map(read).collect();
        }
        assert!(Instant::now() < deadline, "{} of {count} records: {text}", lines.len());
        std::thread::sleep(Duration::from_millis(10));
    }
}

const WRITTEN: &str = "uturn_usage_records_written_total";
const LOST: &str = "uturn_usage_records_lost_total";

type Samples = BTreeMap<String, f64>;

/// Waits for a sample to reach a value.
fn wait_for(metrics: SocketAddr, name: &str, value: f64) -> Samples {
    wait_until(metrics, |samples| samples[name] >= value, name)
}

/// Waits for what is told in a few words.
fn wait_until(metrics: SocketAddr, holds: impl Fn(&Samples) -> bool, what: &str) -> Samples {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let samples = scrape(metrics);
        if holds(&samples) {
            return samples;
        }
        assert!(Instant::now() < deadline, "{what}: {} and {}", samples[WRITTEN], samples[LOST]);
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An allocation that relays a packet of 100 bytes each way, and drops one of a stranger.
fn talk(relay: &Relay) -> (Client, SocketAddr) {
    let (mut client, peer) = (Client::new(relay.v4()), Peer::new());
    let relayed = client.allocate();
    client.bind(CHANNEL, peer.address());
    client.send_channel(CHANNEL + 1, b"not bound");
    client.send_channel(CHANNEL, &[7; 100]);
    assert_eq!(peer.receive().1.len(), 100);
    peer.send(relayed, &[7; 100]);
    assert_eq!(client.channel_data().1.len(), 100);
    (client, relayed)
}

fn live_and_end(relay: &Relay) {
    talk(relay).0.refresh(0);
}

#[test]
fn a_record_says_who_where_with_whom_how_long_and_how_much() {
    for io in DRIVERS {
        let recorded = Recorded::start(&["--io", io]);
        let (mut client, relayed) = talk(&recorded.relay);
        client.refresh(0);
        let record = &records(&recorded.path(), 1)[0];
        let text = |key: &str| record[key].as_str().unwrap_or_else(|| panic!("{key}: {record}"));
        let number = |key: &str| record[key].as_u64().unwrap_or_else(|| panic!("{key}: {record}"));
        assert_eq!((text("kind"), text("session"), text("reason")), ("ended", "0-1", "deleted"));
        assert_eq!((text("user"), text("realm"), text("transport")), (USER, REALM, "udp"));
        assert_eq!(text("client"), client.address().to_string());
        assert_eq!(text("server"), recorded.relay.v4().to_string());
        assert_eq!(record["relayed"], serde_json::json!([relayed.to_string()]));
        assert_eq!(record["peers"], serde_json::json!(["127.0.0.1"]));
        assert_eq!((number("to_peers_packets"), number("to_peers_bytes")), (1, 100));
        assert_eq!((number("to_client_packets"), number("to_client_bytes")), (1, 100));
        assert_eq!((number("peers_more"), number("dropped")), (0, 1));
        assert_eq!(number("end_ms") - number("start_ms"), number("duration_ms"));
        let mode = fs::metadata(recorded.path()).expect("it is there").permissions();
        assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o640);
    }
}

// Whoever is in a call when the server stops has a record too, however many they are.
#[test]
fn those_that_live_at_the_end_are_recorded() {
    for io in DRIVERS {
        let mut recorded = Recorded::start(&["--io", io, "--workers", "2"]);
        let clients: Vec<_> = (0..40).map(|_| talk(&recorded.relay)).collect();
        recorded.relay.process.signal(libc::SIGTERM);
        assert!(recorded.relay.process.wait().success());
        let records = records(&recorded.path(), clients.len());
        assert_eq!(records.len(), clients.len());
        assert!(records.iter().all(|record| record["reason"] == "shutdown"));
    }
}

#[test]
fn a_long_call_is_seen_before_it_ends() {
    for io in DRIVERS {
        let recorded = Recorded::start(&["--io", io, "--usage-interval", "1", "--workers", "2"]);
        let mut calls: Vec<_> = (0..5).map(|_| talk(&recorded.relay)).collect();
        let interim = records(&recorded.path(), 2 * calls.len());
        assert!(interim.iter().all(|it| it["kind"] == "interim" && it["reason"].is_null()));
        assert!(interim.iter().all(|it| it["to_peers_bytes"] == 100 && it["dropped"] == 1));
        let seen = |id: &Value| interim.iter().filter(|it| it["session"] == *id).count();
        assert!(interim.iter().all(|it| seen(&it["session"]) >= 2), "{interim:?}");
        calls.iter_mut().for_each(|(client, _)| drop(client.refresh(0)));
        let ended = |records: &[Value]| records.iter().filter(|it| it["kind"] == "ended").count();
        let deadline = Instant::now() + PATIENCE;
        while ended(&records(&recorded.path(), 1)) < calls.len() {
            assert!(Instant::now() < deadline, "they end");
        }
    }
}

#[test]
fn a_renamed_file_is_followed_by_a_new_one() {
    for io in DRIVERS {
        let recorded = Recorded::start(&["--io", io]);
        live_and_end(&recorded.relay);
        records(&recorded.path(), 1);
        let old = PathBuf::from(recorded.folder.path("usage.jsonl.1"));
        fs::rename(recorded.path(), &old).expect("it can be renamed");
        live_and_end(&recorded.relay);
        records(&old, 2);
        recorded.relay.process.signal(libc::SIGHUP);
        // The signal is obeyed at some moment; records on either side of it are somewhere.
        let deadline = Instant::now() + PATIENCE;
        let mut lives = 2;
        while !recorded.path().exists() {
            live_and_end(&recorded.relay);
            lives += 1;
            assert!(Instant::now() < deadline, "there is no new file");
        }
        live_and_end(&recorded.relay);
        wait_for(recorded.metrics, WRITTEN, f64::from(lives + 1));
        let count = |path: &PathBuf| records(path, 0).len() as i32;
        assert_eq!(count(&old) + count(&recorded.path()), lives + 1);
        assert!(count(&recorded.path()) >= 1);
    }
}

#[test]
fn a_disk_that_takes_nothing_costs_records_and_nothing_else() {
    for io in DRIVERS {
        let (relay, metrics) = recording_to("/dev/full", &["--io", io]);
        for lives in 1..=3 {
            live_and_end(&relay);
            let samples = wait_for(metrics, LOST, f64::from(lives));
            assert_eq!(samples[WRITTEN], 0.0);
        }
        let log = relay.process.stderr();
        assert_eq!(log.matches("usage records are lost").count(), 1, "{log}");
    }
}

/// Mounts a file system of one page on its first argument and becomes the rest of them. The mount
/// is in a namespace of its own: whatever becomes of the test, nothing is left of it on the
/// machine.
const ON_A_SMALL_DISK: [&str; 6] = [
    "unshare",
    "--mount",
    "--propagation=private",
    "sh",
    "-c",
    "mount -t tmpfs -o size=4096 none \"$0\" && exec \"$@\"",
];

// A file system of one page fills up in the middle of a record.
#[test]
fn a_full_disk_tears_no_record_but_its_last_and_is_used_again() {
    let folder = Folder::new();
    let small = folder.path("small");
    fs::create_dir(&small).expect("a folder");
    let through = [&ON_A_SMALL_DISK[..], &[&small]].concat();
    let tried = Command::new(through[0]).args(&through[1..]).arg("true").status();
    if !tried.is_ok_and(|status| status.success()) {
        return skip("a full disk", "the right to mount a tmpfs in a namespace of its own");
    }
    let (relay, metrics) = recording_on(Setup::new().through(&through), &folder.path("small/it"));
    assert_eq!(fs::read_dir(&small).expect("a folder").count(), 0, "mounted for everybody");
    let path = format!("/proc/{}/root{small}/it", relay.process.pid);
    let empty = || fs::File::options().write(true).open(&path).expect("ours").set_len(0);
    // Each record is waited for: none is on its way while the file is looked at.
    let mut lives = 0.0;
    let mut live = || {
        live_and_end(&relay);
        lives += 1.0;
        let tried = [WRITTEN, LOST];
        let is_tried = |it: &Samples| tried.iter().map(|name| it[*name]).sum::<f64>() >= lives;
        let samples = wait_until(metrics, is_tried, "a record was tried");
        tried.map(|name| samples[name])
    };
    let mut lost = 0.0;
    let torn = (0..100).find_map(|_| {
        let [_, now] = live();
        if now == std::mem::replace(&mut lost, now) {
            return None;
        }
        let text = fs::read_to_string(&path).expect("it can be read");
        let (whole, torn) = text.rsplit_once('\n').expect("some fit");
        whole.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).expect("whole")));
        if torn.is_empty() {
            // Full between two records, as one disk of some hundred is: once more.
            empty().expect("truncated");
        }
        (!torn.is_empty()).then(|| torn.to_owned())
    });
    assert!(torn.is_some(), "it never fills up: {:?}", fs::read_to_string(&path));
    empty().expect("truncated");
    let [written, lost_now] = live();
    assert_eq!(lost_now, lost, "there is room again, and {written} are written");
    let text = fs::read_to_string(&path).expect("it can be read");
    let last = text.lines().last().map(serde_json::from_str::<Value>);
    assert!(last.is_some_and(|it| it.is_ok_and(|it| it["kind"] == "ended")), "{text}");
}

#[test]
fn a_file_that_cannot_be_opened_is_one_clear_line_and_no_start() {
    let mut command = crate::relay::command();
    command.args(["--listen", "127.0.0.1:10", "--workers", "1"]);
    command.args(["--usage-records", "/nowhere/at/all"]);
    let mut process = crate::relay::Process::spawn(command);
    assert_eq!(process.wait().code(), Some(1));
    let said = process.stderr();
    let faults: Vec<_> = said.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(faults.len(), 1, "{said}");
    assert!(faults[0].contains("cannot write usage records to /nowhere/at/all: "), "{said}");
}

// Whoever collects records through a pipe may come late, and go.
#[test]
fn a_pipe_without_a_reader_keeps_its_records_and_holds_up_neither_start_nor_end() {
    for io in DRIVERS {
        let folder = Folder::new();
        let (path, ours) = named_pipe(&folder, "usage");
        drop(ours);
        let (mut relay, _) = recording_to(&path, &["--io", io]);
        live_and_end(&relay);
        let first = fs::File::open(&path).expect("the server is there to write");
        let mut lines = BufReader::new(first).lines();
        let read: Value =
            serde_json::from_str(&lines.next().expect("a record").expect("UTF-8")).expect("JSON");
        assert_eq!(read["reason"], "deleted");
        drop(lines);
        live_and_end(&relay);
        let second = fs::File::open(&path).expect("the server is there to write");
        assert!(
            BufReader::new(second).lines().next().is_some(),
            "the next reader has the next one"
        );
        let asked = Instant::now();
        live_and_end(&relay);
        relay.process.signal(libc::SIGTERM);
        assert!(relay.process.wait().success(), "{}", relay.process.output());
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    }
}

#[test]
fn a_pipe_whose_reader_has_stopped_holds_up_neither_relaying_nor_the_end() {
    for io in DRIVERS {
        let folder = Folder::new();
        let (path, mut pipe) = named_pipe(&folder, "usage");
        fill(&mut pipe);
        let (mut relay, metrics) = recording_to(&path, &["--io", io]);
        for _ in 0..20 {
            live_and_end(&relay);
        }
        relay.process.wait_until_it_logs("usage records wait: nobody reads them", 1);
        assert_eq!(scrape(metrics)[WRITTEN], 0.0);
        let asked = Instant::now();
        relay.process.signal(libc::SIGTERM);
        assert!(relay.process.wait().success(), "{}", relay.process.output());
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
        let log = relay.process.stderr();
        assert!(log.contains("the last usage records were not written"), "{log}");
    }
}
