//! What carries a client's messages to the server and back.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use super::endpoint;
use crate::{
    fault::Fault,
    offer::spec::Spec,
    socket::{Inbox, Poller},
    stop,
    stream::{Connection, Frames, Options, Tls, Transport, is_tls_fault},
};

/// Longest datagram of a server that is looked for outside of a measurement.
const DATAGRAM_BYTES: usize = 2_048;

/// The kernel's receive buffer of a client that reads slowly: small, so that the server soon
/// notices. The kernel doubles it.
const SLOW_BUFFER_BYTES: usize = 16_384;

const CERTIFICATE_HINT: &str = " (--ca names who has to have signed it; without --ca any will do)";

/// How clients reach a server.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    transport: Transport,
    /// For every client over TLS.
    tls: Option<Tls>,
    gro: bool,
    /// The address clients have to have, if any.
    from: Option<IpAddr>,
    is_slow: bool,
}

/// A client's socket: connected to the server, never blocking.
#[derive(Clone)]
pub(crate) enum Link {
    Datagrams(Arc<UdpSocket>),
    Stream(Arc<Connection>),
}

impl Access {
    pub(crate) fn of(spec: &Spec) -> Access {
        let Spec { transport, tls, gro, .. } = spec;
        Access { transport: *transport, tls: tls.clone(), gro: *gro, from: None, is_slow: false }
    }

    /// The same for clients that are asked one thing at a time.
    pub(crate) fn without_trains(self) -> Access {
        Access { gro: false, ..self }
    }

    /// The same with other TLS.
    pub(crate) fn secured_by(self, tls: Option<Tls>) -> Access {
        Access { tls, ..self }
    }

    /// The same from one address of this machine.
    pub(crate) fn from(self, from: Option<IpAddr>) -> Access {
        Access { from, ..self }
    }

    /// The same for a client that reads slowly.
    pub(crate) fn slow(self, is_slow: bool) -> Access {
        Access { is_slow, ..self }
    }
}

impl Link {
    /// A new socket; a connection is made with the first message.
    pub(crate) fn open(access: &Access, to: SocketAddr) -> Result<Link, Fault> {
        if !access.transport.is_stream() {
            let socket = match access.from {
                Some(from) => endpoint::open_client_at(from, to, access.gro)?,
                None => endpoint::open_client(to, access.gro)?,
            };
            return Ok(Link::Datagrams(socket));
        }
        let options = Options {
            from: access.from,
            tls: access.tls.as_ref(),
            receive_buffer_bytes: access.is_slow.then_some(SLOW_BUFFER_BYTES),
        };
        let connection = Connection::open(to, options);
        let connection = connection.map_err(|error| Fault::io("open a client's socket", error))?;
        Ok(Link::Stream(Arc::new(connection)))
    }

    /// Sends a message. A datagram that does not fit the send buffer is lost.
    pub(crate) fn send(&self, message: &[u8]) -> io::Result<()> {
        match self {
            Link::Stream(connection) => connection.send([message]).map(drop),
            Link::Datagrams(socket) => match socket.send(message) {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
                Ok(_) | Err(_) => Ok(()),
            },
        }
    }

    /// Names the socket when something has arrived, or when more can be sent.
    pub(crate) fn watch(&self, poller: &Poller, token: u64) -> io::Result<()> {
        match self {
            Link::Datagrams(socket) => poller.add(&**socket, token),
            Link::Stream(connection) => poller.add_changes(&**connection, token),
        }
    }

