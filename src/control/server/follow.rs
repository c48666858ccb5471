//! The machine's addresses, followed while the server runs.
//!
//! Whoever relays for strangers must know where its own machine ends: an address that an interface
//! gets at noon is as closed to clients as one that it had at the start.

use std::sync::Arc;

use ipnet::IpNet;
use tracing::{info, warn};

use super::run::{Life, Workers};
use crate::control::config::local;

impl<W: Workers> Life<W> {
    /// Asks for the machine's addresses and closes what is new among them to clients. Changes
    /// nothing when they cannot be had.
    pub(super) async fn follow_addresses(&mut self, alive: usize) {
        let local = match local() {
            Ok(local) => local,
            Err(error) => {
                warn!(%error, "the machine's addresses cannot be read: the last ones known hold");
                return;
            }
        };
        let before = self.reload.config().local.clone();
        let Some(rules) = self.reload.follow(local) else { return };
        let now = &self.reload.config().local;
        info!(
            new = listed(now, &before),
            gone = listed(&before, now),
            "the machine's addresses have changed: clients reach none of them, unless allow-peers \
             opens it"
        );
        self.hand_out(alive, &Arc::new(rules)).await;
    }
}

/// Those of some networks that are not among others.
fn listed(networks: &[IpNet], others: &[IpNet]) -> String {
    let these = networks.iter().filter(|net| !others.contains(net));
    these.map(in_short).collect::<Vec<_>>().join(", ")
}

/// A network of one address is written as that address.
fn in_short(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() {
        network.addr().to_string()
    } else {
        network.to_string()
    }
}
