//! The life of the real binary: what it says when it starts, and how it ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{BufRead, BufReader, Lines};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, ChildStderr, ChildStdout, Command, Output, Stdio};

/// A running server. Dropping it ends it.
struct Server {
    child: Child,
    log: Lines<BufReader<ChildStderr>>,
    banner: ChildStdout,
}

fn command(listen: SocketAddr, words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_uturn"));
    command.args(["--listen", &listen.to_string(), "--workers", "1"]).args(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

impl Server {
    /// Starts a server and waits until its log says that it serves.
    fn start(listen: SocketAddr, words: &[&str]) -> Self {
        let mut child = command(listen, words).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap()).lines();
        let banner = child.stdout.take().unwrap();
        let mut server = Self { child, log, banner };
        let lines: Vec<String> = server.log.by_ref().map(Result::unwrap).collect_until("started");
        assert!(lines.last().is_some_and(|line| line.contains("started")), "{lines:#?}");
        server
    }

    /// Sends a signal, waits for the end, and gives the exit status, the rest of the log and the
    /// banner.
    fn end(mut self, signal: &str) -> (Option<i32>, String, String) {
        let kill = format!("kill -{signal} {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let log: Vec<String> = self.log.by_ref().map(Result::unwrap).collect();
        let banner = std::io::read_to_string(&mut self.banner).unwrap();
        (self.child.wait().unwrap().code(), log.join("\n"), banner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It has ended unless the test has failed before.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

trait CollectUntil: Iterator<Item = String> {
    /// Collects up to and including the first line that has a word in it.
    fn collect_until(&mut self, word: &str) -> Vec<String> {
        let mut lines = Vec::new();
        for line in self {
            let found = line.contains(word);
            lines.push(line);
            if found {
                break;
            }
        }
        lines
    }
}

impl<I: Iterator<Item = String>> CollectUntil for I {}

/// An address that was free a moment ago, for UDP and for TCP.
fn free() -> SocketAddr {
    loop {
        let address = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        if TcpListener::bind(address).is_ok() {
            return address;
        }
    }
}

#[test]
fn a_first_start_says_all_that_is_needed_to_use_it() {
    let listen = free();
    let (status, _, banner) = Server::start(listen, &[]).end("TERM");
    assert_eq!(status, Some(0));
    let url = format!("turn:{listen}");
    for part in ["secret", "username", "password", &listen.to_string(), &url, "on cores", "private"]
    {
        assert!(banner.contains(part), "{part} is not in:\n{banner}");
    }
}

#[test]
fn either_signal_ends_it_with_a_line_of_totals() {
    for (signal, io) in [("TERM", "auto"), ("INT", "portable")] {
        let server = Server::start(free(), &["--io", io, "--log-format", "json"]);
        let (status, log, _) = server.end(signal);
        assert_eq!(status, Some(0), "{log}");
        let last: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        assert_eq!(last["message"], "stopped");
        assert_eq!((&last["allocations"], &last["dropped"]), (&0.into(), &0.into()));
    }
}

#[test]
fn a_second_server_on_an_address_does_not_take_half_of_its_clients() {
    let listen = free();
    let first = Server::start(listen, &[]);
    let Output { status, stderr, stdout } = command(listen, &[]).output().unwrap();
    let log = String::from_utf8(stderr).unwrap();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("cannot listen on {listen}")), "{log}");
    assert!(stdout.is_empty());
    assert_eq!(first.end("TERM").0, Some(0));
}
