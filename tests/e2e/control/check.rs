//! `uturn check`: what a working server looks like from outside, and what each fault is called.

use std::net::{SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Output;

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};
use serde_json::Value;

use crate::machine::{Folder, Ports};
use crate::relay::{LOOPBACK4, PASSWORD, Relay, Setup, USER, command};

const SECRET: &str = "a-secret-of-some-length";

/// As long as an answer may take on a machine that is busy.
const PATIENCE_S: &str = "10";

fn check(server: SocketAddr, arguments: &[&str]) -> Output {
    run(server, PATIENCE_S, arguments)
}

/// Where nobody answers, and nobody is waited for.
fn check_in_vain(server: SocketAddr, arguments: &[&str]) -> Output {
    run(server, "1", arguments)
}

fn run(server: SocketAddr, patience_s: &str, arguments: &[&str]) -> Output {
    let mut command = command();
    command.args(["check", "--timeout", patience_s, "--server", &server.to_string()]);
    command.args(arguments).output().expect("it runs")
}

fn as_user(relay: &Relay, user: &str, arguments: &[&str]) -> Output {
    check(relay.v4(), &[&["--user", user], arguments].concat())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Status 1, and a line with each of these words.
fn assert_fails(output: &Output, words: &[&str]) {
    let text = text(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for words in words {
        assert!(text.contains(words), "{words} in {text}");
    }
}

#[test]
fn a_server_that_relays_is_said_to_work_over_both_families() {
    let relay = Setup::new().start();
    let user = format!("{USER}:{PASSWORD}");
    for server in [relay.v4(), relay.v6()] {
        let output = check(server, &["--user", &user]);
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        for step in ["binding", "allocation", "permission", "to the client", "to the peer"] {
            assert!(text.contains(step), "{step} in {text}");
        }
        assert!(text.ends_with("everything works\n"), "{text}");
    }
}

#[test]
fn where_the_policy_denies_this_machine_packets_go_from_relay_to_relay() {
    let relay = Setup::new().secure().start();
    let output = as_user(&relay, &format!("{USER}:{PASSWORD}"), &[]);
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("not tried from outside"), "{}", text(&output));
}

#[test]
fn nothing_is_left_on_the_server() {
    let relay = Setup::new().secure().relay_port_count(2).start();
    for _ in 0..3 {
        let output = as_user(&relay, &format!("{USER}:{PASSWORD}"), &[]);
        assert!(output.status.success(), "{}", text(&output));
    }
}

#[test]
fn each_fault_is_named_with_its_remedy() {
    let relay = Setup::new().relay_port_count(2).with(&["--user-quota", "1"]).start();
    let output = as_user(&relay, &format!("{USER}:wrong"), &[]);
    assert_fails(&output, &["Allocate: 401", "secret is not the server's"]);
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let address = closed.local_addr().expect("it is bound");
    let user = format!("{USER}:{PASSWORD}");
    let output = check_in_vain(address, &["--user", &user]);
    assert_fails(&output, &["nobody answers there over UDP (no answer)", "firewall", "tcp and"]);
    drop(closed);
    assert_fails(
        &check_in_vain(address, &["--user", &user]),
        &["nobody answers there over UDP (nobody listens there)", "start the server"],
    );
    let mut holder = crate::client::Client::new(relay.v4());
    holder.allocate();
    assert_fails(&check(relay.v4(), &["--user", &user]), &["Allocate: 486", "user-quota"]);
}

#[test]
fn a_program_can_read_it() {
    let relay = Setup::of_nobody().with(&["--secret", SECRET]).secure().start();
    let output = check(relay.v4(), &["--secret", SECRET, "--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["works"], true, "{report}");
    assert_eq!(report["server"], relay.v4().to_string());
    let steps = report["steps"].as_array().expect("steps");
    assert!(steps.iter().all(|step| step["ok"] == true && step["ms"].is_number()), "{report}");
}

/// A relay with TLS on a port of its own, and the certificate that it shows there.
struct TlsRelay {
    relay: Relay,
    tls: SocketAddr,
    certificate: String,
    key: String,
    _folder: Folder,
    _claim: Ports,
}

impl TlsRelay {
    fn start() -> Self {
        Self::showing(IsCa::NoCa)
    }

    fn showing(is_ca: IsCa) -> Self {
        let (folder, claim) = (Folder::new(), Ports::claim());
        let signing = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![LOOPBACK4.to_string()]).expect("an address");
        params.is_ca = is_ca;
        let made = params.self_signed(&signing).expect("the key can sign");
        let certificate = folder.write("a.pem", &made.pem());
        let key = folder.write("a.key", &signing.serialize_pem());
        let tls = SocketAddr::new(LOOPBACK4, claim.spare());
        let files = ["--tls-certificate", &certificate, "--tls-key", &key];
        let setup = Setup::new().secure().with(&files).with(&["--listen-tls", &tls.to_string()]);
        let relay = setup.start();
        Self { relay, tls, certificate, key, _folder: folder, _claim: claim }
    }
}

#[test]
fn every_transport_is_tried_step_by_step() {
    let server = TlsRelay::start();
    let user = format!("{USER}:{PASSWORD}");
    for (address, transport, own) in [
        (server.relay.v4(), "tcp", &["connect"][..]),
        (server.relay.v4(), "tls", &["connect", "TLS 1.3, certificate of 127.0.0.1", "days left"]),
        (server.tls, "tls", &["connect", "TLS 1.3"]),
    ] {
        let arguments = ["--user", &user, "--transport", transport, "--ca", &server.certificate];
        let output = check(address, &arguments);
        let text = text(&output);
        assert!(output.status.success(), "{text}");
        assert!(text.contains(&format!("{address} over {transport}")), "{text}");
        let steps = ["binding", "allocation", "permission", "relay to relay", "release"];
        for step in own.iter().chain(&steps) {
            assert!(text.contains(step), "{step} in {text}");
        }
    }
    let all = ["--user", &user, "--transport", "all", "--ca", &server.certificate, "--json"];
    let output = check(server.relay.v4(), &all);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["works"], true, "{report}");
    let transports = report["transports"].as_array().expect("a list").iter();
    let words: Vec<&Value> = transports.map(|report| &report["transport"]).collect();
    assert_eq!(words, ["udp", "tcp", "tls"]);
}

#[test]
fn an_authoritys_certificate_is_taken_where_it_is_itself_trusted() {
    let server = TlsRelay::showing(IsCa::Ca(BasicConstraints::Unconstrained));
    let user = format!("{USER}:{PASSWORD}");
    let arguments = ["--user", &user, "--transport", "tls", "--ca", &server.certificate];
    let output = check(server.tls, &arguments);
    assert!(output.status.success(), "{}", text(&output));
    assert_fails(&check(server.tls, &arguments[..4]), &["self-signed", "--ca"]);
}

#[test]
fn a_url_says_the_transport_and_the_servers_file_says_all_of_them() {
    let server = TlsRelay::start();
    let user = format!("{USER}:{PASSWORD}");
    let run = |arguments: &[&str]| {
        let mut command = command();
        command.args(["check", "--timeout", PATIENCE_S, "--user", &user]).args(arguments);
        command.output().expect("it runs")
    };
    let tls = format!("turns:{}?transport=tcp", server.tls);
    let tcp = format!("turn:{}?transport=tcp", server.relay.v4());
    for (url, over) in [(tls, "over tls"), (tcp, "over tcp")] {
        let output = run(&["--server", &url, "--ca", &server.certificate]);
        assert!(output.status.success() && text(&output).contains(over), "{}", text(&output));
    }
    let TlsRelay { relay, tls, certificate, key, _folder: folder, .. } = &server;
    let file: PathBuf = folder
        .write(
            "uturn.toml",
            &format!(
                "listen = ['{}']\nlisten-tls = ['{tls}']\nuser = ['{USER}:{PASSWORD}']\n\
                 tls-certificate = ['{certificate}']\ntls-key = ['{key}']\n",
                relay.v4()
            ),
        )
        .into();
    let output = run(&["--config", file.to_str().expect("a path")]);
    let text = text(&output);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    for over in ["over udp", "over tcp", "over tls"] {
        assert!(text.contains(over), "{over} in {text}");
    }
}

#[test]
fn each_fault_of_a_connection_is_named_with_its_remedy() {
    let server = TlsRelay::start();
    let user = format!("{USER}:{PASSWORD}");
    let closed = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    let closed = closed.local_addr().expect("it is bound");
    let plain = Relay::start();
    for (address, arguments, words) in [
        (closed, &["--transport", "tcp"][..], &["TCP: nobody listens there", "start the server"]),
        (closed, &["--transport", "tls"], &["TCP: nobody listens there", "tls-certificate"]),
        (
            server.tls,
            &["--transport", "tls"],
            &["no trusted authority signed the certificate", "fullchain.pem"],
        ),
        (server.tls, &["--transport", "tcp"], &["Binding: ", "TLS alone"]),
        (
            plain.v4(),
            &["--transport", "tls", "--ca", &server.certificate],
            &["TLS with 127.0.0.1", "tls-certificate"],
        ),
    ] {
        let tried = if address == closed { check_in_vain } else { check };
        let output = tried(address, &[&["--user", &user], arguments].concat());
        assert_fails(&output, words);
    }
    let wrong = format!("{USER}:wrong");
    for transport in ["tcp", "tls"] {
        let arguments = ["--transport", transport, "--ca", &server.certificate, "--user", &wrong];
        let output = check(server.relay.v4(), &arguments);
        assert_fails(&output, &["Allocate: 401", "secret is not the server's"]);
    }
}

// Nothing answers whoever comes from a balancer's address without the balancer's header.
#[test]
fn a_machine_that_proxy_from_covers_is_told_so() {
    let user = format!("{USER}:{PASSWORD}");
    let relay = Setup::new().with(&["--proxy-from", "127.0.0.0/8"]).start();
    let folder = Folder::new();
    let listen = relay.v4();
    let file = format!("listen = ['{listen}']\nproxy-from = ['127.0.0.0/8']\nuser = ['{user}']\n");
    let file = folder.write("uturn.toml", &file);
    let mut command = command();
    command.args(["check", "--timeout", "1", "--config", &file]);
    let output = command.output().expect("it runs");
    assert_fails(&output, &["over tcp", "binding failed", "proxy-from = \"127.0.0.0/8\" covers"]);
    assert!(text(&output).contains("everything works"), "over UDP: {}", text(&output));
}

// A monitor reads standard output and the status: a name that is lost is a fault, and no misuse.
#[test]
fn a_name_without_an_address_is_a_fault_of_the_server() {
    // No name server is asked for a label of 64 letters.
    let host = format!("{}.example", "x".repeat(64));
    let run = |arguments: &[&str]| {
        let mut command = command();
        command.args(["check", "--server", &host, "--user", "a:b"]);
        command.args(arguments).output().expect("it runs")
    };
    assert_fails(&run(&[]), &[&format!("{host}:3478 over udp"), "name ", "resolve names"]);
    let output = run(&["--transport", "all", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&report["works"], &report["transports"][2]["transport"]),
        (&false.into(), &"tls".into())
    );
    assert_eq!(report["transports"][1]["steps"][0]["ok"], false, "{report}");
}

#[test]
fn without_a_user_only_the_way_to_the_server_is_tried() {
    let relay = Setup::new().start();
    assert_fails(&check(relay.v4(), &[]), &["binding", "name a user or a secret"]);
}

#[test]
fn the_environment_and_the_servers_file_hold_secrets_as_well() {
    let relay = Setup::of_nobody().with(&["--secret", SECRET]).secure().start();
    let server = relay.v4().to_string();
    let mut command = command();
    let output = command.env("UTURN_SECRET", SECRET).args(["check", "--server", &server]).output();
    let output = output.expect("it runs");
    assert!(output.status.success(), "{}", text(&output));
    let file = std::env::temp_dir().join(format!("uturn-check-{}.toml", std::process::id()));
    std::fs::write(&file, format!("listen = [\"{server}\"]\nsecret = [\"{SECRET}\"]\n"))
        .expect("a file");
    let file = file.to_str().expect("a path");
    // What the environment has may be meant for another server.
    let mut elsewhere = crate::relay::command();
    elsewhere.env("UTURN_SECRET", "of-some-other-server");
    let output = elsewhere.args(["check", "--config", file]).output();
    let made = crate::relay::command().args(["credentials", "--config", file]).output();
    std::fs::remove_file(file).expect("it is there");
    let (output, made) = (output.expect("it runs"), made.expect("it runs"));
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&made).starts_with("username: "), "{}", text(&made));
}
