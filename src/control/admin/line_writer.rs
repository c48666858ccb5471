//! What answers are written with, line by line.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::unix::OwnedWriteHalf;
use tokio::time::timeout;

use super::protocol::Line;
use crate::control::escape;
use crate::control::server::connections::Turn;

/// How long a request, or the reading of a line of the answer, may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// Why an answer ends before it is whole.
#[derive(Debug)]
pub(super) enum BrokenOff {
    /// It cannot be given.
    Problem(String),
    /// Nobody hears it any more.
    Gone,
}

impl From<String> for BrokenOff {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

impl From<io::Error> for BrokenOff {
    fn from(_: io::Error) -> Self {
        Self::Gone
    }
}

/// What answers are written with. A reader that is slow makes the answer slow, and one that stands
/// still ends it; the workers do not notice.
#[derive(Debug)]
pub(super) struct LineWriter {
    pub(super) write: OwnedWriteHalf,
    pub(super) turn: Turn,
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
