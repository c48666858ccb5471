//! The log, when nobody reads it, and when names are made to deceive whoever does.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::auth::time_limited::{NEW, credential_of};
use crate::client::Client;
use crate::control::commands::Controlled;
use crate::http::{ask, showing};
use crate::machine::Folder;
use crate::relay::{REALM, Setup};

const DRIVERS: [&str; 2] = ["uring", "portable"];

/// A pipe with a name, and a handle that keeps it from being closed at either end.
pub fn named_pipe(folder: &Folder, name: &str) -> (String, File) {
    let path = folder.path(name);
    assert!(Command::new("mkfifo").arg(&path).status().expect("mkfifo runs").success());
    let open = OpenOptions::new().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(&path);
    (path, open.expect("the pipe opens"))
}

/// Fills a pipe until it takes no more, and says with how many bytes.
pub fn fill(pipe: &mut File) -> usize {
    let mut filled = 0;
    loop {
        match pipe.write(&[b'x'; 4096]) {
            Ok(bytes) => filled += bytes,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return filled,
            Err(error) => panic!("{error}"),
        }
    }
}

/// A setup whose log goes into a pipe, and what it prints as well.
fn logging_to(pipe: &str) -> Setup {
    Setup::new().through(&["sh", "-c", "exec \"$@\" >>\"$0\" 2>&1", pipe])
}

#[test]
fn a_log_reader_that_has_stopped_stops_nothing_else() {
    for io in DRIVERS {
        let folder = Folder::new();
        let (path, mut pipe) = named_pipe(&folder, "log");
        let filled = fill(&mut pipe);
        let config = folder.write("uturn.toml", "max-lifetime = 700\n");
        let socket = folder.path("control");
        let (mut relay, metrics) = showing(logging_to(&path).with(&[
            "--io",
            io,
            "--log",
            "debug",
            "--config",
            &config,
            "--control",
            &socket,
        ]));
        let mut client = Client::new(relay.v4());
        for _ in 0..100 {
            client.allocate();
            client.refresh(0);
        }
        let asked = Instant::now();
        for path in ["/live", "/ready", "/metrics"] {
            assert_eq!(ask(metrics, "GET", path).status, 200, "{path}");
        }
        for words in ["status", "reload"] {
            let mut command = crate::relay::command();
            let output = command.args([words, "--control", &socket]).output().expect("it runs");
            assert!(output.status.success(), "{words}: {output:?}");
        }
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        let mut skipped = vec![0; filled];
        pipe.read_exact(&mut skipped).expect("what filled it");
        let deadline = Instant::now() + Duration::from_secs(10);
        let mut log = String::new();
        while !log.contains("configuration read again") {
            assert!(Instant::now() < deadline, "{log}");
            let mut bytes = [0; 4096];
            match pipe.read(&mut bytes) {
                Ok(count) => log += &String::from_utf8_lossy(&bytes[..count]),
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        assert!(log.contains("started") && log.contains("allocation opened"), "{log}");
        fill(&mut pipe);
        let asked = Instant::now();
        relay.process.signal(libc::SIGTERM);
        assert!(relay.process.wait().success());
        assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());
    }
}

// The bytes of U+202E, U+2028 and U+200B in UTF-8 begin with E2 80.
#[test]
fn a_name_reaches_no_terminal_log_or_record_but_in_characters_that_show_themselves() {
    let folder = Folder::new();
    let records = folder.path("usage.jsonl");
    let id = "eve\u{202E}nimda\u{2028}\u{200B}\u{1F468}";
    let (user, password) = credential_of(id, NEW, 600);
    for format in ["text", "json"] {
        let setup = Setup::of_nobody().with(&["--secret", NEW, "--log-format", format]);
        let mut server = Controlled::start(setup.with(&["--usage-records", &records]));
        let mut eve = Client::login(server.relay.v4(), &user, &password);
        eve.allocate();
        let shown = [&["sessions"][..], &["sessions", "--json"], &["session", "0-1"]];
        let shown: Vec<_> = shown.iter().map(|words| server.says(words)).collect();
        let listed = server.json(&["sessions"]);
        assert_eq!(
            (&listed[0]["user"], &listed[0]["realm"]),
            (&user.as_str().into(), &REALM.into())
        );
        let json_error = server.refuses(&["session", "0-\u{202E}1"]);
        server.relay.process.wait_until_it_logs("allocation opened", 1);
        server.relay.process.signal(libc::SIGTERM);
        assert!(server.relay.process.wait().success());
        let log = server.relay.process.stderr();
        let record = std::fs::read_to_string(&records).expect("it is there");
        let record = record.lines().last().expect("a record");
        let read: serde_json::Value = serde_json::from_str(record).expect("JSON");
        assert_eq!(read["user"], user);
        for text in shown.iter().map(String::as_str).chain([&*log, record, &json_error]) {
            for hidden in ['\u{202E}', '\u{2028}', '\u{200B}'] {
                assert!(!text.contains(hidden), "{hidden:?} in {text}");
            }
            assert!(text.contains("202e"), "{text}");
        }
        assert!(log.contains('\u{1F468}'), "what shows itself stays: {log}");
    }
}
