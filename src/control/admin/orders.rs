//! What the desk has the server's life do, and what the life tells the desk.
//!
//! Orders are carried out one after the other, between signals and reports; the desk waits for the
//! outcome of each. How the server stands is a value that whoever wants to reads.

use tokio::sync::{mpsc, oneshot, watch};

use crate::control::config::{Change, Config};

/// Orders that may wait.
const ORDERS: usize = 16;

/// One thing to do, and where its outcome goes.
#[derive(Debug)]
pub(in crate::control) enum Order {
    /// Read the configuration again.
    Reload(oneshot::Sender<Result<Change, String>>),
}

/// How a server stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::control) struct Standing {
    /// Serving or stopping.
    pub(in crate::control) state: &'static str,
    /// Realm of the credentials.
    pub(in crate::control) realm: String,
    /// Allocations there may be.
    pub(in crate::control) allocations_limit: u32,
}

impl Standing {
    /// A server that serves by this configuration.
    pub(in crate::control) fn serving(config: &Config) -> Self {
        Self {
            state: "serving",
            realm: config.realm.clone(),
            allocations_limit: config.quotas.total_allocations,
        }
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
