//! Connections to a listener: taken one after the other, answered beside each other, so many at a
//! time.
//!
//! Whoever comes when all places are taken waits in the kernel's queue; what a connection may cost
//! is bounded by whoever answers it.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;
use tracing::debug;

/// Connections to one listener at a time.
const PLACES: usize = 16;
/// How soon a connection is taken again after none could be.
const RETRY: Duration = Duration::from_millis(100);

/// Where connections come from.
pub(in crate::control) trait Listener {
    /// A connection.
    type Stream;

    /// Waits for the next one.
    async fn take(&self) -> io::Result<Self::Stream>;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn take(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn take(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Has every connection answered, for ever. `name` says in the log what the listener is for.
pub(in crate::control) async fn answer_each<L, Answer>(
    listener: L,
    name: &'static str,
    answer: impl Fn(L::Stream) -> Answer,
) where
    L: Listener,
    Answer: Future<Output = ()> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(PLACES));
    loop {
        let place = Arc::clone(&places).acquire_owned().await.expect("nobody closes it");
        match listener.take().await {
            Ok(stream) => {
                let answer = answer(stream);
                tokio::spawn(async move {
                    answer.await;
                    drop(place);
                });
            }
            // Out of descriptors, mostly, or the other end is gone already.
            Err(error) => {
                debug!(%error, name, "a connection cannot be taken");
                sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::time::timeout;

    use super::*;

    /// Fails so often, then gives numbers for ever.
    struct Flaky {
        failures: Cell<u32>,
        given: Cell<u32>,
    }

    impl Listener for Flaky {
        type Stream = u32;

        async fn take(&self) -> io::Result<u32> {
            if self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            self.given.set(self.given.get() + 1);
            Ok(self.given.get())
        }
    }

    /// The connections that are being answered after a moment, when none of them ends.
    fn taken(failures: u32) -> Vec<u32> {
        let listener = Flaky { failures: Cell::new(failures), given: Cell::new(0) };
        let taken = RefCell::new(Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let answering = answer_each(listener, "a test", |stream| {
                taken.borrow_mut().push(stream);
                std::future::pending()
            });
            timeout(RETRY * 5, answering).await.unwrap_err();
        });
        taken.into_inner()
    }

    #[test]
    fn so_many_are_answered_at_a_time() {
        assert_eq!(taken(0), (1..=16).collect::<Vec<_>>());
    }

    #[test]
    fn one_that_cannot_be_taken_does_not_end_it() {
        assert_eq!(taken(2).len(), PLACES);
    }
}
