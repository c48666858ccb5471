//! Asks a STUN server which address of this machine the other side of a NAT sees (RFC 8489 §3).

use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use crate::wire::{AttributeType, Class, Message, MessageWriter, Method, TransactionId};

/// How long each of the requests waits for an answer (RFC 8489 §6.2.1), 3.5 s in all.
const WAITS: [Duration; 3] =
    [Duration::from_millis(500), Duration::from_secs(1), Duration::from_secs(2)];
/// A Binding request has no attributes; an answer has a few.
const REQUEST_BYTES: usize = 64;
const ANSWER_BYTES: usize = 2048;

/// The address that a server sees behind a local one; `None` where the server's name has no address
/// of that family.
///
/// # Errors
/// One line: the name cannot be resolved, or the server does not answer.
pub(in crate::control) fn public_address(
    host: &str,
    port: u16,
    local: IpAddr,
) -> Result<Option<IpAddr>, String> {
    let unknown = |error: io::Error| format!("{host} cannot be resolved: {error}");
    let mut servers = (host, port).to_socket_addrs().map_err(unknown)?;
    let Some(server) = servers.find(|server| server.is_ipv4() == local.is_ipv4()) else {
        return Ok(None);
    };
    let seen = ask(server, local).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => format!("{server} does not answer {local}"),
        _ => format!("{server} cannot be asked from {local}: {error}"),
    });
    seen.map(Some)
}

fn ask(server: SocketAddr, local: IpAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((local, 0))?;
    socket.connect(server)?;
    let mut id = [0; 12];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let mut request = [0; REQUEST_BYTES];
    let mut writer =
        MessageWriter::new(&mut request, Method::Binding, Class::Request, TransactionId(id));
    let length = writer.fingerprint().finish().expect("64 bytes hold a header and a fingerprint");
    for wait in WAITS {
        socket.send(&request[..length])?;
        if let Some(seen) = hear(&socket, TransactionId(id), Instant::now() + wait)? {
            return Ok(seen);
        }
    }
    Err(ErrorKind::TimedOut.into())
}

/// Waits for the answer until a moment. What is no answer to this request is ignored.
fn hear(socket: &UdpSocket, id: TransactionId, until: Instant) -> io::Result<Option<IpAddr>> {
    let mut bytes = [0; ANSWER_BYTES];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        socket.set_read_timeout(Some(left))?;
        match socket.recv(&mut bytes) {
            Ok(length) => {
                if let Some(seen) = seen(&bytes[..length], id) {
                    return Ok(Some(seen));
                }
            }
            Err(error) if is_a_pause(&error) => {}
            Err(error) => return Err(error),
        }
    }
}

fn is_a_pause(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

/// The address that an answer names, if clients could be told it.
fn seen(datagram: &[u8], id: TransactionId) -> Option<IpAddr> {
    let message = Message::parse(datagram).ok()?;
    let is_ours = message.class() == Class::Success && message.transaction() == id;
    let seen = message.xor_address(AttributeType::XOR_MAPPED_ADDRESS).ok()??.ip();
    (is_ours && !seen.is_unspecified() && !seen.is_multicast()).then_some(seen)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::thread;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// A server that says of everybody who asks that it is somebody else, after a datagram that
    /// means nothing and an answer to somebody else's request.
    fn server(told: &'static str) -> u16 {
        let socket = UdpSocket::bind((LOCAL, 0)).unwrap();
        let port = socket.local_addr().unwrap().port();
        thread::spawn(move || {
            let mut bytes = [0; ANSWER_BYTES];
            let (length, client) = socket.recv_from(&mut bytes).unwrap();
            let request = Message::parse(&bytes[..length]).unwrap();
            assert_eq!((request.method(), request.class()), (Method::Binding, Class::Request));
            let answer = |id: TransactionId, told: &str| {
                let mut bytes = [0; 128];
                let mut writer =
                    MessageWriter::new(&mut bytes, Method::Binding, Class::Success, id);
                let told = SocketAddr::new(told.parse().unwrap(), 7);
                let length = writer.xor_mapped_address(told).finish().unwrap();
                bytes[..length].to_vec()
            };
            for datagram in [
                b"nothing".to_vec(),
                answer(TransactionId([7; 12]), "198.51.100.66"),
                answer(request.transaction(), told),
            ] {
                socket.send_to(&datagram, client).unwrap();
            }
        });
        port
    }

    #[test]
    fn the_address_in_the_answer_to_the_own_request_is_the_public_one() {
        let port = server("198.51.100.7");
        assert_eq!(
            public_address("127.0.0.1", port, LOCAL),
            Ok(Some("198.51.100.7".parse().unwrap()))
        );
    }

    #[test]
    fn a_server_without_an_address_of_the_family_says_nothing() {
        assert_eq!(public_address("::1", 3478, LOCAL), Ok(None));
    }

    #[test]
    fn a_closed_port_and_a_name_without_an_address_are_one_line() {
        let port = UdpSocket::bind((LOCAL, 0)).unwrap().local_addr().unwrap().port();
        let closed = public_address("127.0.0.1", port, LOCAL).unwrap_err();
        assert!(closed.contains("cannot be asked from 127.0.0.1: Connection refused"), "{closed}");
        let unknown = public_address("no-such-name.invalid", port, LOCAL).unwrap_err();
        assert!(unknown.starts_with("no-such-name.invalid cannot be resolved: "), "{unknown}");
    }

    #[test]
    fn a_server_that_is_silent_is_given_up() {
        let silent = UdpSocket::bind((LOCAL, 0)).unwrap();
        let port = silent.local_addr().unwrap().port();
        let problem = public_address("127.0.0.1", port, LOCAL).unwrap_err();
        assert_eq!(problem, format!("127.0.0.1:{port} does not answer 127.0.0.1"));
    }
}
