//! What a server shows over HTTP: its answers, and its numbers by their names.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use super::relay::{LOOPBACK4, Relay, Setup};

/// An answer, its head in lower case.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

/// Says something to a server and reads until it closes.
pub fn say(to: SocketAddr, words: &str) -> String {
    let mut stream = TcpStream::connect(to).expect("somebody listens");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a timeout");
    stream.write_all(words.as_bytes()).expect("it is taken");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer, and its end");
    answer
}

pub fn ask(to: SocketAddr, method: &str, path: &str) -> Answer {
    let answer = say(to, &format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a status");
    Answer { status, head: head.to_lowercase(), body: body.to_owned() }
}

/// Every sample by its name and labels, as they are written.
pub fn scrape(from: SocketAddr) -> BTreeMap<String, f64> {
    let answer = ask(from, "GET", "/metrics");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/plain; version=0.0.4"), "{}", answer.head);
    let samples = answer.body.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    samples.collect()
}

/// A relay that shows its numbers on a port of its own, written without an address.
pub fn showing(setup: Setup) -> (Relay, SocketAddr) {
    let port = TcpListener::bind((LOOPBACK4, 0)).expect("a free port");
    let address = port.local_addr().expect("it is bound");
    drop(port);
    (setup.with(&["--metrics", &address.port().to_string()]).start(), address)
}
