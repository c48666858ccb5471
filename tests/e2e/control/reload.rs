//! SIGHUP: the configuration is read again, and nobody who is in a call notices.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::{CHANNEL, Call, Client, allocate, channel_bind};
use crate::machine::Folder;
use crate::memory::{peak_resident_bytes, resident_bytes};
use crate::relay::{PASSWORD, Relay, Setup, USER, command};

/// How long a reload may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
const READ: &str = "configuration read again";
const STAYS: &str = "the configuration stays as it was";

/// A relay whose users, and whatever else, stand in a file.
struct Configured {
    folder: Folder,
    relay: Relay,
    reloads: usize,
}

impl Configured {
    fn start(file: &str, arguments: &[&str]) -> Self {
        let folder = Folder::new();
        let path = folder.write("uturn.toml", file);
        let setup = Setup::of_nobody().with(&["--config", &path]).with(arguments);
        Self { relay: setup.start(), folder, reloads: 0 }
    }

    /// Has it read another file; it must say that it has.
    fn change(&mut self, file: &str) -> String {
        self.folder.write("uturn.toml", file);
        self.reloads += 1;
        self.relay.process.signal(libc::SIGHUP);
        self.relay.process.wait_until_it_logs(READ, self.reloads)
    }

    fn login(&self, user: &str) -> Client {
        Client::login(self.relay.v4(), user, PASSWORD)
    }
}

fn users(names: &[&str]) -> String {
    let users: Vec<_> = names.iter().map(|name| format!("\"{name}:{PASSWORD}\"")).collect();
    format!("user = [{}]\n", users.join(", "))
}

// Every packet is waited for: a lost one fails the test.
#[test]
fn a_call_loses_no_packet_while_everything_changes() {
    for io in ["auto", "portable"] {
        let all = users(&[USER, "bob"]);
        let mut configured = Configured::start(&all, &["--workers", "2", "--io", io]);
        let mut call = Call::of(configured.login(USER));
        let done = AtomicBool::new(false);
        let packets = std::thread::scope(|scope| {
            let talking = scope.spawn(|| {
                let mut packets = 0;
                while !done.load(Ordering::Relaxed) {
                    call.talk();
                    packets += 2;
                }
                packets
            });
            for round in 0..10 {
                let file = match round % 2 {
                    0 => users(&["bob"]) + "user-quota = 1\n",
                    _ => all.clone() + "deny-peers = ['192.0.2.0/24']\nsoftware = false\n",
                };
                configured.change(&file);
            }
            done.store(true, Ordering::Relaxed);
            talking.join().expect("no packet is lost")
        });
        assert!(packets > 20, "{packets} packets while the rules changed ten times");
        call.client.refresh(600);
    }
}

// RFC 8489 §9.2.4: 401 for whoever cannot be authenticated.
#[test]
fn users_come_and_go() {
    let mut configured = Configured::start(&users(&[USER]), &[]);
    let mut alice = Call::of(configured.login(USER));
    assert_eq!(configured.login("bob").fail(allocate()), 401);
    let log = configured.change(&users(&["bob"]));
    assert!(log.contains("applied=\"user\""), "{log}");
    configured.login("bob").allocate();
    alice.talk();
    assert_eq!(alice.client.fail(crate::stun::Builder::request(crate::stun::method::REFRESH)), 401);
    assert_eq!(configured.login(USER).fail(allocate()), 401);
    configured.change(&users(&[USER]));
    alice.client.refresh(600);
    alice.talk();
}

#[test]
fn a_peer_that_is_denied_now_is_cut_off() {
    let mut configured = Configured::start(&users(&[USER]), &[]);
    let mut call = Call::of(configured.login(USER));
    call.talk();
    configured.change(&(users(&[USER]) + "deny-peers = ['127.0.0.1']\n"));
    call.client.send_channel(CHANNEL, b"out");
    call.peer.expect_silence();
    call.peer.send(call.relayed, b"in");
    call.client.expect_silence();
    assert_eq!(call.client.fail(channel_bind(CHANNEL, call.peer.address())), 403);
    configured.change(&users(&[USER]));
    call.client.bind(CHANNEL, call.peer.address());
    call.talk();
}

#[test]
fn limits_and_the_log_change() {
    let mut configured = Configured::start(&users(&[USER]), &[]);
    let mut clients: Vec<_> = (0..2).map(|_| configured.login(USER)).collect();
    for client in &mut clients {
        client.allocate();
    }
    configured.change(&(users(&[USER]) + "user-quota = 2\nmax-lifetime = 700\n"));
    assert_eq!(configured.login(USER).fail(allocate()), 486);
    assert_eq!(clients[0].refresh(3600).lifetime_s(), 700);
    clients[1].refresh(0);
    configured.relay.process.wait_until_it_logs("allocation closed", 1);
    configured.folder.write("uturn.toml", &(users(&[USER]) + "log = 'error'\n"));
    configured.relay.process.signal(libc::SIGHUP);
    // A file with a fault is an error line, after which the level is known to be read.
    let holds = (0..10_000).any(|_| clients[0].refresh(3600).lifetime_s() == 3600);
    assert!(holds, "the rules of the file hold");
    // That others may read the file is told meanwhile.
    let lines = |log: &str| log.lines().filter(|line| !line.contains("has mode")).count();
    let before = lines(&configured.relay.process.stderr());
    let mut quiet = configured.login(USER);
    quiet.allocate();
    quiet.refresh(0);
    configured.folder.write("uturn.toml", "colour = 1\n");
    configured.relay.process.signal(libc::SIGHUP);
    let log = configured.relay.process.wait_until_it_logs(STAYS, 1);
    assert_eq!(lines(&log), before + 1, "{log}");
}

