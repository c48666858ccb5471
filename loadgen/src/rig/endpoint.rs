//! Sockets of clients and peers: bound, never blocking, with room for bursts.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    sync::Arc,
};

use socket2::SockRef;

use crate::{fault::Fault, socket};

/// Buffers of the peer, which carries all flows, and of each client, which carries one.
const PEER_BUFFER_BYTES: usize = 32 << 20;
const CLIENT_BUFFER_BYTES: usize = 4 << 20;

/// Where peers live: outside 49152-65535, the usual range of relay ports. A peer on the server's
/// own address with a port in there is a relay port to the server, and one that nobody has
/// allocated.
const PEER_PORTS: std::ops::Range<u16> = 30_000..32_768;

/// The socket of a peer.
pub(crate) fn open_peer(ip: IpAddr, gro: bool) -> Result<Arc<UdpSocket>, Fault> {
    let socket =
        bind_low(ip).map_err(|error| Fault::io("open a socket at the peer's address", error))?;
    prepare(&socket, PEER_BUFFER_BYTES, gro)?;
    Ok(Arc::new(socket))
}

/// Takes one of [`PEER_PORTS`], or any port when they are all in use.
fn bind_low(ip: IpAddr) -> io::Result<UdpSocket> {
    let low = PEER_PORTS.into_iter().find_map(|port| UdpSocket::bind((ip, port)).ok());
    low.map_or_else(|| UdpSocket::bind((ip, 0)), Ok)
}

/// A socket that talks to one address only, from whichever address leads there.
pub(crate) fn open_client(to: SocketAddr, gro: bool) -> Result<Arc<UdpSocket>, Fault> {
    let any: IpAddr = match to.ip() {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    open_client_at(any, to, gro)
}

/// A socket that talks to one address only, from this address of the machine.
pub(crate) fn open_client_at(
    from: IpAddr,
    to: SocketAddr,
    gro: bool,
) -> Result<Arc<UdpSocket>, Fault> {
    let socket = UdpSocket::bind(SocketAddr::new(from, 0));
    let socket = socket.map_err(|error| Fault::io("open a client's socket", error))?;
    socket.connect(to).map_err(|error| Fault::io("find a way to the server", error))?;
    prepare(&socket, CLIENT_BUFFER_BYTES, gro)?;
    Ok(Arc::new(socket))
}

/// Never blocking, with large buffers (beyond the system's limit where that is allowed), and trains
/// received whole.
fn prepare(socket: &UdpSocket, buffer_bytes: usize, gro: bool) -> Result<(), Fault> {
    socket.set_nonblocking(true).map_err(|error| Fault::io("prepare a socket", error))?;
    let force =
        |option| socket::set_option(socket, libc::SOL_SOCKET, option, buffer_bytes as i32).is_ok();
    // The kernel takes as much of this as its limit allows; drops and refusals are counted.
    if !force(libc::SO_RCVBUFFORCE) {
        let _ = SockRef::from(socket).set_recv_buffer_size(buffer_bytes);
    }
    if !force(libc::SO_SNDBUFFORCE) {
        let _ = SockRef::from(socket).set_send_buffer_size(buffer_bytes);
    }
    if gro {
        // Without GRO (Linux 5.0) packets come one by one.
        let _ = socket::set_option(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
    }
    Ok(())
}
