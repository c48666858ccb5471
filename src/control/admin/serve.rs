//! A connection to the control socket, from its line to its last.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::handler::Handler;
use super::line_writer::{BrokenOff, LineWriter, PATIENCE};
use super::protocol::{ControlRequest, Line};
use super::socket::ControlSocket;
use crate::control::server::connections::{Turn, answer_each};

/// Longest request.
const REQUEST_BYTES: u64 = 65_536;

impl Handler {
    /// Answers at a control socket until the runtime ends. Has to be called on a runtime.
    ///
    /// # Errors
    /// The runtime takes no more sockets.
    pub(in crate::control) fn open(self, socket: &ControlSocket) -> io::Result<()> {
        let listener = UnixListener::from_std(socket.listener()?)?;
        tokio::spawn(serve(listener, Arc::new(self)));
        Ok(())
    }
}

/// Answers whoever connects, for ever.
async fn serve(listener: UnixListener, handler: Arc<Handler>) {
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
        Ok(Err(problem)) => Err(BrokenOff::Problem(problem)),
        Err(_) => Err(BrokenOff::Problem("no request came".to_owned())),
    };
    let last = match outcome {
        Ok(()) => Line::Done {},
        Err(BrokenOff::Problem(problem)) => Line::Error(problem),
        Err(BrokenOff::Gone) => return,
    };
    // Whoever has gone away by now has heard all there was.
    drop(writer.write(&last).await);
}

async fn request(read: OwnedReadHalf) -> Result<ControlRequest, String> {
    let mut line = String::new();
    let mut read = BufReader::new(read.take(REQUEST_BYTES));
    read.read_line(&mut line).await.map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| format!("not a request: {error}"))
}
