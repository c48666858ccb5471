//! The signals a server obeys: SIGTERM and SIGINT end it, SIGHUP has it read its
//! configuration again, SIGUSR1 has it drain.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Takes the signals from their default, which is to end the process.
pub(in crate::control) struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user_1: Signal,
}

/// A signal that came.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) enum Caught {
    /// The server is to end.
    Stop(StopSignal),
    /// The configuration is to be read again.
    Reload,
    /// No new client is to be taken.
    Drain,
}

/// A signal that ends a server.
#[derive(Clone, Copy, Debug)]
pub(in crate::control) struct StopSignal {
    /// Its name.
    pub(in crate::control) name: &'static str,
    /// 128 and its number, as a shell reports a process that it ended.
    pub(in crate::control) exit_status: i32,
}

impl StopSignal {
    const TERMINATE: Self = Self { name: "SIGTERM", exit_status: 143 };
    const INTERRUPT: Self = Self { name: "SIGINT", exit_status: 130 };
}

impl Signals {
    /// Starts to listen; must be called inside the runtime.
    pub(in crate::control) fn new() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
        })
    }

    /// Waits for the next one.
    pub(in crate::control) async fn next(&mut self) -> Caught {
        tokio::select! {
            _ = self.terminate.recv() => Caught::Stop(StopSignal::TERMINATE),
            _ = self.interrupt.recv() => Caught::Stop(StopSignal::INTERRUPT),
            _ = self.hang_up.recv() => Caught::Reload,
            _ = self.user_1.recv() => Caught::Drain,
        }
    }

    /// Waits for the next one that ends a server.
    pub(in crate::control) async fn next_stop(&mut self) -> StopSignal {
        loop {
            match self.next().await {
                Caught::Stop(stop) => return stop,
                Caught::Reload | Caught::Drain => {}
            }
        }
    }
}
