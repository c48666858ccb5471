//! The control socket: who may open it, and what the commands that ask on it say.

use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::process::{Output, Stdio};
use std::time::Instant;

use crate::auth::time_limited::{NEW, credential};
use crate::client::{Client, Peer, allocate, create_permission};
use crate::machine::{Folder, skip};
use crate::relay::{PASSWORD, REALM, Relay, Setup, USER, command, patience};

const CHANNEL: u16 = 0x4000;

/// A relay with a control socket.
pub struct Controlled {
    pub relay: Relay,
    pub socket: String,
    pub folder: Folder,
}

impl Controlled {
    pub fn start(setup: Setup) -> Self {
        let folder = Folder::new();
        let socket = folder.path("control");
        Self { relay: setup.with(&["--control", &socket]).start(), socket, folder }
    }

    /// What a command says that asks this relay.
    pub fn run(&self, words: &[&str]) -> Output {
        let mut command = command();
        command.args(words).args(["--control", &self.socket]).stdin(Stdio::null());
        command.output().expect("the command runs")
    }

    /// What a command says that must succeed.
    pub fn says(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && error.is_empty(), "{words:?}: {error}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What a command is refused with: one line, exit status 1.
    pub fn refuses(&self, words: &[&str]) -> String {
        let output = self.run(words);
        let error = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), error.lines().count()), (Some(1), 1), "{error}");
        error
    }

    pub fn json(&self, words: &[&str]) -> Vec<serde_json::Value> {
        let text = self.says(&[words, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }

    /// The answer to a line, as it comes.
    fn raw(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(&self.socket).expect("somebody listens");
        stream.write_all(line.as_bytes()).expect("it is taken");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer, and its end");
        answer
    }
}

fn two_workers() -> Controlled {
    Controlled::start(Setup::new().with(&["--workers", "2"]))
}

#[test]
fn it_is_its_owners_alone_and_gone_with_the_server() {
    let Controlled { mut relay, socket, folder } = two_workers();
    let mode = std::fs::metadata(&socket).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    relay.process.signal(libc::SIGTERM);
    assert!(relay.process.wait().success());
    assert!(!std::path::Path::new(&socket).exists());
    drop(folder);
}

#[test]
fn a_live_socket_is_an_error_and_a_stale_one_is_replaced() {
    let first = two_workers();
    let inode = || std::fs::metadata(&first.socket).expect("it is there").ino();
    let before = inode();
    let mut second = command();
    second.args(["--control", &first.socket, "--listen", "127.0.0.1:1", "--user", "a:b"]);
    let output = second.output().expect("it runs");
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{log}");
    assert!(log.contains("another server listens there"), "{log}");
    assert_eq!(inode(), before);
    let folder = Folder::new();
    let stale = folder.path("control");
    drop(std::os::unix::net::UnixListener::bind(&stale).expect("a socket"));
    let setup = Setup::new().with(&["--control", &stale]);
    let relay = setup.start();
    assert!(UnixStream::connect(&stale).is_ok(), "{}", relay.process.output());
}

// The server's user may not make /run/uturn, and has nothing said about a socket.
#[test]
fn a_users_server_has_a_socket_by_default_and_a_second_one_leaves_it_alone() {
    if !nix::unistd::geteuid().is_root() {
        return skip("the default control socket", "the right to become another user");
    }
    let folder = Folder::new();
    let runtime = folder.path("");
    let all = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(&runtime, all).expect("the folder is ours");
    let start = || {
        let setup = Setup::new().environment("XDG_RUNTIME_DIR", &runtime);
        setup.through(&["setpriv", "--reuid=65534", "--clear-groups"]).start()
    };
    let ask = || {
        let mut status = command();
        status.args(["status", "--json"]).env("XDG_RUNTIME_DIR", &runtime);
        let output = status.output().expect("it runs");
        serde_json::from_slice::<serde_json::Value>(&output.stdout).expect("JSON")["pid"].clone()
    };
    let first = start();
    let place = folder.path("uturn/control");
    first.process.wait_until_it_logs(&format!("control={place}"), 1);
    if UnixStream::connect("/run/uturn/control").is_err() {
        assert_eq!(ask(), first.process.pid);
    }
    let second = start();
    let said = format!("no control socket: another server has {place}");
    second.process.wait_until_it_logs(&said, 1);
    drop(second);
    assert!(UnixStream::connect(&place).is_ok(), "the first one's is still there");
    drop(first);
    assert!(!std::path::Path::new(&place).exists());
}

#[test]
fn where_no_server_answers_the_option_is_named() {
    let mut status = command();
    status.args(["status", "--control", "/nowhere/control"]);
    let output = status.output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!((output.status.code(), said.lines().count()), (Some(1), 1), "{said}");
    assert!(said.contains("/nowhere/control") && said.contains("`--control PATH`"), "{said}");
}

#[test]
fn status_says_how_it_is() {
    let controlled = two_workers();
    let (mut client, peer) = (Client::new(controlled.relay.v4()), Peer::new());
    client.allocate();
    client.bind(CHANNEL, peer.address());
    for _ in 0..200 {
        client.send_channel(CHANNEL, &[0; 100]);
        peer.receive();
    }
    let status = controlled.json(&["status"]).remove(0);
    assert_eq!((&status["state"], &status["realm"]), (&"serving".into(), &REALM.into()));
    assert_eq!((&status["workers"], &status["workers_answering"]), (&2.into(), &2.into()));
    assert_eq!(status["pid"], controlled.relay.process.pid);
    assert_eq!((&status["allocations"], &status["allocations_opened"]), (&1.into(), &1.into()));
    assert_eq!(status["to_peers"], serde_json::json!({ "packets": 200, "bytes": 20_000 }));
    let held = &status["held"];
    let (p50, p99) = (held["p50_us"].as_u64(), held["p99_us"].as_u64());
    assert!(p50 > Some(0) && p50 <= p99, "{held}");
    let words = controlled.says(&["status"]);
    for part in ["serving", "2 of 2 answer", REALM, "200 packets, 20.0 kB", "1 of ", "p50 "] {
        assert!(words.contains(part), "{part} is not in:\n{words}");
    }
}

#[test]
fn sessions_are_listed_of_all_workers_or_of_one_user() {
    let setup = Setup::new().with(&["--workers", "2", "--user", "bob:builder"]);
    let controlled = Controlled::start(setup);
    let mut clients: Vec<_> = (0..12).map(|_| Client::new(controlled.relay.v4())).collect();
    let mut relayed: Vec<_> =
        clients.iter_mut().map(|client| client.allocate().to_string()).collect();
    let mut bob = Client::login(controlled.relay.v4(), "bob", "builder");
    let of_bob = bob.allocate().to_string();
    relayed.push(of_bob.clone());
    relayed.sort();
    let address = |session: &serde_json::Value| -> String {
        session["relayed"][0].as_str().expect("an address").to_owned()
    };
    let listed = controlled.json(&["sessions"]);
    let mut seen: Vec<_> = listed.iter().map(address).collect();
    seen.sort();
    assert_eq!(seen, relayed);
    let ids: std::collections::BTreeSet<_> =
        listed.iter().map(|session| session["id"].as_str().expect("a name")).collect();
    assert_eq!(ids.len(), 13);
    let of = |user: &str| controlled.json(&["sessions", "--user", user]);
    assert_eq!(of("bob").iter().map(address).collect::<Vec<_>>(), [of_bob]);
    assert_eq!((of(USER).len(), of("nobody").len()), (12, 0));
    let table = controlled.says(&["sessions"]);
    assert_eq!(table.lines().count(), 14, "a head and 13 rows:\n{table}");
    assert!(table.lines().next().is_some_and(|head| head.starts_with("ID")), "{table}");
    drop(clients);
}

#[test]
fn a_time_limited_user_is_found_by_name_and_by_id() {
    let controlled = Controlled::start(Setup::new().with(&["--secret", NEW]));
    Client::new(controlled.relay.v4()).allocate();
    let (name, password) = credential(NEW, 60);
    Client::login(controlled.relay.v4(), &name, &password).allocate();
    for user in [name.as_str(), "rabbit"] {
        let listed = controlled.json(&["sessions", "--user", user]);
        assert_eq!(listed.len(), 1, "{user}");
        assert_eq!(listed[0]["user"], name);
    }
}

// More sessions than slots in a page, and a call that goes on while they are read.
#[test]
fn a_long_list_is_whole_and_stops_nobody() {
    let setup = Setup::new().with(&["--workers", "1", "--relay-ip", "127.0.0.2"]);
    let controlled = Controlled::start(setup.with(&["--relay-ip", "127.0.0.3"]));
    let mut clients: Vec<_> = (0..400).map(|_| Client::new(controlled.relay.v4())).collect();
    for client in &mut clients {
        client.allocate();
    }
    let peer = Peer::new();
    clients[0].bind(CHANNEL, peer.address());
    std::thread::scope(|scope| {
        let lists = scope.spawn(|| (0..5).map(|_| controlled.json(&["sessions"]).len()).collect());
        while !lists.is_finished() {
            clients[0].send_channel(CHANNEL, b"on");
            assert_eq!(peer.receive().1, b"on");
        }
        let lists: Vec<_> = lists.join().expect("every list is answered");
        assert_eq!(lists, [400; 5]);
    });
}

#[test]
fn a_session_is_shown_with_everybody_it_talks_to() {
    let controlled = two_workers();
    let (mut client, peer) = (Client::new(controlled.relay.v4()), Peer::new());
    let relayed = client.allocate();
    client.permit("127.0.0.9:1".parse().expect("an address"));
    client.bind(CHANNEL, peer.address());
    client.send_channel(CHANNEL, &[0; 77]);
    peer.receive();
    let id = controlled.json(&["sessions"])[0]["id"].as_str().expect("a name").to_owned();
    let session = controlled.json(&["session", &id]).remove(0);
    assert_eq!(session["client"], client.address().to_string());
    assert_eq!(session["server"], controlled.relay.v4().to_string());
    assert_eq!(session["relayed"], serde_json::json!([relayed.to_string()]));
    assert_eq!(session["to_peers"], serde_json::json!({ "packets": 1, "bytes": 77 }));
    let peers: Vec<_> = session["permitted"].as_array().expect("a list").iter().collect();
    assert_eq!((peers.len(), &peers[1]["peer"]), (2, &"127.0.0.9".into()));
    assert_eq!(session["bound"][0]["channel"], CHANNEL);
    assert_eq!(session["bound"][0]["peer"], peer.address().to_string());
    let words = controlled.says(&["session", &id]);
    for part in [USER, REALM, "0x4000 is ", "127.0.0.9", &relayed.to_string()] {
        assert!(words.contains(part), "{part} is not in:\n{words}");
    }
}

#[test]
fn a_killed_session_is_silent_at_once_and_others_are_not() {
    let mut controlled = two_workers();
    let peer = Peer::new();
    let mut clients: Vec<_> = (0..2).map(|_| Client::new(controlled.relay.v4())).collect();
    let relayed: Vec<_> = clients.iter_mut().map(Client::allocate).collect();
    for client in &mut clients {
        client.bind(CHANNEL, peer.address());
    }
    let listed = controlled.json(&["sessions"]);
    let is_first =
        |session: &&serde_json::Value| session["relayed"][0] == relayed[0].to_string().as_str();
    let first = listed.iter().find(is_first).expect("it is listed");
    let id = first["id"].as_str().expect("a name");
    assert_eq!(controlled.says(&["kill", id]), format!("{id} is gone\n"));
    peer.send(relayed[0], b"to nobody");
    clients[0].send_channel(CHANNEL, b"from nobody");
    clients[0].expect_silence();
    peer.expect_silence();
    assert_eq!(clients[0].fail(crate::stun::Builder::request(crate::stun::method::REFRESH)), 437);
    clients[1].send_channel(CHANNEL, b"still");
    assert_eq!(peer.receive().1, b"still");
    assert!(controlled.refuses(&["kill", id]).contains(&format!("there is no session {id}")));
    assert!(controlled.refuses(&["session", id]).contains(id));
    clients[0].allocate();
    controlled.relay.process.signal(libc::SIGTERM);
    controlled.relay.process.wait();
    assert!(controlled.relay.process.stderr().contains("reason=\"killed\""));
}

#[test]
fn reload_says_what_holds_and_what_is_wrong() {
    let folder = Folder::new();
    let user = |name: &str| format!("user = ['{name}:{PASSWORD}']\n");
    let path = folder.write("uturn.toml", &user(USER));
    let controlled = Controlled::start(Setup::of_nobody().with(&["--config", &path]));
    assert_eq!(controlled.says(&["reload"]), "nothing has changed\n");
    folder.write("uturn.toml", &(user("bob") + "steer = 'cpu'\n"));
    let words = controlled.says(&["reload"]);
    assert_eq!(words, "holds from now on: user\nneeds a restart: steer\n");
    // The answer comes when every worker has the rules.
    assert_eq!(Client::new(controlled.relay.v4()).fail(allocate()), 401);
    Client::login(controlled.relay.v4(), "bob", PASSWORD).allocate();
    folder.write("uturn.toml", &(user("eve") + "max-lifetime = 0\n"));
    assert!(controlled.refuses(&["reload"]).contains(&format!("{path}:2: max-lifetime: ")));
    Client::login(controlled.relay.v4(), "bob", PASSWORD).allocate();
}

// "Why can my client not connect?"
#[test]
fn refusals_say_who_was_refused_what_and_why() {
    let controlled = Controlled::start(Setup::new().with(&["--workers", "2"]).secure());
    assert_eq!(controlled.says(&["refusals"]), "no refusals\n");
    assert_eq!(controlled.says(&["sessions"]), "no sessions\n");
    let server = controlled.relay.v4();
    let mut stranger = Client::login(server, USER, "wrong");
    assert_eq!([stranger.fail(allocate()), stranger.fail(allocate())], [401; 2]);
    let mut client = Client::over_tcp(server);
    client.allocate();
    assert_eq!(client.fail(create_permission("10.0.0.1:1".parse().expect("an address"))), 403);
    let listed = || controlled.json(&["refusals"]);
    // Workers report in their own time.
    let end = Instant::now() + patience();
    while listed().len() < 2 || listed()[0]["times"] != 2 {
        assert!(Instant::now() < end, "{:?}", listed());
    }
    let rows = listed();
    let row = |reason: &str| rows.iter().find(|row| row["reason"] == reason).expect("it is kept");
    let wrong = row("wrong_credentials");
    let client_is = |row: &serde_json::Value, client: &Client| {
        assert_eq!(
            (&row["client"], &row["user"]),
            (&client.address().to_string().into(), &USER.into())
        );
    };
    client_is(wrong, &stranger);
    assert_eq!([&wrong["transport"], &wrong["request"]], ["udp", "Allocate"]);
    assert_eq!((&wrong["code"], &wrong["times"]), (&401.into(), &2.into()));
    let denied = rows.iter().find(|row| row["code"] == 403).expect("it is kept");
    client_is(denied, &client);
    assert_eq!([&denied["transport"], &denied["request"]], ["tcp", "CreatePermission"]);
    assert!(wrong["at_s"].as_i64() > Some(1_700_000_000) && denied["worker"].as_u64() < Some(2));
    let words = controlled.says(&["refusals", "--user", USER, "--client", "127.0.0.1"]);
    assert_eq!(words.lines().count(), 3, "{words}");
    assert!(words.starts_with("LAST (UTC)") && words.contains("wrong_credentials"), "{words}");
    assert_eq!(controlled.says(&["refusals", "--user", "bob"]), "no refusals\n");
    assert_eq!(controlled.says(&["refusals", "--client", "192.0.2.1"]), "no refusals\n");
}

#[test]
fn what_is_no_request_is_told_so_and_changes_nothing() {
    let controlled = two_workers();
    for line in [
        "\n",
        "GET / HTTP/1.1\r\n",
        "{\"command\":\"explode\"}\n",
        "{\"command\":\"kill\",\"id\":\"0-1\",\"really\":true}\n",
        "\u{FFFD}\n",
    ] {
        let answer = controlled.raw(line);
        assert!(answer.starts_with("{\"error\":\"not a request: "), "{line}: {answer}");
        assert_eq!(answer.lines().count(), 1);
    }
    let endless = "x".repeat(70_000) + "\n";
    let mut stream = UnixStream::connect(&controlled.socket).expect("somebody listens");
    // It may hang up before it has read everything.
    stream.write_all(endless.as_bytes()).unwrap_or_default();
    let answer = controlled.raw("{\"command\":\"status\"}\n");
    assert!(answer.ends_with("{\"done\":{}}\n"), "{answer}");
    for id in ["7", "0-0", "9-1", "x-y"] {
        controlled.refuses(&["kill", id]);
    }
}

#[test]
fn without_a_server_a_command_says_so() {
    let folder = Folder::new();
    let path = folder.path("nobody");
    let output = command().args(["status", "--control", &path]).output().expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains(&path) && error.lines().count() == 1, "{error}");
}
