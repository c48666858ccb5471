//! Clients over TCP and TLS, against a server nobody here has written: coturn, where it is
//! installed.
#![expect(clippy::unwrap_used, reason = "what a test cannot do fails the test")]

use std::{
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::Duration,
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_loadgen");

/// coturn with a certificate for `localhost`, until dropped.
struct Coturn {
    process: Child,
    port: u16,
    folder: PathBuf,
}

impl Drop for Coturn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Coturn {
    /// `None`, and a line, where it is not installed.
    fn start() -> Option<Coturn> {
        Coturn::start_as(certify)
    }

    /// The same with a certificate that somebody else writes into its folder.
    fn start_as(certify: fn(&Path)) -> Option<Coturn> {
        if Command::new("turnserver").arg("--version").output().is_err() {
            eprintln!("skipped: turnserver (Debian package coturn) is not installed");
            return None;
        }
        let folder = scratch();
        certify(&folder);
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let process = Command::new("sh")
            .args(["-c", &format!("exec {}", command(&folder, &port.to_string()))])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let coturn = Coturn { process, port, folder };
        let waits = (0..100).find(|_| {
            thread::sleep(Duration::from_millis(50));
            std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
        assert!(waits.is_some(), "coturn does not listen");
        Some(coturn)
    }

    fn loadgen(&self, line: &str) -> Output {
        let server = format!("--server localhost:{} -q", self.port);
        let words = line.split_whitespace().chain(server.split_whitespace());
        Command::new(BINARY).args(words).output().unwrap()
    }

    /// The result of a run that the machine had time for: on one that is busy the generator sends
    /// late, and then all at once. `None`, and a line, when it never had.
    fn measure_in_time(&self, line: &str) -> Option<(Output, Value)> {
        let mut tries = (0..5).map(|_| self.measure(line));
        let in_time = tries.find(|(_, result)| result["generator_limited"] == false);
        if in_time.is_none() {
            eprintln!("skipped: this machine has no time for {line}");
        }
        in_time
    }

    /// The result of a run that has one.
    fn measure(&self, line: &str) -> (Output, Value) {
        let file = self.folder.join("result.json");
        let output = self.loadgen(&format!("{line} --json {}", file.display()));
        let text = std::fs::read_to_string(&file)
            .unwrap_or_else(|_| panic!("{line}: {}", String::from_utf8_lossy(&output.stderr)));
        (output, serde_json::from_str(&text).unwrap())
    }
}

fn command(folder: &Path, port: &str) -> String {
    let folder = folder.display();
    format!(
        "turnserver -n --listening-ip=127.0.0.1 --relay-ip=127.0.0.1 -p {port} --lt-cred-mech \
         -u user:pass -r realm --allow-loopback-peers --no-dtls --no-cli --simple-log \
         --log-file=/dev/null --pidfile={folder}/pid --db={folder}/db \
         --cert={folder}/cert.pem --pkey={folder}/key.pem"
    )
}

/// A folder of this test's own.
fn scratch() -> PathBuf {
    let thread = thread::current();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(thread.name().unwrap_or("streams"));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// An authority, and a certificate for `localhost` that it has signed.
fn certify(folder: &Path) {
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    std::fs::write(folder.join("ca.pem"), authority.pem()).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

/// A certificate for `localhost` that nobody else has signed, and that could sign others.
fn own_certificate(folder: &Path) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    std::fs::write(folder.join("cert.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.serialize_pem()).unwrap();
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

#[test]
fn every_shape_goes_through_connections() {
    let Some(coturn) = Coturn::start() else { return };
    for transport in ["tcp", "tls"] {
        for shape in [
            "voice -n 6 --direction both",
            "voice -n 6 --direction both --indications",
            "voice -n 6 --direction both --c2c",
            "video -n 2 --direction both --threads 2",
            "binding -n 4 --rate 200",
            "churn --rate 40",
        ] {
            let line = format!("run {shape} --transport {transport} -t 0.5 --warmup 0.1");
            let line = format!("{line} --user user:pass --max-loss 0");
            let Some((output, result)) = coturn.measure_in_time(&line) else { continue };
            assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output));
            assert_eq!(result["offered"]["transport"], transport);
            for way in result["ways"].as_array().unwrap() {
                assert!(way["relayed"].as_u64().unwrap() >= 15, "{line}: {way:#}");
                for field in ["lost", "blocked", "reordered", "duplicates", "corrupt", "misrouted"]
                {
                    assert_eq!(way[field], 0, "{line}: {way:#}");
                }
            }
        }
    }
}

#[test]
fn servers_are_compared_and_swept_over_tls() {
    let Some(coturn) = Coturn::start() else { return };
    let server = command(&coturn.folder, "{port}");
    let (one, other) = (format!("one={server}"), format!("other={server}"));
    let line = "compare voice -n 4 --transport tls --user user:pass --rounds 3 -q";
    let output = Command::new(BINARY)
        .args(line.split_whitespace())
        .args(["--server-cmd", &one, "--server-cmd", &other])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let said = text(&output);
    assert!(said.contains("voice over TLS") && said.contains("not verified"), "{said}");
    let line = "sweep voice -n 4 --transport tcp --user user:pass --from 200 --to 400 --factor 2 \
                --runs 2 -t 0.3 --warmup 0 --max-loss 5 --max-p99 1000";
    // On a busy machine no step is sent in time, and then there is no answer.
    let mut tries = (0..10).map(|_| coturn.loadgen(line));
    let held = tries.find(|output| output.status.success());
    let output = held.unwrap_or_else(|| coturn.loadgen(line));
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("voice over TCP"), "{}", text(&output));
}

#[test]
fn handshakes_are_told_apart_by_kind() {
    let Some(coturn) = Coturn::start() else { return };
    for (options, kind) in [
        ("--transport tcp", "full"),
        ("--transport tls --rate 100", "full"),
        ("--transport tls --rate 100 --resume --window 8", "resumed"),
    ] {
        let line = format!("run handshakes {options} -t 0.5 --warmup 0.5 --max-loss 0");
        // On a busy machine coturn may take nobody for as long as that.
        let mut tries = (0..3).map(|_| coturn.measure(&line));
        let held = tries.find(|(output, _)| output.status.success());
        let (output, result) = held.unwrap_or_else(|| coturn.measure(&line));
        assert_eq!(output.status.code(), Some(0), "{line}: {}", text(&output));
        let count = |kind: &str| result["handshakes"][kind].as_u64().unwrap();
        assert!(count(kind) >= 25, "{line}: {result:#}");
        let other = if kind == "full" { "resumed" } else { "full" };
        assert_eq!(count(other), 0, "{line}: {result:#}");
        assert!(result["ways"][0]["latency"]["p99_us"].as_f64().unwrap() > 0.0);
    }
}

#[test]
fn a_certificate_is_verified_when_an_authority_is_named() {
    let Some(coturn) = Coturn::start() else { return };
    let ca = |file: &str| coturn.folder.join(file).display().to_string();
    let line = "run voice -n 2 -t 0.2 --warmup 0 --transport tls --user user:pass";
    let output = coturn.loadgen(&format!("{line} --ca {}", ca("ca.pem")));
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("certificate verified"), "{said}");
    let output = coturn.loadgen(line);
    assert!(text(&output).contains("certificate not verified"), "{}", text(&output));
    let other = coturn.folder.join("other");
    std::fs::create_dir_all(&other).unwrap();
    certify(&other);
    for shape in ["voice -n 2 --user user:pass", "handshakes", "binding -n 2"] {
        let line = format!("run {shape} -t 0.2 --transport tls --ca {}", ca("other/ca.pem"));
        let output = coturn.loadgen(&line);
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains("no trusted authority signed the certificate"), "{said}");
        assert!(said.contains("--ca") && said.lines().count() == 1, "{said}");
    }
}

/// As `openssl req -x509` makes them, and as an operator has one at hand.
#[test]
fn the_certificate_of_the_server_is_as_good_as_its_authority() {
    let Some(coturn) = Coturn::start_as(own_certificate) else { return };
    let ca = coturn.folder.join("cert.pem");
    let line =
        format!("run voice -n 2 -t 0.2 --transport tls --user user:pass --ca {}", ca.display());
    let output = coturn.loadgen(&line);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert!(text(&output).contains("certificate verified"), "{}", text(&output));
    let by_address = format!("{line} -q --server 127.0.0.1:{}", coturn.port);
    let output = Command::new(BINARY).args(by_address.split_whitespace()).output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("the certificate is for localhost, not for 127.0.0.1"), "{said}");
}

#[test]
fn a_port_that_speaks_something_else_is_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let _ = client.write_all(b"SSH-2.0-server\r\n");
            // What is not read would turn the end into a reset, which may overtake the answer.
            let _ = std::io::copy(&mut client, &mut std::io::sink());
        }
    });
    for (transport, expected) in [
        ("tls", format!("TLS with {address}: what answers does not speak TLS")),
        ("tcp", format!("no TURN at {address}: what it sent is neither STUN nor ChannelData")),
    ] {
        let line =
            format!("run voice -n 1 --user a:b --transport {transport} --server {address} -q");
        let output = Command::new(BINARY).args(line.split_whitespace()).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert_eq!(said.trim_end(), format!("loadgen: {expected}"));
    }
}

