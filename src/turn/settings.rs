//! What the operator decides, settled, and the same for every worker.

use std::net::SocketAddr;

/// Rules and limits of one server.
#[derive(Debug)]
pub struct Settings {
    /// SOFTWARE in authenticated Allocate and Refresh answers; `None` leaves it out. Never a
    /// version (RFC 8489 §16.1.2).
    pub software: Option<Box<str>>,
    /// Lifetime of an allocation that asked for none, or for less: seconds.
    pub default_lifetime_s: u32,
    /// The longest lifetime granted, seconds; at least the default.
    pub max_lifetime_s: u32,
    /// Peer addresses one allocation may have permissions for at a time.
    pub permissions_per_allocation: u16,
    /// Channels one allocation may have bound at a time, those in their guard time included.
    pub channels_per_allocation: u16,
    /// What a new Allocate on a five-tuple in use does.
    pub on_reallocate: OnReallocate,
    /// Sockets of this server that are never a peer, whatever the policy says: listening, metrics
    /// and admin addresses, wildcards spelt out.
    pub own_addresses: Vec<SocketAddr>,
}

/// What becomes of an allocation whose client allocates again on the same five-tuple, with the
/// same user name and a new transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnReallocate {
    /// It stays and the request gets 437, as RFC 8656 §7.2 says.
    Refuse,
    /// It ends and a new one takes its place: a client that restarted is not locked out.
    Replace,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            software: Some("uturn".into()),
            default_lifetime_s: 600,
            max_lifetime_s: 3600,
            permissions_per_allocation: 64,
            channels_per_allocation: 64,
            on_reallocate: OnReallocate::Refuse,
            own_addresses: Vec::new(),
        }
    }
}