#[test]
fn a_file_with_a_fault_changes_nothing_and_is_told_by_line_and_key() {
    let configured = Configured::start(&users(&[USER]), &[]);
    let file = configured.folder.path("uturn.toml");
    let faulty = users(&["bob"]) + "\nmax-lifetime = 90000\n";
    for (times, (text, fault)) in [
        (faulty.as_str(), format!("{file}:3: max-lifetime: ")),
        ("user = ['bob:x']\ncolour = 1", format!("{file}:2: colour: ")),
        ("user = ['bob:x'", format!("{file}:1: ")),
        ("", "neither a user nor a secret".to_owned()),
    ]
    .into_iter()
    .enumerate()
    {
        configured.folder.write("uturn.toml", text);
        configured.relay.process.signal(libc::SIGHUP);
        let log = configured.relay.process.wait_until_it_logs(STAYS, times + 1);
        assert!(log.contains(&fault), "{fault} is not in:\n{log}");
        configured.login(USER).allocate();
        assert_eq!(configured.login("bob").fail(allocate()), 401);
    }
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_holds() {
    let mut configured = Configured::start(&users(&[USER]), &[]);
    let log = configured.change(&(users(&["bob"]) + "steer = 'cpu'\nlog-format = 'json'\n"));
    let log = match log.contains("after a restart") {
        true => log,
        false => configured.relay.process.wait_until_it_logs("after a restart", 1),
    };
    let line =
        log.lines().find(|line| line.contains("after a restart")).expect("it was waited for");
    assert!(line.contains("steer, log-format"), "{line}");
    configured.login("bob").allocate();
}

#[test]
fn without_a_file_it_says_so_and_goes_on() {
    let relay = Relay::start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    relay.process.signal(libc::SIGHUP);
    relay.process.wait_until_it_logs("--config FILE", 1);
    client.refresh(600);
}

#[test]
fn the_file_of_users_is_read_again() {
    let folder = Folder::new();
    let path = folder.write("users", &format!("# nobody else\n{USER}:{PASSWORD}\n"));
    let setup = Setup::of_nobody().with(&["--users-file", &path, "--user", "root:toor"]);
    let relay = setup.start();
    Client::new(relay.v4()).allocate();
    Client::login(relay.v4(), "root", "toor").allocate();
    assert_eq!(Client::login(relay.v4(), "bob", "builder").fail(allocate()), 401);
    let key = crate::stun::long_term_key("bob", crate::relay::REALM, "builder");
    let digits: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    folder.write("users", &format!("bob:0x{digits}\n"));
    relay.process.signal(libc::SIGHUP);
    relay.process.wait_until_it_logs(READ, 1);
    Client::login(relay.v4(), "bob", "builder").allocate();
    assert_eq!(Client::new(relay.v4()).fail(allocate()), 401);
    folder.write("users", "bob:builder\nroot:again\n");
    relay.process.signal(libc::SIGHUP);
    let log = relay.process.wait_until_it_logs(STAYS, 1);
    assert!(log.contains(&format!("{path}:2: users-file: 'root' is there twice")), "{log}");
    Client::login(relay.v4(), "bob", "builder").allocate();
}

#[test]
fn a_file_of_users_with_a_fault_is_no_start() {
    let folder = Folder::new();
    let path = folder.write("users", "alice:wonderland\nbob\n");
    let output = command().args(["--users-file", &path]).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains(&format!("{path}:2: users-file: ")), "{said}");
    assert!(!said.contains("wonderland"), "{said}");
}

/// Users with keys of their own, so many that the rest of the process is little beside them.
fn many_users(round: usize) -> String {
    let key = |user: usize| format!("user-{user}:0x{round:016x}{user:016x}\n");
    (0..MANY_USERS).map(key).collect::<String>() + &format!("{USER}:{PASSWORD}\n")
}

const MANY_USERS: usize = 100_000;

// A user took 400 bytes, twice as much while the file was read again.
#[test]
fn a_user_takes_little_memory_and_no_more_than_twice_that_while_they_are_read_again() {
    let folder = Folder::new();
    let path = folder.write("users", &format!("{USER}:{PASSWORD}\n"));
    let relay = Setup::of_nobody().with(&["--users-file", &path]).start();
    Client::new(relay.v4()).allocate();
    let pid = relay.process.pid;
    let alone = resident_bytes(pid);
    let a_user = |bytes: u64| bytes.saturating_sub(alone) / MANY_USERS as u64;
    let deadline = Instant::now() + PATIENCE;
    for round in 1..=2 {
        folder.write("users", &many_users(round));
        relay.process.signal(libc::SIGHUP);
        relay.process.wait_until_it_logs(READ, round);
        Client::new(relay.v4()).allocate();
        // What held before is freed a moment later.
        while a_user(resident_bytes(pid)) > 160 {
            assert!(Instant::now() < deadline, "{} bytes each", a_user(resident_bytes(pid)));
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    assert!(a_user(resident_bytes(pid)) > 45, "they are there");
    let peak = a_user(peak_resident_bytes(pid));
    assert!(peak < 320, "{peak} bytes each");
}
