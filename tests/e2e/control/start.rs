//! Starting: what a newcomer is shown, and that whatever is wrong is said in one clear line.

use std::net::UdpSocket;

use crate::auth::time_limited::{field, ice_server};
use crate::client::{Client, allocate};
use crate::machine::Ports;
use crate::relay::{LOOPBACK4, Process, REALM, Relay, Setup, command};
use crate::stun::{attribute, long_term_key};

/// What a run that ends by itself says.
struct Said {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

fn run(arguments: &[&str]) -> Said {
    let mut command = command();
    command.args(arguments);
    let mut process = Process::spawn(command);
    let succeeded = process.wait().success();
    Said { succeeded, stdout: process.stdout(), stderr: process.stderr() }
}

fn failure(arguments: &[&str]) -> String {
    let said = run(arguments);
    assert!(!said.succeeded, "{arguments:?} was accepted");
    said.stderr
}

/// Serves without configuration, apart from ports that collide with nothing on this machine.
fn newcomer(ports: &Ports) -> Process {
    let mut command = command();
    let (low, high) = ports.relay_range();
    command.args(["--listen", &format!("127.0.0.1:{}", ports.listening())]);
    command.args(["--relay-ports", &format!("{low}-{high}"), "--relay-ip", "127.0.0.1"]);
    let process = Process::spawn(command);
    process.wait_until_it_serves((LOOPBACK4, ports.listening()).into());
    process
}

#[test]
fn a_newcomer_is_shown_a_credential_that_works() {
    let ports = Ports::claim();
    let relay = newcomer(&ports);
    let text = relay.wait_until_it_says("iceServers");
    let server = ice_server(&banner(&text));
    let (user, password) = (field(&server, "username"), field(&server, "credential"));
    assert!(text.contains("secret"), "{text}");
    assert!(server.to_string().contains(&format!("127.0.0.1:{}", ports.listening())), "{server}");
    let mut client = Client::login((LOOPBACK4, ports.listening()).into(), &user, &password);
    client.challenge_realm();
    client.key = long_term_key(&user, &client.realm, &password).to_vec();
    client.succeed(allocate());
}

/// The part of the output where the iceServers stand.
fn banner(text: &str) -> String {
    let line = text.lines().find(|line| line.contains("turn:")).expect("a TURN address");
    let start = line.find("iceServers:").map_or(0, |at| at + "iceServers:".len());
    let end = line.rfind(']').map_or(line.len(), |at| at + 1);
    line[start..end].to_owned()
}

#[test]
fn a_newcomer_is_shown_where_and_how_it_runs() {
    let ports = Ports::claim();
    let relay = newcomer(&ports);
    let text = relay.wait_until_it_says("private");
    assert!(text.contains(&format!("127.0.0.1:{}", ports.listening())), "addresses: {text}");
    assert!(text.contains("worker") && text.contains("core"), "workers and cores: {text}");
    let warning = text.lines().find(|line| line.contains("private")).expect("just seen");
    assert!(warning.contains("127.0.0.1"), "a warning that 127.0.0.1 is private: {text}");
}

// Each run has a secret of its own.
#[test]
fn no_two_runs_share_a_secret() {
    let banners = [0, 1].map(|_| {
        let ports = Ports::claim();
        let relay = newcomer(&ports);
        field(&ice_server(&banner(&relay.wait_until_it_says("iceServers"))), "credential")
    });
    assert_ne!(banners[0], banners[1]);
}

// Secrets belong into the configuration, not into logs.
#[test]
fn configured_secrets_are_never_shown() {
    let relay = Setup::new().with(&["--secret", "a-secret-nobody-may-read"]).start();
    let mut client = Client::new(relay.v4());
    client.allocate();
    client.refresh(0);
    let text = relay.process.output();
    assert!(!text.contains("a-secret-nobody-may-read"), "{text}");
    assert!(!text.contains(crate::relay::PASSWORD), "{text}");
}

#[test]
fn a_port_in_use_is_named_in_one_line() {
    let ports = Ports::claim();
    let address = format!("127.0.0.1:{}", ports.listening());
    let _taken = UdpSocket::bind(&address).expect("it was free");
    let text =
        failure(&["--listen", &address, "--user", "alice:wonderland", "--log-format", "text"]);
    let about: Vec<_> = text.lines().filter(|line| line.contains(&address)).collect();
    assert_eq!(about.len(), 1, "one line that names {address}:\n{text}");
    assert!(about[0].contains("in use"), "{text}");
}

// Two relays on one port would share its clients by chance: reuse-port must not allow it.
#[test]
fn a_second_relay_on_the_same_port_is_refused() {
    let relay = Relay::start();
    let address = relay.v4().to_string();
    let text = failure(&["--listen", &address, "--user", "alice:wonderland"]);
    assert!(text.contains(&address) && text.contains("in use"), "{text}");
    Client::new(relay.v4()).allocate();
}

#[test]
fn an_address_of_another_machine_is_named_and_waited_for() {
    for words in [
        &["--listen", "192.0.2.77:3478"][..],
        &["--listen", "127.0.0.1:13999", "--relay-ip", "192.0.2.77"],
    ] {
        let mut command = command();
        command.args(words);
        let mut process = Process::spawn(command);
        process.wait_until_it_logs("192.0.2.77 is not an address of this machine", 1);
        process.signal(libc::SIGTERM);
        process.wait();
    }
}

#[test]
fn bad_values_name_their_option() {
    for (option, value) in [
        ("--listen", "nowhere"),
        ("--listen", "127.0.0.1:99999"),
        ("--relay-ip", "localhost"),
        ("--relay-ports", "30000-20000"),
        ("--relay-ports", "1-70000"),
        ("--user", "nopassword"),
        ("--workers", "0"),
        ("--workers", "many"),
        ("--allow-peers", "127.0.0.1/33"),
        ("--deny-peers", "everything"),
        ("--max-lifetime", "0"),
        ("--log", "loud"),
        ("--log-format", "xml"),
        ("--external-ip", "198.51.100.7/nowhere"),
    ] {
        let text = failure(&[option, value]);
        assert!(text.contains(option.trim_start_matches('-')), "{option} {value}:\n{text}");
    }
}

#[test]
fn unknown_options_are_refused() {
    let text = failure(&["--listne", "127.0.0.1:3478"]);
    assert!(text.contains("listne"), "{text}");
}

#[test]
fn a_file_with_an_unknown_key_is_refused_by_name() {
    let folder = std::env::temp_dir().join(format!("uturn-start-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("uturn.toml");
    std::fs::write(&file, "realm = \"example.org\"\nlistne = [\"127.0.0.1:3478\"]\n")
        .expect("written");
    let path = file.to_str().expect("UTF-8");
    for arguments in [["--config", path], ["check-config", path]] {
        let text = failure(&arguments);
        assert!(text.contains("listne"), "{text}");
    }
    std::fs::write(&file, "realm = \"example.org\"\nuser = \"a:b\"\n").expect("written");
    assert!(run(&["check-config", path]).succeeded);
    std::fs::remove_dir_all(&folder).expect("removed");
}

#[test]
fn a_file_is_read_and_the_command_line_wins() {
    let ports = Ports::claim();
    let folder = std::env::temp_dir().join(format!("uturn-file-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let file = folder.join("uturn.toml");
    let (low, high) = ports.relay_range();
    let text = format!(
        "listen = [\"127.0.0.1:{}\"]\nrelay-ports = \"{low}-{high}\"\nrelay-ip = [\"127.0.0.1\"]\n\
         realm = \"from.the.file\"\nuser = [\"alice:wonderland\"]\nmax-lifetime = 900\n",
        ports.listening()
    );
    std::fs::write(&file, text).expect("written");
    let mut command = command();
    command.args(["--config", file.to_str().expect("UTF-8"), "--realm", REALM]);
    let relay = Process::spawn(command);
    let address = (LOOPBACK4, ports.listening()).into();
    relay.wait_until_it_serves(address);
    let mut client = Client::new(address);
    let answer = client.succeed(allocate().lifetime(5000));
    assert_eq!(answer.lifetime_s(), 900, "from the file");
    assert!(answer.has(attribute::XOR_RELAYED_ADDRESS));
    drop(relay);
    std::fs::remove_dir_all(&folder).expect("removed");
}

// The name and the version of the program are public knowledge, from the program itself.
#[test]
fn help_and_version_are_there() {
    let version = run(&["--version"]);
    assert!(version.succeeded && version.stdout.contains(env!("CARGO_PKG_VERSION")));
    let help = run(&["--help"]).stdout;
    for option in [
        "--config",
        "--listen",
        "--relay-ip",
        "--external-ip",
        "--relay-ports",
        "--realm",
        "--user",
        "--secret",
        "--workers",
        "--allow-peers",
        "--deny-peers",
        "--user-quota",
        "--total-quota",
        "--max-lifetime",
        "--log",
        "--log-format",
    ] {
        assert!(help.contains(option), "{option} is not in --help");
    }
}