    /// Goes on with what could not be sent, and takes what has arrived: the messages of one
    /// receive. False when there is nothing more.
    pub(crate) fn receive(&self, inbox: &mut Inbox, frames: &mut Frames) -> io::Result<bool> {
        let received = match self {
            Link::Datagrams(socket) => {
                frames.take_datagram(DATAGRAM_BYTES, |bytes| socket.recv(bytes))
            }
            Link::Stream(connection) => {
                connection.flush()?;
                connection.receive(inbox, frames).map(drop)
            }
        };
        match received {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    pub(crate) fn datagrams(&self) -> Option<&Arc<UdpSocket>> {
        match self {
            Link::Datagrams(socket) => Some(socket),
            Link::Stream(_) => None,
        }
    }

    pub(crate) fn stream(&self) -> Option<&Arc<Connection>> {
        match self {
            Link::Datagrams(_) => None,
            Link::Stream(connection) => Some(connection),
        }
    }
}

/// What connections agreed on, and whether anybody looked who the server is.
pub(crate) fn secured(agreed: &str, tls: &Tls) -> String {
    let verified = if tls.verifies() { "certificate verified" } else { "certificate not verified" };
    format!("{agreed}, {verified}")
}

/// Connects, a bounded number at a time.
pub(crate) fn establish<'a>(
    connections: impl Iterator<Item = &'a Arc<Connection>>,
    spec: &Spec,
    server: Option<SocketAddr>,
) -> Result<(), Fault> {
    let Some(server) = server else { return Ok(()) };
    let connections: Vec<_> = connections.collect();
    let (mut inbox, mut frames) = (Inbox::new(), Frames::default());
    for few in connections.chunks(spec.window) {
        let begin = Instant::now();
        let mut waiting = few.to_vec();
        while !waiting.is_empty() {
            for connection in &waiting {
                let link = Link::Stream((*connection).clone());
                link.receive(&mut inbox, &mut frames).map_err(|error| {
                    let works = connections.iter().filter(|it| it.is_established()).count();
                    fault_of_one(server, &error, works, connections.len())
                })?;
            }
            waiting.retain(|connection| !connection.is_established());
            if stop::is_asked() {
                return Err(Fault::Stopped);
            }
            if begin.elapsed() > Duration::from_nanos(spec.pace.patience_ns) {
                return Err(silence(server, waiting[0]));
            }
            thread::sleep(Duration::from_micros(200));
        }
    }
    Ok(())
}

/// A connection that came to nothing in time, as a line an operator can act on.
pub(crate) fn silence(server: SocketAddr, connection: &Connection) -> Fault {
    let text = match connection.is_connected() {
        true => format!(
            "{server} took the connection and says nothing more: does it speak TLS on that port?"
        ),
        false => format!(
            "no connection to {server}: wrong address, a firewall, or a server that is down"
        ),
    };
    Fault::Refused { text, answered: false }
}

/// Why nothing can be had from a server, as a line an operator can act on.
pub(crate) fn fault(server: SocketAddr, error: &io::Error) -> Fault {
    fault_of_one(server, error, 0, 1)
}

/// The same on one of so many connections, of which so many work. All come from one address or a
/// few, and servers take a bounded number from each.
pub(crate) fn fault_of_one(
    server: SocketAddr,
    error: &io::Error,
    works: usize,
    of: usize,
) -> Fault {
    let text = match error.kind() {
        io::ErrorKind::ConnectionRefused => return Fault::Closed(server),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => closed(server, works, of),
        io::ErrorKind::InvalidData => {
            let text = error.to_string();
            let hint = if text.contains("the certificate") { CERTIFICATE_HINT } else { "" };
            let what = if is_tls_fault(error) { "TLS with" } else { "no TURN at" };
            format!("{what} {server}: {text}{hint}")
        }
        kind => return Fault::io("talk to the server", io::Error::from(kind)),
    };
    Fault::Refused { text, answered: false }
}

fn closed(server: SocketAddr, works: usize, of: usize) -> String {
    let speaks = "does it speak this --transport on that port?";
    let limits = "it limits connections of one address? (uturn: raise strangers-per-source and \
                  streams-per-source, and set connects-per-source = 0)";
    match (works, of) {
        (0, 0 | 1) => format!("{server} closed the connection: {speaks}"),
        (0, _) => format!("{server} closed one of {of} connections: {speaks} Or {limits}"),
        _ => format!("{server} closed one of {of} connections, and {works} work: {limits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(works: usize, of: usize) -> String {
        let server = SocketAddr::from(([192, 0, 2, 1], 3478));
        match fault_of_one(server, &io::ErrorKind::ConnectionReset.into(), works, of) {
            Fault::Refused { text, .. } => text,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_server_that_takes_some_connections_and_not_all_is_said_to_limit_them() {
        assert!(!told(0, 1).contains("limits"));
        assert!(told(0, 1).contains("--transport"));
        assert!(told(0, 99).contains("--transport") && told(0, 99).contains("limits"));
        let some = told(32, 99);
        assert!(some.contains("one of 99 connections, and 32 work"), "{some}");
        assert!(some.contains("strangers-per-source") && !some.contains("--transport"), "{some}");
    }
}
