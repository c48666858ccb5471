//! A connection to the control socket, from its line to its last.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::handler::Handler;
use super::protocol::{Line, Request};
use crate::control::escape;
use crate::control::server::connections::{Turn, answer_each};

/// How long a request, or the reading of a line of the answer, may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Longest request.
const REQUEST_BYTES: u64 = 65_536;

/// Answers whoever connects, for ever.
pub(super) async fn serve(listener: UnixListener, handler: Arc<Handler>) {
    let answer = |stream, turn| {
        let handler = Arc::clone(&handler);
        async move { converse(stream, turn, &handler).await }
    };
    answer_each(listener, "control", answer).await;
}

async fn converse(stream: UnixStream, turn: Turn, handler: &Handler) {
    let (read, write) = stream.into_split();
    let mut writer = LineWriter { write, turn };
    let outcome = match timeout(PATIENCE, request(read)).await {
        Ok(Ok(request)) => {
            writer.turn.is_servers();
            handler.answer(request, &mut writer).await
        }
        Ok(Err(problem)) => Err(Stop::Problem(problem)),
        Err(_) => Err(Stop::Problem("no request came".to_owned())),
    };
    let last = match outcome {
        Ok(()) => Line::Done {},
        Err(Stop::Problem(problem)) => Line::Error(problem),
        Err(Stop::Gone) => return,
    };
    // Whoever has gone away by now has heard all there was.
    drop(writer.write(&last).await);
}

async fn request(read: OwnedReadHalf) -> Result<Request, String> {
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_BYTES));
    read.read_line(&mut line).await.map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| format!("not a request: {error}"))
}

/// Why an answer ends before it is whole.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be given.
    Problem(String),
    /// Nobody hears it any more.
    Gone,
}

impl From<String> for Stop {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for Stop {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// What answers are written with. A reader that is slow makes the answer slow, and one that stands
/// still ends it; the workers do not notice.
#[derive(Debug)]
pub(super) struct LineWriter {
    write: OwnedWriteHalf,
    turn: Turn,
}

impl LineWriter {
    /// Writes one line.
    pub(super) async fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut text = escape::json(&serde_json::to_string(line)?).into_owned();
        text.push('\n');
        self.turn.is_clients();
        let written = timeout(PATIENCE, self.write.write_all(text.as_bytes())).await;
        self.turn.is_servers();
        written.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }
}
