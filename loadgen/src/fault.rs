//! Everything that ends a run before its time, each as one line an operator can act on.

use std::{fmt, io, net::SocketAddr};

use crate::rig::turn::{Rejection, Request};

/// Why there is no result.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The options contradict each other or themselves.
    Usage(String),
    /// Nothing listens at the server's address.
    Closed(SocketAddr),
    /// A request came to nothing; `allocations` were there before it.
    Refused { server: SocketAddr, request: Request, rejection: Rejection, allocations: usize },
    /// The limit on open files is too low.
    OpenFiles { needed: u64, limit: u64 },
    /// The operating system refused something.
    Io { doing: &'static str, error: io::Error },
    /// A file could not be read or written.
    File { path: String, error: String },
    /// A server that was to be started did not come up, or went away.
    Server { name: String, trouble: String },
}

impl Fault {
    /// True when a server answered, only not as wanted.
    pub(crate) fn is_an_answer(&self) -> bool {
        match self {
            Fault::Refused { rejection, .. } => *rejection != Rejection::Silence,
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
            Fault::Usage(text) => f.write_str(text),
            Fault::Closed(server) => write!(f, "{server} refuses: nothing listens on that port"),
            Fault::Refused { server, request, rejection, allocations } => {
                refused(f, *server, *request, *rejection, *allocations)
            }
            Fault::OpenFiles { needed, limit } => write!(
                f,
                "{needed} sockets are needed but only {limit} files may be open: \
                 raise `ulimit -Hn` or lower --allocations"
            ),
            Fault::Io { doing, error } => write!(f, "cannot {doing}: {error}"),
            Fault::File { path, error } => write!(f, "{path}: {error}"),
            Fault::Server { name, trouble } => write!(f, "server {name}: {trouble}"),
        }
    }
}

fn refused(
    f: &mut fmt::Formatter<'_>,
    server: SocketAddr,
    request: Request,
    rejection: Rejection,
    allocations: usize,
) -> fmt::Result {
    let name = request.name();
    match rejection {
        Rejection::Credentials => {
            write!(
                f,
                "{server} refuses the credentials (401 to {name}): wrong user, password or secret"
            )
        }
        Rejection::Silence => write!(
            f,
            "no answer to {name} from {server}: wrong address, a firewall, or a server that is down"
        ),
        Rejection::Nonsense => {
            write!(
                f,
                "{server} answered {name} with success but without the attributes it must carry"
            )
        }
        Rejection::Code(code) => {
            write!(f, "{server} answered {name} with {code}{}", hint(code, allocations))
        }
    }
}

/// What a code most likely means to someone who measures.
fn hint(code: u16, allocations: usize) -> String {
    match code {
        401 => ": it asks for credentials; give --user NAME:PASSWORD or --secret SECRET".to_owned(),
        403 => ": the peer address is forbidden; allow it (uturn: `allow-peers`, coturn: \
                `--allow-loopback-peers` or `--allowed-peer-ip`)"
            .to_owned(),
        437 => ": it still holds an allocation for one of our ports; wait, or let it run out"
            .to_owned(),
        438 => ": it never accepts its own nonce".to_owned(),
        440 => ": it has no relay address of that family; see --peer-ip".to_owned(),
        443 => ": the peer's address family is not that of the relayed address; see --peer-ip"
            .to_owned(),
        486 => format!(
            ": the user's quota is reached after {allocations} allocations; raise it or lower \
             --allocations"
        ),
        508 => format!(
            ": it has no more relay ports after {allocations} allocations; widen its port range or \
             lower --allocations"
        ),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(rejection: Rejection) -> String {
        let server = "127.0.0.1:3478".parse().unwrap();
        let request = Request::Allocate;
        Fault::Refused { server, request, rejection, allocations: 7 }.to_string()
    }

    #[test]
    fn every_refusal_is_one_line_that_names_the_way_out() {
        for (rejection, expected) in [
            (Rejection::Credentials, "wrong user, password"),
            (Rejection::Code(508), "port range"),
            (Rejection::Code(486), "quota is reached after 7"),
            (Rejection::Code(403), "--allow-loopback-peers"),
            (Rejection::Code(401), "--user"),
            (Rejection::Silence, "no answer to Allocate from 127.0.0.1:3478"),
        ] {
            let line = line(rejection);
            assert!(line.contains(expected), "{line}");
            assert!(!line.contains('\n') && !line.contains("  "), "{line}");
        }
    }
}
