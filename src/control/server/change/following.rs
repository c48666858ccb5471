//! The supervisor follows the machine's addresses.

use std::io;
use std::time::Instant;

use ipnet::IpNet;
use tracing::{error, info, warn};

use super::follow::{FollowedListener, Look, SAY_EVERY};
use super::reload::Looked;
use crate::control::config::Machine;
use crate::control::server::background::{BackgroundOutcome, RulesCause};
use crate::control::server::supervisor::{Supervisor, WorkerControl};
use crate::turn::ListenerId;
use crate::worker::Listen;

impl<W: WorkerControl> Supervisor<W> {
    /// Asks for the machine's addresses, on a thread: the kernel may be busy with others' networks.
    /// Nobody else is asked: a name server that does not answer keeps no address open to clients.
    pub(in crate::control) fn look(&mut self) {
        if self.followed.look != Look::None {
            self.followed.look = Look::Stale;
            return;
        }
        self.followed.look = Look::UnderWay;
        let reload = self.reload.clone();
        let work = move || {
            let machine = Machine::look().map(Machine::that_asks_nobody);
            BackgroundOutcome::Looked(machine.map(|machine| Box::new(reload.look(machine))))
        };
        if let Err(error) = self.background.run("addresses", work) {
            self.on_looked(Err(error));
        }
    }

    /// Closes what is new among the machine's addresses to clients, and serves what was asked for
    /// and is there now. Changes nothing when the addresses cannot be had.
    pub(in crate::control) fn on_looked(&mut self, looked: io::Result<Box<Looked>>) {
        let is_stale = std::mem::replace(&mut self.followed.look, Look::None) == Look::Stale;
        let asks_others = self.reload.config().asks_others();
        match looked {
            // What others are still to say is no problem yet.
            Ok(mut looked) if asks_others => {
                looked.problems.clear();
                self.follow(&looked);
            }
            Ok(looked) => self.follow(&looked),
            Err(error) => {
                warn!(%error, "the machine's addresses cannot be read: the last ones known hold");
                self.followed.try_again(&self.reload.config().listeners());
            }
        }
        if is_stale {
            self.look();
        } else if asks_others && self.followed.look == Look::None {
            self.ask_others();
        }
    }

    /// Asks name servers and STUN servers what the configuration leaves to them, which takes
    /// seconds where they do not answer.
    fn ask_others(&mut self) {
        if std::mem::replace(&mut self.followed.is_asking, true) {
            return;
        }
        let reload = self.reload.clone();
        let work = move || {
            let machine = Machine::look().ok();
            BackgroundOutcome::Asked(machine.map(|machine| Box::new(reload.look(machine))))
        };
        self.followed.is_asking = self.background.run("names", work).is_ok();
    }

    /// Goes on with what others have said. Where something else holds by now, they are asked again.
    pub(in crate::control) fn on_asked(&mut self, looked: Option<Box<Looked>>) {
        self.followed.is_asking = false;
        if let Some(looked) = looked {
            self.follow(&looked);
        }
    }

    fn follow(&mut self, looked: &Looked) {
        let before = self.reload.config().local.clone();
        let relays = self.reload.config().relays.clone();
        if !self.reload.follow(looked) {
            // The configuration was read again meanwhile.
            return self.look();
        }
        looked.problems.iter().for_each(|problem| warn!("{problem}"));
        if let Some(rules) = &looked.settings {
            let now = &self.reload.config().local;
            info!(
                new = listed(now, &before),
                gone = listed(&before, now),
                "the machine's addresses have changed: clients reach none of them, unless \
                 allow-peers opens it"
            );
            self.hand_out(RulesCause::Machine, rules);
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

    /// A worker can no longer use a listener's sockets: all workers close theirs, which share its
    /// clients, and it is opened again soon. Until then the server is not ready.
    pub(in crate::control) fn lose_listener(&mut self, listener: ListenerId, errno: i32) {
        let error = io::Error::from_raw_os_error(errno);
        if !self.followed.lose(listener, &error) {
            return;
        }
        self.workers.stop_listening(listener);
        self.followed.try_again(&self.reload.config().listeners());
        self.tell_what_is_served();
    }

    /// Opens listeners on addresses that have come or are asked for now, and closes those whose
    /// address has gone or is asked for no more.
    pub(in crate::control) fn listen_as_asked(&mut self) {
        let asked = self.reload.config().listeners();
        // Each is one line however many there are: an interface that flaps may have hundreds.
        let (mut closed, mut opened) = (Vec::new(), Vec::new());
        for (place, listener) in self.followed.listeners.iter_mut().enumerate() {
            if listener.is_open && !asked.contains(&listener.listen) {
                listener.is_open = false;
                self.workers.stop_listening(ListenerId(place as u16));
                closed.push(listener.listen.to_string());
            }
        }
        for &listen in &asked {
            let Some(name) = self.followed.name(listen) else {
                error!(address = %listen, "cannot be listened on: there have been too many before it");
                continue;
            };
            let listener = &mut self.followed.listeners[usize::from(name.0)];
            if listener.is_open {
                continue;
            }
            match self.workers.listen(name, listen) {
                Ok(()) => {
                    *listener = FollowedListener::open(listen);
                    opened.push(listen.to_string());
                }
                // In use for a moment is no news.
                Err(error) if Instant::now() >= self.followed.next_word => error!("{error}"),
                Err(_) => {}
            }
        }
        if !closed.is_empty() {
            warn!(addresses = closed.join(", "), "not listened on any more");
        }
        if !opened.is_empty() {
            info!(addresses = opened.join(", "), "listened on from now on");
        }
        self.followed.try_again(&asked);
    }

    /// Tells everybody who names addresses, and says in the log what is missing.
    pub(in crate::control) fn tell_what_is_served(&mut self) {
        let (config, followed) = (self.reload.config(), &mut self.followed);
        followed.promised = followed.promised.with(config.served_families(&followed.open()));
        let lacking = followed.lacking(config);
        if Instant::now() >= followed.next_word {
            followed.next_word = Instant::now() + SAY_EVERY;
            config.missing.iter().for_each(|address| {
                warn!(%address, "not an address of this machine yet");
            });
        }
        let names: Vec<Listen> = followed.names().collect();
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
            status.listeners = names.iter().map(|listen| listen.address).collect();
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
