//! The two signals that end a server.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes SIGTERM and SIGINT from their default, which is to end the process.
pub(super) struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caught {
    /// Its name.
    pub(super) name: &'static str,
    /// 128 and its number, as a shell reports a process that it ended.
    pub(super) exit_status: i32,
}

impl Signals {
    /// Starts to listen; must be called inside the runtime.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught { name: "SIGTERM", exit_status: 143 },
            _ = self.interrupt.recv() => Caught { name: "SIGINT", exit_status: 130 },
        }
    }
}
