//! One TCP or TLS connection that never blocks.
//!
//! What is sent leaves whole and in order, or later: bytes the kernel does not take now wait here,
//! and [`Connection::flush`] goes on with them. Who sends asks first whether anything waits, so
//! that no more than one burst ever does. Over TLS every message is a record of its own, as
//! browsers write them; messages sent together leave with one system call either way.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream},
    os::fd::{AsFd, BorrowedFd},
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustls::{ClientConnection, HandshakeKind, ProtocolVersion};
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use uturn::stream::ClientFault;

use super::{frames::Frames, tls::Tls};
use crate::socket::{self, Inbox};

/// What one receive takes at most: more may be there.
const RECEIVE_BYTES: usize = 65_536;

/// The kernel's send buffer, which it doubles: room for a key frame, and no more. One that grows
/// by itself would take seconds of media before anything is blocked.
const SEND_BUFFER_BYTES: usize = 65_536;

/// What a slow reader takes at most in one go.
const SLOW_BYTES: usize = 4_096;

/// How a connection is opened.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Options<'a> {
    /// The address it comes from; `None`: whichever leads there.
    pub(crate) from: Option<IpAddr>,
    pub(crate) tls: Option<&'a Tls>,
    /// Bytes of the kernel's receive buffer; `None`: as many as the kernel finds right.
    pub(crate) receive_buffer_bytes: Option<usize>,
}

/// What one receive brought, beside its messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received {
    /// The kernel's stamp of the last segment (CLOCK_REALTIME).
    pub(crate) stamp_ns: Option<u64>,
    /// There may be more.
    pub(crate) is_full: bool,
}

/// One connection. It is made when something is sent for the first time.
pub(crate) struct Connection {
    socket: TcpStream,
    to: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    is_begun: bool,
    is_ended: bool,
    tls: Option<Box<ClientConnection>>,
    /// Bytes for the socket (TLS keeps its own), and how many of them it took.
    out: Vec<u8>,
    taken: usize,
    /// Received, not yet a whole message.
    carry: Vec<u8>,
}

