//! The machine's addresses, followed while the server runs.
//!
//! Whoever relays for strangers must know where its own machine ends: an address that an interface
//! gets at noon is as closed to clients as one that it had at the start. And it is served like one,
//! where every address of its family is.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tracing::{error, info, warn};

use super::supervisor::{Supervisor, Workers};
use crate::control::config::{Config, Families, Machine};
use crate::turn::ListenerId;

/// How soon an address that could not be listened on is tried again; twice as late every time. One
/// that went and came at once is in use for a moment: workers let go of its sockets when they get to
/// it, and a ring some 100 ms later.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is said that an address is missing.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// What is listened on, and what should be served.
#[derive(Debug)]
pub(in crate::control) struct Followed {
    /// Addresses that were ever listened on, and whether they are now. The place is the name.
    listeners: Vec<(SocketAddr, bool)>,
    /// What was asked for by name or has been there.
    promised: Families,
    /// When the log says again what is missing, or cannot be listened on.
    next_word: Instant,
    /// When those that could not be listened on are tried again.
    retry: Option<Instant>,
    /// How much later they were tried the last time.
    patience: Duration,
}

impl Followed {
    /// Begins with what is listened on from the start.
    pub(in crate::control) fn new(config: &Config) -> Self {
        Self {
            listeners: config.listen.iter().map(|address| (*address, true)).collect(),
            promised: config.promised_families().with(config.served_families(&config.listen)),
            next_word: Instant::now() + SAY_EVERY,
            retry: None,
            patience: RETRY,
        }
    }

    /// When something is to be tried again.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.retry
    }

    /// The addresses of the listeners, by name.
    pub(in crate::control) fn names(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|(address, _)| *address)
    }

    /// Those that are listened on.
    fn open(&self) -> Vec<SocketAddr> {
        let open = self.listeners.iter().filter(|(_, is_open)| *is_open);
        open.map(|(address, _)| *address).collect()
    }

    /// What should be served and is not.
    pub(in crate::control) fn lacking(&self, config: &Config) -> Vec<String> {
        self.promised.without(config.served_families(&self.open())).named()
    }

    /// Arranges for another try if an address that should be listened on is not.
    fn try_again(&mut self, asked: &[SocketAddr]) {
        let is_closed =
            |(address, is_open): &(SocketAddr, bool)| !is_open && asked.contains(address);
        if !self.listeners.iter().any(is_closed) {
            (self.retry, self.patience) = (None, RETRY);
            return;
        }
        self.retry = Some(Instant::now() + self.patience);
        self.patience = (self.patience * 2).min(SAY_EVERY);
    }

    /// The name that an address has, or gets; `None` when there are no names left.
    fn name(&mut self, address: SocketAddr) -> Option<ListenerId> {
        let known = self.listeners.iter().position(|(known, _)| *known == address);
        let place = known.unwrap_or_else(|| {
            self.listeners.push((address, false));
            self.listeners.len() - 1
        });
        u16::try_from(place).ok().map(ListenerId)
    }
}

impl<W: Workers> Supervisor<W> {
    /// Asks for the machine's addresses, closes what is new among them to clients, and serves what
    /// was asked for and is there now. Changes nothing when the addresses cannot be had.
    pub(in crate::control) async fn follow_addresses(&mut self, alive: usize) {
        let machine = match Machine::look() {
            Ok(machine) => machine,
            Err(error) => {
                warn!(%error, "the machine's addresses cannot be read: the last ones known hold");
                return;
            }
        };
        let before = self.reload.config().local.clone();
        let relays = self.reload.config().relays.clone();
        let rules = match self.reload.follow(machine) {
            Ok(rules) => rules,
            Err(problem) => return error!("the addresses stay as they were: {problem}"),
        };
        if let Some(rules) = rules {
            let now = &self.reload.config().local;
            info!(
                new = listed(now, &before),
                gone = listed(&before, now),
                "the machine's addresses have changed: clients reach none of them, unless \
                 allow-peers opens it"
            );
            self.hand_out(alive, &Arc::new(rules)).await;
        }
        let now = &self.reload.config().relays;
        if *now != relays {
            self.workers.relay_on(now);
            let locals = now.iter().map(|relay| relay.local.to_string()).collect::<Vec<_>>();
            info!(addresses = locals.join(", "), "relays are opened here from now on");
        }
        self.listen_as_asked();
        self.tell_what_is_served();
    }

    /// Opens listeners on addresses that have come, and closes those whose address has gone.
    fn listen_as_asked(&mut self) {
        let asked = self.reload.config().listen.clone();
        for (place, (address, is_open)) in self.followed.listeners.iter_mut().enumerate() {
            if *is_open && !asked.contains(address) {
                *is_open = false;
                self.workers.stop_listening(ListenerId(place as u16));
                warn!(%address, "not listened on any more: the machine has lost the address");
            }
        }
        for &address in &asked {
            let Some(name) = self.followed.name(address) else {
                error!(%address, "cannot be listened on: there have been too many before it");
                continue;
            };
            let (_, is_open) = &mut self.followed.listeners[usize::from(name.0)];
            if *is_open {
                continue;
            }
            match self.workers.listen(name, address) {
                Ok(()) => {
                    *is_open = true;
                    info!(%address, "listened on from now on");
                }
                // In use for a moment is no news.
                Err(error) if Instant::now() >= self.followed.next_word => error!("{error}"),
                Err(_) => {}
            }
        }
        self.followed.try_again(&asked);
    }

    /// Tells everybody who names addresses, and says in the log what is missing.
    fn tell_what_is_served(&mut self) {
        let (config, followed) = (self.reload.config(), &mut self.followed);
        followed.promised = followed.promised.with(config.served_families(&followed.open()));
        let lacking = followed.lacking(config);
        if Instant::now() >= followed.next_word {
            followed.next_word = Instant::now() + SAY_EVERY;
            config.missing.iter().for_each(|address| {
                warn!(%address, "not an address of this machine yet");
            });
        }
        let names: Vec<SocketAddr> = followed.names().collect();
        self.events.follow(&names);
        self.status.send_if_modified(|status| {
            if status.lacking != lacking {
                match lacking.is_empty() {
                    true => info!("ready: what was asked for is served"),
                    false => warn!(lacking = lacking.join(", "), "not ready"),
                }
            }
            let before = status.clone();
            status.follow(config);
            status.listeners = names;
            status.lacking = lacking;
            *status != before
        });
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
