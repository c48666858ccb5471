//! The machine's addresses, followed while the server runs.
//!
//! Whoever relays for strangers must know where its own machine ends: an address that an interface
//! gets at noon is as closed to clients as one that it had at the start. And it is served like one,
//! where every address of its family is.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tracing::{error, info, warn};

use super::background::{Cause, Outcome};
use super::reload::Looked;
use super::supervisor::{Supervisor, Workers};
use crate::control::config::{Config, Families, Machine};
use crate::turn::ListenerId;

/// How soon an address that could not be listened on is tried again; twice as late every time. One
/// that went and came at once is in use for a moment: workers let go of its sockets when they get
/// to it, and a ring some 100 ms later.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is said that an address is missing.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// An address that is or was listened on.
#[derive(Debug)]
struct Listener {
    address: SocketAddr,
    is_open: bool,
    /// Why its sockets failed, until it is open again.
    broken: Option<String>,
}

/// What is listened on, and what should be served.
#[derive(Debug)]
pub(in crate::control) struct Followed {
    /// Addresses that were ever listened on. The place is the name.
    listeners: Vec<Listener>,
    /// What was asked for by name or has been there.
    promised: Families,
    /// When the log says again what is missing, or cannot be listened on.
    next_word: Instant,
    /// When those that could not be listened on are tried again.
    retry: Option<Instant>,
    /// How much later they are tried the next time.
    patience: Duration,
    /// When another try was arranged for the last time.
    last_try: Option<Instant>,
    /// A look at the machine that is under way.
    look: Look,
}

impl Listener {
    fn open(address: SocketAddr) -> Self {
        Self { address, is_open: true, broken: None }
    }
}

/// A look at the machine's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Look {
    /// None is under way.
    None,
    UnderWay,
    /// Something has changed since it began.
    Stale,
}

impl Followed {
    /// Begins with what is listened on from the start.
    pub(in crate::control) fn new(config: &Config) -> Self {
        Self {
            listeners: config.listen.iter().map(|address| Listener::open(*address)).collect(),
            promised: config.promised_families().with(config.served_families(&config.listen)),
            next_word: Instant::now() + SAY_EVERY,
            retry: None,
            patience: RETRY,
            last_try: None,
            look: Look::None,
        }
    }

    /// When something is to be tried again.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.retry.filter(|_| self.look == Look::None)
    }

    /// The addresses of the listeners, by name.
    pub(in crate::control) fn names(&self) -> impl Iterator<Item = SocketAddr> {
        self.listeners.iter().map(|listener| listener.address)
    }

    /// Those that are listened on.
    fn open(&self) -> Vec<SocketAddr> {
        let open = self.listeners.iter().filter(|listener| listener.is_open);
        open.map(|listener| listener.address).collect()
    }

    /// What should be served and is not.
    pub(in crate::control) fn lacking(&self, config: &Config) -> Vec<String> {
        let broken = self.listeners.iter().filter_map(|Listener { address, broken, .. }| {
            let error = broken.as_ref().filter(|_| config.listen.contains(address))?;
            Some(format!("{address} cannot be listened on: {error}"))
        });
        let families = self.promised.without(config.served_families(&self.open())).named();
        families.into_iter().chain(broken).collect()
    }

    /// Notes that the sockets of a listener have failed; false for one that is closed already.
    fn lose(&mut self, listener: ListenerId, error: &io::Error) -> bool {
        let Some(listener) = self.listeners.get_mut(usize::from(listener.0)) else { return false };
        let was_open = std::mem::take(&mut listener.is_open);
        if was_open {
            listener.broken = Some(error.to_string());
        }
        was_open
    }

    /// Arranges for another try if an address that should be listened on is not.
    fn try_again(&mut self, asked: &[SocketAddr]) {
        let is_closed = |it: &Listener| !it.is_open && asked.contains(&it.address);
        if !self.listeners.iter().any(is_closed) {
            self.retry = None;
            return;
        }
        let now = Instant::now();
        // What goes well for a while and then fails is tried as soon as what fails for the first
        // time.
        if self.last_try.is_none_or(|last| now.duration_since(last) > 2 * SAY_EVERY) {
            self.patience = RETRY;
        }
        (self.last_try, self.retry) = (Some(now), Some(now + self.patience));
        self.patience = (self.patience * 2).min(SAY_EVERY);
    }

    /// The name that an address has, or gets; `None` when there are no names left.
    fn name(&mut self, address: SocketAddr) -> Option<ListenerId> {
        let known = self.listeners.iter().position(|known| known.address == address);
        let place = known.unwrap_or_else(|| {
            self.listeners.push(Listener { is_open: false, ..Listener::open(address) });
            self.listeners.len() - 1
        });
        u16::try_from(place).ok().map(ListenerId)
    }
}

