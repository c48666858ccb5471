//! What a server shows of itself: numbers that are true while it relays, and whether it is ready.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::client::{Client, Peer, allocate, channel_bind};
use crate::http::{ask, say, scrape, showing};
use crate::machine::{Folder, Ports};
use crate::relay::{LOOPBACK4, LOOPBACK6, Process, Relay, Setup, command};

const CHANNEL: u16 = 0x4000;

/// A relay that shows its numbers on a port of its own, written without an address.
fn shown(arguments: &[&str]) -> (Relay, SocketAddr) {
    showing(Setup::new().with(arguments))
}

fn sum(samples: &BTreeMap<String, f64>, name: &str, label: &str) -> f64 {
    let is_meant = |key: &str| key.starts_with(&format!("{name}{{")) && key.contains(label);
    let meant: Vec<_> = samples.iter().filter(|(key, _)| is_meant(key)).collect();
    assert!(!meant.is_empty(), "there is no {name} with {label}");
    meant.into_iter().map(|(_, value)| value).sum()
}

/// Allocates and relays so many packets of 100 bytes each way.
fn relay_some(relay: &Relay, packets: usize) -> Client {
    let (mut client, peer) = (Client::new(relay.v4()), Peer::new());
    let relayed = client.allocate();
    client.bind(CHANNEL, peer.address());
    for _ in 0..packets {
        client.send_channel(CHANNEL, &[7; 100]);
        assert_eq!(peer.receive().1.len(), 100);
        peer.send(relayed, &[7; 100]);
        assert_eq!(client.channel_data().1.len(), 100);
    }
    client
}

#[test]
fn the_numbers_are_those_of_what_was_relayed() {
    for io in ["auto", "portable"] {
        let (relay, metrics) = shown(&["--workers", "2", "--io", io]);
        let mut client = relay_some(&relay, 5);
        client.send(b"\xFFneither STUN nor ChannelData");
        let samples = scrape(metrics);
        for direction in ["direction=\"to_peers\"", "direction=\"to_clients\""] {
            assert_eq!(sum(&samples, "uturn_packets_total", direction), 5.0);
            assert_eq!(sum(&samples, "uturn_bytes_total", direction), 500.0);
        }
        assert_eq!(samples["uturn_workers"], 2.0);
        assert_eq!(samples["uturn_workers_answering"], 2.0);
        assert_eq!(sum(&samples, "uturn_allocations", "worker"), 1.0);
        assert_eq!(samples["uturn_requests_succeeded_total{method=\"allocate\"}"], 1.0);
        assert_eq!(samples["uturn_requests_succeeded_total{method=\"channel_bind\"}"], 1.0);
        assert!(samples["uturn_requests_failed_total{method=\"refresh\",code=\"401\"}"] >= 1.0);
        assert!(sum(&samples, "uturn_io_received_datagrams_total", "worker") >= 10.0);
        client.refresh(0);
        let later = scrape(metrics);
        assert_eq!(sum(&later, "uturn_allocations", "worker"), 0.0);
        assert_eq!(sum(&later, "uturn_allocations_closed_total", "worker"), 1.0);
        assert_eq!(sum(&later, "uturn_dropped_total", "not_stun"), 1.0);
    }
}

