//! What the tests take from the machine: free ports, a folder, and what it can and cannot do.

use std::io::Write;
use std::net::{Ipv6Addr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

/// Ports that no other test uses while this value lives.
///
/// They lie below the range from which the kernel draws the ports of clients and peers (32768 and
/// up): a peer with a port inside the relay's own range could only be reached by hairpin. A TCP
/// listener on the last port is the claim, and it holds between processes too; the tests of this
/// crate may each run in one of its own.
pub struct Ports {
    base: u16,
    _claim: TcpListener,
}

impl Ports {
    const FIRST: u16 = 10_000;
    const SLICE: u16 = 200;
    const SLICES: u16 = 110;

    pub fn claim() -> Self {
        static TURN: AtomicU16 = AtomicU16::new(0);
        let start = u16::try_from(std::process::id() % 1_000).expect("below 1,000");
        for _ in 0..10 * Self::SLICES {
            let slice = (start + TURN.fetch_add(1, Ordering::Relaxed)) % Self::SLICES;
            let base = Self::FIRST + slice * Self::SLICE;
            if let Ok(claim) = TcpListener::bind((Ipv6Addr::LOCALHOST, base + Self::SLICE - 1)) {
                return Self { base, _claim: claim };
            }
        }
        panic!("no free ports between {} and 32767", Self::FIRST);
    }

    pub fn listening(&self) -> u16 {
        self.base
    }

    /// A port of this slice that is neither the listening port nor a relay port.
    pub fn spare(&self) -> u16 {
        self.base + 1
    }

    /// The ports for relayed addresses, as `LOW-HIGH`; the first is even.
    pub fn relay_range(&self) -> (u16, u16) {
        (self.base + 10, self.base + Self::SLICE - 5)
    }
}

/// Notes that a test could not run here and why; `tests/run` prints the notes at its end.
pub fn skip(test: &str, missing: &str) {
    let note = format!("{test}: this machine lacks {missing}");
    eprintln!("skipped: {note}");
    let Some(path) = std::env::var_os("UTURN_SKIPPED") else { return };
    let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
    let written = file.and_then(|mut file| writeln!(file, "{note}"));
    written.expect("the list of skipped tests can be written");
}

/// What a time is on this machine: so many times as long as `UTURN_SLOW` says, for a machine that
/// is computed by another.
pub fn slowed(time: Duration) -> Duration {
    let times = std::env::var("UTURN_SLOW").ok().and_then(|text| text.parse().ok());
    time * times.unwrap_or(1)
}

/// A folder of a test's own, gone when the test is over.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU16 = AtomicU16::new(0);
        let name =
            format!("uturn-e2e-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub fn path(&self, name: &str) -> String {
        self.0.join(name).to_str().expect("UTF-8").to_owned()
    }

    /// Writes a file, which is whole at every moment, and says where it is.
    pub fn write(&self, name: &str, text: &str) -> String {
        let (path, new) = (self.path(name), self.path("being-written"));
        std::fs::write(&new, text).expect("a file can be written");
        std::fs::rename(&new, &path).expect("a file can be renamed");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap_or_default();
    }
}

pub fn has_ipv6() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}
