//! `uturn top` on a terminal that is one: a pseudo-terminal, read by an emulator.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::client::{Client, Peer};
use crate::control::Controlled;
use crate::relay::{Setup, USER, command};

const ROWS: u16 = 40;
const COLUMNS: u16 = 130;
const PATIENCE: Duration = Duration::from_secs(20);

fn size(cells: u16) -> NonZero<u16> {
    NonZero::new(cells).expect("a terminal has cells")
}

/// A program on a terminal of its own.
struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn start(controlled: &Controlled) -> Self {
        let winsize = Winsize { ws_row: ROWS, ws_col: COLUMNS, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&winsize, None).expect("a pseudo-terminal");
        let handle = || Stdio::from(pty.slave.try_clone().expect("a handle"));
        let mut command = command();
        command.args(["top", "--control", &controlled.socket]).env("TERM", "xterm-256color");
        command.stdin(handle()).stdout(handle()).stderr(handle());
        let child = command.spawn().expect("the command runs");
        let keys = File::from(pty.master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size(ROWS), size(COLUMNS), 0)));
        let (mut output, parser) = (keys.try_clone().expect("a handle"), Arc::clone(&screen));
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Reading fails when the last handle of the other side is closed.
            while let Ok(bytes @ 1..) = output.read(&mut buffer) {
                parser.lock().expect("not poisoned").process(&buffer[..bytes]);
            }
        });
        Self { child, keys, screen }
    }

    fn contents(&self) -> String {
        self.screen.lock().expect("not poisoned").screen().contents()
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).expect("the key is taken");
    }

    /// Waits until the screen is as it should be, and returns it.
    fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let contents = self.contents();
            if is_so(&contents) {
                return contents;
            }
            assert!(Instant::now() < deadline, "{what} never stood on:\n{contents}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("our child can be killed");
    }
}

#[test]
fn two_screens_of_a_server_that_relays() {
    let controlled = Controlled::start(Setup::new().with(&["--workers", "2"]));
    let mut terminal = Terminal::start(&controlled);
    let idle = terminal.wait_until("an idle server", |screen| screen.contains("serving"));
    assert!(idle.contains("0 packets/s") && idle.contains("sorted by packets"), "{idle}");
    for worker in ["\n0 ", "\n1 "] {
        assert!(idle.contains(worker), "{worker:?} is not on:\n{idle}");
    }
    let (mut client, peer) = (Client::new(controlled.relay.v4()), Peer::new());
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    let session = controlled.json(&["sessions"])[0]["id"].as_str().expect("a name").to_owned();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                client.send_channel(0x4000, &[0; 100]);
                peer.receive();
                client.send(b"\x40\x99\x00\x00");
            }
        });
        terminal.press("b");
        let busy = terminal.wait_until("a busy session", |screen| {
            screen.contains(&format!("\n{session} "))
                && screen.contains("no_channel")
                && screen.contains("held at most: p50 ")
        });
        for part in [USER, &relayed.to_string(), "sorted by bits", "1 of "] {
            assert!(busy.contains(part), "{part} is not on:\n{busy}");
        }
        assert!(!busy.contains("\n0 packets/s"), "{busy}");
        ended.store(true, Ordering::Relaxed);
        call.join().expect("no packet is lost");
        println!("--- idle\n{idle}\n--- busy\n{busy}");
    });
    terminal.press("q");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = terminal.child.try_wait().expect("it is our child") {
            break status;
        }
        assert!(Instant::now() < deadline, "q does not end it");
        std::thread::sleep(Duration::from_millis(10));
    };
    assert!(status.success(), "{status}");
}

#[test]
fn without_a_terminal_it_says_so() {
    let controlled = Controlled::start(Setup::new());
    assert!(controlled.refuses(&["top"]).contains("top needs a terminal"));
}
