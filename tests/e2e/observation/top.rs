//! `uturn top` on a terminal that is one: a pseudo-terminal, read by an emulator.

use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::num::NonZero;
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

use crate::client::{Client, Peer};
use crate::control::commands::Controlled;
use crate::relay::{Setup, USER, command};

/// Columns and rows of the terminals that are tried.
const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (120, 40);
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
    fn start(controlled: &Controlled, size: (u16, u16)) -> Self {
        Self::with(controlled, size, &[("NO_COLOR", "")])
    }

    fn with(
        controlled: &Controlled,
        (columns, rows): (u16, u16),
        environment: &[(&str, &str)],
    ) -> Self {
        let winsize = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&winsize, None).expect("a pseudo-terminal");
        let handle = || Stdio::from(pty.slave.try_clone().expect("a handle"));
        let mut command = command();
        command.args(["top", "--control", &controlled.socket]).env("TERM", "xterm-256color");
        command.envs(environment.iter().copied());
        command.stdin(handle()).stdout(handle()).stderr(handle());
        let child = command.spawn().expect("the command runs");
        let keys = File::from(pty.master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(size(rows), size(columns), 0)));
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

impl Terminal {
    /// Waits until it has ended by itself.
    fn wait(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                break status;
            }
            assert!(Instant::now() < deadline, "nothing ends it");
            std::thread::sleep(Duration::from_millis(10));
        };
        assert!(status.success(), "{status}");
    }
}

#[test]
fn screens_of_a_server_that_relays() {
    let controlled = Controlled::start(Setup::new().with(&["--workers", "2"]));
    let mut terminals = [SMALL, LARGE].map(|size| Terminal::start(&controlled, size));
    for terminal in &terminals {
        let parts = ["serving", "\n0 ", "\n1 ", "nothing so far", "pkt/s▾"];
        terminal
            .wait_until("an idle server", |screen| parts.iter().all(|part| screen.contains(part)));
    }
    let (mut client, peer) = (Client::new(controlled.relay.v4()), Peer::new());
    let relayed = client.allocate();
    client.bind(0x4000, peer.address());
    let session = controlled.json(&["sessions"])[0]["id"].as_str().expect("a name").to_owned();
    let address = client.address().to_string();
    let ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                client.send_channel(0x4000, &[0; 100]);
                peer.receive();
                client.send(b"\x40\x99\x00\x00");
            }
        });
        // What is wrong on a screen must end the call, or the test would wait for it for ever.
        let _end = AtEnd(&ended);
        for terminal in &mut terminals {
            terminal.press("b");
            let busy = terminal.wait_until("a busy session", |screen| {
                screen.contains(&format!("\n{session} "))
                    && screen.contains("no_channel")
                    && screen.contains("held p50 ")
                    && screen.contains("bit/s▾")
            });
            for part in [USER, &relayed.to_string(), &address, "allocations 1 of ", " %", "█"] {
                assert!(busy.contains(part), "{part} is not on:\n{busy}");
            }
            println!("--- busy\n{busy}");
            opens_and_explains(terminal, &session, peer.address());
        }
        ended.store(true, Ordering::Relaxed);
        call.join().expect("no packet is lost");
    });
    for terminal in &mut terminals {
        terminal.press("q");
        terminal.wait();
    }
}

struct AtEnd<'a>(&'a AtomicBool);

impl Drop for AtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens the only session with Enter, and then the help.
fn opens_and_explains(terminal: &mut Terminal, session: &str, peer: SocketAddr) {
    terminal.press("\r");
    let title = format!("session {session}");
    let opened = terminal.wait_until("a session's detail", |screen| {
        screen.contains(&title) && screen.contains(&format!("0x4000 is {peer}"))
    });
    println!("--- opened\n{opened}");
    terminal.press("?");
    let help = terminal.wait_until("the help", |screen| screen.contains("lists all of them"));
    println!("--- help\n{help}");
    terminal.press("\x1b");
    terminal.wait_until("the screen again", |screen| !screen.contains("lists all of them"));
}

#[test]
fn a_terminal_whose_user_wants_no_colours_gets_none() {
    let controlled = Controlled::start(Setup::new());
    for (value, is_coloured) in [("1", false), ("", true)] {
        let mut terminal = Terminal::with(&controlled, SMALL, &[("NO_COLOR", value)]);
        terminal.wait_until("a server", |screen| screen.contains("serving"));
        let found = {
            let parser = terminal.screen.lock().expect("not poisoned");
            let cells = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
            let mut cells = cells.filter_map(|(row, column)| parser.screen().cell(row, column));
            cells.any(|cell| cell.fgcolor() != vt100::Color::Default)
        };
        assert_eq!(found, is_coloured, "NO_COLOR={value}");
        terminal.press("q");
        terminal.wait();
    }
}

#[test]
fn without_a_terminal_it_says_so() {
    let controlled = Controlled::start(Setup::new());
    assert!(controlled.refuses(&["top"]).contains("top needs a terminal"));
}
