//! Where clients are sent while this server takes no new ones (RFC 8489 §10).

use std::net::{IpAddr, SocketAddr};

/// Other servers, one of each family at most: a client can only be sent to one of the family it
/// came from (RFC 8489 §14.15).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Alternates {
    v4: Option<SocketAddr>,
    v6: Option<SocketAddr>,
}

/// Two servers of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TwoOfAFamily;

impl Alternates {
    /// Takes servers of different families, or none.
    pub fn new(servers: &[SocketAddr]) -> Result<Alternates, TwoOfAFamily> {
        let mut alternates = Alternates::default();
        for server in servers {
            let place = match server.ip() {
                IpAddr::V4(_) => &mut alternates.v4,
                IpAddr::V6(_) => &mut alternates.v6,
            };
            if place.replace(*server).is_some() {
                return Err(TwoOfAFamily);
            }
        }
        Ok(alternates)
    }

    /// Where a client is sent.
    pub(in crate::turn) fn of(&self, client: IpAddr) -> Option<SocketAddr> {
        match client {
            IpAddr::V4(_) => self.v4,
            IpAddr::V6(_) => self.v6,
        }
    }
}
