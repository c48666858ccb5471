//! The way to a server: datagrams, or a stream that is cut into frames, plain or inside TLS.

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use super::trouble::Trouble;
use crate::stream::ClientSession;
use crate::wire::{Delimited, delimit};

const DATAGRAM_BYTES: usize = 65_535;

/// A socket, and how messages stand in what it brings.
pub(super) enum Link {
    Datagrams(UdpSocket),
    Stream(RefCell<StreamLink>),
}

/// A connection.
pub(super) struct StreamLink {
    socket: TcpStream,
    server: SocketAddr,
    tls: Option<Box<ClientSession>>,
    arrived: Vec<u8>,
}

impl Link {
    /// A socket of the server's family that hears from everybody.
    pub(super) fn datagrams(server: SocketAddr) -> Result<Link, Trouble> {
        let any: IpAddr = match server {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        UdpSocket::bind((any, 0)).map(Link::Datagrams).map_err(Trouble::Broken)
    }

    /// A connection that stands.
    pub(super) fn stream(stream: StreamLink) -> Link {
        Link::Stream(RefCell::new(stream))
    }

    /// Hears from the server alone from now on, as a connection does anyway.
    pub(super) fn connect(&self, server: SocketAddr) -> Result<(), Trouble> {
        match self {
            Link::Datagrams(socket) => socket.connect(server).map_err(Trouble::of),
            Link::Stream(_) => Ok(()),
        }
    }

    /// Whether what is sent arrives, or the connection ends.
    pub(super) fn is_reliable(&self) -> bool {
        matches!(self, Link::Stream(_))
    }

    /// Sends a message; a connection has one receiver alone.
    pub(super) fn send(&self, to: SocketAddr, message: &[u8]) -> Result<(), Trouble> {
        match self {
            Link::Datagrams(socket) => socket.send_to(message, to).map(drop).map_err(Trouble::of),
            Link::Stream(stream) => stream.borrow_mut().send(message),
        }
    }

    /// Waits for a message; nothing where none has come whole.
    pub(super) fn receive(&self, wait: Duration) -> Result<Option<(SocketAddr, Vec<u8>)>, Trouble> {
        let socket = match self {
            Link::Datagrams(socket) => socket,
            Link::Stream(stream) => return stream.borrow_mut().receive(wait),
        };
        socket.set_read_timeout(Some(wait)).map_err(Trouble::Broken)?;
        let mut buffer = vec![0; DATAGRAM_BYTES];
        match socket.recv_from(&mut buffer) {
            Ok((length, from)) => {
                buffer.truncate(length);
                Ok(Some((from, buffer)))
            }
            Err(error) if is_a_pause(error.kind()) => Ok(None),
            Err(error) => Err(Trouble::of(error)),
        }
    }
}

impl StreamLink {
    /// Connects over TCP.
    pub(super) fn dial(server: SocketAddr, patience: Duration) -> Result<StreamLink, Trouble> {
        let socket = TcpStream::connect_timeout(&server, patience).map_err(|error| {
            if is_a_pause(error.kind()) { Trouble::Silence } else { Trouble::of(error) }
        })?;
        socket.set_nodelay(true).map_err(Trouble::Broken)?;
        socket.set_write_timeout(Some(patience)).map_err(Trouble::Broken)?;
        Ok(StreamLink { socket, server, tls: None, arrived: Vec::new() })
    }

    /// Lets the server prove who it is.
    pub(super) fn shake_hands(
        &mut self,
        session: ClientSession,
        patience: Duration,
    ) -> Result<&ClientSession, Trouble> {
        let deadline = Instant::now() + patience;
        self.tls = Some(Box::new(session));
        self.flush()?;
        while self.tls.as_ref().is_some_and(|tls| tls.is_handshaking()) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Trouble::Mute);
            }
            self.read(left)?;
        }
        self.tls.as_deref().ok_or(Trouble::Mute)
    }

    fn send(&mut self, message: &[u8]) -> Result<(), Trouble> {
        let Some(tls) = &mut self.tls else {
            return self.socket.write_all(message).map_err(Trouble::of);
        };
        tls.says(message).map_err(Trouble::Broken)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<(), Trouble> {
        let bytes = self.tls.as_mut().map(|tls| tls.sends()).unwrap_or_default();
        self.socket.write_all(&bytes).map_err(Trouble::of)
    }

    fn receive(&mut self, wait: Duration) -> Result<Option<(SocketAddr, Vec<u8>)>, Trouble> {
        if let Delimited::Short { .. } = delimit(&self.arrived) {
            self.read(wait)?;
        }
        match delimit(&self.arrived) {
            Delimited::Frame { bytes, padded } => {
                let mut frame: Vec<u8> = self.arrived.drain(..padded).collect();
                frame.truncate(bytes);
                Ok(Some((self.server, frame)))
            }
            Delimited::Short { .. } => Ok(None),
            Delimited::Broken => Err(Trouble::Nonsense),
        }
    }

    /// Reads once.
    fn read(&mut self, wait: Duration) -> Result<(), Trouble> {
        self.socket.set_read_timeout(Some(wait)).map_err(Trouble::Broken)?;
        let mut buffer = [0; 16_384];
        let bytes = match self.socket.read(&mut buffer) {
            Ok(0) => return Err(Trouble::Ended),
            Ok(length) => &buffer[..length],
            Err(error) if is_a_pause(error.kind()) => return Ok(()),
            Err(error) => return Err(Trouble::of(error)),
        };
        let Some(tls) = &mut self.tls else {
            self.arrived.extend_from_slice(bytes);
            return Ok(());
        };
        let taken = tls.takes(bytes, &mut self.arrived).map_err(Trouble::Unproved);
        let told = self.flush();
        taken.and(told)
    }
}

fn is_a_pause(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}
