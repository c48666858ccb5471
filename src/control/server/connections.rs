//! Connections to a listener, answered beside each other: each newcomer is taken, whoever else is
//! there.
//!
//! A listener has [`PLACES`]. When all of them are taken and somebody comes, the connection ends
//! that has waited longest for its client; when every connection waits for the server, the oldest
//! ends. So silent clients and slow readers cost each other their places, and never keep a newcomer
//! out: at a thousand of them a second, one still has 64 ms to say what it wants. What a connection
//! may cost beside its place is bounded by whoever answers it.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::task::{AbortHandle, yield_now};
use tokio::time::sleep;
use tracing::debug;

/// Connections to one listener at a time. The process keeps descriptors for them that no client of
/// the relay can take, and for one that is taken before another has ended.
pub(in crate::control) const PLACES: usize = 64;
/// How soon a connection is taken again after none could be.
const RETRY: Duration = Duration::from_millis(10);

/// Where connections come from.
pub(in crate::control) trait Accept {
    /// A connection.
    type Stream;

    /// Waits for the next one.
    async fn take(&self) -> io::Result<Self::Stream>;
}

impl Accept for TcpListener {
    type Stream = TcpStream;

    async fn take(&self) -> io::Result<TcpStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

impl Accept for UnixListener {
    type Stream = UnixStream;

    async fn take(&self) -> io::Result<UnixStream> {
        self.accept().await.map(|(stream, _)| stream)
    }
}

/// Whom a connection waits for: its client, as at the beginning, or the server.
#[derive(Clone, Debug, Default)]
pub(in crate::control) struct Turn(Arc<AtomicBool>);

impl Turn {
    /// The client has asked; the server works on the answer.
    pub(in crate::control) fn is_servers(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// The client has to ask, or to read.
    pub(in crate::control) fn is_clients(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn waits_for_client(&self) -> bool {
        !self.0.load(Ordering::Relaxed)
    }
}

/// The connections that are being answered, the oldest first.
#[derive(Default)]
struct Connections(VecDeque<(AbortHandle, Turn)>);

impl Connections {
    /// Ends one if all places are taken.
    async fn make_room(&mut self) {
        self.forget_ended();
        while self.0.len() >= PLACES {
            self.end_one().await;
        }
    }

    fn forget_ended(&mut self) {
        self.0.retain(|(task, _)| !task.is_finished());
    }

    /// Ends the oldest that waits for its client, or the oldest of all. Its descriptor is free when
    /// this returns.
    async fn end_one(&mut self) {
        self.forget_ended();
        let idle = self.0.iter().position(|(_, turn)| turn.waits_for_client());
        if let Some((task, _)) = self.0.remove(idle.unwrap_or(0)) {
            task.abort();
            while !task.is_finished() {
                yield_now().await;
            }
        }
    }
}

/// Has every connection answered, for ever. `name` says in the log what the listener is for.
pub(in crate::control) async fn answer_each<L, Answer>(
    listener: L,
    name: &'static str,
    answer: impl Fn(L::Stream, Turn) -> Answer,
) where
    L: Accept,
    Answer: Future<Output = ()> + Send + 'static,
{
    let mut connections = Connections::default();
    loop {
        match listener.take().await {
            Ok(stream) => {
                connections.make_room().await;
                let turn = Turn::default();
                let task = tokio::spawn(answer(stream, turn.clone()));
                connections.0.push_back((task.abort_handle(), turn));
                // It reads what has come with it before another one may take its place.
                yield_now().await;
            }
            // Out of descriptors, mostly, or the other end is gone already.
            Err(error) => {
                debug!(%error, name, "a connection cannot be taken");
                connections.end_one().await;
                sleep(RETRY).await;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::*;

    /// Fails so often, then gives so many numbers, then nothing more.
    struct Flaky {
        failures: Cell<u32>,
        left: Cell<u32>,
        given: Cell<u32>,
    }

    impl Accept for Flaky {
        type Stream = u32;

        async fn take(&self) -> io::Result<u32> {
            if self.failures.get() > 0 {
                self.failures.set(self.failures.get() - 1);
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            if self.left.get() == 0 {
                std::future::pending::<()>().await;
            }
            self.left.set(self.left.get() - 1);
            self.given.set(self.given.get() + 1);
            Ok(self.given.get())
        }
    }

    /// The connections that are left of so many that never end by themselves. Those that `is_busy`
    /// wait for the server, the others for their clients.
    fn left(failures: u32, coming: u32, is_busy: fn(u32) -> bool) -> Vec<u32> {
        let listener =
            Flaky { failures: Cell::new(failures), left: Cell::new(coming), given: Cell::new(0) };
        let taken = RefCell::new(Vec::new());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let answering = answer_each(listener, "a test", |stream, turn| {
                let (alive, gone) = oneshot::channel::<()>();
                taken.borrow_mut().push((stream, gone));
                async move {
                    if is_busy(stream) {
                        turn.is_servers();
                    }
                    let _alive = alive;
                    std::future::pending::<()>().await;
                }
            });
            timeout(RETRY * 20, answering).await.unwrap_err();
            let mut taken = taken.take();
            taken.retain_mut(|(_, gone)| {
                gone.try_recv() == Err(oneshot::error::TryRecvError::Empty)
            });
            taken.into_iter().map(|(stream, _)| stream).collect()
        })
    }

    #[test]
    fn the_oldest_silent_connections_end_for_newcomers() {
        let places = u32::try_from(PLACES).unwrap();
        assert_eq!(left(0, places, |_| false), Vec::from_iter(1..=places));
        assert_eq!(left(0, 1000, |_| false), Vec::from_iter(1001 - places..=1000));
    }

    #[test]
    fn a_connection_that_is_being_answered_outlives_silent_ones() {
        let left = left(0, 1000, |stream| stream == 7);
        assert_eq!((left.len(), left[0]), (PLACES, 7));
        assert_eq!(left[PLACES - 1], 1000);
    }

    #[test]
    fn when_all_are_being_answered_the_oldest_ends() {
        let places = u32::try_from(PLACES).unwrap();
        assert_eq!(left(0, 1000, |_| true), Vec::from_iter(1001 - places..=1000));
    }

    #[test]
    fn a_connection_that_cannot_be_taken_does_not_end_the_listener() {
        assert_eq!(left(2, 3, |_| false), [1, 2, 3]);
    }
}