impl<W: Workers> Supervisor<W> {
    /// Asks for the machine's addresses, on a thread: the kernel may be busy with others' networks.
    pub(in crate::control) fn look(&mut self) {
        if self.followed.look != Look::None {
            self.followed.look = Look::Stale;
            return;
        }
        self.followed.look = Look::UnderWay;
        let reload = self.reload.clone();
        let work = move || {
            let machine = Machine::look().map_err(|error| Problem::Unread(error.to_string()));
            let looked = machine.and_then(|machine| reload.look(machine).map_err(Problem::Unfit));
            Outcome::Looked(looked.map(Box::new))
        };
        if let Err(error) = self.background.run("addresses", work) {
            self.on_looked(Err(Problem::Unread(error.to_string())));
        }
    }

    /// Closes what is new among the machine's addresses to clients, and serves what was asked for
    /// and is there now. Changes nothing when the addresses cannot be had.
    pub(super) fn on_looked(&mut self, looked: Result<Box<Looked>, Problem>) {
        let is_stale = std::mem::replace(&mut self.followed.look, Look::None) == Look::Stale;
        match looked {
            Ok(looked) => self.follow(&looked),
            Err(Problem::Unread(error)) => {
                warn!(error, "the machine's addresses cannot be read: the last ones known hold");
                self.followed.try_again(&self.reload.config().listen);
            }
            Err(Problem::Unfit(problem)) => {
                error!("the addresses stay as they were: {problem}");
                self.followed.try_again(&self.reload.config().listen);
            }
        }
        if is_stale {
            self.look();
        }
    }

    fn follow(&mut self, looked: &Looked) {
        let before = self.reload.config().local.clone();
        let relays = self.reload.config().relays.clone();
        if !self.reload.follow(looked) {
            // The configuration was read again meanwhile.
            return self.look();
        }
        if let Some(rules) = &looked.settings {
            let now = &self.reload.config().local;
            info!(
                new = listed(now, &before),
                gone = listed(&before, now),
                "the machine's addresses have changed: clients reach none of them, unless \
                 allow-peers opens it"
            );
            self.hand_out(Cause::Machine, rules);
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
    pub(super) fn lose_listener(&mut self, listener: ListenerId, errno: i32) {
        let error = io::Error::from_raw_os_error(errno);
        if !self.followed.lose(listener, &error) {
            return;
        }
        self.workers.stop_listening(listener);
        self.followed.try_again(&self.reload.config().listen);
        self.tell_what_is_served();
    }

    /// Opens listeners on addresses that have come, and closes those whose address has gone.
    fn listen_as_asked(&mut self) {
        let asked = self.reload.config().listen.clone();
        for (place, listener) in self.followed.listeners.iter_mut().enumerate() {
            let address = listener.address;
            if listener.is_open && !asked.contains(&address) {
                listener.is_open = false;
                self.workers.stop_listening(ListenerId(place as u16));
                warn!(%address, "not listened on any more: the machine has lost the address");
            }
        }
        for &address in &asked {
            let Some(name) = self.followed.name(address) else {
                error!(%address, "cannot be listened on: there have been too many before it");
                continue;
            };
            let listener = &mut self.followed.listeners[usize::from(name.0)];
            if listener.is_open {
                continue;
            }
            match self.workers.listen(name, address) {
                Ok(()) => {
                    *listener = Listener::open(address);
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

/// Why nothing is known of the machine's addresses.
#[derive(Debug)]
pub(in crate::control) enum Problem {
    /// The kernel does not say.
    Unread(String),
    /// What was asked for cannot be served on this machine.
    Unfit(String),
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
