//! Log lines of sockets that fail: a bounded number a second, because a relay address that is gone
//! from its interface fails with every Allocate.

use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use tracing::warn;

use super::rate::{LineAdmission, Rate};
use crate::turn::WorkerIndex;

/// Lines about sockets that are logged each second; the rest is one more line.
const SOCKET_LINES_PER_SECOND: u32 = 10;

/// A socket, as an operator knows it.
#[derive(Clone, Copy, Debug)]
pub(super) struct NamedSocket {
    /// What it is for.
    pub(super) kind: &'static str,
    /// What it is or was to be bound to.
    pub(super) address: Option<SocketAddr>,
}

/// Logs sockets that fail.
#[derive(Debug)]
pub(in crate::control) struct SocketLog {
    rate: Rate,
}

impl SocketLog {
    /// Starts with a full budget.
    pub(in crate::control) fn new(now: Instant) -> Self {
        Self { rate: Rate::new(SOCKET_LINES_PER_SECOND, now) }
    }

    /// Logs that a socket cannot be had or used any more, or counts it.
    pub(super) fn note(
        &mut self,
        now: Instant,
        worker: WorkerIndex,
        socket: NamedSocket,
        errno: i32,
    ) {
        self.settle(now);
        if self.rate.admit(now) == LineAdmission::Log {
            let error = io::Error::from_raw_os_error(errno);
            let NamedSocket { kind, address } = socket;
            let address = address.map(tracing::field::display);
            warn!(worker = worker.0, socket = kind, address, %error, "a socket is of no more use");
        }
    }

    /// Logs that the web backend cannot be reached, or counts it.
    pub(super) fn note_web_backend(&mut self, now: Instant, worker: WorkerIndex, errno: i32) {
        self.settle(now);
        if self.rate.admit(now) == LineAdmission::Log {
            let error = io::Error::from_raw_os_error(errno);
            warn!(worker = worker.0, %error, "the web backend cannot be reached");
        }
    }

    /// Logs how many lines were left out, if a second with such lines is over.
    pub(in crate::control) fn settle(&mut self, now: Instant) {
        if let Some(lines) = self.rate.left_out(now) {
            warn!(lines, "socket lines left out");
        }
    }

    /// Says when [`SocketLog::settle`] has something to log.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.rate.due()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::log::output::written;

    #[test]
    fn a_flood_is_so_many_lines_and_one_count() {
        let text = written(false, || {
            let now = Instant::now();
            let mut sockets = SocketLog::new(now);
            for port in 0..1000 {
                let address = Some(SocketAddr::from(([192, 0, 2, 7], 50_000 + port)));
                let socket = NamedSocket { kind: "relay", address };
                sockets.note(now, WorkerIndex(3), socket, libc::EADDRNOTAVAIL);
            }
            sockets.settle(sockets.due().unwrap());
        });
        assert_eq!(text.lines().count(), SOCKET_LINES_PER_SECOND as usize + 1);
        assert!(text.lines().next().unwrap().contains("192.0.2.7:50000"), "{text}");
        assert!(text.lines().last().unwrap().contains("left out lines=990"), "{text}");
    }
}
