//! What the handler has the supervisor do, and what the supervisor tells the handler.
//!
//! The supervisor carries out one command after the other, between signals and reports; the handler
//! waits for the outcome of each. The server's status is a value that everybody may read.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::{mpsc, oneshot, watch};

use crate::control::config::{Change, Config};
use crate::control::tls::certificate::CertificateFacts;
use crate::turn::ListenerId;

/// Commands that may wait.
const COMMANDS: usize = 16;

/// One thing to do, and where its outcome goes.
#[derive(Debug)]
pub(in crate::control) enum Command {
    /// Read the configuration again.
    Reload(oneshot::Sender<Result<Change, String>>),
    /// Take no new clients.
    Drain(DrainRequest, oneshot::Sender<Result<(), String>>),
    /// Take them again.
    Cancel(oneshot::Sender<Result<(), String>>),
}

/// How a drain is wished for; what is not said is as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct DrainRequest {
    /// Seconds it may take; 0 for as long as it takes.
    pub(in crate::control) deadline_s: Option<u32>,
    /// Where new clients are sent.
    pub(in crate::control) alternate: Vec<SocketAddr>,
}

/// What a server does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) enum State {
    /// It takes clients.
    Serving,
    /// It takes no new ones.
    Draining(Progress),
    /// It has drained and ends.
    Drained {
        /// Allocations that the deadline ended.
        left: u64,
    },
    /// It ends.
    Stopping,
}

/// How far a drain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Progress {
    /// Allocations that live, if every worker has said.
    pub(in crate::control) left: Option<u64>,
    /// Allocations when it began.
    pub(in crate::control) begun_with: Option<u64>,
    /// Seconds until the deadline, if there is one.
    pub(in crate::control) left_s: Option<u64>,
}

impl State {
    /// One word for it.
    pub(in crate::control) fn word(&self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining(_) => "draining",
            Self::Drained { .. } | Self::Stopping => "stopping",
        }
    }
}

/// The status of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct ServerStatus {
    /// What it does.
    pub(in crate::control) state: State,
    /// Realm of the credentials.
    pub(in crate::control) realm: String,
    /// Allocations there may be.
    pub(in crate::control) allocations_limit: u32,
    /// Addresses that clients are heard on.
    pub(in crate::control) listen: Vec<SocketAddr>,
    /// Addresses that relays are on, as clients are told.
    pub(in crate::control) relays: Vec<IpAddr>,
    /// Every address that clients were ever heard on, by the name of its listener.
    pub(in crate::control) listeners: Vec<SocketAddr>,
    /// What should be served and cannot be, one line each.
    pub(in crate::control) lacking: Vec<String>,
    /// What clients on TLS are shown.
    pub(in crate::control) certificates: Vec<CertificateFacts>,
    /// How often certificates were replaced.
    pub(in crate::control) certificate_reloads: CertificateReloads,
}

/// How often certificates were read again to replace those that held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct CertificateReloads {
    /// Others hold since.
    pub(in crate::control) succeeded: u64,
    /// Something was wrong with them.
    pub(in crate::control) failed: u64,
}

impl ServerStatus {
    /// A server that serves by this configuration.
    pub(in crate::control) fn serving(config: &Config) -> Self {
        Self {
            state: State::Serving,
            realm: config.values.realm.0.clone(),
            allocations_limit: config.values.total_quota,
            listen: config.listen.clone(),
            relays: config.relays.iter().map(|relay| relay.advertised).collect(),
            listeners: config.listeners().into_iter().map(|it| it.address).collect(),
            lacking: Vec::new(),
            certificates: Vec::new(),
            certificate_reloads: CertificateReloads::default(),
        }
    }
}

impl ServerStatus {
    /// Whether it takes no new clients and waits for the last to go.
    pub(in crate::control) fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining(_))
    }

    /// Follows a configuration that has changed.
    pub(in crate::control) fn follow(&mut self, config: &Config) {
        self.realm.clone_from(&config.values.realm.0);
        self.allocations_limit = config.values.total_quota;
        self.listen.clone_from(&config.listen);
        self.relays = config.relays.iter().map(|relay| relay.advertised).collect();
    }

    /// The address of a listener.
    pub(in crate::control) fn server(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.listeners.get(usize::from(listener.0)).copied()
    }
}

/// The handler's side.
#[derive(Clone, Debug)]
pub(in crate::control) struct CommandSender {
    sender: mpsc::Sender<Command>,
    status: watch::Receiver<ServerStatus>,
}

/// Makes both sides: the handler's, and where the supervisor finds commands and tells its status.
pub(in crate::control) fn command_channel(
    status: ServerStatus,
) -> (CommandSender, mpsc::Receiver<Command>, watch::Sender<ServerStatus>) {
    let (sender, commands) = mpsc::channel(COMMANDS);
    let (tell, status) = watch::channel(status);
    (CommandSender { sender, status }, commands, tell)
}

impl CommandSender {
    /// The server's status now.
    pub(super) fn status(&self) -> ServerStatus {
        self.status.borrow().clone()
    }

    /// The server's status, now and whenever that changes.
    pub(super) fn watch(&self) -> watch::Receiver<ServerStatus> {
        self.status.clone()
    }

    /// Has the server take no new clients.
    pub(super) async fn drain(&self, request: DrainRequest) -> Result<(), String> {
        self.send(|outcome| Command::Drain(request, outcome)).await?
    }

    /// Has the server take clients again.
    pub(super) async fn cancel(&self) -> Result<(), String> {
        self.send(Command::Cancel).await?
    }

    /// Has the configuration read again.
    pub(super) async fn reload(&self) -> Result<Change, String> {
        self.send(Command::Reload).await?
    }

    /// Gives a command and waits for its outcome.
    async fn send<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, String> {
        let stopping = || "the server is stopping".to_owned();
        let (tell, outcome) = oneshot::channel();
        self.sender.send(command(tell)).await.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())
    }
}