// What a histogram has counted is what the counters beside it say.
#[test]
fn histograms_add_up() {
    for io in ["auto", "portable"] {
        let (relay, metrics) = shown(&["--workers", "1", "--io", io]);
        drop(relay_some(&relay, 200));
        let samples = scrape(metrics);
        let all = |name: &str| sum(&samples, name, "worker=\"0\"");
        let with = |name: &str, label: &str| sum(&samples, name, label);
        assert_eq!(all("uturn_turn_datagrams_count"), all("uturn_io_turns_total") - 1.0);
        let under_way = all("uturn_io_received_datagrams_total") - all("uturn_turn_datagrams_sum");
        assert!((0.0..5.0).contains(&under_way), "{under_way}: those of the turn under way");
        for (direction, receives, datagrams) in [
            ("direction=\"in\"", "uturn_io_received_total", "uturn_io_received_datagrams_total"),
            ("direction=\"out\"", "uturn_io_sent_total", "uturn_io_sent_datagrams_total"),
        ] {
            assert_eq!(
                with("uturn_train_datagrams_count", direction),
                all(receives),
                "{direction}"
            );
            assert_eq!(with("uturn_train_datagrams_sum", direction), all(datagrams), "{direction}");
            let label = &format!("{direction},le=\"1\"");
            assert!(with("uturn_train_datagrams_bucket", label) > 300.0, "singles were sent");
        }
        // One turn in sixteen, each with a datagram or two.
        let (held, turns) = (all("uturn_held_seconds_count"), all("uturn_io_turns_total"));
        assert!(held >= turns / 32.0 && held <= turns / 4.0, "{held} of {turns} turns");
        let last = with("uturn_held_seconds_bucket", "le=\"+Inf\"");
        assert_eq!(last, held);
        let mean = all("uturn_held_seconds_sum") / held;
        assert!((1e-6..0.5).contains(&mean), "{mean} s");
    }
}

// RFC 8656 §7.2 and RFC 8489 §9.2.4: a client that was refused for want of credentials tries again.
#[test]
fn logins_quotas_and_ports_are_told() {
    let (relay, metrics) = shown(&["--workers", "1", "--user-quota", "2", "--channel-quota", "1"]);
    let mut six = Client::new(relay.v4());
    six.allocate_v6();
    let (mut client, peer) = (relay_some(&relay, 1), Peer::new());
    assert_eq!(client.fail(channel_bind(CHANNEL + 1, peer.address())), 508);
    let mut third = Client::new(relay.v4());
    third.challenge();
    assert_eq!(third.fail(allocate()), 486);
    let mut stranger = Client::login(relay.v4(), "alice", "guess");
    stranger.challenge();
    assert_eq!(stranger.fail(allocate()), 401);
    let samples = scrape(metrics);
    let value = |key: &str| samples[key];
    assert_eq!(value("uturn_quota_hits_total{quota=\"user\"}"), 1.0);
    assert_eq!(value("uturn_quota_hits_total{quota=\"channels\"}"), 1.0);
    assert_eq!(value("uturn_quota_hits_total{quota=\"total\"}"), 0.0);
    assert_eq!(value("uturn_authentications_total{result=\"wrong_credentials\"}"), 1.0);
    assert_eq!(value("uturn_authentications_total{result=\"no_credentials\"}"), 4.0);
    assert_eq!(value("uturn_authentications_total{result=\"accepted\"}"), 5.0);
    for (family, live) in [("ipv4", 1.0), ("ipv6", 1.0), ("both", 0.0)] {
        let labels = format!("{{worker=\"0\",transport=\"udp\",family=\"{family}\"}}");
        assert_eq!(value(&format!("uturn_allocations{labels}")), live, "{family}");
        assert_eq!(value(&format!("uturn_allocations_opened_total{labels}")), live, "{family}");
    }
    for address in ["127.0.0.1", "::1"] {
        let label = format!("address=\"{address}\"");
        assert_eq!(sum(&samples, "uturn_relay_ports_in_use", &label), 1.0, "{address}");
        assert!(sum(&samples, "uturn_relay_ports", &label) > 1.0, "{address}");
    }
    assert_eq!(sum(&samples, "uturn_io_buffers", "worker"), 1024.0);
    let free = sum(&samples, "uturn_io_buffers_free", "worker");
    assert!((1.0..=1024.0).contains(&free), "{free}");
}

// Packets that are waited for one by one: a lost one fails the test.
#[test]
fn whoever_scrapes_disturbs_nobody() {
    let (relay, metrics) = shown(&[]);
    let ended = AtomicBool::new(false);
    let scrapes = std::thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut seen = vec![0.0];
            while !ended.load(Ordering::Relaxed) {
                seen.push(sum(&scrape(metrics), "uturn_packets_total", "to_peers"));
            }
            seen
        });
        drop(relay_some(&relay, 300));
        ended.store(true, Ordering::Relaxed);
        scraper.join().expect("every scrape is answered")
    });
    assert!(scrapes.is_sorted(), "{scrapes:?}");
    assert!(scrapes.iter().any(|packets| (1.0..300.0).contains(packets)), "{scrapes:?}");
}

