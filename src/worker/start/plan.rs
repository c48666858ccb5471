//! What workers are made from, and why they cannot be made.

use std::{fmt, io, net::SocketAddr, sync::Arc};

use crate::{
    io as net,
    turn::{PortPlan, RelayAddress, Settings},
    worker::{effects::quota::Limits, stream::bounds::rules::StreamRules},
};

/// Which driver moves the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DriverKind {
    /// io_uring.
    Uring,
    /// epoll, recvmmsg and sendmmsg.
    Portable,
}

/// How clients are spread over the workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Steering {
    /// By the kernel's hash of their address.
    #[default]
    Hash,
    /// By the core that receives their packets.
    Cpu,
}

/// A listening address and what comes to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Listen {
    /// Where.
    pub address: SocketAddr,
    /// What.
    pub kind: ListenKind,
}

/// What comes to a listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListenKind {
    /// UDP.
    Datagrams,
    /// TCP connections; their first bytes say whether they are TLS.
    Streams,
    /// TCP connections that begin with a TLS handshake, or are of no use.
    TlsStreams,
}

impl Listen {
    /// UDP on an address.
    pub const fn datagrams(address: SocketAddr) -> Listen {
        Listen { address, kind: ListenKind::Datagrams }
    }

    /// TCP on an address.
    pub const fn streams(address: SocketAddr) -> Listen {
        Listen { address, kind: ListenKind::Streams }
    }

    /// TLS on an address.
    pub const fn tls_streams(address: SocketAddr) -> Listen {
        Listen { address, kind: ListenKind::TlsStreams }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            ListenKind::Datagrams => write!(f, "{}", self.address),
            ListenKind::Streams => write!(f, "{} for TCP", self.address),
            ListenKind::TlsStreams => write!(f, "{} for TLS", self.address),
        }
    }
}

/// Everything the workers are made from.
pub struct Plan {
    /// Addresses clients talk to; the listener ids count along this list.
    pub listen: Vec<Listen>,
    /// Addresses relay ports are opened on.
    pub relay_addresses: Vec<RelayAddress>,
    /// How the relay ports are shared out.
    pub ports: PortPlan,
    /// The core each worker is pinned to, by worker.
    pub cores: Vec<usize>,
    /// The rules, the same for all.
    pub settings: Arc<Settings>,
    /// Allocations per user and in total.
    pub limits: Limits,
    /// How clients are spread.
    pub steering: Steering,
    /// Which driver.
    pub driver: DriverKind,
    /// The driver's sizes.
    pub io: net::Settings,
    /// Sockets of reserved ports that one worker may hold at a time, its own and those that it has
    /// from other workers.
    pub reserved_sockets: u32,
    /// The rules for connections, the same for all.
    pub stream_rules: Arc<StreamRules>,
}

/// Why the workers did not come up.
#[derive(Debug)]
pub enum SpawnError {
    /// A listening address cannot be opened.
    Listen(Listen, io::Error),
    /// A listening address cannot be steered by core.
    Steer(SocketAddr, io::Error),
    /// A worker cannot make its driver.
    Driver(io::Error),
    /// The kernel gives no random numbers, or no thread.
    Start(io::Error),
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpawnError::Listen(listen, error) => {
                write!(f, "cannot listen on {listen}: {error}{}", hint(*listen, error))
            }
            SpawnError::Steer(address, error) => {
                write!(f, "cannot steer {address} by core, use steer = \"hash\": {error}")
            }
            SpawnError::Driver(error) => write!(f, "cannot set up a worker's ring: {error}"),
            SpawnError::Start(error) => write!(f, "cannot start a worker: {error}"),
        }
    }
}

impl std::error::Error for SpawnError {}

/// Ports that not everybody may have end here, unless net.ipv4.ip_unprivileged_port_start says
/// otherwise (capabilities(7)).
const FIRST_FREE_PORT: u16 = 1024;

/// What to do about an address that cannot be had.
fn hint(listen: Listen, error: &io::Error) -> String {
    let port = listen.address.port();
    match error.kind() {
        io::ErrorKind::PermissionDenied if port < FIRST_FREE_PORT => {
            "; a port below 1024 needs CAP_NET_BIND_SERVICE (systemd: \
             AmbientCapabilities=CAP_NET_BIND_SERVICE)"
                .to_owned()
        }
        io::ErrorKind::AddrInUse => {
            format!("; `ss -lnptu 'sport = :{port}'` names the program that has it")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(socket: &str, errno: i32) -> String {
        let listen = Listen::streams(socket.parse().unwrap());
        SpawnError::Listen(listen, io::Error::from_raw_os_error(errno)).to_string()
    }

    #[test]
    fn a_low_port_that_is_denied_names_the_capability() {
        let told_low = told("192.0.2.1:443", libc::EACCES);
        assert!(told_low.contains("192.0.2.1:443 for TCP"), "{told_low}");
        assert!(told_low.contains("CAP_NET_BIND_SERVICE"), "{told_low}");
        for (socket, errno) in
            [("192.0.2.1:443", libc::EADDRINUSE), ("192.0.2.1:3478", libc::EACCES)]
        {
            assert!(!told(socket, errno).contains("CAP_"), "{socket}");
        }
    }

    #[test]
    fn a_port_that_another_program_has_names_who_knows_the_program() {
        let taken = told("192.0.2.1:3478", libc::EADDRINUSE);
        assert!(taken.contains("`ss -lnptu 'sport = :3478'`"), "{taken}");
    }
}
