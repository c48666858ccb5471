//! What a server shows of itself over HTTP: numbers for Prometheus, a status page for people, and
//! whether it is ready.
//!
//! ```text
//! GET /metrics ──▶ http.rs ──▶ sampler.rs ── mail ──▶ every worker
//! GET /               ▲            │                      │ a copy of its counters
//!                     │        history.rs                 │
//!                     ├── text.rs ◀── families/ ◀─────────┤
//!                     └── page/ ◀─────────────────────────┘
//! ```
//!
//! Workers count in words of their own and are asked when somebody looks, so that nothing is shared
//! with them and nothing is done between two scrapes. All of this runs on the control thread.
//!
//! Law: no label takes values that an outsider can make more of; no user, no client, no peer.

mod families;
mod history;
mod http;
pub(super) mod overflow;
mod page;
pub(super) mod process;
pub(super) mod refusals;
pub(super) mod sampler;
mod text;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Instant, SystemTime};

pub(super) use sampler::SnapshotSampler;

use tokio::sync::watch;

use super::admin::commands::ServerStatus;
use super::usage::counts::RecordCounts;
use crate::io::sockets;

/// Connections the kernel keeps while the server does something else: with the 128 that are usual,
/// a burst of a thousand makes a health check wait a second for its next try.
const BACKLOG: i32 = 1024;

/// The sockets on which numbers will be shown; bound, and silent until [`MetricsListeners::open`].
#[derive(Debug)]
pub(super) struct MetricsListeners(Vec<TcpListener>);

/// What is shown, and who is asked for it.
pub(super) struct Node {
    pub(super) about: About,
    pub(super) sampler: SnapshotSampler,
    pub(super) readiness: Readiness,
    /// What the server does, and the limits that hold.
    pub(super) status: watch::Receiver<ServerStatus>,
}

/// What does not change while a server runs.
#[derive(Clone, Debug)]
pub(super) struct About {
    /// What moves the packets.
    pub(super) driver: &'static str,
    /// Workers that were started; at least one.
    pub(super) workers: usize,
    /// When it was started, by the machine's clock.
    pub(super) started: SystemTime,
    /// The same moment, by a clock that nobody sets.
    pub(super) begun: Instant,
    /// What the control thread loses, which no worker knows of.
    pub(super) losses: Losses,
}

/// What was to be written down, and what of it was lost.
#[derive(Clone, Debug, Default)]
pub(super) struct Losses {
    /// Usage records.
    pub(super) usage: Arc<RecordCounts>,
    /// Reports of workers that found the control thread's queue full.
    pub(super) reports: Arc<AtomicU64>,
    /// Lines of the log that nobody read in time.
    pub(super) log: Arc<AtomicU64>,
}

/// Whether clients should be sent here: said by the supervisor, told by `/ready`.
#[derive(Clone, Debug)]
pub(super) struct Readiness(Arc<AtomicBool>);

impl MetricsListeners {
    /// Binds every address.
    ///
    /// # Errors
    /// Names the address that cannot be bound.
    pub(super) fn bind(addresses: &[SocketAddr]) -> io::Result<Self> {
        addresses.iter().map(|address| bind(*address)).collect::<io::Result<_>>().map(Self)
    }

    /// Shows a node until the runtime ends. Has to be called on one.
    ///
    /// # Errors
    /// The runtime takes no more sockets.
    pub(super) fn open(self, node: &Arc<Node>) -> io::Result<()> {
        for listener in self.0 {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tokio::spawn(http::serve(listener, Arc::clone(node)));
        }
        Ok(())
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    sockets::serving(address, BACKLOG).map_err(|error| {
        io::Error::new(error.kind(), format!("cannot show metrics on {address}: {error}"))
    })
}

impl Readiness {
    /// A server whose workers are up is ready.
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// From now on no client should be sent here.
    pub(super) fn withdraw(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    /// Clients may be sent here again.
    pub(super) fn restore(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn holds(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A server that serves and has room for a hundred allocations.
#[cfg(test)]
fn status() -> ServerStatus {
    let state = super::admin::commands::State::Serving;
    ServerStatus {
        state,
        realm: "r".to_owned(),
        allocations_limit: 100,
        listen: Vec::new(),
        relays: Vec::new(),
        listeners: Vec::new(),
        lacking: Vec::new(),
        certificates: vec![super::tls::certificate::CertificateFacts {
            name: "turn.example.org".to_owned(),
            names: vec!["turn.example.org".to_owned()],
            path: "/etc/uturn/fullchain.pem".into(),
            not_after_s: 4_102_444_800,
            not_after: "2100-01-01".to_owned(),
            is_rsa: false,
        }],
        certificate_reloads: super::admin::commands::CertificateReloads::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MetricsListeners, TcpListener};

    #[test]
    fn an_address_in_use_is_named() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let error = MetricsListeners::bind(&[address]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("cannot show metrics on {address}: ")), "{error}");
        assert_eq!(error.lines().count(), 1);
    }
}