// The set of series is the same before and after strangers and users came.
#[test]
fn nothing_that_outsiders_do_adds_a_series() {
    let (relay, metrics) = shown(&[]);
    let names = || scrape(metrics).into_keys().collect::<Vec<_>>();
    let before = names();
    let mut stranger = Client::login(relay.v4(), "mallory\"} 1\nuturn_workers 9", "guess");
    stranger.challenge();
    assert_eq!(stranger.fail(allocate()), 401);
    drop(relay_some(&relay, 1));
    assert_eq!(names(), before);
}

#[test]
fn live_and_ready_say_so() {
    let (_relay, metrics) = shown(&[]);
    for (path, body) in [("/live", "live\n"), ("/ready", "ready\n")] {
        let answer = ask(metrics, "GET", path);
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
    }
}

#[test]
fn a_server_that_drains_says_so() {
    let (relay, metrics) = shown(&[]);
    let _call = relay_some(&relay, 1);
    let state = || {
        let samples = scrape(metrics);
        (samples["uturn_ready"], samples["uturn_draining"], ask(metrics, "GET", "/ready").status)
    };
    assert_eq!(state(), (1.0, 0.0, 200));
    relay.process.signal(libc::SIGUSR1);
    relay.process.wait_until_it_logs("draining", 1);
    assert_eq!(state(), (0.0, 1.0, 503));
}

#[test]
fn the_limit_is_the_one_that_holds_now() {
    let folder = Folder::new();
    let path = folder.write("uturn.toml", "total-quota = 7\n");
    let (relay, metrics) = shown(&["--config", &path]);
    assert_eq!(scrape(metrics)["uturn_allocations_limit"], 7.0);
    folder.write("uturn.toml", "total-quota = 5\n");
    relay.process.signal(libc::SIGHUP);
    relay.process.wait_until_it_logs("configuration read again", 1);
    assert_eq!(scrape(metrics)["uturn_allocations_limit"], 5.0);
}

// A datagram the kernel has no room for is not lost without a trace.
#[test]
fn datagrams_that_found_a_full_socket_are_told() {
    let (relay, metrics) = shown(&["--workers", "1"]);
    let overflow = || sum(&scrape(metrics), "uturn_listener_overflow_total", "worker");
    assert_eq!(overflow(), 0.0);
    relay.process.signal(libc::SIGSTOP);
    let socket = UdpSocket::bind((LOOPBACK4, 0)).expect("a free port");
    for _ in 0..2_000 {
        socket.send_to(&[0; 60_000], relay.v4()).expect("sent");
    }
    relay.process.signal(libc::SIGCONT);
    let lost = overflow();
    assert!((1.0..2_000.0).contains(&lost), "{lost}");
    assert!(scrape(metrics)["uturn_host_socket_overflow_total"] >= lost);
}

#[test]
fn the_status_page_and_its_numbers_tell_no_user_and_no_address() {
    let (relay, metrics) = shown(&["--workers", "2"]);
    let client = relay_some(&relay, 3);
    client.send_channel(CHANNEL + 1, b"nobody");
    let page = ask(metrics, "GET", "/");
    assert_eq!(page.status, 200);
    for header in ["text/html; charset=utf-8", "default-src 'none'", "no-store", "nosniff"] {
        assert!(page.head.contains(header), "{header} in {}", page.head);
    }
    assert_eq!(ask(metrics, "GET", "/history.json").body, "[]", "nobody has looked before");
    let deadline = Instant::now() + Duration::from_secs(5);
    let (status, told) = loop {
        let status = ask(metrics, "GET", "/status.json").body;
        let told: serde_json::Value = serde_json::from_str(&status).expect("JSON");
        // The last packet may still be on its way.
        if told["drops"]["no_channel"] == 1 || Instant::now() > deadline {
            break (status, told);
        }
        sleep(Duration::from_millis(20));
    };
    assert_eq!(told["now"]["packets"], 6, "{told}");
    assert_eq!(told["now"]["allocations"], 1);
    assert_eq!(told["drops"]["no_channel"], 1);
    assert_eq!(told["workers"].as_array().expect("a list").len(), 2);
    assert!(told["workers"][0]["cpu_us"].as_u64() > Some(0), "{told}");
    assert_eq!(told["obstacle"], serde_json::Value::Null);
    let history = ask(metrics, "GET", "/history.json").body;
    for text in [status, history] {
        assert!(!text.contains(crate::relay::USER), "{text}");
        assert!(!text.contains(&client.address().port().to_string()), "{text}");
    }
}

