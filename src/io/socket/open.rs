//! Opening the sockets a driver is given.
//!
//! Two kinds: *listening* sockets, which every worker opens for the same address and the kernel
//! spreads clients over (SO_REUSEPORT), and *relay* sockets, each on a port of its own.
//! Both are non-blocking, take trains (UDP_GRO), clear the DF bit, and for IPv6 take IPv6 only.

use std::{
    io,
    net::{SocketAddr, TcpListener, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::io::sys::{self, Setting};

/// The socket buffers asked for, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct BufferSizes {
    /// SO_RCVBUF: what arrives while the worker is busy elsewhere waits here.
    pub receive_bytes: usize,
    /// SO_SNDBUF: what the device has not taken yet.
    pub send_bytes: usize,
}

impl BufferSizes {
    /// For listening sockets, which carry the traffic of thousands of clients.
    pub const LISTENING: Self = Self { receive_bytes: 8 << 20, send_bytes: 8 << 20 };
    /// For relay sockets, which carry one client's.
    pub const RELAY: Self =
        Self { receive_bytes: RELAY_BYTES as usize, send_bytes: RELAY_BYTES as usize };
}

/// Each buffer of a relay socket, in bytes.
const RELAY_BYTES: i32 = 1 << 20;

/// A listening socket and the buffers the kernel granted it.
#[derive(Debug)]
pub struct ListeningSocket {
    /// Bound and non-blocking.
    pub socket: UdpSocket,
    /// What was granted, in the unit it was asked for in. Less than asked for means that
    /// `net.core.rmem_max` or `wmem_max` caps it and the process may not pass over them.
    pub granted: BufferSizes,
}

/// How long a listening socket waits for its address to become free. A ring's sockets are released
/// 40 to 150 ms after the process that had them is gone.
pub const BIND_PATIENCE: Duration = Duration::from_secs(2);
const BIND_PAUSE: Duration = Duration::from_millis(20);

impl BufferSizes {
    /// The smaller of each of the two sizes.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self {
            receive_bytes: self.receive_bytes.min(other.receive_bytes),
            send_bytes: self.send_bytes.min(other.send_bytes),
        }
    }
}

/// Finds out whether a listening address is free, before anything shares it. With SO_REUSEPORT
/// alone a second server of the same user would be let in, and take half of the clients. It blocks
/// while the address is in use, but no longer than `patience`.
///
/// # Errors
/// What the kernel says to the address: forbidden, or still in use.
pub fn ensure_free(address: SocketAddr, patience: Duration) -> io::Result<()> {
    patiently(patience, || listener(address)?.bind(&address.into()))
}

