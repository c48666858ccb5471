//! Stopping: SIGTERM and SIGINT end it cleanly, with a last line of totals, a second one at once;
//! and what the log says of allocations until then.

use std::time::{Duration, Instant};

use crate::client::{Client, Peer};
use crate::relay::{Relay, Setup};

/// Stops it with `signal` and returns its whole log.
fn log_after(relay: &mut Relay, signal: libc::c_int) -> String {
    relay.process.signal(signal);
    let status = relay.process.wait();
    assert!(status.success(), "{status}:\n{}", relay.process.output());
    relay.process.stderr()
}

#[test]
fn sigterm_and_sigint_end_it_with_totals() {
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut relay = Relay::start();
        let peer = Peer::new();
        let mut client = Client::new(relay.v4());
        client.allocate();
        client.bind(0x4000, peer.address());
        for _ in 0..7 {
            client.send_channel(0x4000, &[0; 100]);
            peer.receive();
        }
        let log = log_after(&mut relay, signal);
        let last = log.lines().last().expect("a last line");
        assert!(last.contains('7') && last.contains("700"), "7 packets, 700 bytes: {last}");
    }
}

#[test]
fn it_ends_soon_with_many_allocations() {
    let mut relay = Setup::new().with(&["--workers", "2"]).start();
    let mut clients: Vec<_> = (0..150).map(|_| Client::new(relay.v4())).collect();
    for client in &mut clients {
        client.allocate();
    }
    let asked = Instant::now();
    log_after(&mut relay, libc::SIGTERM);
    assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut relay = Setup::new().with(&["--workers", "2"]).start();
    Client::new(relay.v4()).allocate();
    relay.process.signal(libc::SIGTERM);
    let kill = format!("kill -{} {}", libc::SIGTERM, relay.process.pid);
    // The first one may already have ended it; then there is nobody to hear the second.
    std::process::Command::new("sh").args(["-c", &kill]).output().expect("a shell runs");
    let asked = Instant::now();
    relay.process.wait();
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
}

// The sockets of a ring live on for a moment after the process: a restart must get over that.
#[test]
fn it_can_be_started_again_at_once() {
    let ports = crate::machine::Ports::claim();
    let (low, high) = ports.relay_range();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], ports.listening()));
    for _ in 0..5 {
        let mut command = crate::relay::command();
        command.args(["--listen", &address.to_string(), "--relay-ip", "127.0.0.1"]);
        command.args(["--relay-ports", &format!("{low}-{high}"), "--realm", crate::relay::REALM]);
        command.args(["--user", "alice:wonderland", "--workers", "2"]);
        let mut process = crate::relay::Process::spawn(command);
        process.wait_until_it_serves(address);
        Client::new(address).allocate();
        process.signal(libc::SIGTERM);
        assert!(process.wait().success(), "{}", process.output());
    }
}

#[test]
fn an_allocation_is_logged_when_it_opens_and_when_it_closes() {
    let mut relay = Setup::new().with(&["--log-format", "json"]).start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    client.send_channel(0x4000, &[0; 111]);
    peer.receive();
    for _ in 0..2 {
        peer.send(relayed, &[0; 222]);
        client.channel_data();
    }
    client.refresh(0);
    let log = log_after(&mut relay, libc::SIGTERM);
    let about: Vec<_> = log.lines().filter(|line| line.contains(&relayed.to_string())).collect();
    assert_eq!(about.len(), 2, "opened and closed:\n{log}");
    for line in &about {
        let _: serde_json::Value = serde_json::from_str(line).expect("each line is JSON");
        assert!(line.contains("alice") && line.contains(&client.address().to_string()), "{line}");
    }
    assert!(about[1].contains("111") && about[1].contains("444"), "bytes each way: {}", about[1]);
}

// No packet is worth a line; a wrong password is, ten times a second and once for the rest.
#[test]
fn packets_write_no_log_and_wrong_passwords_a_bounded_one() {
    let mut relay = Relay::start();
    let peer = Peer::new();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.bind(0x4000, peer.address());
    let before = relay.process.wait_until_it_logs("allocation opened", 1).lines().count();
    let begun = Instant::now();
    for _ in 0..300 {
        client.send_channel(0x4000, b"packet");
        peer.receive();
        let mut stranger = Client::login(relay.v4(), "hatter", "wrong");
        assert_eq!(stranger.authenticated(crate::client::allocate()).code(), Some(401));
        stranger.send(b"\x40\x00\x00\x02hi");
        stranger.send(b"nothing at all");
    }
    let log = relay.process.wait_until_it_logs("request refused", 1);
    assert!(log.contains("user=\"hatter\""), "{log}");
    let seconds = begun.elapsed().as_secs() as usize + 1;
    let lines = log.lines().count() - before;
    assert!(lines <= 3 + 11 * seconds, "{lines} lines for 300 packets and strangers");
    log_after(&mut relay, libc::SIGTERM);
}

// Whoever looks for one client among many asks for all of them.
#[test]
fn at_the_level_debug_every_refusal_is_a_line() {
    let relay = Setup::new().with(&["--log", "debug", "--stranger-reply-bytes", "0"]).start();
    for who in 0..60 {
        let mut stranger = Client::login(relay.v4(), &format!("hatter-{who}"), "wrong");
        assert_eq!(stranger.authenticated(crate::client::allocate()).code(), Some(401));
    }
    let log = relay.process.wait_until_it_logs("request refused", 60);
    (0..60)
        .for_each(|who| assert!(log.contains(&format!("user=\"hatter-{who}\"")), "{who}: {log}"));
    assert!(!log.contains("left out"), "{log}");
}

// A client that opens and closes as fast as it can must not fill the disk.
#[test]
fn the_log_of_allocations_is_bounded() {
    let mut relay = Relay::start();
    let mut client = Client::new(relay.v4());
    let begun = Instant::now();
    let rounds = 1_500;
    for _ in 0..rounds {
        client.allocate();
        client.refresh(0);
    }
    let took_s = begun.elapsed().as_secs_f64();
    let log = log_after(&mut relay, libc::SIGTERM);
    let lines = log.lines().count();
    assert!(lines < rounds, "{lines} lines for {rounds} allocations in {took_s:.1} s");
}
