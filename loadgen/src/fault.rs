//! Everything that ends a run before its time, each as one line an operator can act on.

use std::{fmt, io, net::SocketAddr};

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The options contradict each other or themselves.
    Usage(String),
    /// Nothing listens at the server's address.
    Closed(SocketAddr),
    /// A request came to nothing, for a reason in words; `answered` with an error, or not at all.
    Refused { text: String, answered: bool },
    /// The limit on open files is too low.
    OpenFiles { needed: u64, limit: u64 },
    /// The operating system refused something.
    Io { doing: &'static str, error: io::Error },
    /// A file could not be read or written.
    File { path: String, error: String },
    /// Somebody asked to stop before there was anything to report.
    Stopped,
    /// A server that was to be started did not come up, or went away.
    Server { name: String, trouble: String },
}

impl Fault {
    /// True when the server is still there to be talked to.
    pub(crate) fn leaves_a_server(&self) -> bool {
        match self {
            Fault::Refused { answered, .. } => *answered,
            Fault::Stopped => true,
            _ => false,
        }
    }

    pub(crate) fn io(doing: &'static str, error: io::Error) -> Fault {
        Fault::Io { doing, error }
    }

    pub(crate) fn usage(text: impl Into<String>) -> Fault {
        Fault::Usage(text.into())
    }

    pub(crate) fn file(path: &str, error: impl fmt::Display) -> Fault {
        Fault::File { path: path.to_owned(), error: error.to_string() }
    }
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Usage(text) | Fault::Refused { text, .. } => f.write_str(text),
            Fault::Closed(server) => write!(f, "{server} refuses: nothing listens on that port"),
            Fault::OpenFiles { needed, limit } => write!(
                f,
                "{needed} sockets are needed but only {limit} files may be open: \
                 raise `ulimit -Hn` or lower --allocations, --window or --threads"
            ),
            Fault::Io { doing, error } => write!(f, "cannot {doing}: {error}"),
            Fault::File { path, error } => write!(f, "{path}: {error}"),
            Fault::Stopped => f.write_str("stopped before anything was measured"),
            Fault::Server { name, trouble } => write!(f, "server {name}: {trouble}"),
        }
    }
}
