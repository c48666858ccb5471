//! Sessions that later connections resume.
//!
//! The usual store of rustls keeps eight tickets of a server; a generator with hundreds of
//! handshakes under way needs one for each. A store belongs to one server, whatever it is called.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use rustls::{
    NamedGroup,
    client::{ClientSessionStore, Tls12ClientSessionValue, Tls13ClientSessionValue},
    pki_types::ServerName,
};

/// Tickets that are kept: the newest.
const MOST_TICKETS: usize = 8_192;

/// What one server gave to resume with.
#[derive(Debug, Default)]
pub(super) struct Tickets(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    group: Option<NamedGroup>,
    session: Option<Tls12ClientSessionValue>,
    /// Each is good for one connection (RFC 8446 appendix C.4).
    tickets: VecDeque<Tls13ClientSessionValue>,
}

impl Tickets {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.held().group = Some(group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.held().group
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.held().session = Some(session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.held().session.clone()
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.held().session = None;
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut held = self.held();
        if held.tickets.len() == MOST_TICKETS {
            held.tickets.pop_front();
        }
        held.tickets.push_back(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.held().tickets.pop_back()
    }
}
