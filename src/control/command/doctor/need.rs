//! What a server with its configuration wants of a machine.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::SystemTime;

use crate::control::config::{Exposure, IoChoice};
use crate::control::tls::certificate::CertificateFacts;
use crate::turn::RelayAddress;

/// The configuration, as far as a machine can fail it.
#[derive(Clone, Debug)]
pub(super) struct Need {
    /// Which driver is wanted.
    pub(super) io: IoChoice,
    /// Addresses clients talk to.
    pub(super) listen: Vec<SocketAddr>,
    /// Addresses that take TCP, those for TLS alone included.
    pub(super) listen_tcp: Vec<SocketAddr>,
    /// Addresses relay ports are opened on.
    pub(super) relays: Vec<RelayAddress>,
    /// First and last relay port.
    pub(super) ports: (u16, u16),
    /// Core of each worker.
    pub(super) cores: Vec<usize>,
    /// Files open at once.
    pub(super) descriptors: u64,
    /// Allocations at once.
    pub(super) allocations: u32,
    /// Files that others may read or change and should not.
    pub(super) exposed: Vec<Exposure>,
    /// Files that the server reads.
    pub(super) files: Vec<PathBuf>,
    /// Whether there are time-limited names.
    pub(super) has_secret: bool,
    /// What clients on TLS would be shown.
    pub(super) certificates: Vec<CertificateFacts>,
    /// Why they would not; an expired certificate apart.
    pub(super) unfit_certificate: Option<String>,
    /// The time now.
    pub(super) now: SystemTime,
}

impl Need {
    /// Says whether a port is handed out as a relayed address.
    pub(super) fn is_relay_port(&self, port: u16) -> bool {
        (self.ports.0..=self.ports.1).contains(&port)
    }

    /// Names the cores that workers run on, each once.
    pub(super) fn worker_cores(&self) -> Vec<usize> {
        let mut cores = self.cores.clone();
        cores.sort_unstable();
        cores.dedup();
        cores
    }

    /// Names the addresses that packets come in on.
    pub(super) fn own_ips(&self) -> Vec<IpAddr> {
        let listen = self.listen.iter().map(SocketAddr::ip);
        listen.chain(self.relays.iter().map(|relay| relay.local)).collect()
    }

    /// The relay ports as they are written.
    pub(super) fn ports_text(&self) -> String {
        format!("{}-{}", self.ports.0, self.ports.1)
    }
}
