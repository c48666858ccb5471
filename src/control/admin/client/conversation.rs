//! The other side of the control socket: connects, asks, and reads lines.

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use crate::control::admin::protocol::{ControlRequest, Line};

/// Why an answer may end before its last line.
const WHY: &str = "the server has ended, or too many asked it at once";

/// An answer that is being read.
#[derive(Debug)]
pub(super) struct Conversation {
    lines: std::io::Lines<BufReader<UnixStream>>,
    path: PathBuf,
}

impl Conversation {
    /// Asks the server at a control socket.
    pub(super) fn begin(path: &Path, request: &ControlRequest) -> Result<Self, String> {
        let at = path.display();
        let unreachable = |error: std::io::Error| {
            let advice = match error.kind() {
                ErrorKind::PermissionDenied => "ask as the server's user, or as root",
                ErrorKind::BrokenPipe => "it has ended, or too many asked it at once",
                _ => "is one running? `--control PATH` names the socket of another",
            };
            format!("no server can be asked at {at}: {error}: {advice}")
        };
        let mut stream = UnixStream::connect(path).map_err(unreachable)?;
        let mut line = serde_json::to_string(request).expect("a request is always JSON");
        line.push('\n');
        stream.write_all(line.as_bytes()).map_err(unreachable)?;
        Ok(Self { lines: BufReader::new(stream).lines(), path: path.to_owned() })
    }

    /// The next line of the answer; `None` at its end.
    ///
    /// # Errors
    /// What the server says is wrong, or that the answer was cut off.
    pub(super) fn next(&mut self) -> Result<Option<Line>, String> {
        let at = self.path.display();
        let cut_off = || format!("the answer from {at} was cut off: {WHY}");
        let text = self.lines.next().ok_or_else(cut_off)?.map_err(|_| cut_off())?;
        let line = serde_json::from_str(&text);
        match line.map_err(|error| format!("{at} is of another version: {error}"))? {
            Line::Done {} => Ok(None),
            Line::Error(problem) => Err(problem),
            line => Ok(Some(line)),
        }
    }
}