#[test]
fn slow_readers_are_told_apart_from_the_others() {
    let Some(coturn) = Coturn::start() else { return };
    let line = "run voice -n 8 --direction down --transport tcp --slow-readers 2:4k -t 2 \
                --warmup 0.2 --user user:pass";
    let Some((output, result)) = coturn.measure_in_time(line) else { return };
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let p90 = |way: &Value| way["latency"]["p90_us"].as_f64().unwrap();
    let (others, slow) = (&result["ways"][0], &result["slow"]);
    assert_eq!(others["lost"], 0, "{others:#}");
    assert!(p90(slow) > 200_000.0 && p90(slow) > 2.0 * p90(others), "{result:#}");
    assert!(text(&output).contains("to slow readers"), "{}", text(&output));
}

#[test]
fn connections_that_end_are_told_of() {
    let Some(mut coturn) = Coturn::start() else { return };
    let server = format!("--server localhost:{} -q", coturn.port);
    let line = "run voice -n 4 --direction down --transport tls -t 2 --warmup 0 --user user:pass";
    let loadgen = Command::new(BINARY)
        .args(line.split_whitespace().chain(server.split_whitespace()))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    thread::sleep(Duration::from_millis(1_500));
    coturn.process.kill().unwrap();
    let output = loadgen.wait_with_output().unwrap();
    let said = text(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("4 connections ended meanwhile"), "{said}");
}