// RFC 9110 §9.3.2: HEAD is as GET, without the content.
#[test]
fn head_is_get_without_the_content() {
    let (_relay, metrics) = shown(&[]);
    let answer = ask(metrics, "HEAD", "/live");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(answer.head.contains("content-length: 5"), "{}", answer.head);
}

// RFC 9110 §15.5.6: a 405 names in Allow what is allowed.
#[test]
fn other_paths_and_methods_are_refused() {
    let (_relay, metrics) = shown(&[]);
    assert_eq!(ask(metrics, "GET", "/index.html").status, 404);
    assert_eq!(ask(metrics, "POST", "/nothing").status, 404);
    let refused = ask(metrics, "POST", "/metrics");
    assert_eq!(refused.status, 405);
    assert!(refused.head.contains("allow: get, head"), "{}", refused.head);
    assert!(say(metrics, "what is this\r\n\r\n").starts_with("HTTP/1.1 400 "));
    assert_eq!(ask(metrics, "GET", "/live").status, 200, "it lives on");
}

// Those who open connections and say nothing cost places for a while, and the relay nothing.
#[test]
fn silent_connections_are_closed_in_time() {
    let (relay, metrics) = shown(&[]);
    let silent: Vec<_> = (0..40).filter_map(|_| TcpStream::connect(metrics).ok()).collect();
    drop(relay_some(&relay, 1));
    let mut first = silent.first().expect("one gets through");
    first.set_read_timeout(Some(Duration::from_secs(15))).expect("a timeout");
    assert_eq!(first.read(&mut [0; 1]).expect("the end, in time"), 0);
    drop(silent);
    assert_eq!(ask(metrics, "GET", "/live").status, 200);
}

#[test]
fn nothing_is_shown_unless_it_is_asked_for() {
    let looked_into = ["--core-dumps", "on"];
    let for_clients = tcp_sockets(Setup::new().with(&looked_into).start().process.pid);
    assert_eq!(tcp_sockets(shown(&looked_into).0.process.pid), for_clients + 1);
}

/// Counts the TCP sockets among the descriptors of a process.
fn tcp_sockets(pid: u32) -> usize {
    let tables = ["tcp", "tcp6"].map(|table| format!("/proc/{pid}/net/{table}"));
    let tables = tables.map(|table| std::fs::read_to_string(table).unwrap_or_default());
    let lines = tables.iter().flat_map(|table| table.lines().skip(1));
    let inodes = lines.filter_map(|line| line.split_whitespace().nth(9));
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).expect("it runs");
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let links: Vec<_> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    inodes.filter(|inode| links.contains(&format!("socket:[{inode}]"))).count()
}

#[test]
fn an_address_in_use_is_one_clear_line_and_no_start() {
    let taken = TcpListener::bind((LOOPBACK6, 0)).expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let ports = Ports::claim();
    let mut command = command();
    command.args(["--listen", &format!("127.0.0.1:{}", ports.listening())]);
    command.args(["--workers", "1", "--metrics", &address]);
    let mut process = Process::spawn(command);
    assert_eq!(process.wait().code(), Some(1));
    let said = process.stderr();
    let faults: Vec<_> = said.lines().filter(|line| line.contains("ERROR")).collect();
    assert_eq!(faults.len(), 1, "{said}");
    assert!(faults[0].contains(&format!("cannot show metrics on {address}: ")), "{said}");
    assert_eq!(process.stdout(), "");
}
