//! What the control thread runs on: tokio-uring where io_uring works, else plain tokio.
//!
//! Both are a current-thread tokio runtime underneath, so that everything above them is the same;
//! tokio-uring adds a ring for files. The probe is the attempt itself.

use std::future::Future;
use std::io;

use crate::control::config::IoChoice;

/// Submission entries of the control thread's ring; a few files at a time are all it moves.
#[cfg(not(target_env = "musl"))]
const RING_ENTRIES: u32 = 64;

pub(in crate::control) enum Runtime {
    #[cfg(not(target_env = "musl"))]
    Uring(tokio_uring::Runtime),
    Plain(tokio::runtime::Runtime),
}

impl Runtime {
    /// Builds the runtime that fits the choice; `portable` means that no ring is even tried.
    pub(in crate::control) fn new(choice: IoChoice) -> io::Result<Self> {
        if choice == IoChoice::Portable {
            return plain();
        }
        with_ring()
    }

    /// Whether files go through a ring.
    pub(in crate::control) fn has_ring(&self) -> bool {
        match self {
            #[cfg(not(target_env = "musl"))]
            Self::Uring(_) => true,
            Self::Plain(_) => false,
        }
    }

    pub(in crate::control) fn block_on<F: Future>(&self, future: F) -> F::Output {
        match self {
            #[cfg(not(target_env = "musl"))]
            Self::Uring(runtime) => runtime.block_on(future),
            Self::Plain(runtime) => runtime.block_on(future),
        }
    }

    /// Leaves whatever is under way to the end of the process. Dropped, either runtime would wait
    /// for a write to a disk that never answers.
    pub(in crate::control) fn leave(self) {
        match self {
            #[cfg(not(target_env = "musl"))]
            Self::Uring(runtime) => std::mem::forget(runtime),
            Self::Plain(runtime) => runtime.shutdown_background(),
        }
    }
}

#[cfg(not(target_env = "musl"))]
fn with_ring() -> io::Result<Runtime> {
    match tokio_uring::Runtime::new(tokio_uring::builder().entries(RING_ENTRIES)) {
        Ok(runtime) => Ok(Runtime::Uring(runtime)),
        Err(error) => {
            tracing::debug!(%error, "the control thread goes without io_uring");
            plain()
        }
    }
}

/// tokio-uring does not build for musl.
#[cfg(target_env = "musl")]
fn with_ring() -> io::Result<Runtime> {
    plain()
}

fn plain() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map(Runtime::Plain)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{IoChoice, Runtime};

    #[test]
    fn timers_run_on_either_runtime() {
        for choice in [IoChoice::Auto, IoChoice::Portable] {
            let runtime = Runtime::new(choice).unwrap();
            runtime.block_on(async { tokio::time::sleep(Duration::from_millis(1)).await });
        }
    }
}