/// Opens a worker's socket for a listening address, which the machine need not have yet: once it
/// has, packets arrive. It blocks while the address is in use, as it is for a moment after a
/// restart, but no longer than `patience`.
///
/// # Errors
/// What the kernel says to the address: forbidden, or still in use.
pub fn listening(
    address: SocketAddr,
    sizes: BufferSizes,
    patience: Duration,
) -> io::Result<ListeningSocket> {
    let socket = patiently(patience, || {
        let socket = listener(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        Ok(socket)
    })?;
    size_buffers(&socket, sizes)?;
    let granted = granted(&socket)?;
    Ok(ListeningSocket { socket: socket.into(), granted })
}

/// Opens a TCP socket that takes connections on an address, or on all of a family, and keeps so
/// many of them waiting. The machine need not have the address yet.
///
/// # Errors
/// What the kernel says to the address: forbidden, or still in use.
pub fn serving(address: SocketAddr, backlog: i32) -> io::Result<TcpListener> {
    let stream = Type::STREAM.nonblocking().cloexec();
    let socket = Socket::new(Domain::for_address(address), stream, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A server that is started again finds connections of the one before.
    socket.set_reuse_address(true)?;
    set_free_bind(&socket, address)?;
    socket.bind(&address.into())?;
    socket.listen(backlog)?;
    Ok(socket.into())
}

/// Finds out whether a listening address is free for TCP, as [`ensure_free`] does for UDP.
///
/// # Errors
/// What the kernel says to the address: forbidden, or still in use.
pub fn ensure_stream_free(address: SocketAddr, patience: Duration) -> io::Result<()> {
    patiently(patience, || stream_listener(address)?.bind(&address.into()))
}

/// Opens a worker's TCP listener for an address, which the machine need not have yet, shared with
/// the other workers (SO_REUSEPORT). Connections inherit its settings. It blocks while the address
/// is in use, but no longer than `patience`.
///
/// # Errors
/// What the kernel says to the address: forbidden, or still in use.
pub fn stream_listening(address: SocketAddr, patience: Duration) -> io::Result<TcpListener> {
    stream_waiting(address, patience, BACKLOG)
}

/// Opens a TCP listener for the peers of one client, at an address that no other socket has. Few
/// connections wait in it.
///
/// # Errors
/// What the kernel says to the address: forbidden, or in use.
pub fn peers_listening(address: SocketAddr) -> io::Result<TcpListener> {
    stream_waiting(address, Duration::ZERO, PEERS_BACKLOG)
}

fn stream_waiting(
    address: SocketAddr,
    patience: Duration,
    backlog: i32,
) -> io::Result<TcpListener> {
    let socket = patiently(patience, || {
        let socket = stream_listener(address)?;
        socket.set_reuse_port(true)?;
        socket.bind(&address.into())?;
        socket.listen(backlog)?;
        Ok(socket)
    })?;
    Ok(socket.into())
}

/// An unbound TCP socket for listening on an address of whatever machine.
fn stream_listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = stream(address)?;
    set_free_bind(&socket, address)?;
    Ok(socket)
}

/// Opens a TCP socket that is to connect, from an address that others may be bound to, too, if one
/// is given.
///
/// # Errors
/// What the kernel says to a new socket, or to its address.
pub(in crate::io) fn connecting(from: Option<SocketAddr>, to: SocketAddr) -> io::Result<Socket> {
    let socket = stream(to)?;
    if let Some(from) = from {
        socket.set_reuse_port(true)?;
        socket.bind(&from.into())?;
    }
    Ok(socket)
}

/// Opens a unix stream socket that is to connect.
///
/// # Errors
/// What the kernel says to a new socket.
pub(in crate::io) fn connecting_unix() -> io::Result<Socket> {
    Socket::new(Domain::UNIX, Type::STREAM.cloexec(), None)
}

/// An unbound TCP socket with everything set: its address can be used again while connections of it
/// linger, and connections are as a relay wants them.
fn stream(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM.cloexec(), Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    STREAM_SETTINGS.iter().try_for_each(|setting| sys::set(&socket, setting))?;
    Ok(socket)
}

/// What connections are set to, or inherit. A packet is not kept back for others. The kernel takes
/// no more while 16 KiB of a connection wait unsent, so that what is late waits where it can still
/// be dropped. A peer that is gone is found out within a minute, whether or not something is being
/// sent: after 30 + 3 x 10 s of silence, or after 55 s without an acknowledgement.
static STREAM_SETTINGS: [Setting; 7] = [
    Setting::new(libc::IPPROTO_TCP, libc::TCP_NODELAY, 1),
    Setting::new(libc::IPPROTO_TCP, libc::TCP_NOTSENT_LOWAT, 16_384),
    Setting::new(libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1),
    Setting::new(libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, 30),
    Setting::new(libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, 10),
    Setting::new(libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3),
    Setting::new(libc::IPPROTO_TCP, libc::TCP_USER_TIMEOUT, 55_000),
];

/// Connections of a listener that wait to be accepted, as far as `net.core.somaxconn` allows.
const BACKLOG: i32 = 4096;
/// The same in the listener of one client, for its peers.
const PEERS_BACKLOG: i32 = 32;

/// Opens a relay socket. Port 0 lets the kernel choose.
///
/// # Errors
/// What the kernel says to the address; `EADDRINUSE` at once, for the caller to try another port.
pub fn relay(address: SocketAddr, sizes: BufferSizes) -> io::Result<UdpSocket> {
    let socket = new(address)?;
    socket.bind(&address.into())?;
    size_buffers(&socket, sizes)?;
    Ok(socket.into())
}

/// What a relay socket of a family is set to before it is bound, where a ring opens it: what
/// [`relay`] does, in another order.
pub(in crate::io) fn relay_settings(
    v6: bool,
    buffers: BufferLimit,
) -> impl Iterator<Item = &'static Setting> {
    static ONLY_V6: [Setting; 1] = [Setting::new(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)];
    static TRAINS: [Setting; 1] = [Setting::new(libc::SOL_UDP, libc::UDP_GRO, 1)];
    static FORCED: [Setting; 2] = [
        Setting::new(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RELAY_BYTES),
        Setting::new(libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, RELAY_BYTES),
    ];
    static CAPPED: [Setting; 2] = [
        Setting::new(libc::SOL_SOCKET, libc::SO_RCVBUF, RELAY_BYTES),
        Setting::new(libc::SOL_SOCKET, libc::SO_SNDBUF, RELAY_BYTES),
    ];
    let family: &[Setting] = if v6 { &ONLY_V6 } else { &[] };
    let buffers = match buffers {
        BufferLimit::Forced => &FORCED,
        BufferLimit::Capped => &CAPPED,
    };
    family.iter().chain(sys::dont_fragment(v6, false)).chain(&TRAINS).chain(buffers)
}

/// How far this process may raise the buffers of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::io) enum BufferLimit {
    /// Over the sysctl's cap.
    Forced,
    /// Up to it.
    Capped,
}

impl BufferLimit {
    /// Finds out by trying.
    ///
    /// # Errors
    /// When there can be no socket at all.
    pub(in crate::io) fn allowed() -> io::Result<Self> {
        let socket = Socket::new(Domain::IPV4, Type::DGRAM.cloexec(), Some(Protocol::UDP))
            .or_else(|_| Socket::new(Domain::IPV6, Type::DGRAM.cloexec(), Some(Protocol::UDP)))?;
        let forced = [libc::SO_RCVBUFFORCE, libc::SO_SNDBUFFORCE]
            .iter()
            .all(|name| sys::set_option(&socket, libc::SOL_SOCKET, *name, RELAY_BYTES).is_ok());
        Ok(if forced { Self::Forced } else { Self::Capped })
    }
}