impl Connection {
    /// A socket, not yet connected.
    pub(crate) fn open(to: SocketAddr, options: Options<'_>) -> io::Result<Connection> {
        let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
        if let Some(bytes) = options.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes)?;
        }
        if let Some(from) = options.from {
            // The port is chosen when the far end is known: it may serve another far end already.
            socket::set_option(&socket, libc::SOL_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1)?;
            socket.bind(&SocketAddr::new(from, 0).into())?;
        }
        let tls = options.tls.map(|tls| tls.connect(to.ip()).map(Box::new));
        let tls = tls.transpose().map_err(broken)?;
        let state = Mutex::new(State { tls, ..State::default() });
        Ok(Connection { socket: socket.into(), to, state })
    }

    /// Sends messages, each a slice; false when a part of them waits for room.
    pub(crate) fn send<'a>(
        &self,
        messages: impl IntoIterator<Item = &'a [u8]>,
    ) -> io::Result<bool> {
        let mut state = self.state();
        let State { tls, out, .. } = &mut *state;
        for message in messages {
            match tls {
                Some(tls) => tls.writer().write_all(message)?,
                None => out.extend_from_slice(message),
            }
        }
        state.flush(self)
    }

    /// Goes on with what waits; false while something still does. Connects the first time.
    pub(crate) fn flush(&self) -> io::Result<bool> {
        self.state().flush(self)
    }

    /// Takes what is there, and replaces `frames` with the messages that are whole now.
    pub(crate) fn receive(&self, inbox: &mut Inbox, frames: &mut Frames) -> io::Result<Received> {
        inbox.receive(&self.socket, 1)?;
        let mut state = self.state();
        let mut received = None;
        for (stamp_ns, bytes) in inbox.datagrams() {
            received = Some(Received { stamp_ns, is_full: bytes.len() == RECEIVE_BYTES });
            state.take(bytes, self)?;
        }
        state.cut(frames)?;
        received.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
    }

    /// The same, `most_bytes` at most; says how many they were.
    pub(crate) fn receive_some(&self, most_bytes: usize, frames: &mut Frames) -> io::Result<usize> {
        let mut bytes = [0; SLOW_BYTES];
        let got = (&self.socket).read(&mut bytes[..most_bytes.min(SLOW_BYTES)])?;
        let mut state = self.state();
        state.take(&bytes[..got], self)?;
        state.cut(frames)?;
        if got == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(got) }
    }

    /// True once the far end has taken the connection and the handshake is finished.
    pub(crate) fn is_established(&self) -> bool {
        let state = self.state();
        let tls = state.tls.as_ref();
        let is_secure = tls.is_none_or(|tls| !tls.is_handshaking() && !tls.wants_write());
        is_secure && self.is_connected()
    }

    /// True once the far end has taken the connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.socket.peer_addr().is_ok()
    }

    /// True when a later connection can resume this one's session: nothing more is to come.
    pub(crate) fn has_ticket(&self) -> bool {
        let state = self.state();
        state.tls.as_ref().is_none_or(|tls| {
            tls.protocol_version() != Some(ProtocolVersion::TLSv1_3)
                || tls.tls13_tickets_received() > 0
        })
    }

    /// True when the handshake was short because an earlier session was resumed.
    pub(crate) fn is_resumed(&self) -> bool {
        let state = self.state();
        let kind = state.tls.as_ref().and_then(|tls| tls.handshake_kind());
        kind == Some(HandshakeKind::Resumed)
    }

    /// What was agreed on: version, suite and group. `None` without TLS.
    pub(crate) fn agreed(&self) -> Option<String> {
        let state = self.state();
        let tls = state.tls.as_ref()?;
        let version = tls.protocol_version()?.as_str()?.replace("TLSv1_", "TLS 1.");
        let suite = tls.negotiated_cipher_suite()?.suite();
        let group = tls.negotiated_key_exchange_group();
        let group = group.map_or(String::new(), |group| format!(", {:?}", group.name()));
        Some(format!("{version}, {}{group}", suite.as_str()?))
    }

    /// Notes that it has ended; false when that was known.
    pub(crate) fn end(&self) -> bool {
        !std::mem::replace(&mut self.state().is_ended, true)
    }

    /// Says goodbye as far as that goes without waiting.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        if let Some(tls) = &mut state.tls {
            tls.send_close_notify();
        }
        // Who does not listen any more need not be told.
        let _ = state.flush(self);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl State {
    fn flush(&mut self, connection: &Connection) -> io::Result<bool> {
        if !self.is_begun {
            self.is_begun = true;
            match SockRef::from(&connection.socket).connect(&connection.to.into()) {
                Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => return Ok(false),
                other => other?,
            }
        }
        let mut socket = &connection.socket;
        match &mut self.tls {
            Some(tls) => {
                while tls.wants_write() {
                    if !is_taken(tls.write_tls(&mut socket))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            None => {
                while self.taken < self.out.len() {
                    let wrote = socket.write(&self.out[self.taken..]);
                    self.taken += wrote.as_ref().map_or(0, |bytes| *bytes);
                    if !is_taken(wrote)? {
                        return Ok(false);
                    }
                }
                self.out.clear();
                self.taken = 0;
                Ok(true)
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8], connection: &Connection) -> io::Result<()> {
        let Some(tls) = &mut self.tls else {
            self.carry.extend_from_slice(bytes);
            return Ok(());
        };
        while !bytes.is_empty() {
            tls.read_tls(&mut bytes)?;
            let state = match tls.process_new_packets() {
                Ok(state) => state,
                Err(error) => {
                    // The far end is told why; whether it hears that changes nothing.
                    let _ = tls.write_tls(&mut &connection.socket);
                    return Err(broken(error));
                }
            };
            let at = self.carry.len();
            self.carry.resize(at + state.plaintext_bytes_to_read(), 0);
            tls.reader().read_exact(&mut self.carry[at..])?;
        }
        if tls.wants_write() {
            self.flush(connection)?;
        }
        Ok(())
    }

    fn cut(&mut self, frames: &mut Frames) -> io::Result<()> {
        frames.take_from(&mut self.carry)
    }
}

/// False when the socket has no room.
fn is_taken(wrote: io::Result<usize>) -> io::Result<bool> {
    match wrote {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        Err(error) => Err(error),
    }
}

/// True when the far end did not prove who it is, or does not speak TLS.
pub(crate) fn is_tls_fault(error: &io::Error) -> bool {
    matches!(error.get_ref(), Some(inner) if inner.is::<ClientFault>())
}

fn broken(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, ClientFault::from(error))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// ChannelData of 1,200 bytes.
    fn frame() -> Vec<u8> {
        [&[0x40, 0, 0x04, 0xB0][..], &[9; 1_200]].concat()
    }

    #[test]
    fn what_the_kernel_does_not_take_waits_and_arrives_whole() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let connection = Connection::open(to, Options::default()).unwrap();
        assert!(!connection.is_established());
        let _ = connection.flush().unwrap();
        let (mut far, _) = listener.accept().unwrap();
        let burst = vec![frame(); 32];
        let mut sent = 0;
        while connection.send(burst.iter().map(|frame| &frame[..])).unwrap() {
            sent += burst.len();
            assert!(sent < 1_000_000, "nobody reads, and nothing is full");
        }
        sent += burst.len();
        assert!(connection.is_established());
        let mut got = vec![0; sent * 1_204];
        let reading = std::thread::spawn(move || {
            far.read_exact(&mut got).unwrap();
            got
        });
        while !connection.flush().unwrap() {
            std::thread::yield_now();
        }
        let got = reading.join().unwrap();
        assert!(got.chunks(1_204).all(|bytes| bytes == frame()));
    }

    #[test]
    fn the_end_of_a_connection_is_an_error() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        let connection = Connection::open(to, Options::default()).unwrap();
        let _ = connection.flush().unwrap();
        let (mut far, _) = listener.accept().unwrap();
        far.write_all(&frame()).unwrap();
        drop(far);
        let (mut inbox, mut frames) = (Inbox::new(), Frames::default());
        connection.receive(&mut inbox, &mut frames).unwrap();
        assert_eq!(frames.iter().count(), 1);
        let end = connection.receive(&mut inbox, &mut frames).unwrap_err();
        assert_eq!(end.kind(), io::ErrorKind::UnexpectedEof);
    }
}
