//! A call in a real browser: two RTCPeerConnections in one page of headless Chromium, both told to
//! use relayed candidates alone, send each other a video stream and echo a data channel. Each may
//! reach the relay in its own way, over UDP, TCP or TLS.
//!
//! The page is `call.html`; a few lines of HTTP serve it and take its report.
//!
//! Chromium checks a TURN server's certificate as it does a web server's. Whom it trusts beyond its
//! own list stands in an NSS database in the home folder; `certutil` writes it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::{Value, json};

use crate::machine;
use crate::relay::{LOOPBACK4, PASSWORD, Relay, Setup, USER};
use crate::secured::Secured;

/// Whom the certificate names; the browser finds it on loopback.
const HOST: &str = "turn.example.org";

const PAGE: &str = include_str!("call.html");

/// Starting a browser on a busy machine, connecting, and ten decoded frames each way.
const PATIENCE: Duration = Duration::from_secs(90);

/// Serves the page to whoever asks and hands over what is posted.
fn serve(ice_servers: &Value) -> (SocketAddr, Receiver<Value>) {
    let listener = TcpListener::bind((LOOPBACK4, 0)).expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let page = PAGE.replace("ICE_SERVERS", &ice_servers.to_string());
    let (reports, received) = channel();
    std::thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let body = exchange(connection, &page).unwrap_or_default();
            if let Ok(report) = serde_json::from_slice(&body) {
                let Ok(()) = reports.send(report) else { return };
            }
        }
    });
    (address, received)
}

/// Answers one request with the page, and returns the body that came with it.
fn exchange(connection: TcpStream, page: &str) -> std::io::Result<Vec<u8>> {
    let mut reader = BufReader::new(connection);
    let mut length = 0;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n";
    write!(reader.get_mut(), "{head}Content-Length: {}\r\n\r\n{page}", page.len())?;
    Ok(body)
}

/// A home folder that a browser finds empty but for whom it is to trust.
struct Home(PathBuf);

impl Home {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("uturn-browser-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder for the profile");
        Self(path)
    }

    /// Makes the browser trust an authority; `None` without `certutil`.
    fn trust(&self, authority: &str) -> Option<()> {
        let database = self.0.join(".pki/nssdb");
        std::fs::create_dir_all(&database).expect("a folder for the database");
        let database = format!("sql:{}", database.display());
        let steps: [&[&str]; 2] =
            [&["-N", "--empty-password"], &["-A", "-t", "C,,", "-n", "test", "-i", authority]];
        for step in steps {
            let mut certutil = Command::new("certutil");
            let status = certutil.args(["-d", &database]).args(step).status().ok()?;
            assert!(status.success(), "certutil {step:?}");
        }
        Some(())
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

/// A running browser, gone with this value.
struct Browser {
    child: Child,
    _home: Home,
}

impl Browser {
    fn open(page: SocketAddr, home: Home) -> Option<Self> {
        let child = Command::new("chromium")
            .args(FLAGS)
            .arg(format!("--host-resolver-rules=MAP {HOST} {LOOPBACK4}"))
            .arg(format!("--user-data-dir={}", home.0.join("profile").display()))
            .arg(format!("http://{page}/"))
            .env("HOME", &home.0)
            .env("TMPDIR", &home.0)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        Some(Self { child, _home: home })
    }
}

/// Headless, with a made-up camera, on loopback, and without a word to the world.
pub const FLAGS: [&str; 12] = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--allow-loopback-in-peer-connection",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
];

impl Drop for Browser {
    /// Ends the whole process group, which is the browser's alone.
    fn drop(&mut self) {
        let kill = format!("kill -9 -{}", self.child.id());
        Command::new("sh").args(["-c", &kill]).status().expect("a shell runs");
        self.child.wait().expect("it is our child");
    }
}

/// How the two sides of a call reach the relay: an URL each, `ADDRESS` in place of host and port.
type Ways = [&'static str; 2];

const UDP: &str = "turn:ADDRESS?transport=udp";
const TCP: &str = "turn:ADDRESS?transport=tcp";
const TLS: &str = "turns:ADDRESS?transport=tcp";

/// The report of one call through `relay`, `None` when there is no browser.
fn call(relay: &Relay, home: Home, ways: Ways) -> Option<Value> {
    let server = |way: &str| {
        // A certificate holds for a name.
        let host = if way == TLS { HOST.to_owned() } else { LOOPBACK4.to_string() };
        let url = way.replace("ADDRESS", &format!("{host}:{}", relay.v4().port()));
        json!({ "urls": url, "username": USER, "credential": PASSWORD })
    };
    let (page, reports) = serve(&json!(ways.map(server)));
    let _browser = Browser::open(page, home)?;
    Some(reports.recv_timeout(PATIENCE).expect("the page reports"))
}

/// Makes a call and checks that all of it arrived, in the ways that were asked for.
fn check(relay: &Relay, home: Home, ways: Ways, test: &str) {
    let Some(report) = call(relay, home, ways) else { return machine::skip(test, "chromium") };
    eprintln!("the page says {report}");
    assert_eq!(report["error"], Value::Null, "{report}");
    for (side, way) in ["caller", "callee"].into_iter().zip(ways) {
        let side = &report[side];
        assert!(side["framesDecoded"].as_u64() >= Some(10), "{report}");
        let over = match way {
            TLS => "tls",
            TCP => "tcp",
            _ => "udp",
        };
        assert_eq!(
            (&side["local"], &side["remote"], &side["over"]),
            (&json!("relay"), &json!("relay"), &json!(over)),
            "{report}"
        );
        assert_eq!(side["echoed"], json!(20), "{report}");
    }
}

#[test]
fn a_browser_calls_through_one_worker() {
    check(&Relay::start(), Home::new(), [UDP, UDP], "a browser calls through one worker");
}

#[test]
fn a_browser_calls_through_two_workers() {
    let relay = Setup::new().with(&["--workers", "2"]).start();
    check(&relay, Home::new(), [UDP, UDP], "a browser calls through two workers");
}

fn check_tcp_and_tls(arguments: &[&str], ways: Ways, test: &str) {
    let secured = Secured::start(HOST, arguments);
    let home = Home::new();
    let Some(()) = home.trust(&secured.authority) else { return machine::skip(test, "certutil") };
    check(&secured.relay, home, ways, test);
}

#[test]
fn a_browser_calls_over_tcp_and_over_tls() {
    let test = "a browser calls over TCP and TLS";
    check_tcp_and_tls(&["--workers", "2"], [TCP, TLS], test);
}

#[test]
fn a_browser_calls_over_tcp_and_over_tls_with_the_portable_driver() {
    let test = "a browser calls over TCP and TLS with the portable driver";
    check_tcp_and_tls(&["--io", "portable"], [TLS, TCP], test);
}

#[test]
fn a_browser_that_does_not_trust_the_certificate_gets_no_relay() {
    let test = "a browser that does not trust the certificate";
    let secured = Secured::start(HOST, &[]);
    let Some(report) = call(&secured.relay, Home::new(), [TCP, TLS]) else {
        return machine::skip(test, "chromium");
    };
    eprintln!("the page says {report}");
    let error = report["error"].as_str().expect("the call fails");
    assert!(error.contains("no relay for the callee"), "{error}");
}