/// Raises the limit of open files as far as the process may. Returns the limit now in force, which
/// is also the most sockets one driver can hold.
///
/// # Errors
/// If the kernel refuses, which it does not for its own hard limit.
pub fn raise_file_limit() -> io::Result<u64> {
    sys::raise_file_limit()
}

/// Tries again while the address is in use, but not for ever.
fn patiently<T>(patience: Duration, bind: impl Fn() -> io::Result<T>) -> io::Result<T> {
    let give_up = Instant::now() + patience;
    loop {
        match bind() {
            Err(error) if in_use(&error) && Instant::now() < give_up => thread::sleep(BIND_PAUSE),
            done => return done,
        }
    }
}

fn in_use(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrInUse
}

/// An unbound listening socket, for an address of whatever machine (IP_FREEBIND).
fn listener(address: SocketAddr) -> io::Result<Socket> {
    let socket = new(address)?;
    set_free_bind(&socket, address)?;
    Ok(socket)
}

fn set_free_bind(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    match address {
        SocketAddr::V4(_) => socket.set_freebind_v4(true),
        SocketAddr::V6(_) => socket.set_freebind_v6(true),
    }
}

/// An unbound socket with everything but its buffers set.
fn new(address: SocketAddr) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP))?;
    let v6 = address.is_ipv6();
    if v6 {
        socket.set_only_v6(true)?;
    }
    sys::set_dont_fragment(&socket, v6, false)?;
    match sys::set_option(&socket, libc::SOL_UDP, libc::UDP_GRO, 1) {
        // Before kernel 5.0 trains do not arrive; everything else is the same.
        Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Ok(socket),
        set => set.map(|()| socket),
    }
}

/// Asks for buffer sizes, over the sysctl's cap where the process may.
fn size_buffers(socket: &Socket, sizes: BufferSizes) -> io::Result<()> {
    let (receive, send) = (int(sizes.receive_bytes), int(sizes.send_bytes));
    if sys::set_option(socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, receive).is_err() {
        socket.set_recv_buffer_size(sizes.receive_bytes)?;
    }
    if sys::set_option(socket, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, send).is_err() {
        socket.set_send_buffer_size(sizes.send_bytes)?;
    }
    Ok(())
}

/// The buffer sizes a socket has. The kernel doubles what it is asked for, to account for its own
/// overhead.
fn granted(socket: &Socket) -> io::Result<BufferSizes> {
    Ok(BufferSizes {
        receive_bytes: socket.recv_buffer_size()? / 2,
        send_bytes: socket.send_buffer_size()? / 2,
    })
}

fn int(bytes: usize) -> i32 {
    i32::try_from(bytes).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: &str = "127.0.0.1:0";

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn workers_share_a_listening_address() {
        let first =
            listening(address(ANY), BufferSizes::LISTENING, BIND_PATIENCE).expect("loopback");
        let shared = first.socket.local_addr().expect("bound");
        let second = listening(shared, BufferSizes::LISTENING, BIND_PATIENCE).expect("shared");
        assert_eq!(second.socket.local_addr().expect("bound"), shared);
        assert!(first.granted.receive_bytes > 0 && first.granted.send_bytes > 0);
    }

    #[test]
    fn workers_share_a_tcp_address_and_connections_inherit_their_settings() {
        let first = stream_listening(address(ANY), BIND_PATIENCE).expect("loopback");
        let shared = first.local_addr().expect("bound");
        let _second = stream_listening(shared, BIND_PATIENCE).expect("shared");
        assert!(ensure_stream_free(shared, Duration::ZERO).is_err_and(|error| in_use(&error)));
        drop(_second);
        let _client = std::net::TcpStream::connect(shared).expect("a listener");
        let (accepted, _) = first.accept().expect("a client");
        for Setting { level, name, value } in STREAM_SETTINGS {
            assert_eq!(sys::option(&accepted, level, name).expect("an option"), value, "{name}");
        }
        drop((accepted, first));
        ensure_stream_free(shared, Duration::ZERO).expect("nobody listens");
    }

    #[test]
    fn a_relay_port_has_one_owner() {
        let first = relay(address(ANY), BufferSizes::RELAY).expect("loopback");
        let taken = first.local_addr().expect("bound");
        let error = relay(taken, BufferSizes::RELAY).expect_err("taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn both_families_can_have_one_port() {
        let v6 = relay(address("[::1]:0"), BufferSizes::RELAY).expect("IPv6 loopback");
        let port = v6.local_addr().expect("bound").port();
        relay(SocketAddr::from(([127, 0, 0, 1], port)), BufferSizes::RELAY).expect("IPv4 too");
    }
}
