//! What the desk has the server's life do, and what the life tells the desk.
//!
//! Orders are carried out one after the other, between signals and reports; the desk waits for the
//! outcome of each. How the server stands is a value that whoever wants to reads.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::{mpsc, oneshot, watch};

use crate::control::config::{Change, Config};
use crate::turn::ListenerId;

/// Orders that may wait.
const ORDERS: usize = 16;

/// One thing to do, and where its outcome goes.
#[derive(Debug)]
pub(in crate::control) enum Order {
    /// Read the configuration again.
    Reload(oneshot::Sender<Result<Change, String>>),
    /// Take no new clients.
    Drain(Wish, oneshot::Sender<Result<(), String>>),
    /// Take them again.
    Cancel(oneshot::Sender<Result<(), String>>),
}

/// How a drain is wished for; what is not said is as the configuration has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::control) struct Wish {
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
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Draining(_) => "draining",
            Self::Drained { .. } | Self::Stopping => "stopping",
        }
    }
}

/// How a server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Standing {
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
}

impl Standing {
    /// A server that serves by this configuration.
    pub(in crate::control) fn serving(config: &Config) -> Self {
        Self {
            state: State::Serving,
            realm: config.realm.clone(),
            allocations_limit: config.quotas.total_allocations,
            listen: config.listen.clone(),
            relays: config.relays.iter().map(|relay| relay.advertised).collect(),
            listeners: config.listen.clone(),
            lacking: Vec::new(),
        }
    }
}

impl Standing {
    /// Whether it takes no new clients and waits for the last to go.
    pub(in crate::control) fn is_draining(&self) -> bool {
        matches!(self.state, State::Draining(_))
    }

    /// Follows a configuration that has changed.
    pub(in crate::control) fn follow(&mut self, config: &Config) {
        self.realm.clone_from(&config.realm);
        self.allocations_limit = config.quotas.total_allocations;
        self.listen.clone_from(&config.listen);
        self.relays = config.relays.iter().map(|relay| relay.advertised).collect();
    }

    /// The address of a listener.
    pub(in crate::control) fn server(&self, listener: ListenerId) -> Option<SocketAddr> {
        self.listeners.get(usize::from(listener.0)).copied()
    }
}

/// The desk's side.
#[derive(Clone, Debug)]
pub(in crate::control) struct Orders {
    door: mpsc::Sender<Order>,
    standing: watch::Receiver<Standing>,
}

/// Makes both sides: the desk's, and where the life finds orders and tells how it stands.
pub(in crate::control) fn orders(
    standing: Standing,
) -> (Orders, mpsc::Receiver<Order>, watch::Sender<Standing>) {
    let (door, orders) = mpsc::channel(ORDERS);
    let (tell, standing) = watch::channel(standing);
    (Orders { door, standing }, orders, tell)
}

impl Orders {
    /// How the server stands now.
    pub(super) fn standing(&self) -> Standing {
        self.standing.borrow().clone()
    }

    /// How the server stands, now and whenever that changes.
    pub(super) fn watch(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }

    /// Has the server take no new clients.
    pub(super) async fn drain(&self, wish: Wish) -> Result<(), String> {
        self.give(|outcome| Order::Drain(wish, outcome)).await?
    }

    /// Has the server take clients again.
    pub(super) async fn cancel(&self) -> Result<(), String> {
        self.give(Order::Cancel).await?
    }

    /// Has the configuration read again.
    pub(super) async fn reload(&self) -> Result<Change, String> {
        self.give(Order::Reload).await?
    }

    /// Gives an order and waits for its outcome.
    async fn give<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, String> {
        let stopping = || "the server is stopping".to_owned();
        let (tell, outcome) = oneshot::channel();
        self.door.send(order(tell)).await.map_err(|_| stopping())?;
        outcome.await.map_err(|_| stopping())
    }
}
