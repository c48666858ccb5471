//! A call in a real browser: two RTCPeerConnections in one page of headless Chromium, both told to
//! use relayed candidates alone, send each other a video stream and echo a data channel.
//!
//! The page is `call.html`; a few lines of HTTP serve it and take its report.

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

/// A running browser with an empty profile, both gone with this value.
struct Browser {
    child: Child,
    profile: PathBuf,
}

impl Browser {
    fn open(page: SocketAddr) -> Option<Self> {
        let profile = std::env::temp_dir().join(format!("uturn-browser-{}", std::process::id()));
        std::fs::create_dir_all(&profile).expect("a folder for the profile");
        let child = Command::new("chromium")
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .arg(format!("http://{page}/"))
            .env("HOME", &profile)
            .env("TMPDIR", &profile)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .ok()?;
        Some(Self { child, profile })
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
        std::fs::remove_dir_all(&self.profile).unwrap_or_default();
    }
}

/// The report of one call through `relay`, `None` when there is no browser.
fn call(relay: &Relay) -> Option<Value> {
    let url = format!("turn:{}?transport=udp", relay.v4());
    let ice_servers = json!([{ "urls": url, "username": USER, "credential": PASSWORD }]);
    let (page, reports) = serve(&ice_servers);
    let _browser = Browser::open(page)?;
    Some(reports.recv_timeout(PATIENCE).expect("the page reports"))
}

fn check(relay: &Relay, test: &str) {
    let Some(report) = call(relay) else { return machine::skip(test, "chromium") };
    eprintln!("the page says {report}");
    assert_eq!(report["error"], Value::Null, "{report}");
    for side in ["caller", "callee"] {
        let side = &report[side];
        assert!(side["framesDecoded"].as_u64() >= Some(10), "{report}");
        assert_eq!(
            (&side["local"], &side["remote"]),
            (&json!("relay"), &json!("relay")),
            "{report}"
        );
        assert_eq!(side["echoed"], json!(20), "{report}");
    }
}

#[test]
fn a_browser_calls_through_one_worker() {
    check(&Relay::start(), "a browser calls through one worker");
}

#[test]
fn a_browser_calls_through_two_workers() {
    let relay = Setup::new().with(&["--workers", "2"]).start();
    check(&relay, "a browser calls through two workers");
}
