//! The machine's addresses, followed while the server runs.
//!
//! Whoever relays for strangers must know where its own machine ends: an address that an interface
//! gets at noon is as closed to clients as one that it had at the start. And it is served like one,
//! where every address of its family is.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::control::config::{Config, ServedFamilies};
use crate::turn::ListenerId;
use crate::worker::{Listen, ListenKind};

/// How soon an address that could not be listened on is tried again; twice as late every time. One
/// that went and came at once is in use for a moment: workers let go of its sockets when they get
/// to it, and a ring some 100 ms later.
const RETRY: Duration = Duration::from_millis(250);
/// How often it is said that an address is missing.
pub(in crate::control) const SAY_EVERY: Duration = Duration::from_secs(60);

/// An address that is or was listened on.
#[derive(Debug)]
pub(in crate::control) struct FollowedListener {
    pub(in crate::control) listen: Listen,
    pub(in crate::control) is_open: bool,
    /// Why its sockets failed, until it is open again.
    broken: Option<String>,
}

/// What is listened on, and what should be served.
#[derive(Debug)]
pub(in crate::control) struct Followed {
    /// Addresses that were ever listened on. The place is the name.
    pub(in crate::control) listeners: Vec<FollowedListener>,
    /// What was asked for by name or has been there.
    pub(in crate::control) promised: ServedFamilies,
    /// When the log says again what is missing, or cannot be listened on.
    pub(in crate::control) next_word: Instant,
    /// When those that could not be listened on are tried again.
    retry: Option<Instant>,
    /// How much later they are tried the next time.
    patience: Duration,
    /// When another try was arranged for the last time.
    last_try: Option<Instant>,
    /// A look at the machine that is under way.
    pub(in crate::control) look: Look,
    /// Others are being asked what the configuration leaves to them.
    pub(in crate::control) is_asking: bool,
}

impl FollowedListener {
    pub(in crate::control) fn open(listen: Listen) -> Self {
        Self { listen, is_open: true, broken: None }
    }
}

/// A look at the machine's addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::control) enum Look {
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
            listeners: config.listeners().into_iter().map(FollowedListener::open).collect(),
            promised: config.promised_families().with(config.served_families(&config.listen)),
            next_word: Instant::now() + SAY_EVERY,
            retry: None,
            patience: RETRY,
            last_try: None,
            look: Look::None,
            is_asking: false,
        }
    }

    /// When something is to be tried again.
    pub(in crate::control) fn due(&self) -> Option<Instant> {
        self.retry.filter(|_| self.look == Look::None)
    }

    /// The listeners, by name.
    pub(in crate::control) fn names(&self) -> impl Iterator<Item = Listen> {
        self.listeners.iter().map(|listener| listener.listen)
    }

    /// The addresses that are listened on for UDP: those of connections follow them.
    pub(in crate::control) fn open(&self) -> Vec<SocketAddr> {
        let open = self.listeners.iter().filter(|listener| listener.is_open);
        let open = open.filter(|listener| listener.listen.kind == ListenKind::Datagrams);
        open.map(|listener| listener.listen.address).collect()
    }

    /// What should be served and is not.
    pub(in crate::control) fn lacking(&self, config: &Config) -> Vec<String> {
        let broken =
            self.listeners.iter().filter_map(|FollowedListener { listen, broken, .. }| {
                let error = broken.as_ref().filter(|_| config.listen.contains(&listen.address))?;
                Some(format!("{listen} cannot be listened on: {error}"))
            });
        let families = self.promised.without(config.served_families(&self.open())).named();
        families.into_iter().chain(broken).collect()
    }

    /// Notes that the sockets of a listener have failed; false for one that is closed already.
    pub(in crate::control) fn lose(&mut self, listener: ListenerId, error: &io::Error) -> bool {
        let Some(listener) = self.listeners.get_mut(usize::from(listener.0)) else { return false };
        let was_open = std::mem::take(&mut listener.is_open);
        if was_open {
            listener.broken = Some(error.to_string());
        }
        was_open
    }

    /// Arranges for another try if an address that should be listened on is not.
    pub(in crate::control) fn try_again(&mut self, asked: &[Listen]) {
        let is_closed = |it: &FollowedListener| !it.is_open && asked.contains(&it.listen);
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

    /// The name that a listener has, or gets; `None` when there are no names left.
    pub(in crate::control) fn name(&mut self, listen: Listen) -> Option<ListenerId> {
        let known = self.listeners.iter().position(|known| known.listen == listen);
        let place = known.unwrap_or_else(|| {
            self.listeners
                .push(FollowedListener { is_open: false, ..FollowedListener::open(listen) });
            self.listeners.len() - 1
        });
        u16::try_from(place).ok().map(ListenerId)
    }
}
